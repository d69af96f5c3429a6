"""Shared by all tests: one thread."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):  # before any of them is loaded; child processes inherit it
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ.setdefault("TUPLET_DEBUG", "1")  # an error that nobody foresaw is not one line here, but fails the test

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
