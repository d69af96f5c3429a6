"""Cached steps equal plain ones; several processes equal one."""

from datetime import timedelta
from itertools import product

import numpy as np
import pytest
import torch

from tests.contract.cases import CASES
from tests.starter import together
from tests.train.toys import model, source
from tuplet.objectives import Supervised
from tuplet.train._step import cached_step, plain_step

NAMES = [k for k in CASES if not any(k.startswith(f"{other}-") for other in CASES)] + ["supervised"]  # one of each class
SOME = ["pairwise", "symile", "one-vs-all", "cone", "comm", "structure", "supervised"]  # of the rest, see the contract


def build(name, size):
    if name == "supervised":
        torch.manual_seed(3)
        return Supervised(24, 2).double()
    return CASES[name].build(3, size=size, names=tuple("abc"))


def double(batch, rows=slice(None)):
    from dataclasses import replace

    cut = {f: {k: v[rows] for k, v in getattr(batch, f).items()} for f in ("inputs", "present", "target")}
    cut["inputs"] = {k: v.double() for k, v in cut["inputs"].items()}
    return replace(batch, index=batch.index[rows], **cut)


def gradients(m, objective):
    parameters = [*m.parameters(), *objective.parameters()]
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_cached_equals_plain(name, missing):
    batch = double(source(missing=missing).train[:24])
    plain = model().double(), build(name, 24)
    expected = plain_step(*plain, batch).total
    for chunk in (7, 100):
        cached = model().double(), build(name, 24)
        total = cached_step(*cached, batch, chunk=chunk).total
        torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-13)
        for a, b in zip(gradients(*cached), gradients(*plain), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_cached_sees_the_same_random_numbers_twice():
    batch = double(source().train[:24])
    m = model(dropout=0.5).double()
    objective = build("pairwise", 24)
    torch.manual_seed(1)
    cached_step(m, objective, batch, chunk=24)
    cached = gradients(m, objective)
    m.zero_grad()
    torch.manual_seed(1)
    plain_step(m, objective, batch)
    for a, b in zip(cached, gradients(m, objective), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def worker(size, folder):
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    share = size // world
    results = {}
    for missing in (False, True):
        batch = double(source(missing=missing).train[:size], slice(rank * share, (rank + 1) * share))
        for name in SOME:
            for chunk in (0, 3):
                m, objective = model().double(), build(name, size)
                loss = cached_step(m, objective, batch, chunk=chunk) if chunk else plain_step(m, objective, batch)
                found = torch.cat([loss.total.detach()[None], *(g.flatten() for g in gradients(m, objective))])
                torch.distributed.all_reduce(found)
                results[f"{name} {int(missing)} {chunk}"] = (found / world).numpy()
    if rank == 0:
        np.savez(folder / "results.npz", **results)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_several_processes_equal_one(tmp_path):
    world, size = 3, 24
    together(world, worker, size, tmp_path)
    with np.load(tmp_path / "results.npz") as results:
        assert len(results.files) == 4 * len(SOME)
        for name, missing in product(SOME, (0, 1)):
            batch = double(source(missing=bool(missing)).train[:size])
            m, objective = model().double(), build(name, size)
            total = plain_step(m, objective, batch).total.detach()
            expected = torch.cat([total[None], *(g.flatten() for g in gradients(m, objective))])
            for chunk in (0, 3):
                key = f"{name} {missing} {chunk}"
                np.testing.assert_allclose(results[key], expected.numpy(), rtol=1e-9, atol=1e-10, err_msg=key)
