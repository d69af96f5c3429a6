"""The paper's synthetic task against its recorded distribution, and its rows against a loop that draws as the authors do."""

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from tests.reference import array, numbers
from tuplet import InputError
from tuplet.catalog import SOURCES
from tuplet.simulators.redundancy import TEMPERATURES, Task, load

RULES = numbers("synthetic_task_full_rules")
EXACT = numbers("synthetic_task_full_exact_pid")


def information(joint):
    def entropy(p):
        return -(p[p > 0] * np.log2(p[p > 0])).sum()

    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)


@pytest.mark.parametrize("shared", range(9))
def test_full_size_task_is_the_recorded_one(shared):
    task, exact = Task(shared), EXACT[str(shared)]
    assert [list(i) for i in task.indices] == RULES["rules"][str(shared)]
    np.testing.assert_array_equal(task.weights, RULES["W"])
    for name, value in task.ceilings.items():
        assert value == pytest.approx(exact[f"bayes_acc_{name}"], abs=1e-12)
    table = task.table
    assert table.sum() == pytest.approx(1)
    assert table.shape == (exact["n_x1"], exact["n_x2"], 4)
    assert information(table.sum(1)) == pytest.approx(exact["I1"], abs=1e-9)
    assert information(table.sum(0)) == pytest.approx(exact["I2"], abs=1e-9)
    assert information(table.reshape(-1, 4)) == pytest.approx(exact["I12"], abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_small_tasks_are_the_authors_distribution_state_by_state(seed):
    stored = numbers(f"synthetic_task_s{seed}")
    p, common, unique = stored["params"], stored["params"]["shared"], stored["params"]["unique"]
    assert len(stored["res"]) == 5 - seed
    for name, result in stored["res"].items():
        task = Task(
            shared=int(name[1:]),
            temperature=p["temp"],
            features_seed=p["features_seed"],
            weights_seed=p["weights_seed"],
            common=common,
            unique=unique,
            features=p["F"],
            classes=p["classes"],
        )
        np.testing.assert_allclose(task.weights, array(f"synthetic_task_s{seed}", "W"), rtol=1e-12)
        expected, conditional = array(f"synthetic_task_s{seed}", f"{name}__p_y_given_x1_x2"), task.conditional
        bits = [list(product((0, 1), repeat=d)) for d in (common, unique, unique)]
        for (c, xc), (u, xu), (v, xv) in product(*map(enumerate, bits)):
            chosen = [x[i] for x, index in zip((xc, xu, xv), task.indices, strict=True) for i in index]
            row = int("".join(map(str, chosen)), 2)
            got = expected[c * 2**unique + u, c * 2**unique + v]
            np.testing.assert_allclose(conditional[row], got, rtol=1e-9, atol=1e-12)
        for which, value in task.ceilings.items():
            assert value == pytest.approx(result["bayes_acc"][which], abs=1e-9)


@pytest.mark.parametrize("depth", [None, 2])
def test_rows_are_drawn_as_the_authors_draw_them(depth):
    n, task = 400, Task(3)
    rng = np.random.RandomState(2)
    rng.uniform(0, 1, size=(8, 4))
    drawn = [rng.choice(2**d, size=n, p=np.ones(2**d) / 2**d) for d in (8, 4, 4)]
    bits = [np.array(list(product((0, 1), repeat=d))) for d in (8, 4, 4)]
    x1, x2, label = [], [], []
    for c, u, v in zip(*drawn, strict=True):
        parts = bits[0][c], bits[1][u], bits[2][v]
        chosen = np.concatenate([x[i] for x, i in zip(parts, task.indices, strict=True)])
        label.append(rng.choice(4, p=task.conditional[int("".join(map(str, chosen)), 2)]))
        x1.append(np.concatenate(parts[:2]))
        x2.append(np.concatenate([parts[0], parts[2]]))
    x1, x2, label = np.array(x1), torch.tensor(np.array(x2)).float(), np.array(label)
    torch.manual_seed(0)
    stacks = []
    for d in range(11):
        layers = [torch.nn.Linear(12, 12)]
        for _ in range(d):
            layers += [torch.nn.Tanh(), torch.nn.Linear(12, 12)]
        stacks.append(torch.nn.Sequential(*layers))
    for _ in range(1 if depth is None else depth + 1):
        train, rest = train_test_split(np.arange(n), test_size=0.3, stratify=label, random_state=rng)
        val, test = train_test_split(rest, test_size=0.5, stratify=label[rest], random_state=rng)
    if depth is not None:
        x2 = stacks[depth](x2).detach()
    source = load(3, rows=n, depth=depth)
    assert (source.values["label"].numpy() == label).all()
    for part, rows in (("train", train), ("val", val), ("test", test)):
        assert set(getattr(source.split, part).tolist()) == set(rows.tolist())
    for name, x in (("x1", x1.astype(float)), ("x2", x2.double().numpy())):
        z = (x - x[train].mean(0)) / x[train].std(0)
        np.testing.assert_allclose(source.columns[name].values.numpy(), z, atol=2e-5)


def test_full_size_split_and_frequencies():
    source, task = SOURCES["redundancy"](), Task()
    parts = [getattr(source.split, p) for p in ("train", "val", "test")]
    assert [len(p) for p in parts] == [45_875, 9_830, 9_831]
    assert len(np.unique(np.concatenate(parts))) == 65_536
    label = source.values["label"].numpy()
    spread = np.sqrt(0.25 * 0.75 / len(label))
    for rows in (np.arange(len(label)), *parts):
        assert np.abs(np.bincount(label[rows]) / len(rows) - task.table.sum((0, 1))).max() < 5 * spread
    z = [source.columns[k].values.numpy() for k in ("x1", "x2")]
    assert (z[0][:, :8] > 0).tolist() == (z[1][:, :8] > 0).tolist()
    # every state of the features and its labels as often as the table says
    seen = np.zeros_like(task.table)
    shared, first, second = task.indices
    where = [np.concatenate([(x > 0)[:, shared], (x > 0)[:, 8 + u]], 1) for x, u in zip(z, (first, second), strict=True)]
    np.add.at(seen, (*(w @ (1 << np.arange(w.shape[1])[::-1]) for w in where), label), 1)
    deviation = (seen - task.table * 65_536) / np.sqrt(task.table * 65_536 + 1)
    assert np.abs(deviation).max() < 6


def test_seeds_and_temperatures():
    a, b, c = (load(2, rows=300, seed=s) for s in (5, 5, 6))
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert load(2, rows=300).fingerprint not in (a.fingerprint, c.fingerprint)
    bits = [information(Task(4, float(TEMPERATURES[s])).table.reshape(-1, 4)) for s in (0, 3, 6, 9)]
    assert bits == pytest.approx([1.672, 1.361, 0.886, 0.413], abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": 9}, "shared is 9"),
        ({"step": 10}, "step is 10"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"depth": 11}, "depth is 11"),
        ({"rows": 1}, "rows is 1"),
        ({"weights_seed": -1}, "weights_seed is -1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        load(**{"shared": 1} | options)
    with pytest.raises(InputError, match="only 3 bits"):
        Task(shared=0, unique=3)
