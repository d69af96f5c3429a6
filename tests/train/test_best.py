"""Which epoch is kept, when training stops, and that a run that was interrupted ends as one that was not."""

import math
import os
import signal
import time

import pytest
import torch

from tests.starter import started
from tests.train.test_fit import same, weights, without_time
from tests.train.toys import model, source
from tests.train.victim import train
from tuplet import AlignmentModel, InputError, TrainConfig, fit
from tuplet.objectives import Pairwise, Schedule, Structure, Sum, Symile, Temperature
from tuplet.train import _checkpoint as checkpoint
from tuplet.train import _progress as progress
from tuplet.train._validate import best_epoch, exhausted
from tuplet.types import Loss

LOSSES = [3.0, math.nan, 1.0, 2.0, 1.0, 5.0, 4.0]  # the optimum is at epoch 3, and again at 5


def run(monkeypatch, losses=LOSSES, **settings):
    """Train with validation losses of our choice; return the run and the weights after each epoch."""
    seen, net = [], model(dropout=0.2)

    def pretended(m, *_, **__):
        seen.append({k: v.clone() for k, v in m.state_dict().items()})
        return losses[len(seen) - 1]

    monkeypatch.setattr("tuplet.train._session.validation_loss", pretended)
    s = source()
    config = TrainConfig(**{"epochs": len(losses), "batch_size": 12, "keep": "best"} | settings)
    return fit(net, Pairwise(tau=Temperature(0.2)), train=s.train, val=s.val, config=config), seen


def test_the_first_of_the_best_epochs_is_kept(monkeypatch):
    found, seen = run(monkeypatch)
    assert found.best == 3
    assert same(found.model.state_dict(), seen[2])
    assert not same(found.model.state_dict(), seen[4])
    assert len(found.history) == len(LOSSES)
    last, seen = run(monkeypatch, keep="last")
    assert last.best is None
    assert same(last.model.state_dict(), seen[-1])
    never, seen = run(monkeypatch, [math.nan, math.inf, math.nan])
    assert never.best is None
    assert same(never.model.state_dict(), seen[-1])


def test_training_stops_when_validation_has_not_improved_for_as_long_as_patience(monkeypatch):
    for patience, epochs in ((1, 2), (2, 5), (3, 6), (4, 7), (9, 7)):
        found, _ = run(monkeypatch, patience=patience)
        assert len(found.history) == epochs, patience
        assert found.steps == 3 * epochs
        assert not found.stopped
    assert not exhausted([], 1)
    assert exhausted([{"val": math.nan}] * 2, 2)
    assert best_epoch([{"loss": 1.0}]) is None


def test_keeping_the_best_changes_no_step(monkeypatch):
    best, _ = run(monkeypatch)
    last, _ = run(monkeypatch, keep="last")
    assert [h["loss"] for h in best.history] == [h["loss"] for h in last.history]


def interrupted(out, stop_at, how, **settings):
    s = source()
    objective = Symile(tau=Temperature(0.2), generator=torch.Generator().manual_seed(1))
    net = model(dropout=0.3)
    net.encoders["a"] = torch.nn.Sequential(torch.nn.BatchNorm1d(4), net.encoders["a"])
    calls = []

    def stop(*_):
        calls.append(1)
        if len(calls) == stop_at:
            how()

    objective.register_forward_hook(stop)
    config = TrainConfig(**{"epochs": 6, "batch_size": 12, "out": out, "lr": 0.05, "keep": "best", "patience": 2} | settings)
    return fit(net, objective, train=s.train, val=s.val, config=config)


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def twice():
    ctrl_c()
    ctrl_c()


def test_ctrl_c_at_any_moment_returns_a_run_that_continues_to_the_same_bits(tmp_path):
    whole = interrupted(tmp_path / "whole", None, None)
    assert whole.best < len(whole.history) < 6 + 1
    for number, (stop_at, how) in enumerate([(1, ctrl_c), (2, ctrl_c), (4, ctrl_c), (6, twice), (9, ctrl_c), (11, twice)]):
        out = tmp_path / str(number)
        before = signal.getsignal(signal.SIGINT)
        stopped = interrupted(out, stop_at, how)
        assert signal.getsignal(signal.SIGINT) is before
        assert stopped.stopped
        assert stopped.steps < whole.steps
        assert not stopped.model.training
        assert len(stopped.model(source().train[:4])) == 4
        if how is ctrl_c:
            assert checkpoint.read(out / checkpoint.NAME)[1]["step"] == stopped.steps
        resumed = interrupted(out, None, None)
        assert same(weights(resumed), weights(whole))
        assert without_time(resumed.history) == without_time(whole.history)
        assert (resumed.best, resumed.steps, resumed.stopped) == (whole.best, whole.steps, False)
    again = interrupted(tmp_path / "whole", None, None)  # nothing is left to do
    assert same(weights(again), weights(whole))
    assert again.best == whole.best


def test_a_run_may_stop_early_between_two_checkpoints(tmp_path):
    whole = interrupted(tmp_path / "whole", None, None)
    rare = interrupted(tmp_path / "rare", None, None, checkpoint_every=1000)
    assert same(weights(rare), weights(whole))
    assert checkpoint.read(tmp_path / "rare" / checkpoint.NAME)[1]["step"] == whole.steps


def test_a_handler_of_the_user_is_left_alone():
    heard = []
    old = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        assert not interrupted(None, 2, ctrl_c, epochs=1).stopped
    finally:
        signal.signal(signal.SIGINT, old)
    assert heard == [1]


class Of:
    """Rows that say of which source they are."""

    def __init__(self, s):
        self.source, self.rows = s, s.train

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, at):
        return self.rows[at]


def test_fit_builds_the_model_and_seeds_its_weights():
    s = source()
    torch.manual_seed(7)
    config = TrainConfig(epochs=1, batch_size=12, seed=3)
    first = fit(None, Pairwise(), train=Of(s), config=config)
    torch.manual_seed(8)
    second = fit(None, Pairwise(), train=Of(s), config=config)
    assert same(first.model.state_dict(), second.model.state_dict())
    torch.manual_seed(3)
    by_hand = fit(AlignmentModel.for_source(s), Pairwise(), train=Of(s), config=config)
    assert same(first.model.state_dict(), by_hand.model.state_dict())
    with pytest.raises(InputError, match="which source"):
        fit(None, Pairwise(), train=list(range(4)), config=config)


def test_scheduled_weights_are_compared_as_they_end():
    """By the loss at hand the first epochs, whose second term weighs nothing, would look best."""
    s = source()
    objective = Sum((1.0, Pairwise()), (Schedule(0.0, 50.0), Structure()))
    found = fit(model(), objective, train=s.train, val=s.val, config=TrainConfig(epochs=3, batch_size=12, keep="best"))
    objective.advance(1.0)
    with torch.no_grad():
        now = float(objective(found.model(s.val[:])).total)
    assert found.history[found.best - 1]["val"] == pytest.approx(now, rel=0.5)


def test_rows_that_compare_nothing_do_not_choose():
    s, config = source(), TrainConfig(epochs=1, batch_size=12, keep="best")
    for val, reason in ((None, "no validation rows"), (s.val[:0], "no validation rows")):
        with pytest.raises(InputError, match=reason):
            fit(model(), Pairwise(), train=s.train, val=val, config=config)
    watched = fit(model(), Pairwise(), train=s.train, val=s.val[:0], config=TrainConfig(epochs=1, batch_size=12))
    assert "val" not in watched.history[0]
    for wrong in (
        {"keep": "first"},
        {"patience": 0},
        {"patience": 1.5},
        {"patience": True},
        {"seed": -1},
        {"seed": 2**41},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            TrainConfig(**wrong)


def test_a_run_is_short_in_a_notebook(monkeypatch):
    found, _ = run(monkeypatch, losses=[2.0, 1.0, 3.0])
    text = repr(found)
    assert len(text) < 100
    assert "\n" not in text
    assert "3 epochs, best 2" in text
    assert "val 1" in text


@pytest.mark.slow
def test_a_real_ctrl_c_in_another_process(tmp_path):
    process = started(train, tmp_path / "stopped", 4, 0.05)
    while process.is_alive() and not (tmp_path / "stopped" / "train.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 0
    train(tmp_path / "stopped", 4)
    train(tmp_path / "whole", 4)
    one, two = (checkpoint.read(tmp_path / k / checkpoint.NAME) for k in ("stopped", "whole"))
    assert one[0].keys() == two[0].keys()
    assert same(one[0], two[0])


def test_progress_says_at_most_where_training_may_stop_early(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", -1)
    for early, said in ((True, "step 44 of at most 400, loss 1.5000\n"), (False, "step 44 of 400, loss 1.5000\n")):
        with progress.Progress(True, 400, 43, early=early) as tell:
            tell(Loss(torch.tensor(1.5), {}))
        assert capsys.readouterr().err == said
