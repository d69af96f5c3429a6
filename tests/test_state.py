"""Damaged state in a run folder: one line and exit code 2, in every form, for every file, and nothing is changed."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.hostile import checked, loose
from tuplet.cli import main
from tuplet.train._checkpoint import _crc32

TRAIN = ["train", "my.npz", "--objective", "pairwise", "--epochs", "2", "--out", "run"]
SWEEP = [
    "sweep",
    "my.npz",
    "--pair",
    "force",
    "sound",
    "--lambdas",
    "0",
    "--seeds",
    "1",
    "--steps",
    "2",
    "--out",
    "sweep",
]
BENCH = ["bench", "my.npz", "--only", "none", "--seeds", "1", "--workers", "1", "--out", "bench"]
RAW = ["", "null", "[]", "3", "[" * 5000, '{"a": NaN}', "{", '{"schema": 99}', "{}", '{"seed": 0, "seed": 1}']


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One folder per command, each with a finished run."""
    folder = tmp_path_factory.mktemp("state")
    x = np.random.default_rng(0).normal(size=(100, 5)).astype("f4")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    np.savez("my.npz", force=x, sound=x[:, :3], label=(x[:, 0] > 0).astype(int))
    for command in (TRAIN, SWEEP, BENCH):
        assert main(command) == 0
    yield folder
    patch.undo()


def forms(good):
    """Yield damaged texts of a JSON file: raw ones, and each key removed or of two other types, in turn."""
    yield from RAW
    content = json.loads(good)
    for i, key in enumerate(content):
        for value in in_turn((None, [], {}, "x", -1, float("nan"), "\ud800", json.loads("[" * 60 + "]" * 60)), i):
            if type(value) is not type(content[key]) or isinstance(value, int | float):
                yield json.dumps(content | {key: value})
        yield json.dumps({k: v for k, v in content.items() if k != key})


def in_turn(values, i):
    """Pick two of some values, others for each ``i``."""
    return [values[(2 * i + j) % len(values)] for j in range(2)]


def answer(command, capsys):
    capsys.readouterr()
    code = main(command)
    lines = [line for line in capsys.readouterr().err.splitlines() if " -> " not in line]
    return code, [line for line in lines if not line.startswith(("note:", "1 of", "2 of"))]


FREE = {
    "plan": ("method", "tower", "frozen", "start", "settings/tau", "reading/tower"),
    "factory": ("asked",),
    "budget": ("settings", "budget/*", "environment/*"),
    "crc32": ("config/*", "rows_per_step", "history/*/[!els]*", "history/*/space*", "history/*/seconds"),
    "finished": (),
    "precision": ("mean", "deviation"),
    "backend": (),
}
"""A key that one kind of state has -> what of it a file may lack, or hold in any form."""


def test_every_field_of_a_state_file_has_to_be_there_and_of_its_type(made, capsys, undrawn, unlearned):
    shutil.copy(made / "my.npz", made / "same.npz")
    index = ["index", "emb.npz", "--out", "index"]
    with checked() as seen:
        for words in (
            TRAIN,
            SWEEP,
            ["report", "bench"],
            ["embed", "run", "same.npz"],
            index,
            ["search", "index", "--like", "3"],
        ):
            assert main(words) == 0
    for key, free in FREE.items():
        mine = [(value, schema) for value, schema in seen if key in schema]
        assert mine, key
        assert [loose(value, schema, free) for value, schema in mine] == [[]] * len(mine)


@pytest.mark.slow
def test_damaged_state_of_every_file_is_one_line(made, capsys, undrawn, unlearned):
    for name, command in {
        "run/run.json": ["evaluate", "run"],
        "bench/suite.json": ["report", "bench"],
    }.items():
        file = made / name
        good = file.read_bytes()
        fine = 0
        for text in forms(good.splitlines()[0] if name.endswith("jsonl") else good):
            file.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n" * name.endswith("jsonl"))
            code, lines = answer(command, capsys)
            fine += code == 0  # a key that this command does not read
            assert code == 0 or (code == 2 and len(lines) == 1), (name, text[:200], lines)
        assert fine < 20, name
        file.write_bytes(good)


@pytest.mark.whole
def test_damaged_checkpoints_are_one_line(made, capsys):
    file = made / "run" / "checkpoint.safetensors"
    kept = file.read_bytes()
    with safe_open(file, framework="pt") as content:
        tensors = {k: content.get_tensor(k) for k in content.keys()}  # noqa: SIM118 (not a dict)
        state = json.loads(content.metadata()["tuplet"])

    def write(tensors, state, **changed):
        state = {**state, "crc32": _crc32(tensors), **changed}
        save_file(tensors, file, {"tuplet": json.dumps(state)})

    def refused(what):
        code, lines = answer(TRAIN, capsys)
        assert code == 2, (what, lines)
        assert len(lines) == 1, (what, lines)

    more = [*TRAIN[:5], "3", *TRAIN[6:]]
    assert answer(more, capsys)[0] == 2  # other settings
    for i, key in enumerate(state):
        for value in in_turn((None, [3], {"a": []}, "x", -1, 10**9, float("nan")), i):
            if key == "data" and value == "x":
                continue
            write(tensors, state, **{key: value})
            refused((key, value))
        without = {k: v for k, v in state.items() if k != key}
        save_file(tensors, file, {"tuplet": json.dumps(without)})
        if key != "rows_per_step":  # older checkpoints lack it
            refused(key)
    entry = copy.deepcopy(state)
    entry["history"][0]["loss"] = "x"
    write(tensors, entry)
    refused("loss")
    write(tensors, {**state, "history": state["history"][:1]})
    refused("short history")
    first = next(k for k in tensors if k.startswith("optimizer.0"))
    weight = next(k for k in tensors if k.startswith("model."))
    for what, change in {
        "unknown": {"optimizer.0.colour": torch.ones(1)},
        "number": {"optimizer.x.step": torch.ones(())},
        "far": {"optimizer.999.step": torch.ones(())},
        "shape": {first: torch.ones(7, 7, 7)},
        "random": {"random.torch": torch.zeros(7, dtype=torch.uint8)},
        "type": {"random.torch": torch.zeros(7)},
        "more": {"random.elsewhere": torch.zeros(7, dtype=torch.uint8)},
        "weight": {weight: torch.ones(3, 3, 3)},
        "extra": {"model.extra": torch.ones(3)},
    }.items():
        write(tensors | change, state)
        refused(what)
    for gone in ("random.torch", first, weight):
        write({k: v for k, v in tensors.items() if k != gone}, state)
        refused(gone)
    for content in (b"", b"x" * 100, kept[:-1], kept[: len(kept) // 2]):
        file.write_bytes(content)
        refused(content[:10])
    save_file(tensors, file)
    refused("no metadata")
    file.write_bytes(kept)
    assert answer(TRAIN, capsys)[0] == 0


@pytest.mark.slow
def test_fresh_begins_anew_where_each_command_wrote(made, tmp_path, capsys, undrawn, unlearned):
    for command, folder in ((TRAIN, "run"), (SWEEP, "sweep"), (BENCH, "bench")):
        shutil.copytree(made / folder, tmp_path / folder)
        here = [*command[:-1], str(tmp_path / folder), "--fresh"]
        assert main(here) == 0, capsys.readouterr().err
        (tmp_path / folder / "thesis.tex").write_text("mine", encoding="utf-8")
        assert main(here) == 2
        assert "holds thesis.tex, which tuplet did not write" in capsys.readouterr().err
