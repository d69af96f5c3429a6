"""Training: it learns, resumes to the same bits, and says what is wrong."""

import json
import time
from dataclasses import replace

import pytest
import torch

from tests.starter import started
from tests.train.toys import model, source, stopping
from tests.train.victim import train
from tuplet import AlignmentModel, InputError, Loss, TrainConfig, fit
from tuplet.objectives import OneVsAll, Pairwise, Symile, Temperature
from tuplet.train import _checkpoint as checkpoint
from tuplet.train._rate import learning_rate
from tuplet.types import Batch


def weights(run):
    tensors = {f"model.{k}": v.clone() for k, v in run.model.state_dict().items()}
    return tensors | {f"objective.{k}": v.clone() for k, v in run.objective.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a | b)


def without_time(history):
    return [{k: v for k, v in entry.items() if k not in ("seconds", "waited")} for entry in history]


def test_training_lowers_the_loss_and_moves_the_temperature():
    s = source()
    objective = Pairwise(tau=Temperature(0.2))
    run = fit(model(), objective, train=s.train, val=s.val, config=TrainConfig(epochs=20, batch_size=12, lr=1e-2))
    assert run.steps == 60
    assert run.history[-1]["loss"] < 0.7 * run.history[0]["loss"]
    assert run.history[-1]["val"] < run.history[0]["val"]
    assert float(objective.tau().detach()) != pytest.approx(0.2, abs=1e-4)
    assert not run.model.training
    logged = {k for k in run.history[0] if not k.startswith("space/")}
    assert logged == {"epoch", "step", "lr", "loss", "contrast", "val", "seconds", "waited"}
    assert run.history[-1]["space/positive_cosine"] > run.history[0]["space/positive_cosine"]


def test_the_same_seed_gives_the_same_bits():
    s = source()
    runs = [fit(model(), OneVsAll(tau=0.1), train=s.train, config=TrainConfig(epochs=2, seed=k)) for k in (0, 0, 1)]
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def test_validation_does_not_change_training():
    s = source()
    make = lambda: Symile(generator=torch.Generator().manual_seed(1))  # noqa: E731
    config = TrainConfig(epochs=3, batch_size=12)
    with_val = fit(model(dropout=0.3), make(), train=s.train, val=s.val, config=config)
    assert same(weights(with_val), weights(fit(model(dropout=0.3), make(), train=s.train, config=config)))


def test_a_stopped_run_resumes_to_the_same_bits(tmp_path):
    s = source()

    def run(out, stop_at=None):
        objective = Symile(tau=Temperature(0.2), generator=torch.Generator().manual_seed(1))
        stopping(objective, stop_at)
        config = TrainConfig(epochs=4, batch_size=12, out=out, checkpoint_every=2)
        return fit(model(dropout=0.3), objective, train=s.train, val=s.val, config=config)

    whole = run(tmp_path / "whole")
    for stop_at in (1, 3, 8, 13):
        stopped = run(tmp_path / f"{stop_at}", stop_at)
        assert stopped.stopped
        assert stopped.steps < whole.steps
        assert not whole.stopped
        resumed = run(tmp_path / f"{stop_at}")
        assert same(weights(resumed), weights(whole))
        assert without_time(resumed.history) == without_time(whole.history)
        lines = (tmp_path / f"{stop_at}" / "train.jsonl").read_text().splitlines()
        assert without_time(map(json.loads, lines)) == without_time(whole.history)
    again = run(tmp_path / "whole")
    assert same(weights(again), weights(whole))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    train(tmp_path / "whole", 6)
    file = tmp_path / "killed" / checkpoint.NAME
    for pause in (0.0, 0.05):  # after the first checkpoint, and then between two of them
        before = file.stat().st_mtime_ns if file.exists() else 0
        process = started(train, file.parent, 6, 0.03)
        while process.is_alive() and (not file.exists() or file.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(pause)
        assert process.is_alive()
        process.kill()
        process.join()
    train(file.parent, 6)
    killed, whole = (checkpoint.read(tmp_path / k / checkpoint.NAME) for k in ("killed", "whole"))
    assert killed[0].keys() == whole[0].keys()
    assert same(killed[0], whole[0])
    assert without_time(killed[1]["history"]) == without_time(whole[1]["history"])


def test_a_run_with_other_settings_is_not_resumed(tmp_path):
    s = source()
    fit(model(), Pairwise(), train=s.train, config=TrainConfig(epochs=1, out=tmp_path))
    with pytest.raises(InputError, match=r"run with lr = 0.001, this one has lr = 0.01"):
        fit(model(), Pairwise(), train=s.train, config=TrainConfig(epochs=1, lr=0.01, out=tmp_path))
    with pytest.raises(InputError, match="holds a run with objective = Pairwise"):
        fit(model(), OneVsAll(), train=s.train, config=TrainConfig(epochs=1, out=tmp_path))
    with pytest.raises(InputError, match="holds a run with objective = Pairwise"):
        fit(model(), Pairwise(tau=0.1), train=s.train, config=TrainConfig(epochs=1, out=tmp_path))
    with pytest.raises(InputError, match="holds a run with data ="):
        fit(model(), Pairwise(), train=source(40).train, config=TrainConfig(epochs=1, out=tmp_path))
    with pytest.raises(InputError, match="another model or objective"):
        fit(model(dim=4), Pairwise(), train=s.train, config=TrainConfig(epochs=1, out=tmp_path))


@pytest.mark.parametrize("damage", [lambda b: b[:100], lambda b: b"", lambda b: b"x" * 500, lambda b: b[:-10]])
def test_a_damaged_checkpoint_is_named_and_kept(tmp_path, damage):
    s = source()
    config = TrainConfig(epochs=1, out=tmp_path)
    fit(model(), Pairwise(), train=s.train, config=config)
    file = tmp_path / checkpoint.NAME
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"checkpoint.safetensors cannot be read.*remove it"):
        fit(model(), Pairwise(), train=s.train, config=config)
    assert file.exists()


def test_a_newer_checkpoint_is_refused(tmp_path, monkeypatch):
    s = source()
    config = TrainConfig(epochs=1, out=tmp_path)
    monkeypatch.setattr(checkpoint, "SCHEMA", 99)
    fit(model(), Pairwise(), train=s.train, config=config)
    monkeypatch.undo()
    with pytest.raises(InputError, match="schema is 99"):
        fit(model(), Pairwise(), train=s.train, config=config)


def test_a_loss_that_is_not_finite_stops_with_its_step(tmp_path):
    s = source()

    def explode(emb):
        value = emb.z["a"].sum() * float("nan")
        return Loss(value, {"boom": value.detach()})

    with pytest.raises(InputError, match=r"loss is nan at step 0 \(terms: boom\)"):
        fit(model(), explode, train=s.train, config=TrainConfig(epochs=1))


class Hiding(AlignmentModel):
    """Hides some rows that its batch has."""

    def forward(self, batch):
        emb = super().forward(batch)
        return replace(emb, present=emb.present | {"a": torch.arange(len(emb)) > 0})


class Changing(AlignmentModel):
    """Hides them in the batch itself."""

    def forward(self, batch):
        emb = super().forward(batch)
        emb.present["a"] = torch.arange(len(emb)) > 0
        return emb


class Twice(AlignmentModel):
    """Hides them twice over, so that a new mask may lie where the first one lay."""

    def forward(self, batch):
        for hidden in (0, 1):
            batch.present["a"] = batch.present["a"] & (torch.arange(len(batch)) != hidden)
        return super().forward(batch)


class Inferring(AlignmentModel):
    """Hides them by a mask that counts no versions."""

    def forward(self, batch):
        with torch.inference_mode():
            mask = torch.arange(len(batch)) > 0
        emb = super().forward(batch)
        return replace(emb, present=emb.present | {"a": mask})


class Writing(AlignmentModel):
    """Hides them in the very mask."""

    def forward(self, batch):
        batch.present["a"][0] = False
        return super().forward(batch)


def test_a_step_knows_of_a_batch_without_gaps_and_of_no_other(monkeypatch):
    kept = Batch.map

    def moved(self, change):  # as to a GPU: nothing else holds what arrives there
        return kept(self, lambda v: change(v).clone() if change(v) is v else change(v))

    monkeypatch.setattr(Batch, "map", moved)
    hiding = [(kind, "plain") for kind in (Hiding, Changing, Twice, Inferring, Writing)] + [(Writing, "cached")]
    for kind, step in ((AlignmentModel, "plain"), (AlignmentModel, "cached"), *hiding):
        seen, start, objective = set(), model(), Pairwise(tau=0.2)
        start.__class__ = kind
        objective.register_forward_pre_hook(
            lambda _, given, seen=seen: seen.add((given[0].complete, all(v.all() for v in given[0].present.values())))
        )
        config = TrainConfig(epochs=4, batch_size=3, step=step, chunk=2)
        fit(start, objective, train=source(missing=True).train, config=config)
        assert seen == ({(True, True), (False, False)} if kind is AlignmentModel else {(False, False)}), (kind, step)


def test_missing_rows_are_exactly_zero_and_get_no_gradient():
    s = source(missing=True)
    m = model()
    batch = s.train[:]
    emb = m(batch)
    gone = ~batch.present["b"]
    assert gone.any()
    assert not emb.z["b"][gone].any()
    assert not emb.h["b"][gone].any()
    torch.testing.assert_close(emb.z["a"].norm(dim=1), torch.ones(len(batch)))
    emb.z["b"][gone].sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in m.parameters())
    run = fit(m, OneVsAll(tau=0.1), train=s.train, config=TrainConfig(epochs=2, batch_size=12))
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_bf16_and_adam_train():
    s = source()
    config = TrainConfig(epochs=5, batch_size=12, lr=1e-2, precision="bf16", optimizer="adam")
    run = fit(model(), Pairwise(), train=s.train, config=config)
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert next(run.model.parameters()).dtype == torch.float32


def test_the_learning_rate_rises_and_falls():
    config = TrainConfig(lr=2.0, warmup=0.1)
    rates = [learning_rate(i, 100, config) for i in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[99] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_bad_input_is_named():
    s = source()
    with pytest.raises(InputError, match="train has 1 row"):
        fit(model(), Pairwise(), train=_One(s.train))
    for name, value in (("epochs", 0), ("lr", -1.0), ("warmup", 1.0), ("weight_decay", -1), ("checkpoint_every", 0)):
        with pytest.raises(InputError, match=name):
            TrainConfig(**{name: value})
    with pytest.raises(InputError, match=r"select the same$"):
        fit(model(), Pairwise(), train=s.select(["a", "b"]).train)


class _One:
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return 1

    def __getitem__(self, rows):
        return self.rows[:1]
