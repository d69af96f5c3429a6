"""WESAD: windows, labels, normalisation and splits against loops written here."""

import pickle

import numpy as np
import pytest
import torch

from tests.fixtures import wesad as fixture
from tuplet.datasets import wesad, wesad_windows
from tuplet.datasets.wesad_windows import Cut
from tuplet.types import InputError


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("wesad")
    return root, fixture.write(root)


def windows(content, *, stride=5.0, purity=1.0, seconds=5.0):
    """Cut by a loop over every start."""
    label, made = content["label"], []
    k = 0
    while (start := k * stride) + seconds <= len(label) / 700:
        here = label[round(start * 700) : round((start + seconds) * 700)]
        for code in (1, 2, 3):
            if (here == code).mean() >= purity:
                chest, wrist = content["signal"]["chest"], content["signal"]["wrist"]
                row = {
                    "ecg": chest["ECG"][round(start * 700) :][:3500, 0],
                    "bvp": wrist["BVP"][round(start * 64) :][:320, 0],
                }
                made.append((code - 1, row))
        k += 1
    return made


@pytest.mark.parametrize("options", [{}, {"stride": 1.5}, {"stride": 2.0, "purity": 0.6}])
def test_windows_equal_a_loop(recorded, options):
    root, contents = recorded
    made, _ = wesad_windows.windows(root, Cut(**options))
    expected = [(s, *w) for s in sorted(contents) for w in windows(contents[s], **options)]
    assert made["group"].tolist() == [e[0] for e in expected]
    assert made["target.state"].tolist() == [e[1] for e in expected]
    for signal, samples in (("ecg", 3500), ("bvp", 320)):
        assert made[f"input.{signal}"].shape == (len(expected), 1, samples)
        assert np.array_equal(made[f"input.{signal}"][:, 0], np.stack([e[2][signal] for e in expected]).astype(np.float32))


def test_a_window_of_two_labels_is_dropped_unless_purity_allows(recorded):
    root, _ = recorded
    counts = [len(wesad_windows.windows(root, Cut(stride=1.0, purity=p))[0]["group"]) for p in (1.0, 0.8, 0.51)]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("how", ["window", "subject", "train", "none"])
def test_normalisation_equals_its_definition(recorded, how):
    root, _ = recorded
    raw = wesad_windows.windows(root, Cut())[0]
    source = wesad.load(root, normalisation=how)
    x, subject = raw["input.ecg"].astype(np.float64), raw["group"]
    for r in (0, 7, len(x) - 1):
        seen = {"window": x[r], "subject": x[subject == subject[r]], "train": x[source.split.train], "none": None}[how]
        wanted = x[r] if seen is None else (x[r] - seen.mean()) / seen.std()
        assert np.allclose(source.columns["ecg"][np.array([r])][0], wanted, atol=1e-3)


def test_a_flat_window_becomes_zero(tmp_path):
    content = fixture.write(tmp_path, (2, 3, 4))[2]
    content["signal"]["wrist"]["BVP"][:] = 7.0
    (tmp_path / "S2" / "S2.pkl").write_bytes(pickle.dumps(content, 2))
    source = wesad.load(tmp_path)
    first = source.columns["bvp"][np.arange(3)]
    assert not first.any()
    assert source.columns["ecg"][np.arange(3)].any()


@pytest.mark.parametrize("seed", range(3))
def test_subjects_stay_in_one_part(recorded, seed):
    root, contents = recorded
    source = wesad.load(root, seed=seed)
    groups = np.asarray(wesad_windows.windows(root, Cut())[0]["group"])
    seen = [set(groups[p].tolist()) for p in (source.split.train, source.split.val, source.split.test)]
    assert sum(map(len, seen)) == len(contents) == len(set.union(*seen))
    assert [len(s) for s in seen] == [3, 1, 1]


def test_fifteen_subjects_are_9_3_3_and_one_is_left_out():
    subjects = np.repeat(sorted({*range(2, 18)} - {12}), 4)
    split = wesad._split(subjects, "seeded", None, 0)
    assert [len(set(subjects[p])) for p in (split.train, split.val, split.test)] == [9, 3, 3]
    for s in (2, 17):
        split = wesad._split(subjects, "leave-one-out", s, 0)
        assert set(subjects[split.test].tolist()) == {s}
        assert len(set(subjects[split.train])) + len(set(subjects[split.val])) == 14
    with pytest.raises(InputError, match="held_out is 12"):
        wesad._split(subjects, "leave-one-out", 12, 0)


def test_a_converted_file_gives_the_same_source(recorded, tmp_path):
    root, _ = recorded
    out = wesad.READER.convert(root, tmp_path / "w.safetensors")
    for options in ({}, {"normalisation": "train", "split": "leave-one-out", "held_out": 4}):
        a, b = wesad.load(root, **options), wesad.load(out, **options)
        assert a.split == b.split
        for part in ("train", "val", "test"):
            x, y = getattr(a, part)[:], getattr(b, part)[:]
            assert all(torch.equal(x.inputs[m], y.inputs[m]) for m in x.inputs)
            assert torch.equal(x.target["state"], y.target["state"])
    with pytest.raises(InputError, match="was converted with"):
        wesad.load(out, stride=2.5)


def test_keys_are_read_in_any_case(tmp_path):
    for k, spelling in enumerate(("Temp", "TEMP")):
        fixture.write(tmp_path / str(k), (2, 3, 4), spelling=spelling)
    a, b = (wesad_windows.windows(tmp_path / str(k), Cut(signals=("respiration", "chest_temperature")))[0] for k in range(2))
    assert a["input.respiration"].shape == b["input.respiration"].shape
    lines = "\n".join(wesad.READER.verify(tmp_path / "1"))
    assert "3 subjects: S2, S3, S4" in lines
    assert "published but not here: S5" in lines
    assert "S12" not in lines


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_protocol_is_read(protocol, tmp_path):
    expected = fixture.write(tmp_path, (2,), protocol=protocol, labels=(1, 2))
    made, _ = wesad_windows.windows(tmp_path, Cut())
    assert np.array_equal(made["input.bvp"][0, 0], expected[2]["signal"]["wrist"]["BVP"][:320, 0].astype(np.float32))


def fault(change, tmp_path):
    content = fixture.write(tmp_path, (2, 3, 4), labels=(1, 2))[3]
    change(content)
    (tmp_path / "S3" / "S3.pkl").write_bytes(pickle.dumps(content, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(subject="S2"), "subject 2 is in .*S2.pkl and in .*S3.pkl; a subject listed twice"),
        (lambda c: c.pop("label"), "no label of integers"),
        (lambda c: c["signal"]["wrist"].pop("BVP"), "no numbers at signal/wrist/bvp"),
        (lambda c: c["signal"]["chest"].update(ecg=1), "differ in case only"),
        (lambda c: c["signal"]["wrist"].update(BVP=c["signal"]["wrist"]["BVP"][:99]), "about 768 samples, 64 a second"),
        (lambda c: c["signal"]["chest"]["ECG"].__setitem__(5, np.nan), "1 NaN or infinite values in signal/chest/ecg"),
        (lambda c: c.pop("signal"), "no dict at signal"),
        (lambda c: c.update(subject="Eve"), "subject 'Eve', expected such as 'S2'"),
    ],
)
def test_faults_are_named(change, message, tmp_path):
    fault(change, tmp_path)
    with pytest.raises(InputError, match=message) as error:
        wesad.load(tmp_path)
    assert "S3" in str(error.value)


def test_options_are_checked(recorded):
    root, _ = recorded
    for options, message in (
        ({"signals": ("ecg",)}, "signals is"),
        ({"signals": ("ecg", "ecg")}, "signals is"),
        ({"states": ("baseline", "joy")}, "states is"),
        ({"purity": 0.4}, "purity is 0.4"),
        ({"stride": 0.0}, "stride is 0.0"),
        ({"normalisation": "loud"}, "normalisation is 'loud'"),
        ({"held_out": 2}, "held_out is 2"),
    ):
        with pytest.raises(InputError, match=message):
            wesad.load(root, **options)
