"""The packaged emoji: what belongs together stays together, absent pictures are masked, texts are what a person would say."""

import re

import numpy as np
import pytest

from tuplet.data.preprocessing import Preprocessing
from tuplet.datasets import emoji
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
    for artist in emoji.PICTURES:  # the middle of a red heart is red in every drawing, whatever the order of the colours
        red, green, blue = found.pictures[artist][row("red heart"), 16, 16].astype(int)
        assert red > 180
        assert red - max(green, blue) > 100


FAMILIES = (
    "man cook|woman cook|cook",
    "red heart|blue heart|heart with arrow|broken heart|two hearts|heart suit",
    "one o\u2019clock|seven-thirty",
    "frowning face|slightly frowning face|frowning face with open mouth",
    "enraged face|angry face",
    "locked|unlocked|locked with key",
    "open mailbox with raised flag|closed mailbox with lowered flag",
    "up arrow|down-left arrow|right arrow curving left|up-down arrow",
    "snowman|snowman without snow",
    "magnifying glass tilted left|magnifying glass tilted right",
    "raised hand|raised back of hand|hand with fingers splayed",
    "backhand index pointing left|index pointing up",
    "dog face|dog|guide dog",
    "bell|bell with slash",
    "new moon|full moon face|crescent moon",
    "person biking|woman mountain biking",
    "umbrella|closed umbrella|umbrella with rain drops",
)
APART = (
    "grinning face|crying face",
    "red heart|red circle",
    "dog|cat",
    "bow and arrow|up arrow",
    "envelope|red envelope",
)
SIDES = re.compile(
    r"\b(?:left|right|up|down)(?:wards)?\b|"
    r"\b(?:open|closed|raised|lowered|oncoming|horizontal|vertical|slightly|small|large|medium)\b"
    r"|\b(?:red|green|blue|yellow|orange|purple|brown|black|white|grey|pink)\b|\b(?:man|woman|person|men|women|people)\b"
    r"|\b(?:no|non|not|with|without|face|tilted|pointing|facing|waxing|waning|low|high|old|bubble)\b|[^a-z ]"
)


HOMONYMS = {"tongue", "mouth", "thermometer", "frowning", "crown", "luggage", "envelope", "button"}  # not one concept


def test_variants_share_a_group_and_stay_in_one_part(source):
    for family in FAMILIES:
        codes = {int(source.group[row(name)]) for name in family.split("|")}
        assert len(codes) == 1, family
    for pair in APART:
        assert len({int(source.group[row(name)]) for name in pair.split("|")}) == 2, pair
    parts = [set(source.group[getattr(source.split, p)].tolist()) for p in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))  # no group is in two parts


def test_names_that_differ_in_side_colour_or_state_alone_are_one_concept():
    found, seen = emoji.contents(), {}
    for name, concept in zip(found.names["english"], found.concept, strict=True):
        seen.setdefault(" ".join(SIDES.sub(" ", name.lower()).split()), set()).add(concept)
    assert {k for k, v in seen.items() if len(v) > 1} - HOMONYMS == {""}


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
    np.testing.assert_array_equal(rows[0], source.columns["english"].values[0].numpy())


def test_other_languages_are_an_option():
    assert "japanese" in emoji.load(languages="english,japanese").modalities
    with pytest.raises(InputError, match=r"languages names \['latin'\]"):
        emoji.load(languages="latin")
