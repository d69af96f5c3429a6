"""Conflict metrics against autograd, loops and the bound of the paper."""

import numpy as np
import pytest
import torch

from tests.contract.cases import embeddings
from tuplet import Embeddings, InputError
from tuplet.diagnose import conflict


def loops(emb, anchor, tau, i):
    """Equations 3 and 4 for one row: pull, push and push of the negatives."""
    others = [k for k in emb.modalities if k != anchor and emb.present[k][i]]
    pull, push, negative = (torch.zeros(emb.z[anchor].shape[1], dtype=torch.float64) for _ in range(3))
    for n in others:
        rows = [k for k in range(len(emb)) if emb.present[n][k]]
        if emb.group is not None:
            rows = [k for k in rows if k == i or emb.group[k] != emb.group[i]]
        weights = torch.softmax(torch.stack([emb.z[anchor][i] @ emb.z[n][k] for k in rows]) / tau, dim=0)
        pull += emb.z[n][i]
        for k, p in zip(rows, weights, strict=True):
            push += p * emb.z[n][k]
            negative += (k != i) * p * emb.z[n][k]
    return pull, push, negative, len(others)


@pytest.mark.parametrize("m", [2, 3, 5])
@pytest.mark.parametrize("which", ["whole", "masked", "grouped"])
def test_equals_loops(m, which):
    emb = embeddings(m, size=7)
    if which == "masked":
        present = {k: torch.rand(7, generator=torch.Generator().manual_seed(j)) > 0.3 for j, k in enumerate(emb.z)}
        emb = Embeddings.of(emb.z, present=present)
    if which == "grouped":
        emb = Embeddings.of(emb.z, group=torch.tensor([0, 0, 1, 2, 2, 3, 4]))
    found = conflict(emb, anchor="m1", tau=0.2)
    expected = []
    for i in range(7):
        if emb.present["m1"][i]:
            pull, push, negative, k = loops(emb, "m1", 0.2, i)
            if k:
                cosines = [torch.nn.functional.cosine_similarity(pull, f, dim=0) for f in (push, negative)]
                expected.append([*cosines, (pull - push).norm() / pull.norm(), 1 - pull.norm() / k])
    seen = torch.stack([found.zeta, found.zeta_negatives, found.residual, found.chi], dim=1)
    torch.testing.assert_close(seen, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_pull_and_push_are_the_gradient_of_infonce():
    emb, tau = embeddings(4, size=6), 0.1
    q = emb.z["m0"].clone().requires_grad_()
    loss = sum(torch.nn.functional.cross_entropy(q @ emb.z[k].T / tau, torch.arange(6), reduction="sum") for k in
               ("m1", "m2", "m3"))  # fmt: skip
    loss.backward()
    for i in range(6):
        pull, push, _, _ = loops(emb, "m0", tau, i)
        torch.testing.assert_close(q.grad[i], (push - pull) / tau)
    pull = torch.stack([loops(emb, "m0", tau, i)[0] for i in range(6)])
    torch.testing.assert_close(conflict(emb, tau=tau).residual, q.grad.norm(dim=1) * tau / pull.norm(dim=1))


@pytest.mark.parametrize("m", [2, 3, 6])
def test_chi_meets_its_bound_row_by_row_and_lies_above_it_on_average(m):
    emb = embeddings(m, size=20, noise=1.0)
    found = conflict(emb)
    others = np.stack([emb.z[f"m{k}"].numpy() for k in range(1, m)])
    pairs = [(a, b) for a in range(m - 1) for b in range(a)]
    if m == 2:
        assert found.chi.abs().max() < 1e-12
        assert np.isnan(found.mu)
    else:
        mu = np.mean([(others[a] * others[b]).sum(1) for a, b in pairs], axis=0)
        np.testing.assert_allclose(found.chi, 1 - np.sqrt((1 + (m - 2) * mu) / (m - 1)), rtol=1e-9)
        assert found.mu == pytest.approx(mu.mean())
        assert found.chi_bound == pytest.approx(1 - np.sqrt((1 + (m - 2) * mu.mean()) / (m - 1)))
    assert float(found.chi.mean()) >= found.chi_bound - 1e-12
    assert found.summary()["chi"] == pytest.approx(float(found.chi.mean()))


def test_as_printed_zeta_is_one_where_alignment_has_succeeded():
    good, bad = (conflict(embeddings(3, size=64, dim=32, noise=n)).summary() for n in (0.01, 4.0))
    assert good["zeta"] > 0.999
    assert good["residual"] < 0.01
    assert bad["zeta"] < 0.5
    assert bad["residual"] > 0.8
    assert all(-1 <= s[k] <= 1 for s in (good, bad) for k in ("zeta", "zeta_negatives"))


def test_zero_forces_and_far_negatives_stay_finite():
    e = torch.eye(4, 8)
    cancelled = conflict(Embeddings.of({"a": e, "b": e.flip(0), "c": -e.flip(0)}))
    assert (cancelled.zeta == 0).all()
    assert (cancelled.residual == 1).all()
    assert (cancelled.chi == 1).all()
    lonely = conflict(Embeddings.of({"a": e, "b": e}, group=torch.zeros(4, dtype=torch.long)))
    assert (lonely.zeta_negatives == 0).all()
    assert (lonely.residual == 0).all()
    far = conflict(embeddings(3, size=8, noise=0.01, dtype=torch.float32), tau=0.001)  # negatives weigh exp(-1000)
    assert torch.isfinite(far.zeta_negatives).all()
    assert far.zeta_negatives.abs().max() > 0


def test_bad_input_is_named():
    emb = embeddings(3)
    with pytest.raises(InputError, match="anchor is 'nope'"):
        conflict(emb, anchor="nope")
    with pytest.raises(InputError, match="has only"):
        conflict(embeddings(1))
    with pytest.raises(InputError, match="no row has 'm0' and another"):
        conflict(Embeddings.of(emb.z, present={"m0": torch.zeros(6, dtype=torch.bool)}))
    with pytest.raises(InputError, match="tau is 0"):
        conflict(emb, tau=0.0)


def test_weights_of_pairs_weigh_pull_push_and_the_bound():
    emb, shares = embeddings(4, size=7), {"m0": 0.5, "m2": 2.0, "m3": 1.0}
    found = conflict(emb, anchor="m1", tau=0.2, weights=shares)
    z = {k: torch.nn.functional.normalize(v.double(), dim=1) for k, v in emb.z.items()}
    pull = sum(w * z[k] for k, w in shares.items())
    push = sum(w * torch.softmax(z["m1"] @ z[k].mT / 0.2, dim=1) @ z[k] for k, w in shares.items())
    torch.testing.assert_close(found.zeta, torch.nn.functional.cosine_similarity(pull, push))
    torch.testing.assert_close(found.residual, (pull - push).norm(dim=1) / pull.norm(dim=1))
    torch.testing.assert_close(found.chi, 1 - pull.norm(dim=1) / 3.5)
    products = {(a, b): (z[a] * z[b]).sum(1) for a in shares for b in shares if a < b}
    weighted = sum(shares[a] * shares[b] * v for (a, b), v in products.items())
    mu = weighted / sum(shares[a] * shares[b] for a, b in products)
    assert found.mu == pytest.approx(float(mu.mean()))
    torch.testing.assert_close(conflict(emb, weights=dict.fromkeys(("m1", "m2", "m3"), 3.0)).zeta, conflict(emb).zeta)
    with pytest.raises(InputError, match="every modality but the anchor"):
        conflict(emb, weights={"m1": 1.0})
    with pytest.raises(InputError, match="weights of 'm1'"):
        conflict(emb, weights={"m1": 0.0, "m2": 1.0, "m3": 1.0})
