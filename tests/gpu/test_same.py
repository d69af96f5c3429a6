"""The same numbers on a GPU as on a CPU: objectives, training, and what one does with a model afterwards."""

import subprocess
import sys
from functools import partial

import pytest
import torch

import tuplet
from tests.contract.cases import CASES, SIZED, embeddings, gradients
from tests.train.test_fit import same, weights, without_time
from tests.train.toys import model, source, stopping
from tuplet import Embeddings, TrainConfig, fit
from tuplet.model import embed
from tuplet.objectives import Cone, Gram, OneVsAll, Pairwise, SigmoidPairwise, Symile, Temperature, UniAlign

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CONFIG = partial(TrainConfig, epochs=2, batch_size=12, accelerator="gpu")


def away(emb):
    """Copy a batch to the GPU."""
    z, present = ({k: v.cuda() for k, v in side.items()} for side in (emb.z, emb.present))
    return Embeddings.of(z, present=present, aux={k: v.cuda() for k, v in emb.aux.items()})


def test_objectives():
    for name, m in SIZED:
        some = {"m0": torch.arange(9) % 4 > 0, f"m{m - 1}": torch.arange(9) % 3 > 0}
        for present, dtype, near in (({}, torch.float64, 1e-9), (some, torch.float64, 1e-9), ({}, torch.float32, 1e-3)):
            emb = Embeddings.of(embeddings(m, size=9).z, present=present)
            here, expected = gradients(CASES[name].build(m, size=9), emb)
            there = Embeddings.of({k: v.to(dtype) for k, v in emb.z.items()}, present=present)
            objective = CASES[name].build(m, size=9).to("cuda", dtype)
            found, seen = gradients(objective, away(there))
            where = f"{name}, {m} modalities, {dtype}, without {sorted(present)}"
            assert found.total.is_cuda
            torch.testing.assert_close(found.total.cpu().double(), here.total, rtol=near, atol=near, msg=where)
            for k in emb.z:
                torch.testing.assert_close(seen[k].cpu().double(), expected[k], rtol=near, atol=near, msg=where)


def test_many_rows():
    z = embeddings(3, size=6000, dim=16, noise=0.5).z  # several blocks
    for kind in (Pairwise, SigmoidPairwise, Symile, Gram, OneVsAll, Cone, UniAlign):
        draw = {"generator": torch.Generator()} if kind is Symile else {}
        sides = []
        for emb in (Embeddings.of(z), away(Embeddings.of(z))):
            if draw:
                draw["generator"].manual_seed(0)
            loss, grads = gradients(kind(**draw).to(emb.index.device).double(), emb)
            sides.append((loss.total.cpu(), *(g.cpu() for g in grads.values())))
        torch.testing.assert_close(*sides, rtol=1e-9, atol=1e-12, msg=kind.__name__)


def trained(**settings):
    s = source(missing=True)
    return fit(model(), Pairwise(tau=Temperature(0.2)), train=s.train, val=s.val, config=CONFIG(**settings))


def test_training_equals_that_on_a_cpu():
    here, there = trained(accelerator="cpu"), trained()
    for name, value in weights(here).items():
        torch.testing.assert_close(weights(there)[name].cpu(), value, rtol=1e-3, atol=1e-4, msg=name)
    for one, two in zip(without_time(here.history), without_time(there.history), strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("step", ["plain", "cached"])
def test_a_resumed_run_ends_with_the_same_bits(step, tmp_path):
    def run(out=None, stop_at=None):
        objective = stopping(Pairwise(tau=Temperature(0.2)), stop_at)
        more = {"step": step, "chunk": 5, "workers": 2, "checkpoint_every": 1}
        return fit(model(dropout=0.2), objective, train=source(missing=True).train, config=CONFIG(out=out, **more))

    whole, stopped = run(), run(tmp_path, 4)
    assert stopped.stopped
    assert same(weights(whole), weights(run(tmp_path)))


def test_half_precision_and_compiled_steps_stay_near():
    plain = trained()
    for settings in ({"precision": "bf16"}, {"compile": True}):
        run = trained(**settings)
        assert run.history[-1]["loss"] == pytest.approx(plain.history[-1]["loss"], rel=0.05), settings


def test_models_embed_there_and_here(tmp_path):
    s = source(missing=True)
    run = fit(model(), Pairwise(tau=0.2), train=s.train, config=CONFIG(out=tmp_path))
    kept = tuplet.load(tmp_path)
    assert next(run.model.parameters()).is_cuda
    assert next(kept.parameters()).is_cpu
    here, there = embed(kept, s.test), embed(run.model, s.test)
    for k, z in here.z.items():
        torch.testing.assert_close(there.z[k], z, rtol=1e-4, atol=1e-5)
        assert torch.equal(there.present[k], here.present[k])
    raw = {"a": torch.randn(5, 4).numpy()}
    for device in (None, "cuda"):
        near = kept.encode(raw, device=device)["a"]
        torch.testing.assert_close(torch.from_numpy(near), torch.from_numpy(run.model.encode(raw)["a"]), rtol=1e-4, atol=1e-5)
    assert next(kept.parameters()).is_cpu


def test_scores():
    for name, m in ((k, m) for k, m in SIZED if CASES[k].scores):
        z = embeddings(m, size=9).z
        query, candidates = {"m0": z["m0"][:4]}, {k: v for k, v in z.items() if k != "m0"}
        here = CASES[name].build(m, size=9).score(query, candidates)
        there = (
            CASES[name].build(m, size=9).cuda().score(*({k: v.cuda() for k, v in side.items()} for side in (query, candidates)))
        )
        assert there.is_cuda
        torch.testing.assert_close(there.cpu(), here, rtol=1e-9, atol=1e-10, msg=f"{name}, {m} modalities")


def test_commands(tmp_path):
    def tuplet_(*words):
        done = subprocess.run(
            [sys.executable, "-m", "tuplet.cli", *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for accelerator in ("gpu", "auto"):
        out = tmp_path / accelerator
        tuplet_("train", "digits", "--objective", "cone", "--epochs", 2, "--accelerator", accelerator, "--out", out)
        assert "R@1" in tuplet_("evaluate", out)
