"""Opinions: sentences stay whole, polarities are what the structure says, emoji follow their counts."""

import importlib.util
import json

import numpy as np
import pytest

from tests.data.test_pairing import informations
from tests.fixtures import opinions as fixture
from tuplet import InputError
from tuplet.data import Table, write_table
from tuplet.simulators import espeak, opinion_parts, opinions
from tuplet.simulators.opinion_parts import sentences, tokens

PARTS = ("train", "val", "test")
made_here = pytest.mark.skipif(
    espeak.library() is None or importlib.util.find_spec("resvg_py") is None,
    reason="espeakng-loader and resvg-py are not installed",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("opinions")
    fixture.write(root)
    return root


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """What `convert` writes, of 60 sentences in noise: no voice and no drawing is needed to read it."""
    rng = np.random.default_rng(0)
    n, e = 60, 6
    words = np.where(np.arange(40) < rng.integers(2, 40, (n, 1)), rng.integers(1, 2**31 - 1, (n, 40)), 0)
    columns = {
        "input.audio": rng.normal(size=(n, 2, 64, 32)).astype(np.float16),
        "input.vision": np.zeros((n, 3, 32, 32), np.uint8),
        "words": words.astype(np.int32),
        "valence": (rng.integers(-5, 6, (n, 40)) * (words > 0)).astype(np.int8),
        "negation": (rng.integers(0, 9, (n, 40)) == 0).astype(np.int8),
        "polarity": (np.arange(n) % 2).astype(np.int8),
        "site": (np.arange(n) % 3).astype(np.int8),
        "voice": (np.arange(n) // 4).astype(np.int16),
        "counts": np.full((n, 3), -1, np.int32),
    }
    columns["counts"][:e] = [[90, 0, 10], [60, 5, 30], [20, 9, 20], [10, 0, 40], [3, 3, 30], [0, 0, 70]]
    columns["input.vision"][:e] = np.arange(e)[:, None, None, None] * 20
    return write_table(tmp_path_factory.mktemp("converted") / "o.safetensors", columns, about=opinions.ABOUT)


def targets(source, part):
    rows = getattr(source.split, part)
    return tuple(source.values[k].numpy()[rows] for k in ("said", "shown", "label"))


def test_of_mustard_neither_side_tells_and_both_tell_all(file):
    s = opinions.load(file, structure="mustard", draws=4)
    for part in PARTS:
        said, shown, label = targets(s, part)
        assert (label == said ^ shown).all()
        table = np.zeros((2, 2, 2))
        np.add.at(table, (said, shown, label), 1 / len(said))
        assert np.allclose(informations(table), (0, 0, 1), atol=1e-9)
    assert s.targets["label"].names == ("agrees", "contradicts")


def test_of_mosei_all_are_about_one_polarity(file):
    said, shown, label = targets(opinions.load(file), "train")
    assert (said == shown).all()
    assert (label == said).all()


def test_no_sentence_and_on_request_no_voice_is_in_two_parts(file):
    columns = Table.open(file).columns
    for options in ({}, {"seed": 3}, {"structure": "mustard"}, {"split": "voice"}):
        s = opinions.load(file, draws=4, **options)
        owners = [set(s.group.numpy()[getattr(s.split, p)].tolist()) for p in PARTS]
        assert sum(map(len, owners)) == len(set.union(*owners)) == 60
        clips = [{c.tobytes() for c in np.asarray(s.columns["audio"][getattr(s.split, p)])} for p in PARTS]
        assert sum(map(len, clips)) == len(set.union(*clips))
        if options.get("split") == "voice":
            voices = [{int(columns["voice"][i]) for i in part} for part in owners]
            assert sum(map(len, voices)) == len(set.union(*voices))
    batch = s.train[:8]
    assert (batch.group[:4] == batch.group[0]).all()


def test_emoji_are_drawn_as_often_as_people_used_them(file):
    s = opinions.load(file, structure="mustard", draws=500)
    face = np.asarray(s.columns["vision"][:])[:, 0, 0, 0] // 20
    shown = s.values["shown"].numpy()
    counts = Table.open(file).columns["counts"][:6, [0, 2]].astype(float)
    for q in (0, 1):
        share = np.bincount(face[shown == q], minlength=6) / (shown == q).sum()
        assert np.abs(share - counts[:, q] / counts[:, q].sum()).max() < 5 / (4 * (shown == q).sum()) ** 0.5
    clear = opinions.load(file, structure="mustard", draws=100, clear=0.5)
    assert set((np.asarray(clear.columns["vision"][:])[:, 0, 0, 0] // 20).tolist()) == {0, 3, 4, 5}


def test_audio_is_the_sentence_in_the_shown_polarity(file):
    s = opinions.load(file, structure="mustard")
    stored = Table.open(file).columns["input.audio"]
    rows = np.arange(0, 120, 7)
    wanted = stored[s.group.numpy()[rows], s.values["shown"].numpy()[rows]].astype(np.float32)
    assert np.array_equal(np.asarray(s.columns["audio"][rows]), wanted)


def test_text_forms_hold_the_words_and_no_more(file):
    columns = Table.open(file).columns
    bag, sequence = (opinions.load(file, draws=2, text=t) for t in ("bag", "sequence"))
    b, q = (np.asarray(s.columns["text"][np.arange(0, 120, 2)]) for s in (bag, sequence))
    assert b.shape == (60, 1029)
    assert q.shape == (60, 40, 32)
    empty = columns["words"][:60] == 0
    assert (q[empty] == 0).all()
    assert (np.abs(q[~empty][:, 3:]) > 0).all()
    assert np.allclose(b[:, 1024], columns["valence"].sum(axis=1) / 5, atol=1e-5)
    assert np.allclose(q[..., 2].sum(axis=1), b[:, 1028], atol=1e-4)
    assert np.allclose(np.linalg.norm(b[:, :1024], axis=1), 1, atol=1e-5)
    first = columns["words"][:, 0]
    assert np.array_equal(q[:, 0, 3] < 0, first & 1 == 1)


def test_negation_turns_the_three_words_behind_it():
    valence, negation = np.array([[0, 3, 2, 0, 4, 5]], np.int8), np.array([[1, 0, 0, 0, 0, 0]], np.int8)
    assert opinions._turned(valence, negation).tolist() == [[0, -3, -2, 0, 4, 5]]


def test_sentences_come_once_and_with_their_words(folder):
    s = sentences(folder)
    assert len(s.text) == 30
    assert s.polarity.sum() == 15
    at = next(i for i, t in enumerate(s.text) if t.startswith("Not good"))
    words = tokens(s.text[at])
    assert s.valence[at, words.index("good")] == 3
    assert s.negation[at, words.index("not")] == 1
    assert (s.words[at] != 0).sum() == len(words)
    assert tokens("Don't!! 5 stars ... '") == ["don't", "!", "!", "5", "stars"]


@made_here
def test_the_folder_and_the_converted_file_are_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="tuplet data convert opinions"):
        opinions.load()
    out = opinions.READER.convert(folder, tmp_path / "opinions.safetensors")
    s = opinions.load()
    assert s.fingerprint == opinions.load(out).fingerprint == opinions.load(folder).fingerprint
    assert {k: m.shape for k, m in s.modalities.items()} == {"audio": (64, 32), "text": (1029,), "vision": (3, 32, 32)}
    pictures, counts = opinion_parts.emoji(folder)
    assert counts.tolist() == [list(n) for _, n in list(fixture.EMOJI.values())[:4]]
    assert (pictures[:, :, 0, 0] == 255).all()
    assert pictures[1, :, 16, 16].tolist() == [0xEE, 0, 0]
    assert len(opinions.READER.verify(folder)) == 6


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("amazon.json", "[1", "not JSON"),
        ("amazon.json", '[{"text": 3, "class": 1}]', "no list of texts"),
        ("amazon.json", '[{"text": "a b", "class": 2}]', "the class 2"),
        ("amazon.json", '[{"text": "...", "class": 1}]', "some words"),
        ("labels.json", '{"good": 30}', "numbers -5"),
    ],
)
def test_damaged_sentences_are_named(tmp_path, name, content, message):
    fixture.write(tmp_path)
    next(tmp_path.rglob(name)).write_text(content)
    with pytest.raises(InputError, match=f"{name}.*{message}"):
        sentences(tmp_path)


def test_sentences_that_people_disagree_on_are_left_out(tmp_path):
    fixture.write(tmp_path)
    path = next(tmp_path.rglob("yelp.json"))
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, {"text": rows[0]["text"].upper(), "class": 1 - rows[0]["class"]}]))
    assert len(sentences(tmp_path).text) == 29


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"structure": "xor"}, "structure is 'xor'"),
        ({"text": "glove"}, "text is 'glove'"),
        ({"clear": 1.5}, "clear is 1.5"),
        ({"clear": 0.99}, "clear is 0.99, and no emoji"),
        ({"draws": 3, "structure": "mustard"}, "draws is 3"),
        ({"split": "speaker"}, "split is 'speaker'"),
    ],
)
def test_bad_options_are_named(file, options, message):
    with pytest.raises(InputError, match=message):
        opinions.load(file, **options)
