"""A suite of seconds, with one entry that can be told to fail."""

import os

import numpy as np

from tuplet.data import from_arrays
from tuplet.objectives import Gram, OneVsAll, Pairwise
from tuplet.study._report import write_report
from tuplet.study.runner import run_suite
from tuplet.study.suite import Budget, Entry, Suite, Task

BUDGET = Budget(dim=8, hidden=8, batch_size=20, epochs=2, trials=1)


def load():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(120, 3))
    views = {k: hidden @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(120, 5)) for k in "abc"}
    return from_arrays(views, targets={"label": (hidden[:, 0] > 0).astype(int)}, name="toy")


def fragile(settings, task):
    if os.environ.get("TUPLET_TOY") == "fail":
        raise RuntimeError("told to fail")
    if os.environ.get("TUPLET_TOY") == "die" and settings["tau"] == 0.2:
        os._exit(9)
    return Gram(**settings)


def suite():
    entries = (
        Entry("raw", "Inputs", kind="inputs"),
        Entry("none", "Random", kind="random"),
        Entry("pairwise", "Pairwise <b>&", lambda s, t: Pairwise(**s), defaults={"tau": 0.07}, trials=({"tau": 0.5},)),
        Entry("ova", "OVA", lambda s, t: OneVsAll(**s), defaults={"tau": 0.1}, trials=({"tau": 0.2},)),
        Entry("fragile", "Fragile", fragile, defaults={"tau": 0.07}, trials=({"tau": 0.2},)),
    )
    task = Task("toy task", "A toy", load, ("a", "b", "c"), "label", 2, BUDGET)
    return Suite("toy", "tests.study.toy:suite", (task,), entries, baseline="pairwise", about="A toy.")


def run(out):
    """Run the suite on two workers, to be killed."""
    write_report(suite(), run_suite(suite(), out=out, seeds=2, workers=2), out)
