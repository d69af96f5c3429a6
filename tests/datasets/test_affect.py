"""MOSEI, MOSI, MUStARD and UR-FUNNY: cleaning, labels, statistics and splits against loops written here."""

import json
import pickle

import numpy as np
import pytest
import torch

from tests.fixtures import multibench as fixture
from tuplet.datasets import mosei, mustard
from tuplet.types import InputError

PARTS = ("train", "valid", "test")


def cleaned(contents):
    """Clean by a loop: rows without words dropped, words first, infinite values zero."""
    rows = []
    for k, part in enumerate(PARTS):
        p = contents[part]
        for i in range(len(p["labels"])):
            words = [t for t in range(p["text"].shape[1]) if (p["text"][i, t] != 0).any()]
            if not words:
                continue
            row = {}
            for m in ("vision", "audio", "text"):
                x = p[m][i, words[0] :].copy()
                x[~np.isfinite(x)] = 0
                row[m] = np.concatenate([x, np.zeros((words[0], x.shape[1]), np.float32)])
            rows.append((k, row, p["text"].shape[1] - words[0], float(p["labels"][i].reshape(-1)[0]), str(p["id"][i])))
    return rows


@pytest.mark.parametrize("name", ["mosei_senti_data", "mosei_raw", "mosi_raw", "mosi_data"])
@pytest.mark.parametrize("converted", [False, True])
def test_rows_equal_a_loop_over_the_file(name, converted, tmp_path):
    expected = cleaned(fixture.write(tmp_path / f"{name}.pkl", name))
    root = mosei.READER.convert(tmp_path, tmp_path / "out.safetensors") if converted else tmp_path
    source = mosei.load(root, scaling="none")
    assert source.name == name
    for k, part in enumerate(("train", "val", "test")):
        batch, wanted = getattr(source, part)[:], [r for r in expected if r[0] == k]
        assert len(wanted) == len(batch)
        for m in ("vision", "audio", "text"):
            assert torch.equal(batch.inputs[m], torch.from_numpy(np.stack([r[1][m] for r in wanted])))
        assert batch.target["sentiment"][:, 0].tolist() == [r[3] for r in wanted]
        assert batch.target["label"].tolist() == [int(r[3] > 0) for r in wanted]


def test_statistics_are_those_of_training_words_and_padding_stays_zero(tmp_path):
    rows = cleaned(fixture.write(tmp_path / "mosei_raw.pkl", "mosei_raw"))
    source = mosei.load(tmp_path)
    for m in ("vision", "audio", "text"):
        words = np.concatenate([r[1][m][: r[2]] for r in rows if r[0] == 0]).astype(np.float64)
        mean, deviation = words.mean(axis=0), words.std(axis=0)
        test = [r for r in rows if r[0] == 2]
        got = source.test[:].inputs[m].numpy()
        for x, r in zip(got, test, strict=True):
            assert np.allclose(x[: r[2]], (r[1][m][: r[2]] - mean) / deviation, atol=1e-4)
            assert not x[r[2] :].any()
    padded = mosei.load(tmp_path, scaling="train-padded").train[:].inputs["text"].numpy()
    everything = np.stack([r[1]["text"] for r in rows if r[0] == 0]).reshape(-1, 300).astype(np.float64)
    first = next(r for r in rows if r[0] == 0)
    assert np.allclose(padded[0, 0], (first[1]["text"][0] - everything.mean(axis=0)) / everything.std(axis=0), atol=1e-4)


def test_statistics_do_not_depend_on_test_rows(tmp_path):
    contents = fixture.write(tmp_path / "mosi_data.pkl", "mosi_data")
    before = mosei.load(tmp_path).train[:].inputs
    contents["test"]["text"] *= 100
    contents["valid"]["vision"] += 7
    (tmp_path / "mosi_data.pkl").write_bytes(pickle.dumps(contents))
    after = mosei.load(tmp_path).train[:].inputs
    assert all(torch.equal(before[m], after[m]) for m in before)


def test_label_rules_differ_only_in_neutral_rows(tmp_path):
    fixture.write(tmp_path / "mosi_raw.pkl", "mosi_raw", rows=(40, 20, 20))
    sources = {rule: mosei.load(tmp_path, rule=rule) for rule in ("positive", "non-negative", "no-neutral")}
    y = sources["positive"].train[:].target["sentiment"][:, 0]
    assert (y == 0).any()
    differ = sources["positive"].train[:].target["label"] != sources["non-negative"].train[:].target["label"]
    assert torch.equal(differ, y == 0)
    kept = sources["no-neutral"]
    assert len(kept.train) == int((y != 0).sum())
    assert torch.equal(kept.train[:].inputs["text"] != 0, (sources["positive"].train[:].inputs["text"] != 0)[y != 0])
    assert len({s.fingerprint for s in sources.values()}) == 3


def test_nan_are_counted_or_replaced(tmp_path):
    contents = fixture.contents("mosi_data")
    contents["train"]["vision"][3, -1, :4] = np.nan
    contents["test"]["audio"][5, -1, 1] = np.nan
    (tmp_path / "mosi_data.pkl").write_bytes(pickle.dumps(contents))
    with pytest.raises(InputError, match="1 in audio, 4 in vision"):
        mosei.load(tmp_path)
    source = mosei.load(tmp_path, nan="zero", scaling="none")
    assert all(torch.isfinite(x).all() for x in source.train[:].inputs.values())
    lines = "\n".join(mosei.READER.verify(tmp_path))
    assert "vision: 0 infinite and 4 NaN" in lines
    assert "audio: 6 infinite and 1 NaN" in lines
    assert "rows without words, dropped: 3" in lines


def test_every_variant_is_told_apart(tmp_path):
    for name in fixture.FEATURES:
        folder = tmp_path / name
        folder.mkdir()
        reader = mustard if name in mustard.FILES else mosei
        fixture.write(folder / f"{name}.pkl", name, binary=reader is mustard)
        assert f"variant {name}:" in reader.READER.verify(folder)[0]
    fixture.write(tmp_path / "renamed.pkl", "mosei_raw")
    assert "variant mosei_raw" in mosei.READER.verify(tmp_path / "renamed.pkl")[0]  # its sizes are its own
    fixture.write(tmp_path / "renamed.pkl", "mosi_raw")
    with pytest.raises(InputError, match=r"could be mosei_senti_data\.pkl or mosi_raw\.pkl"):
        mosei.READER.verify(tmp_path / "renamed.pkl")
    with pytest.raises(InputError, match=r"holds none of|holds 2 of"):
        mosei.READER.verify(tmp_path)


def test_published_counts_are_compared(tmp_path):
    contents = fixture.contents("sarcasm", rows=(414, 138, 138), steps=2, binary=True)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(contents))
    assert any("as published" in line for line in mustard.READER.verify(tmp_path / "x.pkl"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("valid"), "expected a dict with the parts"),
        (lambda c: c["test"].pop("audio"), r"test\['audio'\] missing"),
        (lambda c: c["test"].update(audio=c["test"]["audio"][:, :5]), r"test\['audio'\] of shape \(6, 5, 5\)"),
        (lambda c: c["train"].update(labels=c["train"]["labels"][:3]), r"train\['labels'\] of shape"),
        (lambda c: c["train"].update(id=["a"]), "expected 12 ids"),
        (lambda c: c["train"].update(text=c["train"]["text"][..., :7]), "expected one of"),
        (lambda c: c["train"].update(text="words"), "no array of numbers"),
    ],
)
def test_faults_are_named(change, message, tmp_path):
    contents = fixture.contents("mosi_data")
    change(contents)
    (tmp_path / "mosi_data.pkl").write_bytes(pickle.dumps(contents))
    with pytest.raises(InputError, match=message) as error:
        mosei.load(tmp_path)
    assert "mosi_data.pkl" in str(error.value)


def test_a_video_in_two_parts_is_refused_on_request(tmp_path):
    contents = fixture.contents("mosi_data")
    for k, part in enumerate(PARTS):
        contents[part]["id"] = [f"v{k}{i // 3}[{i}]" for i in range(len(contents[part]["labels"]))]
    (tmp_path / "mosi_data.pkl").write_bytes(pickle.dumps(contents))
    source = mosei.load(tmp_path, group="video")
    assert source.train[:].group.tolist()[:5] == [0, 0, 1, 1, 1]  # the first row has no words
    contents["test"]["id"][1] = "v00[9]"
    (tmp_path / "mosi_data.pkl").write_bytes(pickle.dumps(contents))
    mosei.load(tmp_path)
    with pytest.raises(InputError, match="that leaks test data"):
        mosei.load(tmp_path, group="video")


@pytest.mark.parametrize("converted", [False, True])
def test_speakers_stay_in_one_part(converted, tmp_path):
    contents = fixture.write(tmp_path / "sarcasm.pkl", "sarcasm", rows=(60, 20, 20), steps=3, binary=True)
    ids = [str(i) for p in PARTS for i in contents[p]["id"]]
    rng = np.random.default_rng(0)
    speakers = {i: f"P{rng.integers(12)}" for i in ids}
    (tmp_path / "s.json").write_text(json.dumps({i: {"speaker": s, "show": "X"} for i, s in speakers.items()}))
    root = mustard.READER.convert(tmp_path, tmp_path / "m.safetensors") if converted else tmp_path
    source = mustard.load(root, split="speaker", speakers=tmp_path / "s.json")
    seen = [set(source.group[p].tolist()) for p in (source.split.train, source.split.val, source.split.test)]
    assert source.train[:].group is None  # clips of one speaker are negatives of each other
    assert sum(map(len, seen)) == len(set.union(*seen))
    published = mustard.load(root)
    kept = [i for p in PARTS for j, i in enumerate(contents[p]["id"]) if contents[p]["text"][j].any()]
    by_part = [{speakers[str(kept[r])] for r in rows} for rows in (published.split.train, published.split.test)]
    assert by_part[0] & by_part[1]  # what the published split leaks
    (tmp_path / "s.json").write_text(json.dumps({ids[5]: {"speaker": "a"}}))
    with pytest.raises(InputError, match="has no speaker for"):
        mustard.load(root, split="speaker", speakers=tmp_path / "s.json")


def test_labels_of_either_coding_are_the_same(tmp_path):
    contents = fixture.write(tmp_path / "humor.pkl", "humor", binary=True, steps=3)
    before = mustard.load(tmp_path).train[:].target["label"]
    for part in PARTS:
        contents[part]["labels"] = 2 * contents[part]["labels"] - 1
    (tmp_path / "humor.pkl").write_bytes(pickle.dumps(contents))
    assert torch.equal(mustard.load(tmp_path).train[:].target["label"], before)
    contents["test"]["labels"][1] = 0.5
    (tmp_path / "humor.pkl").write_bytes(pickle.dumps(contents))
    with pytest.raises(InputError, match="expected 0 and 1, or -1 and 1"):
        mustard.load(tmp_path)


def test_a_converted_file_holds_every_row_and_says_what_it_is(tmp_path):
    fixture.write(tmp_path / "mosi_data.pkl", "mosi_data")
    out = mosei.READER.convert(tmp_path, tmp_path / "o.safetensors")
    rows = len(cleaned(fixture.contents("mosi_data")))
    assert out.stat().st_size > rows * 10 * 325 * 4
    with pytest.raises(InputError, match="was not converted from"):
        mustard.load(out)
    assert sum(map(len, (mosei.load(out).train, mosei.load(out).val, mosei.load(out).test))) == rows
