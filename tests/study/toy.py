"""A suite of seconds, with one entry that can be told to fail."""

import os
from functools import partial

import numpy as np

from tests.starter import forking
from tuplet.data import from_arrays
from tuplet.objectives import Gram, OneVsAll, Pairwise
from tuplet.study.runner import run_suite
from tuplet.study.suite import Budget, Entry, Suite, Task

BUDGET = Budget(dim=8, hidden=8, batch_size=20, epochs=2, trials=1)


def load():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(120, 3))
    views = {k: hidden @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(120, 5)) for k in "abc"}
    return from_arrays(views, targets={"label": (hidden[:, 0] > 0).astype(int)}, name="toy")


def fragile(fate, settings, task):
    if fate == "fail":
        raise RuntimeError("told to fail")
    if fate == "die" and settings["tau"] == 0.2:
        os._exit(9)
    return Gram(**settings)


def suite(fate="suite"):
    entries = (
        Entry("raw", "Inputs", kind="inputs"),
        Entry("none", "Random", kind="random"),
        Entry("pairwise", "Pairwise <b>&", lambda s, t: Pairwise(**s), defaults={"tau": 0.07}, trials=({"tau": 0.5},)),
        Entry("ova", "OVA", lambda s, t: OneVsAll(**s), defaults={"tau": 0.1}, trials=({"tau": 0.2},)),
        Entry("fragile", "Fragile", partial(fragile, fate), defaults={"tau": 0.07}, trials=({"tau": 0.2},)),
    )
    task = Task("toy task", "A toy", load, ("a", "b", "c"), "label", 2, BUDGET)
    return Suite("toy", f"tests.study.toy:{fate}", (task,), entries, baseline="pairwise", about="A toy.")


def fail():
    return suite("fail")


def die():
    return suite("die")


def run(out):
    """Run the suite with one seed on two workers, to be killed."""
    with forking():
        run_suite(suite(), out=out, seeds=1, workers=2)
