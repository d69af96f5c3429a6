"""The campaign in small: its inputs are read in this process, and its book goes on where it was stopped."""

import random

import pytest

from benchmarks import _campaign_inputs as inputs
from benchmarks.campaign import Book
from tuplet import InputError


@pytest.mark.parametrize("name", ["table.npz", "table.feather", "embeddings.npz", "pickles", "pairs", "converted wesad"])
def test_hostile_files_are_read_or_end_in_one_line(name, tmp_path):
    kind, good = inputs.kinds(tmp_path)[name], tmp_path / "good"
    good.mkdir()
    kind.make(good)
    kind.read(good)
    files, refused, fine = sorted(p for p in good.rglob("*") if p.is_file()), 0, 0
    for number in range(40):
        rng = random.Random(f"small {number}")
        victim = rng.choice(files)
        content = victim.read_bytes()
        victim.write_bytes(inputs.hostile(content, rng, tmp_path / "ran"))
        try:
            kind.read(good)
            fine += 1
        except InputError as error:
            refused += len(str(error).splitlines()) == 1
        victim.write_bytes(content)
        assert not (tmp_path / "ran").exists(), number
    assert refused + fine == 40
    assert refused > 10


def test_trials_are_run_once_and_broken_promises_are_listed(tmp_path):
    for _ in range(2):
        book = Book(tmp_path)
        book.trial("kill", "train", 0, lambda rng: "same digits")
        book.trial("kill", "train", 1, lambda rng: f"BROKEN: {rng.random() < 1}")
    table, broken = book.figures()
    assert len((tmp_path / "trials.jsonl").read_text().splitlines()) == 2
    assert table.splitlines()[-1] == "| kill | train | 2 | 1 same digits, 1 BROKEN |"
    assert broken == ["kill, train, 1: BROKEN: True"]
