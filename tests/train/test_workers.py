"""Rows read ahead by workers: the same bits for any number of them, and one line when one fails or dies."""

import os
from dataclasses import dataclass, fields
from functools import partial
from itertools import zip_longest
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from tests.starter import forking, together
from tests.train.several import train
from tests.train.test_fit import same, weights, without_time
from tests.train.toys import model, source, stopping
from tuplet import InputError, TrainConfig, fit
from tuplet.data import Rows
from tuplet.data._loader import loaded
from tuplet.objectives import Pairwise, Temperature
from tuplet.train import _checkpoint as checkpoint
from tuplet.train._step import plain_step
from tuplet.train._stream import Stream
from tuplet.train._tally import Tally

CONFIG = partial(TrainConfig, epochs=2, batch_size=12)


def equal(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[k], two[k]) for k in one)
    return one is two if one is None or two is None else torch.equal(one, two)


def alike(one, two):
    return all(equal(getattr(one, f.name), getattr(two, f.name)) for f in fields(one))


@dataclass(frozen=True)
class Faulty:
    """Rows of which one cannot be read: it raises, or ends the process."""

    rows: Rows
    act: Any

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, at):
        if 7 in at:
            self.act()
        return self.rows[at]


def raises():
    raise InputError("row 7 is damaged")


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers_gives_the_same_bits(workers):
    s = source(missing=True).hide(0.3)
    plan = [(i % 2, torch.randperm(12, generator=torch.Generator().manual_seed(i))[:5]) for i in range(9)]
    with forking():
        read = loaded([s.train, s.val], plan, workers=workers)
        assert all(alike(a, b) for a, b in zip_longest(read, loaded([s.train, s.val], plan)))


def test_training_with_workers_and_a_resume_in_mid_epoch_end_with_the_same_bits(tmp_path):
    s = source(missing=True)

    def run(workers, out=None, stop_at=None):
        objective = stopping(Pairwise(tau=Temperature(0.2)), stop_at)
        config = CONFIG(workers=workers, out=out, keep="best")
        return fit(model(dropout=0.3), objective, train=s.train, val=s.val, config=config)

    whole = run(0)
    with forking():
        stopped = run(2, tmp_path, stop_at=3)  # of three steps an epoch
        assert (stopped.stopped, stopped.steps) == (True, 2)
        resumed = run(2, tmp_path)
    assert same(weights(resumed), weights(whole))
    assert without_time(resumed.history) == without_time(whole.history)
    assert all(0 < entry["waited"] < entry["seconds"] for entry in resumed.history)


def test_an_error_in_a_worker_is_the_error_of_the_row():
    rows = Faulty(source().train, raises)
    with forking(), pytest.raises(InputError, match=r"^row 7 is damaged$"):
        fit(model(), Pairwise(), train=rows, config=CONFIG(workers=1))


def test_a_dead_worker_ends_training_in_one_line_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))  # seconds between two looks
    rows = source().train
    with forking(), pytest.raises(InputError, match=r"^a worker that reads batches died .*checkpoint is kept$"):
        fit(model(), Pairwise(), train=Faulty(rows, partial(os._exit, 3)), config=CONFIG(workers=1, out=tmp_path))
    resumed = fit(model(), Pairwise(), train=Faulty(rows, int), config=CONFIG(out=tmp_path))
    assert same(weights(resumed), weights(fit(model(), Pairwise(), train=Faulty(rows, int), config=CONFIG())))


def test_rows_that_no_process_can_be_handed_are_refused():
    with forking(), pytest.raises(InputError, match=r"workers is 2, but the rows cannot be handed .*set workers=0"):
        fit(model(), Pairwise(), train=Faulty(source().train, lambda: None), config=CONFIG(workers=2))
    with pytest.raises(InputError, match="workers is -1"):
        TrainConfig(workers=-1)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_read_their_shares_of_the_batches_that_one_reads(world):
    s = source()
    assert len(s.val) == 12
    read = partial(Stream, s.train, s.val, CONFIG(), size=12, step=1, pin=False)
    one, shares = read(own=slice(0, 12)), [read(own=slice(r * 12 // world, (r + 1) * 12 // world)) for r in range(world)]
    for step in range(1, 6):  # from the second of three an epoch
        assert torch.equal(one.batch().index, torch.cat([share.batch().index for share in shares]))
        if step % 3 == 2:  # the last of an epoch; all read the whole of what validates it
            held = [torch.cat([b.index for b in stream.held()]).sort().values for stream in (one, *shares)]
            assert all(torch.equal(h, s.val[:].index.sort().values) for h in held)


@pytest.mark.slow
def test_a_run_stopped_in_mid_epoch_continues_with_another_number_of_processes(tmp_path):
    train(1, "plain", tmp_path / "one")
    with pytest.raises(SystemExit):
        train(1, "plain", tmp_path / "two", stop=8, checkpoint_every=2)
    assert checkpoint.read(tmp_path / "two" / checkpoint.NAME)[1]["step"] == 4
    together(2, train, 2, "plain", tmp_path / "two")
    one, two = (checkpoint.read(tmp_path / k / checkpoint.NAME) for k in ("one", "two"))
    for name, value in one[0].items():
        if name.startswith(("model.", "objective.")):
            torch.testing.assert_close(two[0][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_another_number_of_rows_a_step_is_said_and_not_resumed(tmp_path):
    fit(model(), Pairwise(), train=source().train, config=CONFIG(out=tmp_path))
    saved = checkpoint.read(tmp_path / checkpoint.NAME)[1]
    with pytest.raises(InputError, match=r"holds a run of 12 rows a step, this one has 10"):
        checkpoint.check_same({**saved, "rows_per_step": 10, "steps": 8}, saved, tmp_path)
    del saved["rows_per_step"]  # as older checkpoints
    checkpoint.check_same({**saved, "rows_per_step": 12}, saved, tmp_path)


def test_training_itself_reads_no_number_in_a_step():
    class Reads(TorchDispatchMode):
        found = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            Reads.found += function is torch.ops.aten._local_scalar_dense.default
            return function(*args, **kwargs or {})

    def reads(rows):
        Reads.found = 0
        with Reads():
            fit(model(), Pairwise(tau=0.1), train=source(120).train.take(range(rows)), config=CONFIG(epochs=1))
        return Reads.found

    batch = source().train[:12]
    with Reads():
        plain_step(model(), Pairwise(tau=0.1), batch)
    alone = Reads.found  # of model and objective
    assert reads(60) - reads(24) == 3 * alone


def test_sums_are_taken_up_to_the_last_digit():
    tally = Tally(torch.device("cpu"))
    tally.begin({"loss": 1 / 3})
    assert tally.read() == {"loss": 1 / 3}
