"""What keeps a run honest: other rows, bad gradients, damage and several processes."""

import os
from dataclasses import replace

import pytest
import torch

from tests.starter import together
from tests.train.several import train
from tests.train.toys import model, source
from tuplet import InputError, Loss, TrainConfig, fit
from tuplet.io.files import locked
from tuplet.objectives import Pairwise, Sum, Temperature
from tuplet.train import _checkpoint as checkpoint
from tuplet.train._rate import make_optimizer
from tuplet.train._step import cached_step
from tuplet.train._validate import validation_loss

SMALL = {"epochs": 2, "batch_size": 12}


def test_a_run_with_fewer_rows_is_not_resumed(tmp_path):
    class Few:
        def __init__(self, count):
            self.count = count

        def __len__(self):
            return self.count

        def __getitem__(self, rows):
            return source().train[rows]

    config = TrainConfig(**SMALL, out=tmp_path)
    fit(model(), Pairwise(), train=Few(36), config=config)
    with pytest.raises(InputError, match="rows = 36"):
        fit(model(), Pairwise(), train=Few(24), config=config)


def test_a_function_in_a_sum_is_named_alike_in_every_process():
    assert " at 0x" not in checkpoint.describe(Sum((1.0, Pairwise()), (0.5, lambda emb: Loss(emb.z["a"].sum(), {}))))


def test_a_gradient_that_is_not_finite_never_reaches_the_checkpoint(tmp_path):
    calls = []

    def objective(emb):
        calls.append(1)
        x = emb.z["a"].square().sum()
        # The branch not taken has an infinite slope, which times zero is NaN: a finite loss, a NaN gradient.
        return Loss(x if len(calls) < 3 else torch.where(x > -1, x, torch.sqrt(x * 0)), {})

    with pytest.raises(InputError, match="gradient has norm nan at step 2"):
        fit(model(), objective, train=source().train, config=TrainConfig(**SMALL, out=tmp_path, checkpoint_every=1))
    tensors, state = checkpoint.read(tmp_path / checkpoint.NAME)
    assert state["step"] == 2
    assert all(bool(torch.isfinite(v).all()) for v in tensors.values())


def test_one_changed_byte_is_noticed(tmp_path):
    config = TrainConfig(**SMALL, out=tmp_path)
    fit(model(), Pairwise(), train=source().train, config=config)
    file = tmp_path / checkpoint.NAME
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(InputError, match="checksum differs"):
        fit(model(), Pairwise(), train=source().train, config=config)


@pytest.mark.parametrize(
    "setting",
    [{"optimizer": "sgd"}, {"precision": "fp8"}, {"step": "x"}, {"epochs": 1.5}, {"lr": float("inf")}, {"seed": 0.5}],
)
def test_a_setting_nobody_offers_is_named(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        TrainConfig(**setting)


def test_other_bad_input_is_named(tmp_path):
    rows, config = source().train, TrainConfig(**SMALL)
    with pytest.raises(InputError, match="returned Tensor"):
        fit(model(), lambda emb: emb.z["a"].sum(), train=rows, config=config)
    with pytest.raises(InputError, match="without gradient"):
        fit(model(), lambda emb: Loss(torch.tensor(1.0), {}), train=rows, config=config)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        fit(model(), Pairwise(), train=rows, config=TrainConfig(**SMALL, out=tmp_path / "file"))


@pytest.mark.slow
@pytest.mark.parametrize(("step", "strategy"), [("plain", "ddp"), ("cached", "fsdp")])
def test_fit_on_two_processes_equals_one(tmp_path, step, strategy):
    train(1, step, tmp_path / "1")
    together(2, train, 2, step, tmp_path / "2", strategy)
    weights = []
    for out in ("1", "2"):
        tensors, state = checkpoint.read(tmp_path / out / checkpoint.NAME)
        weights.append({k: v for k, v in tensors.items() if k.startswith(("model.", "objective."))})
        assert [entry["step"] for entry in state["history"]] == [3, 6]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.whole
@pytest.mark.slow
def test_a_sharded_run_resumes(tmp_path):
    together(2, train, 2, "plain", tmp_path / "whole", "fsdp")
    together(2, train, 2, "plain", tmp_path / "halves", "fsdp", 5)
    assert checkpoint.read(tmp_path / "halves" / checkpoint.NAME)[1]["step"] == 3
    together(2, train, 2, "plain", tmp_path / "halves", "fsdp")
    whole, halves = (checkpoint.read(tmp_path / k / checkpoint.NAME)[0] for k in ("whole", "halves"))
    for name, value in whole.items():
        torch.testing.assert_close(halves[name], value, rtol=0, atol=0, msg=name)


def left_alone(out):
    """Train as one of two processes, of which the second ends at its third step."""
    if os.environ["RANK"] == "1":
        train(2, "plain", out, stop=3)
    with pytest.raises(InputError, match=r"^another process of this training ended .*repeat the command to continue$"):
        train(2, "plain", out)


@pytest.mark.slow
def test_a_process_that_ended_is_one_line_in_the_others(tmp_path):
    together(2, left_alone, tmp_path)


def test_only_matrices_decay():
    net, temperature = model(), Temperature(0.5)
    groups = make_optimizer(net, Pairwise(tau=temperature), TrainConfig(weight_decay=0.3)).param_groups
    decays = {id(p): g["weight_decay"] for g in groups for p in g["params"]}
    assert decays[id(temperature.logit)] == 0.0
    assert {decays[id(p)] for p in net.parameters() if p.ndim > 1} == {0.3}
    assert {decays[id(p)] for p in net.parameters() if p.ndim < 2} == {0.0}
    assert len(decays) == len(list(net.parameters())) + 1


def test_gradients_are_clipped():
    def steps(clip):
        net = model()
        before = [p.detach().clone() for p in net.parameters()]
        config = TrainConfig(epochs=1, batch_size=12, lr=1e-3, clip=clip, optimizer="adam", warmup=0.0)
        fit(net, lambda emb: Loss(1e3 * emb.z["a"].sum(), {}), train=source().train, config=config)
        return sum(float((p.detach() - q).abs().sum()) for p, q in zip(net.parameters(), before, strict=True))

    assert steps(1e-12) < 0.1 * steps(1.0)  # Adam's epsilon of 1e-8 dwarfs gradients that small


def test_the_logged_loss_is_the_mean_over_the_steps_of_an_epoch():
    run = fit(
        model(),
        lambda emb: Loss(3.0 + 0 * emb.z["a"].sum(), {"three": torch.tensor(3.0)}),
        train=source().train,
        config=TrainConfig(**SMALL),
    )
    assert run.steps // SMALL["epochs"] > 1
    assert [(h["loss"], h["three"]) for h in run.history] == [(3.0, 3.0)] * 2


def test_validation_leaves_random_state_and_modes_alone():
    net = model(dropout=0.5)
    frozen = next(iter(net.encoders.values()))
    frozen.eval()

    def noisy(emb):
        return Loss(emb.z["a"].sum() + torch.rand(()), {})

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    validation_loss(net, noisy, source().val, batch_size=4)
    assert torch.equal(torch.rand(4), expected)
    assert net.training
    assert not frozen.training


def test_two_runs_never_share_a_folder(tmp_path):
    config = TrainConfig(**SMALL, out=tmp_path)
    with locked(tmp_path), pytest.raises(InputError, match="in use by another run"):
        fit(model(), Pairwise(), train=source().train, config=config)


def test_cached_steps_hand_over_what_a_model_adds():
    class Marked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, batch):
            emb = self.inner(batch)
            return replace(emb, aux={"index": batch.index})

    def objective(emb):
        assert torch.equal(emb.aux["index"], emb.index)
        return Loss(emb.z["a"].sum(), {})

    cached_step(Marked(), objective, source().train[:12], chunk=5)
