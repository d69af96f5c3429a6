"""Small data files as people have them at their worst: name -> arrays of an ``.npz`` file."""

import numpy as np


def files():
    rng = np.random.default_rng(0)
    n = 60
    y = np.arange(n) % 2
    a, b = rng.normal(size=(n, 3)) + y[:, None], rng.normal(size=(n, 2)) + y[:, None]
    nan = np.full((n, 3), np.nan)

    def of(**more):
        return {k: v for k, v in ({"a": a, "b": b, "label": y} | more).items() if v is not None}

    def some(array, rows, value=np.nan):
        out = np.array(array, dtype=float)
        out[rows] = value
        return out

    made = {
        "constant": of(a=np.ones((n, 3))),
        "denormal": of(a=a * 1e-310),
        "above float32": of(a=a * 1e200),
        "one huge outlier": of(a=some(a, 3, 1e20)),
        "infinite": of(a=some(a, 3, np.inf)),
        "one class": of(label=np.zeros(n, int)),
        "one member each": of(label=np.arange(n)),
        "target 1e39": of(label=None, target=1e39 * rng.normal(size=n)),
        "target NaN": of(label=None, target=some(rng.normal(size=n), [1, 2])),
        "target all NaN": of(label=None, target=np.full(n, np.nan)),
        "target without column": of(label=None, target=np.zeros((n, 0))),
        "target of two columns": of(label=None, target=rng.normal(size=(n, 2))),
        "target of many dimensions": of(label=None, target=rng.normal(size=(n, 2, 2))),
        "target equals a modality": of(label=None, target=a[:, 0]),
        "all rows missing": of(a=nan),
        "all but one row missing": of(a=some(nan, 0, 1.0)),
        "never both": of(a=some(a, y == 0), b=some(b, y == 1)),
        "no row at all": of(a=nan, b=nan[:, :2]),
        "third modality missing": of(c=nan),
        "one group": of(group=np.zeros(n, int)),
        "two groups": of(group=np.arange(n) // 30),
        "three groups": of(group=np.arange(n) // 20),
        "groups are classes": of(group=y),
        "no column": of(a=np.zeros((n, 0))),
        "no rows": of(a=a[:0], b=b[:0], label=y[:0]),
        "other lengths": of(a=a[:-1]),
        "complex": of(a=a + 1j),
        "text modality": of(a=np.array(["x"] * n)),
        "no label": of(label=None),
        "label of two columns": of(label=np.c_[y, y]),
        "label NaN": of(label=some(y, 2)),
        "one modality": of(b=None),
        "names": {"$\\frac{$": a, "[/x]": b, "label": y},
        "more names": {"<b>": a, "触覚": b, "label": y},
        "dots": {"a.b": a, "../c": b, "label": y},
        "long names": {"m" * 200: a, "n" * 200: b, "label": y},
    }
    for size in (1, 3, 5, 15):
        made[f"{size} rows"] = {"a": a[:size], "b": b[:size], "label": y[:size]}
    return made
