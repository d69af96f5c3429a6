"""Sources from arrays, splits that do not leak, batches that repeat, and the shipped digits."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tuplet import InputError
from tuplet.catalog import SOURCES
from tuplet.data import Split, batches, from_arrays, split_rows
from tuplet.datasets import digits


def arrays(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return {"force": rng.normal(3, 5, size=(n, 4)), "sound": rng.normal(size=(n, 2, 8)), "pose": rng.normal(size=n)}


def test_arrays_become_a_source():
    x = arrays()
    label = np.array(["cup", "ball"])[np.arange(40) % 2]
    s = from_arrays(x, targets={"label": label, "xy": np.ones((40, 2))}, units={"force": "N"}, name="mine")
    assert s.modalities["sound"].shape == (2, 8)
    assert s.modalities["pose"].shape == (1,)
    assert s.modalities["force"].unit == "N"
    assert s.targets["label"].names == ("ball", "cup")
    assert (s.targets["xy"].kind, s.targets["xy"].size) == ("real", 2)
    batch = s.test[[0, 3]]
    assert batch.inputs["sound"].shape == (2, 2, 8)
    assert batch.inputs["force"].dtype == torch.float32
    assert [s.targets["label"].names[c] for c in batch.target["label"]] == list(label[batch.index])


def test_scaling_sees_training_rows_only():
    x = arrays()
    s = from_arrays(x)
    train = s.train[:].inputs
    torch.testing.assert_close(train["force"].mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(train["force"].std(0, correction=0), torch.ones(4))
    assert train["sound"].mean().abs() < 1e-6
    changed = {k: v.copy() for k, v in x.items()}
    changed["force"][s.split.test] += 1000
    again = from_arrays(changed, split=s.split)
    assert torch.equal(again.train[:].inputs["force"], train["force"])
    raw = from_arrays(x, scaling="none").train[:]
    torch.testing.assert_close(raw.inputs["force"], torch.tensor(x["force"][raw.index], dtype=torch.float32))
    constant = from_arrays({"a": np.full((40, 2), 7.0), "b": x["force"]})
    assert not constant.train[:].inputs["a"].any()


def test_missing_rows_are_zero_and_marked():
    x = arrays()
    x["force"][5] = np.nan
    mask = np.ones(40, bool)
    mask[7] = False
    s = from_arrays(x, present={"pose": mask})
    everything = {p: getattr(s, p)[:] for p in ("train", "val", "test")}
    for batch in everything.values():
        for name, row in (("force", 5), ("pose", 7)):
            here = batch.index == row
            assert torch.equal(batch.present[name], ~here)
            assert not batch.inputs[name][here].any()
            assert torch.isfinite(batch.inputs[name]).all()


def test_whatever_changes_the_data_changes_the_fingerprint_and_nothing_else_does():
    x = arrays()
    n, y = 40, np.arange(40) % 2
    split = split_rows(n, seed=0)
    mask = np.arange(n) != 3

    def mark(values=x, **options):
        return from_arrays(values, split=split, **options).fingerprint

    seen = [
        mark(),
        mark(x | {"force": 2 * x["force"]}),  # equal after scaling
        mark(scaling="none"),
        mark(targets={"label": y}),
        mark(targets={"label": 1 - y}),
        mark(present={"force": mask}),
    ]
    codes = np.arange(n)
    codes[split.train[1]] = codes[split.train[0]]
    seen.append(mark(group=codes))
    assert len(set(seen)) == len(seen)
    hidden = {k: v.copy() for k, v in x.items()}
    hidden["force"][3] = 99.0  # a row that is not there
    assert mark(hidden, present={"force": mask}) == mark(present={"force": mask})


def test_select_keeps_rows_and_changes_the_fingerprint():
    s = from_arrays(arrays())
    two = s.select(["pose", "force"])
    assert sorted(two.modalities) == ["force", "pose"]
    assert two.split is s.split
    assert two.fingerprint != s.fingerprint
    assert from_arrays(arrays()).fingerprint == s.fingerprint
    assert from_arrays(arrays(), seed=1).fingerprint != s.fingerprint
    with pytest.raises(InputError, match="nope"):
        s.select(["nope", "pose"])
    with pytest.raises(InputError, match="two or more"):
        s.select(["pose"])


nan_inside = arrays()
nan_inside["force"][3, 1] = np.nan
infinite = arrays()
infinite["sound"][2, 0, 0] = np.inf
short = arrays()
short["pose"] = short["pose"][:30]


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ({"a": np.ones((4, 2))}, {}, "modalities has 1 entry"),
        (arrays() | {"label": np.arange(40) % 2}, {}, r"'label' with one value per row; give it as targets="),
        (arrays() | {"group": list(range(40))}, {}, r"'group' with one value per row; give it as group="),
        (short, {}, r"modalities\['pose'\] has 30 rows, expected 40 to match modalities\['force'\]"),
        (nan_inside, {}, r"modalities\['force'\] has NaN inside 1 of 40 rows, such as row 3; fill"),
        (infinite, {}, r"modalities\['sound'\] has infinite values in 1 rows"),
        ({"a": np.array([["x"]] * 9), "b": np.ones((9, 1))}, {}, "expected numbers"),
        (arrays(), {"present": {"x": np.ones(40, bool)}}, "present names"),
        (arrays(), {"present": {"pose": np.ones(40)}}, "expected bool"),
        (arrays(), {"units": {"x": "N"}}, "units names"),
        (arrays(), {"targets": {"label": np.zeros(40, int)}}, r"targets\['label'\] has one class only"),
        (arrays(), {"targets": {"label": np.zeros(39, int)}}, r"targets\['label'\] has shape \(39,\)"),
        (arrays(), {"targets": {"y": np.full(40, np.nan)}}, r"targets\['y'\] has NaN"),
        (arrays(), {"targets": {"y": np.array([None] * 40)}}, r"targets\['y'\] has no value in any row"),
        (arrays(), {"group": np.ones(39)}, "group has shape"),
        (arrays(), {"group": np.arange(40) % 2}, "part would be empty: 2 groups"),
        (arrays(), {"group": np.array([1, "a"] * 20, dtype=object)}, "group has objects of type int, str"),
        (arrays(), {"scaling": "standart"}, "scaling is 'standart'"),
        (arrays(), {"seed": -1}, "seed is -1"),
        ({"a": [[1], [1, 2]] * 20, "b": np.ones((40, 1))}, {}, r"modalities\['a'\] has rows of different lengths"),
        ({"a": np.full((40, 1), 1e300), "b": np.ones((40, 1))}, {"scaling": "none"}, "too large for float32"),
        (
            {"a": np.where(np.arange(40) % 2, 1.7e308, -1.7e308), "b": np.ones((40, 1))},
            {},
            "modalities.'a'. has values too large for a variance",
        ),
        (
            arrays(),
            {
                "targets": {"label": np.arange(40) // 20},
                "split": Split(np.arange(20), np.arange(20, 30), np.arange(30, 40)),
            },
            "classes that train lacks, such as '1'",
        ),
        (arrays(), {"fractions": (0.5, 0.5, 0.0)}, "three positive shares"),
        (arrays(), {"present": {"pose": np.zeros(40, bool)}}, "missing in every training row"),
        (arrays(), {"split": Split(np.arange(20), np.arange(20, 30), np.array([], int))}, "split.test is empty"),
        (
            arrays(),
            {"split": Split(np.arange(20), np.arange(19, 30), np.arange(30, 40))},
            "row 19 is in two parts of the split, train and",
        ),
        (arrays(), {"split": Split(np.arange(20), np.arange(20, 30), np.arange(30, 50))}, "outside 0 .. 39"),
        (arrays(2), {}, "part would be empty"),
    ],
)
def test_bad_input_is_named(x, options, message):
    with pytest.raises(InputError, match=message):
        from_arrays(x, **options)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(groups=st.lists(st.integers(0, 9), min_size=30, max_size=80), seed=st.integers(0, 5))
def test_groups_stay_whole_and_rows_are_used_once(groups, seed):
    if len(set(groups)) < 6:
        groups = [*groups, *range(10)]
    s = split_rows(len(groups), group=groups, seed=seed)
    parts = [s.train, s.val, s.test]
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    owners = [set(np.array(groups)[p]) for p in parts]
    assert not (owners[0] & owners[1] | owners[0] & owners[2] | owners[1] & owners[2])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(labels=st.lists(st.integers(0, 3), min_size=40, max_size=120), seed=st.integers(0, 5))
def test_splits_are_stratified_and_seeded(labels, seed):
    s = split_rows(len(labels), labels=labels, seed=seed)
    counts = np.bincount(labels, minlength=4)
    for part, share in ((s.train, 0.6), (s.val, 0.2), (s.test, 0.2)):
        assert (np.abs(np.bincount(np.array(labels)[part], minlength=4) - share * counts) <= 2).all()
    again = split_rows(len(labels), labels=labels, seed=seed)
    assert again.sha256 == s.sha256
    assert split_rows(len(labels), labels=labels, seed=seed + 1).sha256 != s.sha256


def test_given_groups_must_not_be_cut():
    cut, names = Split(np.arange(18), np.arange(18, 30), np.arange(30, 40)), [f"s{i // 4}" for i in range(40)]
    for group, word in ((np.arange(40) // 4, "4"), (np.arange(40) // 4 * 10, "40"), (names, "s4")):
        with pytest.raises(InputError, match=rf"group {word} is in two parts of the split, train and val"):
            from_arrays(arrays(), group=group, split=cut)


def test_a_split_takes_lists_of_row_numbers_and_nothing_else():
    rows = list(range(40))
    split = Split(rows[:24], rows[24:32], rows[32:])
    assert split == Split.of(np.repeat([0, 1, 2], [24, 8, 8]))
    assert from_arrays(arrays(), split=split).split.test.dtype == np.int64
    for wrong in (np.ones(40, bool), [0.5, 1.0], [[0, 1]], ["a"]):
        with pytest.raises(InputError, match=r"split\.val has dtype .*expected a list of row numbers; .*flatnonzero"):
            Split(rows[:24], wrong, rows[32:])
    with pytest.raises(InputError, match=r"split\.val has rows of different lengths"):
        Split(rows[:24], [[0], [1, 2]], rows[32:])
    mask = np.arange(40) < 24
    assert Split(np.flatnonzero(mask), rows[24:32], rows[32:]) == split
    with pytest.raises(InputError, match=r"part is a mask, expected 0, 1 or 2 for each row"):
        Split.of(mask)


def test_batches_are_a_function_of_seed_and_epoch():
    rows = from_arrays(arrays()).train
    first = [b.index.tolist() for b in batches(rows, batch_size=5, seed=1, epoch=2)]
    assert first == [b.index.tolist() for b in batches(rows, batch_size=5, seed=1, epoch=2)]
    assert first[2:] == [b.index.tolist() for b in batches(rows, batch_size=5, seed=1, epoch=2, first=2)]
    assert first != [b.index.tolist() for b in batches(rows, batch_size=5, seed=1, epoch=3)]
    assert first != [b.index.tolist() for b in batches(rows, batch_size=5, seed=2, epoch=2)]
    assert [len(b) for b in first] == [5] * 4
    last = [len(b) for b in batches(rows, batch_size=7, seed=0, epoch=0, drop_last=False)]
    assert last == [7, 7, 7, 3]


def test_digits_are_what_they_are_said_to_be(tmp_path):
    s = SOURCES["digits"]()
    shapes = {"factors": 216, "fourier": 76, "karhunen": 64, "morphology": 6, "pixels": 240, "zernike": 47}
    assert {k: m.shape for k, m in s.modalities.items()} == {k: (d,) for k, d in shapes.items()}
    for part, size in (("train", 1200), ("val", 400), ("test", 400)):
        batch = getattr(s, part)[:]
        assert len(batch) == size
        assert (torch.bincount(batch.target["label"]) == size // 10).all()
    content = Path(digits.__file__).with_name("digits.npz").read_bytes()
    assert len(content) < 2.5e6
    assert hashlib.sha256(content).hexdigest() == digits.SHA256
    broken = tmp_path / "digits.npz"
    broken.write_bytes(content[:1000])
    with pytest.raises(InputError, match="sha256 differs"):
        digits.load(broken)
    with pytest.raises(InputError, match="does not exist"):
        digits.load(tmp_path / "nothing.npz")


def test_digits_split_is_frozen():
    """A changed split would silently change every number that was ever reported on it."""
    assert SOURCES["digits"]().split.sha256.startswith("8de6951f79845ec7")


def test_small_units_are_kept():
    """A capacitance in farad varies by 1e-13, which is not a constant."""
    x = arrays()
    s = from_arrays({"capacitance": x["force"] * 1e-13, "force": x["force"]})
    batch = s.train[:].inputs
    torch.testing.assert_close(batch["capacitance"], batch["force"])


def test_missing_rows_may_hold_anything_and_tensors_any_state():
    x, mask = arrays(), np.arange(40) != 5
    clean = from_arrays(x, present={"force": mask})
    x["force"][5] = np.inf
    dirty = from_arrays(x, present={"force": mask}, targets={"mass": x["pose"]}, units={"mass": "kg"})
    assert torch.equal(dirty.columns["force"].values, clean.columns["force"].values)
    assert dirty.targets["mass"].unit == "kg"
    parameter = torch.ones(40, 2, dtype=torch.bfloat16, requires_grad=True)
    assert from_arrays({"a": parameter, "b": np.ones(40)}).modalities["a"].shape == (2,)


def test_shares_count_rows_even_when_groups_differ_in_size():
    sizes = [200, 150, 100, 50] + [10] * 30
    group = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(5):
        s = split_rows(len(group), group=group, seed=seed)
        shares = np.array([len(s.train), len(s.val), len(s.test)]) / len(group)
        np.testing.assert_allclose(shares, [0.6, 0.2, 0.2], atol=0.03)
    assert len(split_rows(30, group=np.arange(30) // 10).test) == 10
    assert split_rows(30) == split_rows(30)
    assert split_rows(30) != split_rows(30, seed=1)


def test_positions_and_batch_sizes_are_checked():
    rows = from_arrays(arrays()).train
    assert len(rows[[]]) == 0
    assert rows[torch.arange(24) < 2].index.tolist() == rows[:2].index.tolist()
    for bad, message in ((3, "expected positions"), ([24], "positions below 24"), ([0.5], "expected positions")):
        with pytest.raises(InputError, match=message):
            rows[bad]
    with pytest.raises(InputError, match="only 24 rows"):
        batches(rows, batch_size=25, seed=0, epoch=0)
    with pytest.raises(InputError, match="batch_size is 0"):
        batches(rows, batch_size=0, seed=0, epoch=0)
