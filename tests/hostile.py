"""Rows and labels that a caller may hand in by mistake, and what every function must make of them."""

import copy
import json
import math
import warnings
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from fnmatch import fnmatch
from unittest.mock import patch

import numpy as np
import torch

from tuplet import InputError
from tuplet.io import state

N = 24
GOOD = np.random.default_rng(0).normal(size=(N, 3))
CLASSES = np.arange(N) % 2
_third = np.arange(N) == 3

ROWS = {
    "nan": np.where(_third[:, None], np.nan, GOOD),
    "inf": np.where(_third[:, None], np.inf, GOOD),
    "no rows": GOOD[:0],
    "one row": GOOD[:1],
    "no column": GOOD[:, :0],
    "constant": np.ones_like(GOOD),
    "zeros": np.zeros_like(GOOD),
    "a constant column": np.c_[GOOD, np.ones(N)],
    "a row short": GOOD[:-1],
    "ties": np.repeat(GOOD[:4], N // 4, axis=0),
    "1e39": GOOD * 1e39,
    "1e300": GOOD * 1e300,
    "denormal": GOOD * 1e-310,
    "integers": (GOOD * 5).astype(int),
    "bool": GOOD > 0,
    "half": GOOD.astype(np.float16),
    "objects": GOOD.astype(object),
    "text": GOOD.astype(str),
    "complex": GOOD + 0j,
    "reversed": GOOD[::-1],
    "big endian": GOOD.astype(">f8"),
    "one axis": GOOD[:, 0],
    "no axis": np.float64(3.0),
    "list": GOOD.tolist(),
    "ragged": [[1.0], [1.0, 2.0]],
    "None": None,
    "tensor": torch.tensor(GOOD),
}
LABELS = {
    "one class": CLASSES * 0,
    "halves": CLASSES + 0.5,
    "nan": np.where(_third, np.nan, CLASSES),
    "inf": np.where(_third, np.inf, CLASSES),
    "negative": CLASSES - 1,
    "far apart": CLASSES * 10**6,
    "a row short": CLASSES[:-1],
    "no rows": CLASSES[:0],
    "words": np.array(["a", "b"])[CLASSES],
    "words and None": np.array(["a", None], object)[CLASSES],
    "bool": CLASSES > 0,
    "a column": CLASSES[:, None],
    "two columns": GOOD[:, :2],
    "all different": np.arange(N),
    "a rare class": (np.arange(N) == 0).astype(int),
    "None": None,
}


def faults(name, function, *, undefined=()):
    """What is wrong with a call: another error than one line of InputError, a warning, or NaN without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = function()
        except InputError as error:
            return [f"{name}: two lines"] if "\n" in str(error) else []
        except Exception as error:
            return [f"{name}: {type(error).__name__} {error}"]
    if getattr(found, "warnings", ()):
        return []
    return [f"{name}: {path} is {value}" for path, value in _numbers(found) if path not in undefined]


def _numbers(value, path="result"):
    """Numbers that are not finite, with where they are."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            yield path, "not finite"
    elif is_dataclass(value):
        for field in fields(value):
            yield from _numbers(getattr(value, field.name), field.name)
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from _numbers(v, k)
    elif isinstance(value, list | tuple):
        for v in value:
            yield from _numbers(v, path)


@contextmanager
def checked():
    """List what is read of state files meanwhile, with its schema; a kind of which there is more, twice."""
    seen, check = [], state._check

    def noted(value, schema, key):
        check(value, schema, key)
        if not key and sum(one == schema for _, one in seen) < 2:
            seen.append((copy.deepcopy(value), schema))

    with patch.object(state, "_check", noted):
        yield seen


def loose(value, schema, free):
    """List the fields of a state that may be gone, or of another type, though they match no pattern of ``free``."""
    found = []
    for keys, part in _fields(value, ()):
        where = "/".join(map(str, keys))
        if any(fnmatch(where, f) or fnmatch(where, f"{f}/*") for f in free):
            continue
        wrongs = [w for w in (True, 7, 0.5, "no such word", [[{}]], {"?": [[{}]]}) if not _may_be(part, w)]
        for wrong in wrongs + ([part + 1] if where == "schema" else []):
            found += [(where, wrong)] if _accepted(_changed(value, keys, wrong), schema) else []
        if keys and isinstance(keys[-1], str) and _accepted(_changed(value, keys, None, gone=True), schema):
            found.append((where, "gone"))
    return found


def _may_be(part, wrong):
    """Tell whether both may be of one type: null may stand for any number or text."""
    if isinstance(part, bool) or part is None:
        return isinstance(wrong, bool) == isinstance(part, bool) and not isinstance(wrong, list | dict)
    return type(wrong) in (int, float) if isinstance(part, int | float) else type(wrong) is type(part)


def _fields(value, keys):
    yield keys, value
    if isinstance(value, dict | list):
        for k in value if isinstance(value, dict) else range(min(len(value), 2)):
            yield from _fields(value[k], (*keys, k))


def _changed(value, keys, part, *, gone=False):
    if not keys:
        return part
    value = value.copy()
    if gone and len(keys) == 1:
        del value[keys[0]]
    else:
        value[keys[0]] = _changed(value[keys[0]], keys[1:], part, gone=gone)
    return value


def _accepted(value, schema):
    try:
        state.parse_state(json.dumps(value), schema, where="it")
    except InputError as error:
        return "\n" in str(error)
    return True
