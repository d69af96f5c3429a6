"""Shared by all tests: one thread, and where the reference outputs lie."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):  # before any of them is loaded; child processes inherit it
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
