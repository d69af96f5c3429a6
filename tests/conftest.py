"""Shared by all tests: one thread, and which tests another run has done."""

import gc
import os
import signal

for library in ("OMP", "OPENBLAS", "MKL"):  # before any of them is loaded; child processes inherit it
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ.setdefault("TUPLET_DEBUG", "1")  # an error that nobody foresaw is not one line here, but fails the test

gc.disable()  # until all is imported

import pytest
import torch
from _pytest.doctest import DoctestModule

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets jobs in the background ignore it


def pytest_addoption(parser):
    parser.addoption("--done", default="", help="folders whose tests, slow ones aside, another run has done")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    return [found for found in (yield) if not isinstance(found, DoctestModule)]  # examples stand in src


def pytest_collection_modifyitems(config, items):
    folders = [config.rootpath / name for name in config.getoption("--done").split()]
    left = {i for i in items if i.get_closest_marker("slow") or i.get_closest_marker("whole")}
    done = [i for i in items if i not in left and any(f in i.path.parents for f in folders)]
    if done:
        config.hook.pytest_deselected(items=done)
        items[:] = [i for i in items if i not in set(done)]
    slow = {i.path for i in left}
    gc.freeze()  # what is imported stays: it need not be looked through again and again
    gc.enable()
    gc.set_threshold(20_000)
    items.sort(key=lambda i: i.path not in slow)  # the longest first: one that starts last leaves a core without work


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave figures undrawn, which takes most of a report: for tests that read its words."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    monkeypatch.setattr(FigureCanvasSVG, "print_svg", lambda self, out, **options: out.write("<svg></svg>"))


@pytest.fixture
def unlearned(monkeypatch):
    """Let networks of probes and of decompositions learn for a moment: for tests that read no score of theirs."""
    from tuplet.evaluate import mlp_probe
    from tuplet.information import _posteriors

    monkeypatch.setitem(mlp_probe.__kwdefaults__, "epochs", 2)
    monkeypatch.setattr(_posteriors, "STEPS", 5)
