"""Stored sources against the same data in memory."""

import json

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.data import Source, Table, batches, from_arrays, from_columns, from_table, hide, write_table
from tuplet.data._scaling import blocks, fit_scale


def columns(n=60):
    rng = np.random.default_rng(1)
    return {
        "input.image": rng.integers(0, 256, size=(n, 4, 4), dtype=np.uint8),
        "input.force": rng.normal(1e4, [1, 100, 1e-3], size=(n, 3)),
        "input.sound": rng.normal(3, 2, size=(n, 2, 8)).astype(np.float32),
        "target.label": np.arange(n) % 3,
        "target.xy": rng.normal(size=(n, 2)).astype(np.float32),
        "group": np.arange(n) // 3,
        "present.sound": np.arange(n) % 7 > 0,
    }


ABOUT = {
    "name": "mine",
    "title": "My recording",
    "licence": "CC0",
    "unit.force": "N",
    "classes.label": json.dumps(["push", "pull", "idle"]),
}


@pytest.fixture
def file(tmp_path):
    return write_table(tmp_path / "a.safetensors", columns(), about=ABOUT)


def in_memory(**options):
    x = columns()
    return from_arrays(
        {k: x[f"input.{k}"] for k in ("force", "sound")},
        targets={"label": x["target.label"], "xy": x["target.xy"]},
        group=x["group"],
        present={"sound": x["present.sound"]},
        **options,
    )


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_rows_equal_those_in_memory(file, scaling):
    stored, memory = from_table(file, scaling=scaling), in_memory(scaling=scaling)
    assert isinstance(stored, Source)
    assert stored.split == memory.split
    for part in ("train", "val", "test"):
        ours, theirs = getattr(stored, part), getattr(memory, part)
        for rows in (
            slice(None),
            [3, 0, 3, -1],
            torch.tensor([1, 0]),
            [],
            slice(5, 1, -1) if False else slice(0, 6, 2),
        ):
            a, b = ours[rows], theirs[rows]
            for name in ("force", "sound"):
                torch.testing.assert_close(a.inputs[name], b.inputs[name], rtol=1e-5, atol=1e-6)
                assert torch.equal(a.present[name], b.present[name])
            for name in ("label", "xy"):
                assert torch.equal(a.target[name], b.target[name])
            assert torch.equal(a.index, b.index)
            assert torch.equal(a.group, b.group)
            assert a.inputs["image"].dtype == torch.float32


def test_images_become_zero_to_one_and_nothing_else(file):
    batch = from_table(file).train[:]
    expected = torch.from_numpy(columns()["input.image"])[batch.index].float() / 255
    assert torch.equal(batch.inputs["image"], expected)


def test_the_file_describes_itself(file):
    s = from_table(file)
    assert (s.name, s.provenance.title, s.provenance.licence) == ("mine", "My recording", "CC0")
    assert s.provenance.sha256 == Table.open(file).sha256
    assert s.modalities["force"].unit == "N"
    assert s.targets["label"].names == ("push", "pull", "idle")
    assert from_table(file, units={"force": "kN"}).modalities["force"].unit == "kN"
    assert sorted(from_table(file, modalities=["image", "force"]).modalities) == ["force", "image"]
    assert list(from_table(file, targets=["xy"]).targets) == ["xy"]


def test_a_split_in_the_file_is_used(tmp_path):
    part = np.repeat([2, 0, 1], 20).astype(np.int8)
    s = from_table(write_table(tmp_path / "a", columns() | {"split": part, "group": part}))
    assert s.split.test.tolist() == list(range(20))
    torn = write_table(tmp_path / "b", columns() | {"split": part, "group": np.arange(60) % 30})
    with pytest.raises(InputError, match="group 20 is in two parts of the split, train and val; that leaks"):
        from_table(torn)
    with pytest.raises(InputError, match="split column"):
        from_table(write_table(tmp_path / "c", columns() | {"split": part + 1}))


def test_the_fingerprint_follows_content_split_scaling_and_selection(tmp_path, file):
    x = columns()
    x["input.image"][0, 0, 0] ^= 1
    changed = write_table(tmp_path / "b.safetensors", x, about=ABOUT)
    marks = [
        from_table(file).fingerprint,
        from_table(changed).fingerprint,
        from_table(file, seed=1).fingerprint,
        from_table(file, scaling="none").fingerprint,
        from_table(file, scaling={"sound": "channels"}).fingerprint,
        from_table(file, targets=["xy"], split=from_table(file).split).fingerprint,
        from_table(file).select(["force", "image"]).fingerprint,
    ]
    assert len(set(marks)) == len(marks)
    assert from_table(str(file)).fingerprint == marks[0]
    assert from_table(file).train.fingerprint == marks[0]


def test_statistics_do_not_depend_on_the_blocks_nor_on_other_rows():
    x = columns()["input.force"]
    rows = np.arange(0, 60, 2)
    want = fit_scale("x", x, rows, scaling="standard")
    np.testing.assert_allclose(want.mean, x[rows].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(want.deviation, x[rows].std(axis=0), rtol=1e-6)
    long = np.sort(np.tile(x[rows], (40_000 // 30 * 40, 1)), axis=0)  # several blocks whose means differ
    assert len(list(blocks(long, np.arange(len(long))))) > 1
    again = fit_scale("x", long, np.arange(len(long)), scaling="standard")
    np.testing.assert_allclose(again.deviation, want.deviation, rtol=1e-6)
    other = x.copy()
    other[1::2] = np.inf
    np.testing.assert_array_equal(fit_scale("x", other, rows, scaling="standard").mean, want.mean)


def test_channels_have_their_own_scale():
    x = np.random.default_rng(0).normal([0, 50], [1e-3, 10], size=(40, 6, 2))
    s = from_columns({"a": x, "b": x[:, 0]}, checksum="", scaling={"a": "channels"})
    seen = s.train[:].inputs["a"]
    torch.testing.assert_close(seen.std((0, 1), correction=0), torch.ones(2), rtol=1e-4, atol=0)
    assert seen.mean((0, 1)).abs().max() < 1e-5
    constant = from_columns({"a": np.full((40, 2), 7.0), "b": x[:, 0]}, checksum="")
    assert not constant.train[:].inputs["a"].any()


def test_groups_may_keep_the_split_whole_and_still_be_contrasted(file):
    s = from_table(file, contrast="rows")
    assert s.train[:].group is None
    assert s.split == from_table(file).split
    assert s.fingerprint != from_table(file).fingerprint
    owners = [set(s.group[getattr(s.split, part)].tolist()) for part in ("train", "val", "test")]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 20


class Watched:
    """A column that notes what is read of it and accepts only what HDF5 does."""

    def __init__(self, array):
        self.array, self.read, self.shape, self.dtype = array, [], array.shape, array.dtype

    def __getitem__(self, rows):
        assert isinstance(rows, np.ndarray)
        assert (np.diff(rows) > 0).all()
        self.read += rows.tolist()
        return self.array[rows]


def test_nothing_is_read_before_it_is_asked_for():
    x = columns()
    lazy = {k: Watched(x[f"input.{k}"]) for k in ("image", "sound")}
    s = from_columns(lazy, checksum="", scaling="none")
    assert lazy["image"].read == lazy["sound"].read == []
    batch = s.val[[4, 0, 4]]
    assert sorted(set(batch.index.tolist())) == lazy["sound"].read
    assert torch.equal(batch.inputs["sound"][0], batch.inputs["sound"][2])
    trained = from_columns(lazy, checksum="")
    assert set(lazy["sound"].read) - set(s.split.val[[0, 4]]) <= set(trained.split.train)


def test_batches_and_hiding_work_on_stored_rows(file):
    s = from_table(file)
    seen = torch.cat([b.index for b in batches(s.train, batch_size=4, seed=0, epoch=0)])
    assert len(set(seen.tolist())) == 36
    assert set(seen.tolist()) <= set(s.split.train.tolist())
    masked = hide(s, 0.5).train[:]
    assert not masked.inputs["image"][~masked.present["image"]].any()


def test_missing_rows_may_hold_anything_and_present_ones_may_not():
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[5] = np.nan
    mask = np.arange(40) != 5
    s = from_columns({"a": x, "b": np.ones((40, 2))}, checksum="", present={"a": mask})
    for part in (s.train, s.val, s.test):
        batch = part[:]
        assert not batch.inputs["a"][~batch.present["a"]].any()
        assert torch.isfinite(batch.inputs["a"]).all()
    unmarked = from_columns({"a": x, "b": np.ones((40, 2))}, checksum="", scaling="none")
    with pytest.raises(InputError, match=r"modalities\['a'\] has NaN.*row 5"):
        [part[:] for part in (unmarked.train, unmarked.val, unmarked.test)]


x = {"a": np.ones((40, 2)), "b": np.ones((40, 2))}


@pytest.mark.parametrize(
    ("modalities", "options", "message"),
    [
        ({"a": x["a"]}, {}, "has 1 entry"),
        (x | {"b": np.ones((39, 2))}, {}, r"modalities\[.b.\] has 39 rows, expected 40"),
        (x | {"b": np.array(["x"] * 40)}, {}, "expected .* numbers"),
        (x | {"b": np.ones((40, 0))}, {}, "expected .* numbers"),
        (x, {"present": {"c": np.ones(40, bool)}}, "present names"),
        (x, {"present": {"a": np.ones(40)}}, "expected bool"),
        (x, {"present": {"a": np.zeros(40, bool)}}, "missing in every training row"),
        (x, {"scaling": {"c": "none"}}, "scaling names"),
        (x, {"scaling": "standart"}, "scaling is 'standart'"),
        (x, {"units": {"c": "N"}}, "units names"),
        (x, {"classes": {"label": ["a", "b"]}}, "classes names"),
        (x, {"targets": {"label": np.arange(40) % 3}, "classes": {"label": ["a", "b"]}}, "not codes in 0 .. 1"),
        (x, {"targets": {"label": np.arange(39) % 3}}, r"targets\['label'\] has shape"),
        (x | {"b": np.full((40, 1), np.nan)}, {}, r"modalities\['b'\] has NaN"),
        (x | {"b": np.arange(40)[:, None] * 1e300}, {}, "too large for a variance"),
        (x, {"group": np.arange(40) % 2}, "part would be empty"),
    ],
)
def test_bad_input_is_named(modalities, options, message):
    with pytest.raises(InputError, match=message):
        from_columns(modalities, checksum="", **options)


def test_tables_that_lack_something_are_named(tmp_path, file):
    with pytest.raises(InputError, match=r"has no column input\.smell"):
        from_table(file, modalities=["smell", "image"])
    for text in ("[", "3", '["one"]', "[1, 2]"):
        bad = write_table(tmp_path / "b", columns(), about={"classes.label": text})
        with pytest.raises(InputError, match="expected a JSON list"):
            from_table(bad)
