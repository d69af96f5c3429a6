"""What training logs beside the loss, and what it adds to the embeddings for objectives that need more."""

import random
import warnings

import numpy as np
import pytest
import torch

from tests.contract.cases import embeddings
from tests.train.toys import model, source
from tuplet import Embeddings, InputError, TrainConfig, fit
from tuplet.data import hide
from tuplet.diagnose import forces, panel, positive_cosine
from tuplet.objectives import CoMM, Gram, OneVsAll, Pairwise, Schedule, Symile, UniAlign
from tuplet.train._monitor import monitor, warn_if_unbalanced
from tuplet.train._needs import Embedder
from tuplet.types import Traits

SMALL = {"epochs": 2, "batch_size": 12}


def test_panel_agrees_with_its_parts():
    emb = embeddings(3, size=20)
    found = panel(emb)
    cosines = positive_cosine(emb)
    assert found["positive_cosine"] == pytest.approx(float(cosines.mean()), rel=1e-5)
    assert found["positive_cosine_low"] == pytest.approx(float(cosines.sort().values[int(0.05 * 59)]), rel=1e-5)
    a, b = emb.z["m0"], emb.z["m1"]
    c = emb.z["m2"]
    apart = np.mean([float((x - y).square().sum(1).mean()) for x, y in ((a, b), (a, c), (b, c))])
    assert found["alignment"] == pytest.approx(apart, rel=1e-5)
    assert found["chi"] >= found["chi_bound"] - 1e-6
    assert set(found) >= {"zeta", "zeta_negatives", "residual", "uniformity", "effective_rank", "centroid_gap"}
    assert panel(Embeddings.of(emb.z, present={k: torch.zeros(20, dtype=torch.bool) for k in ("m1", "m2")})) == {}


def test_forces_are_gradients():
    z = {k: v.clone().requires_grad_() for k, v in embeddings(2).z.items()}
    terms = {"pull": (z["m0"] - z["m1"]).square().sum(), "sum": 2 * z["m0"].sum(), "none": torch.tensor(1.0)}
    norms, cosines = forces(terms, z)
    d = (z["m0"] - z["m1"]).detach()
    assert norms == {
        "pull": pytest.approx(float(2 * 2**0.5 * d.norm())),
        "sum": pytest.approx(2 * z["m0"].numel() ** 0.5),
    }
    expected = float((2 * d).sum() * 2) / norms["pull"] / norms["sum"]
    assert cosines == {"pull|sum": pytest.approx(expected)}


def test_monitoring_changes_nothing_in_training():
    def weights(watch):
        m = model(dropout=0.3)
        objective = Symile(generator=torch.Generator().manual_seed(0)) + 0.5 * Pairwise()
        if not watch:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("tuplet.train._session.monitor", lambda *_: {})
                fit(m, objective, train=source().train, config=TrainConfig(**SMALL))
        else:
            fit(m, objective, train=source().train, config=TrainConfig(**SMALL))
        return torch.cat([p.detach().flatten() for p in m.parameters()])

    assert torch.equal(weights(True), weights(False))


def test_running_statistics_stay_as_they_are():
    m = model()
    m.encoders["a"] = torch.nn.Sequential(m.encoders["a"], torch.nn.BatchNorm1d(8))
    m.train()
    before = {k: v.clone() for k, v in m.state_dict().items()}
    monitor(Embedder(m, Pairwise()), Pairwise(), source().train[:12])
    assert m.training
    assert all(torch.equal(v, before[k]) for k, v in m.state_dict().items())


def test_random_states_stay_as_they_are():
    """Both draw: from the global generator and from one of their own; also when the measurement fails."""
    for generator in (None, torch.Generator().manual_seed(3)):
        objective = Symile(generator=generator) + 0.5 * Pairwise()
        embed, batch = Embedder(model(dropout=0.5), objective), source().train[:12]

        def states(own=generator):
            numbers = np.random.get_state()[1].tolist(), random.getstate()
            return torch.get_rng_state().tolist(), own and own.get_state().tolist(), *numbers

        before = states()
        objective(embeddings(3))
        assert states() != before, "the objective draws, or this test shows nothing"
        before = states()
        monitor(embed, objective, batch)
        assert states() == before

        class Fails(Symile):
            def terms(self, emb):
                super().terms(emb)
                raise FloatingPointError

        failing = Fails(generator=generator) + Pairwise()
        with pytest.raises(FloatingPointError):
            monitor(embed, failing, batch)
        assert states() == before


def test_forces_of_a_composite_are_logged():
    objective = OneVsAll(tau=0.1) + Schedule(0.0, 0.5) * Pairwise()
    history = fit(model(), objective, train=source().train, config=TrainConfig(**SMALL)).history
    parts = {"onevsall.sufficiency", "onevsall.minimality", "pairwise.contrast"}
    assert {k.removeprefix("force/") for k in history[-1] if k.startswith("force/")} == parts
    assert len([k for k in history[-1] if k.startswith("together/")]) == 3
    assert history[0]["pairwise.contrast"] < history[1]["pairwise.contrast"]  # the weight grew
    assert all(-1 <= v <= 1 for k, v in history[-1].items() if k.startswith("together/"))


def test_a_term_that_hardly_matters_is_told_once():
    with pytest.warns(UserWarning, match=r"times that of .*pairwise.contrast") as told:
        fit(model(), Gram() + 1e-4 * Pairwise(), train=source().train, config=TrainConfig(**SMALL))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_if_unbalanced({"force/a": 0.0, "force/b": 1.0})


def test_objectives_get_what_they_need():
    batch = source().train[:10]

    class Reads(Pairwise):
        traits = Traits(needs=("inputs",))

    emb = Embedder(model(), Reads())(batch)
    assert all(torch.equal(emb.aux[f"input.{k}"], v) for k, v in batch.inputs.items())
    emb = Embedder(model(), 0.5 * CoMM(tuple("abc"), 8), augment=lambda b: b)(batch)
    for k in "abc":  # without noise both views are the embeddings
        assert torch.equal(emb.aux[f"view0.{k}"], emb.z[k])
        assert torch.equal(emb.aux[f"view1.{k}"], emb.z[k])
    assert Embedder(model(), Pairwise())(batch).aux == {}

    class Wants(Pairwise):
        traits = Traits(needs=("moon",))

    with pytest.raises(InputError, match=r"needs \['moon'\]"):
        Embedder(model(), Wants())


def test_comm_trains_its_fusion_and_learns():
    objective = CoMM(tuple("abc"), 8)
    before = [p.detach().clone() for p in objective.parameters()]
    run = fit(model(), objective, train=source(200).train, config=TrainConfig(epochs=8, batch_size=40, lr=3e-3))
    assert run.history[-1]["loss"] < 0.8 * run.history[0]["loss"]
    assert all(not torch.equal(p, q) for p, q in zip(objective.parameters(), before, strict=True))


@pytest.mark.parametrize("objective", [Pairwise(), OneVsAll(tau=0.1), Gram(), Symile(), UniAlign(tau=0.3)])
def test_training_with_half_of_the_entries_missing_aligns(objective):
    half = hide(source(240), 0.5)
    share = torch.stack(list(half.train[:].present.values())).float().mean()
    assert 0.4 < float(share) < 0.6
    run = fit(model(), objective, train=half.train, val=half.val, config=TrainConfig(epochs=8, batch_size=48, lr=3e-3))
    assert np.isfinite([v for entry in run.history for v in entry.values()]).all()
    assert run.history[-1]["val"] < run.history[0]["val"]


def test_monitor_survives_batches_without_pairs():
    alone = hide(source(40), 0.95, seed=3)
    found = monitor(Embedder(model(), Pairwise()), Pairwise(), alone.train[:5])
    assert all(np.isfinite(v) for v in found.values())
