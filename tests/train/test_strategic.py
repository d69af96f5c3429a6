"""Controllable alignment: strength 0 is the independent baseline to the last bit, any other is the sum it says."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tuplet import InputError, TrainConfig
from tuplet.data import batches, from_arrays
from tuplet.functional.rows import unit
from tuplet.nets import MLP
from tuplet.objectives import Gram, Pairwise, Schedule
from tuplet.objectives.compose import Among
from tuplet.train import strategic
from tuplet.train._rate import learning_rate
from tuplet.train.strength import _seed

CONFIG = TrainConfig(epochs=3, batch_size=16, lr=1e-2, weight_decay=1e-2)


def source(missing=False, n=200):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = {k: rng.normal(size=(n, d)) + y[:, None] * rng.normal(size=d) for k, d in (("a", 5), ("b", 7), ("c", 4))}
    if missing:
        x["b"][rng.random(n) < 0.3] = np.nan
    score = x["a"][:, 0] + 0.3 * rng.normal(size=n)
    return from_arrays(x, targets={"label": y, "score": score, "pair": np.stack([score, -score], 1)})


def encoder(name):
    return MLP({"a": 5, "b": 7, "c": 4}[name], 8, hidden=16)


def alone(data, name, seed):
    """Train one encoder and its head with nothing else there."""
    torch.manual_seed(_seed(seed, name))
    net = encoder(name)
    head = nn.Linear(8, 3)
    torch.manual_seed(_seed(seed, f"{name} head"))
    head.reset_parameters()
    parameters = [*net.parameters(), *head.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": CONFIG.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=CONFIG.lr, fused=True)
    steps = len(data.train) // CONFIG.batch_size
    step = 0
    for epoch in range(CONFIG.epochs):
        for batch in batches(data.train, batch_size=CONFIG.batch_size, seed=seed, epoch=epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps * CONFIG.epochs, CONFIG)
            loss = nn.functional.cross_entropy(head(net(batch.inputs[name])), batch.target["label"], reduction="none")
            loss.mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return {f"net.{k}": v for k, v in net.state_dict().items()} | {f"head.{k}": v for k, v in head.state_dict().items()}


def weights(run, name):
    net, head = run.model.encoders[name].state_dict(), run.task.heads[name].state_dict()
    return {f"net.{k}": v for k, v in net.items()} | {f"head.{k}": v for k, v in head.items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a.keys() | b.keys())


@pytest.mark.parametrize("strength", [0, {("a", "b"): 0.0}])
def test_strength_0_is_every_encoder_trained_alone_bit_by_bit(strength):
    data = source()
    run = strategic(data, strength=strength, encoders=encoder, config=CONFIG, seed=3)
    for name in ("a", "b", "c"):
        assert same(weights(run, name), alone(data, name, seed=3)), name


def test_an_unaligned_encoder_does_not_depend_on_its_partners():
    data = source()
    runs = [strategic(data, modalities=p, strength=0, encoders=encoder, config=CONFIG) for p in ("ab", "ac")]
    assert same(weights(runs[0], "a"), weights(runs[1], "a"))
    lone = strategic(data, strength={("a", "b"): 1.0}, encoders=encoder, config=CONFIG)  # nothing asked of c
    assert same(weights(lone, "c"), weights(runs[1], "c"))
    assert not same(weights(lone, "a"), weights(runs[1], "a"))


@pytest.mark.parametrize("strength", [1.0, Schedule(0.0, 2.0), {("a", "b"): 0.5, ("c", "a"): Schedule(1.0, 0.0)}])
def test_alignment_lowers_the_loss_that_it_adds(strength):
    data = source()
    rows = data.train[slice(0, len(data.train))]

    def contrast(run):
        return float(Among("ab", Pairwise())(run.model(rows)).total.detach())

    options = {"encoders": encoder, "config": CONFIG, "projector": "none"}
    aligned, free = strategic(data, strength=strength, **options), strategic(data, strength=0, **options)
    assert contrast(aligned) < contrast(free)
    emb = aligned.embeddings["test"]
    assert all(torch.allclose(emb.z[k], unit(emb.h[k])) for k in emb.z)


def test_scores_are_those_of_the_heads():
    data = source(missing=True)
    run = strategic(data, strength=0.5, config=CONFIG, dim=8)
    rows = data.test[slice(0, len(data.test))]
    for name in ("a", "b", "c"):
        here = rows.present[name]
        out = run.task.heads[name](run.model.encoders[name](rows.inputs[name][here]))
        right = (out.argmax(1) == rows.target["label"][here]).double().mean()
        assert run.scores["test"][name] == pytest.approx(float(right))
        assert len(run.items[name]) == here.sum()
        assert run.chance[name] == pytest.approx(
            np.unique(rows.target["label"][here], return_counts=True)[1].max() / here.sum()
        )


def test_real_targets_have_r2_or_a_threshold():
    data = source()
    run = strategic(data, target="score", strength=0.2, config=CONFIG, dim=8, real="squared")
    truth = data.test[slice(0, len(data.test))].target["score"][:, 0].numpy()
    guess = run.task.predict(run.embeddings["test"])["a"].detach().numpy()[:, 0]
    expected = 1 - np.square(guess - truth).sum() / np.square(truth - truth.mean()).sum()
    assert (run.metric, run.chance["a"]) == ("r2", 0.0)
    assert run.scores["test"]["a"] == pytest.approx(expected, abs=1e-5)
    sign = strategic(data, target="score", strength=0.2, config=CONFIG, dim=8, real="squared", threshold=0.0)
    assert sign.metric == "accuracy"
    assert sign.scores["test"]["a"] == pytest.approx(((guess > 0) == (truth > 0)).mean())
    assert sign.chance["a"] == pytest.approx(max((truth > 0).mean(), (truth <= 0).mean()))


def test_validation_keeps_the_best_of_the_grid(tmp_path):
    options = {"modalities": "ab", "dim": 8, "config": TrainConfig(epochs=2, batch_size=16, out=tmp_path)}
    run = strategic(source(), strength="validation", grid=(0.0, 1.0, 8.0), **options)
    assert sorted(run.tried) == [0.0, 1.0, 8.0]
    assert run.tried[run.strength] == max(run.tried.values())
    assert sum(run.scores["val"].values()) / 2 == run.tried[run.strength]
    assert {p.name for p in tmp_path.iterdir()} == {"strength-0", "strength-1", "strength-8"}


def test_validation_keeps_the_smallest_of_equals(monkeypatch):
    room = sys.modules["tuplet.train.strength"]
    scored = room._scored

    def equal(*arguments):
        return replace(scored(*arguments), scores={"val": {"a": 0.5, "b": 0.5}})

    monkeypatch.setattr(room, "_scored", equal)
    run = strategic(source(), strength="validation", grid=(1.0, 0.5), modalities="ab", dim=8, config=CONFIG)
    assert run.strength == 0.5
    assert run.tried == {0.5: 0.5, 1.0: 0.5}


def test_any_objective_and_a_fresh_copy_for_every_run():
    objective = Gram()
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    strategic(source(), strength=0.1, objective=objective, config=CONFIG, dim=8)
    assert all(torch.equal(before[k], v) for k, v in objective.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "nothing"}, "target is 'nothing'"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"strength": "best"}, "strength is 'best'"),
        ({"strength": {("a", "x"): 1.0}}, "strength names the pair"),
        ({"strength": "validation", "grid": ()}, "grid is empty"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"target": "pair", "threshold": 0.0}, "threshold is 0.0"),
        ({"projector": "cnn"}, "projector is 'cnn'"),
        ({"projector": "none", "encoders": lambda k: nn.Flatten()}, "projector is 'none'"),
    ],
)
def test_bad_input_is_one_clear_line(options, message):
    with pytest.raises(InputError, match=message):
        strategic(source(), config=CONFIG, **options)
