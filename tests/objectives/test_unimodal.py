"""One task head per modality, and objectives among some of the modalities."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tuplet import Embeddings, InputError
from tuplet.objectives import Gram, Pairwise, Schedule, UnimodalTask
from tuplet.objectives.compose import Among

WIDTHS = {"a": 5, "b": 3, "c": 4}


def embeddings(size=9, target="class", present=None, seed=0):
    g = torch.Generator().manual_seed(seed)
    h = {k: torch.randn(size, w, generator=g, dtype=torch.float64) for k, w in WIDTHS.items()}
    z = {k: torch.randn(size, 6, generator=g, dtype=torch.float64) for k in WIDTHS}
    y = torch.randint(3, (size,), generator=g) if target == "class" else torch.randn(size, 3, generator=g).double()
    return Embeddings.of(z, h=h, target={"label": y}, present=present)


def task(**options):
    torch.manual_seed(1)
    return UnimodalTask(WIDTHS, 3, **options).double()


def oracle(objective, emb, kind):
    """The sum over modalities of a mean over present rows, written with loops."""
    total = 0.0
    for name, head in objective.heads.items():
        w, b = head.weight.detach().numpy(), head.bias.detach().numpy()
        losses = []
        for i in range(len(emb)):
            if not emb.present[name][i]:
                continue
            out, y = w @ emb.h[name][i].numpy() + b, emb.target["label"][i].numpy()
            if kind == "class":
                losses.append(np.log(np.exp(out).sum()) - out[int(y)])
            else:
                losses.append(np.mean(np.abs(out - y)) if kind == "l1" else np.mean((out - y) ** 2))
        total += np.mean(losses)
    return total


@pytest.mark.parametrize("kind", ["class", "l1", "squared"])
def test_equals_the_oracle_with_and_without_missing_rows(kind):
    objective = task(**({} if kind == "class" else {"real": kind}))
    gone = {"b": torch.tensor([True, False, True, True, False, True, True, True, True])}
    for present in (None, gone):
        emb = embeddings(target="class" if kind == "class" else "real", present=present)
        loss = objective(emb)
        assert float(loss.total.detach()) == pytest.approx(oracle(objective, emb, kind), rel=1e-12)
        assert sorted(loss.terms) == ["a", "b", "c"]
        assert float(sum(loss.terms.values())) == pytest.approx(float(loss.total.detach()), rel=1e-12)
    if kind == "class":  # -1 is no class: such a row adds nothing
        unknown = replace(emb, target={"label": torch.where(torch.arange(9) < 8, emb.target["label"], -1)})
        last = replace(emb, target={"label": torch.where(torch.arange(9) < 8, -1, emb.target["label"])})
        parts = float((objective(unknown).total + objective(last).total).detach())
        assert parts == pytest.approx(float(loss.total.detach()), rel=1e-12)


def test_gradients_are_those_of_the_value_and_stay_within_a_modality():
    emb, objective = embeddings(), task()
    leaves = {k: v.clone().requires_grad_() for k, v in emb.h.items()}
    assert torch.autograd.gradcheck(
        lambda *h: objective(replace(emb, h=dict(zip(leaves, h, strict=True)))).total, tuple(leaves.values())
    )
    term = objective.split(replace(emb, h=leaves))["a"]
    grads = torch.autograd.grad(term, list(leaves.values()), allow_unused=True)
    assert [g is not None for g in grads] == [True, False, False]


@pytest.mark.parametrize("world", [3])
def test_mean_over_processes_is_the_whole(world):
    emb, objective = embeddings(present={"c": torch.arange(9) % 4 != 0}), task()
    parts = [objective(replace(emb, rows=slice(3 * r, 3 * r + 3))).total for r in range(world)]
    torch.testing.assert_close(sum(parts) / world, objective(emb).total, rtol=1e-12, atol=0)


def test_copies_and_takes_half_precision():
    emb, objective = embeddings(), task()
    assert copy.deepcopy(objective)(emb).total == objective(emb).total
    single = task().float()
    half = replace(emb, h={k: v.to(torch.bfloat16) for k, v in emb.h.items()})
    with torch.autocast("cpu", torch.bfloat16):
        assert single(half).total.dtype == torch.float32


def test_the_papers_sum_is_task_plus_lambda_times_infonce():
    emb, lam = embeddings(), 0.6
    z = {k: v.numpy() / np.linalg.norm(v.numpy(), axis=1, keepdims=True) for k, v in emb.z.items() if k != "c"}
    s = z["a"] @ z["b"].T / 0.07

    def nce(s):
        return np.mean([np.log(np.exp(row).sum()) - row[i] for i, row in enumerate(s)])

    whole = task() + lam * Among(("a", "b"), Pairwise(tau=0.07))
    expected = oracle(task(), emb, "class") + lam * (nce(s) + nce(s.T)) / 2
    assert float(whole(emb).total.detach()) == pytest.approx(expected, rel=1e-10)


def test_strengths_per_pair_are_pairwise_weights():
    emb = embeddings()
    weights = {("a", "b"): 0.5, ("a", "c"): 2.0, ("b", "c"): 0.0}
    one = Pairwise(weights=weights, reduction="sum")(emb).total
    summed = 0.5 * Among(("a", "b"), Pairwise()) + 2.0 * Among(("c", "a"), Pairwise())
    torch.testing.assert_close(summed(emb).total, one)
    assert sorted(summed(emb).terms) == ["a+b.contrast", "a+c.contrast"]


def test_among_passes_progress_and_any_function_on():
    emb = embeddings()
    inner = Schedule(0.0, 1.0) * Gram()
    part = Among("ab", inner)
    assert part(emb).total == 0
    part.advance(1.0)
    two = Embeddings.of({k: emb.z[k] for k in "ab"})
    torch.testing.assert_close(part(emb).total, Gram()(two).total)
    plain = Among("ab", lambda e: Pairwise()(e))
    assert plain.split(emb)["total"] == Pairwise()(two).total
    assert plain(emb).total == Pairwise()(two).total


def test_bad_input_is_one_clear_line():
    emb = embeddings()
    with pytest.raises(InputError, match="in_features has"):
        UnimodalTask({"a": 5}, 3)(emb)
    with pytest.raises(InputError, match=r"target\['other'\] is missing"):
        task(target="other")(emb)
    with pytest.raises((InputError, TypeCheckError), match="real"):  # the type-checked run refuses other words first
        task(real="huber")
    with pytest.raises(InputError, match=r"modalities names \['x'\]"):
        Among("ax", Pairwise())(emb)
