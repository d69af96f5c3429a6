"""The packaged emoji: what belongs together stays together, absent pictures are masked, texts are what a person would say."""

import numpy as np
import pytest

from tuplet.data.preprocessing import Preprocessing
from tuplet.data.sources import emoji
from tuplet.types import InputError


@pytest.fixture(scope="module")
def source():
    return emoji.load()


def row(name):
    return emoji.contents().names["english"].index(name)


def test_names_and_pictures_are_those_of_the_concept():
    found = emoji.contents()
    assert found.characters[row("cat face")] == "🐱"
    assert found.names["french"][row("red heart")] == "cœur rouge"
    for (
        artist
    ) in emoji.PICTURES:  # the middle of a red heart is red in every drawing, whatever the order of the colours
        red, green, blue = found.pictures[artist][row("red heart"), 16, 16].astype(int)
        assert red > 180
        assert red - max(green, blue) > 100


def test_variants_share_a_group_and_stay_in_one_part(source):
    families = (("man cook", "woman cook", "cook"), ("red heart", "blue heart"), ("one o\u2019clock", "seven-thirty"))
    for family in families:
        codes = {int(source.group[row(name)]) for name in family}
        assert len(codes) == 1, family
    assert source.group[row("red heart")] != source.group[row("heart with arrow")]
    parts = [set(source.group[getattr(source.split, p)].tolist()) for p in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))  # no group is in two parts


def test_absent_pictures_are_zero_and_masked(source):
    here = emoji.contents().present["fluent"]
    assert 0 < (~here).sum() < 100
    batch = source.train[:]
    assert (batch.present["fluent"].numpy() == here[batch.index.numpy()]).all()
    assert not batch.inputs["fluent"][~batch.present["fluent"]].any()
    assert float(batch.inputs["fluent"].max()) <= 1


def test_a_name_that_is_typed_becomes_the_same_features(source):
    prepared: Preprocessing = source.preprocessing["english"]
    found = emoji.contents()
    text = f"{found.names['english'][0]}. {' '.join(found.tags['english'][0])}"
    rows, present = prepared.apply([text, None])
    assert present.tolist() == [True, False]
    np.testing.assert_array_equal(rows[0], source.inputs["english"][0].numpy())


def test_other_languages_are_an_option():
    assert "japanese" in emoji.load(languages="english,japanese").modalities
    with pytest.raises(InputError, match=r"languages names \['latin'\]"):
        emoji.load(languages="latin")
