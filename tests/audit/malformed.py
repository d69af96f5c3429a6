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
        "plain": of(),
        "constant": of(a=np.ones((n, 3))),
        "both constant": of(a=np.ones((n, 3)), b=np.zeros((n, 2))),
        "one column constant": of(a=np.c_[a, np.full(n, 1e30)]),
        "nanoseconds": of(a=np.full((n, 2), 1_764_000_000_123_456_789)),
        "denormal": of(a=a * 1e-310),
        "denormal float32": of(a=(a * 1e-40).astype("f4")),
        "tiny": of(a=a * 1e-30),
        "huge": of(a=a * 1e30),
        "largest": of(a=a * 1e38),
        "above float32": of(a=a * 1e200),
        "one huge outlier": of(a=some(a, 3, 1e20)),
        "infinite": of(a=some(a, 3, np.inf)),
        "one class": of(label=np.zeros(n, int)),
        "one member": of(label=np.r_[0, np.ones(n - 1, int)]),
        "two members": of(label=np.r_[0, 0, np.ones(n - 2, int)]),
        "one member each": of(label=np.arange(n)),
        "300 classes": {"a": rng.normal(size=(900, 2)), "b": rng.normal(size=(900, 2)), "label": np.arange(900) % 300},
        "string classes": of(label=np.where(y, "yes", "no")),
        "negative classes": of(label=-y),
        "huge classes": of(label=y * 2**62),
        "boolean classes": of(label=y.astype(bool)),
        "target 1e39": of(label=None, target=1e39 * rng.normal(size=n)),
        "target 1e308": of(label=None, target=1e308 * rng.uniform(-1, 1, size=n)),
        "target 1e-40": of(label=None, target=1e-40 * rng.normal(size=n)),
        "target constant": of(label=None, target=np.full(n, 3.5)),
        "target of ties": of(label=None, target=np.round(rng.normal(size=n))),
        "target nearly constant": of(label=None, target=some(np.full(n, 1.5), 3, 2.5)),
        "target NaN": of(label=None, target=some(rng.normal(size=n), [1, 2])),
        "target all NaN": of(label=None, target=np.full(n, np.nan)),
        "target without column": of(label=None, target=np.zeros((n, 0))),
        "target of two columns": of(label=None, target=rng.normal(size=(n, 2))),
        "target of many dimensions": of(label=None, target=rng.normal(size=(n, 2, 2))),
        "target equals a modality": of(label=None, target=a[:, 0]),
        "label equals a modality": of(a=y.astype(float)[:, None]),
        "independent of everything": of(a=rng.normal(size=(n, 3)), b=rng.normal(size=(n, 2))),
        "all rows missing": of(a=nan),
        "all but one row missing": of(a=some(nan, 0, 1.0)),
        "half missing": of(a=some(a, slice(0, n, 2))),
        "never both": of(a=some(a, y == 0), b=some(b, y == 1)),
        "no row at all": of(a=nan, b=nan[:, :2]),
        "one NaN": of(a=np.where(np.arange(3 * n).reshape(n, 3) == 7, np.nan, a)),
        "third modality missing": of(c=nan),
        "duplicate rows": of(a=np.repeat(a[:2], n // 2, 0), b=np.repeat(b[:2], n // 2, 0)),
        "same modality twice": of(b=a),
        "one group": of(group=np.zeros(n, int)),
        "two groups": of(group=np.arange(n) // 30),
        "three groups": of(group=np.arange(n) // 20),
        "each row a group": of(group=np.arange(n)),
        "string groups": of(group=np.array([f"s{i // 3}" for i in range(n)])),
        "groups are classes": of(group=y),
        "a thousand columns": of(a=rng.normal(size=(n, 1000))),
        "one column": of(a=a[:, 0]),
        "integers": of(a=np.arange(n)),
        "booleans": of(a=a > 0),
        "pictures": of(a=rng.integers(0, 255, (n, 3, 8, 8)).astype("u1")),
        "signals": of(a=rng.normal(size=(n, 2, 30)), b=rng.normal(size=(n, 30, 2))),
        "no column": of(a=np.zeros((n, 0))),
        "no rows": of(a=a[:0], b=b[:0], label=y[:0]),
        "other lengths": of(a=a[:-1]),
        "complex": of(a=a + 1j),
        "text modality": of(a=np.array(["x"] * n)),
        "no label": of(label=None),
        "label of two columns": of(label=np.c_[y, y]),
        "label NaN": of(label=some(y, 2)),
        "one modality": of(b=None),
        "twins of a name": {"x y": a, "x": b, "y": a + 1, "label": y},
        "names": {"$\\frac{$": a, "[/x]": b, "label": y},
        "more names": {"<b>": a, "触覚": b, "label": y},
        "dots": {"a.b": a, "../c": b, "label": y},
        "long names": {"m" * 200: a, "n" * 200: b, "label": y},
        "names of methods": {"forward": a, "type": b, "label": y},
        "names of nothing": {" ": a, "-": b, "label": y},
        "options as names": {"--seeds": a, "-h": b, "label": y},
        "parts as names": {"unique1": a, "only jointly": b, "label": y},
    }
    for size in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30):
        made[f"{size} rows"] = {"a": a[:size], "b": b[:size], "label": y[:size]}
    return made
