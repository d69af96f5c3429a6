"""Outputs of the original authors' programs on fixed inputs, as the tests read them; the READMEs say where each comes from."""

import json
import re
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
CASES = {  # a test that loops over the cases of a kind fails if one is lost
    "align_uniform": 13,
    "clip": 5,
    "clip_mean": 5,
    "clip_sum": 4,
    "cmc_ntxent": 12,
    "comm": 9,
    "dist2": 14,
    "gram": 13,
    "gw": 8,
    "ib": 5,
    "metrics": 5,
    "symile_n": 13,
    "symile_nsq": 7,
    "tck": 6,
    "thirdparty_gram": 4,
    "thirdparty_triangle": 4,
    "triangle": 4,
}


def cases(kind):
    """Case -> array name -> array of objectives/KIND.npz; `z0`, `z1`, ... that several kinds share lie in inputs.npz."""
    found = {}
    for file in ("inputs", kind):
        with np.load(FOLDER / "objectives" / f"{file}.npz", allow_pickle=False) as stored:
            for key in stored.files:
                case, name = key.split("/")
                found.setdefault(case, {})[name] = stored[key]
    with np.load(FOLDER / "objectives" / f"{kind}.npz", allow_pickle=False) as stored:
        own = {key.split("/")[0] for key in stored.files}
    assert len(own) == CASES[kind], f"{kind} has {len(own)} cases, expected {CASES[kind]}"
    return {case: found[case] for case in sorted(own)}


def each_case(kind):
    """A test of every case of a kind: `check(case, data)`, tensors by name; a failure names its case."""

    def decorate(check):
        def test(subtests):
            for case, data in cases(kind).items():
                with subtests.test(case=case):
                    check(case, {k: torch.from_numpy(np.asarray(v)) for k, v in data.items()})

        test.__doc__ = check.__doc__
        return test

    return decorate


def each_record(kind, count):
    """A test of every record of information/KIND_s0 and _s1, `count` in all: `check(file, name, record)`."""

    def decorate(check):
        def test(subtests):
            records = [(f"{kind}_s{s}", *item) for s in (0, 1) for item in _records(f"{kind}_s{s}").items()]
            assert len(records) == count
            for file, name, record in records:
                with subtests.test(case=f"{file} {name}"):
                    check(file, name, record)

        test.__doc__ = check.__doc__
        return test

    return decorate


def _records(file):
    stored = numbers(file)
    return stored.get("res", stored)


def leaves(data, letter="z"):
    """The tensors `z0`, `z1`, ... in order, each of them a leaf that takes a gradient."""
    names = sorted(k for k in data if re.fullmatch(rf"{letter}\d", k))
    return [data[k].clone().requires_grad_() for k in names]


def numbers(file):
    """What information/FILE.json records."""
    return json.loads((FOLDER / "information" / f"{file}.json").read_text())


def array(file, name):
    """One array of information/FILE.npz."""
    with np.load(FOLDER / "information" / f"{file}.npz", allow_pickle=False) as stored:
        return stored[name]
