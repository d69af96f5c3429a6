"""Transport between modalities: exact matches, unpaired rows and masks."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import embeddings, gradients
from tests.oracles import transport as oracle
from tuplet import Embeddings, InputError
from tuplet.objectives import Pairwise, TransportConsistency

forms = pytest.mark.parametrize("form", ["loop", "barycenter"])


def test_permuted_copies_close_their_loops_and_cost_only_the_entropy():
    z = embeddings(1, size=8, dim=16).z["m0"]
    g = torch.Generator().manual_seed(0)
    copies = {k: z[torch.randperm(8, generator=g)] for k in "abc"}
    terms = TransportConsistency(epsilon=0.01)(Embeddings.of(copies)).terms
    assert float(terms["transport"]) == pytest.approx(0.01 * np.log(8), rel=1e-6)
    assert float(terms["consistency"]) == pytest.approx(0, abs=1e-8)
    assert float(terms["pairing"]) > 1  # the rows of one number do not belong together


@forms
def test_pairing_is_at_its_best_for_exact_pairs(form):
    z = embeddings(1, size=8, dim=16).z["m0"]
    objective = TransportConsistency(form=form, epsilon=0.01)
    assert float(objective(Embeddings.of({"a": z, "b": z})).terms["pairing"]) == pytest.approx(0, abs=1e-8)
    assert float(objective(Embeddings.of({"a": z, "b": z.roll(1, 0)})).terms["pairing"]) > 0.1


def test_rows_of_one_modality_enter_the_transport_only():
    emb = embeddings(2, size=8)
    a, b = torch.arange(8) < 6, torch.arange(8) > 2  # three rows of both, three of one, two of the other
    given = Embeddings.of(emb.z, present={"m0": a, "m1": b})
    objective = TransportConsistency(epsilon=0.2)
    x, y = emb.z["m0"][a].numpy(), emb.z["m1"][b].numpy()
    p, q, cost = np.full(6, 1 / 6), np.full(5, 1 / 5), 1 - x @ y.T
    T = oracle.sinkhorn(cost, p, q, 0.2)
    terms = objective(given).terms
    assert float(terms["transport"]) == pytest.approx((T * cost).sum() + 0.2 * oracle.divergence(T, p, q), rel=1e-8)
    known = [T[i, i - 3] for i in (3, 4, 5)]  # row i is the i-th of the first and the (i - 3)rd of the second
    assert float(terms["pairing"]) == pytest.approx(-np.mean(np.log(known) - np.log(1 / 6)), rel=1e-8)
    loop = np.trace((T / p[:, None]) @ (T.T / q[:, None]))
    assert float(terms["consistency"]) == pytest.approx(1 - loop / 5, rel=1e-8)


@forms
def test_unpaired_rows_train(form):
    emb = embeddings(2, size=8)
    half = torch.arange(8) < 4
    loss, grads = gradients(TransportConsistency(form=form), Embeddings.of(emb.z, present={"m0": half, "m1": ~half}))
    assert loss.terms["pairing"] == 0
    assert loss.terms["transport"] > 0
    assert grads["m0"][half].abs().sum(dim=1).min() > 0
    assert grads["m1"][~half].abs().sum(dim=1).min() > 0
    assert not grads["m0"][~half].any()


@forms
@pytest.mark.parametrize("epsilon", [0.1, 0.02])
def test_gradient_with_unpaired_rows(form, epsilon):
    emb = embeddings(3, size=6, dim=4)
    masks = {"m0": torch.arange(6) < 5, "m1": torch.arange(6) > 1}
    objective = TransportConsistency(form=form, epsilon=epsilon)

    def value(*z):
        return objective(Embeddings.of(dict(zip(emb.z, z, strict=True)), present=masks)).total

    leaves = tuple(v.clone().requires_grad_() for v in emb.z.values())
    assert torch.autograd.gradcheck(value, leaves, atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.slow
@forms
def test_unpaired_rows_help_to_find_their_partners(form):
    g = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(24, 8, generator=g, dtype=torch.float64), dim=1)
    skew = 0.15 * torch.randn(8, 8, generator=g, dtype=torch.float64)
    turn = torch.linalg.matrix_exp(skew - skew.mT)
    W = torch.eye(8, dtype=torch.float64, requires_grad=True)  # to be found: the turn between two modalities
    both = torch.arange(24) < 4
    masks = {"a": both | (torch.arange(24) % 2 == 0), "b": both | (torch.arange(24) % 2 == 1)}
    other = x.clone()
    other[5::2] = x[4::2]  # an unpaired row of b shows what an unpaired row of a shows
    optimiser = torch.optim.Adam([W], lr=0.02)

    def apart():
        return float((torch.nn.functional.normalize(other @ turn @ W.detach(), dim=1) - other).norm(dim=1).mean())

    first = apart()
    for _ in range(60):
        optimiser.zero_grad()
        z = {"a": x, "b": torch.nn.functional.normalize(other @ turn @ W, dim=1)}
        TransportConsistency(form=form, pairing=0.1)(Embeddings.of(z, present=masks)).total.backward()
        optimiser.step()
    assert apart() < 0.5 * first


def test_score_is_the_mean_cosine():
    emb = embeddings(3)
    sides = {"m0": emb.z["m0"]}, {k: emb.z[k] for k in ("m1", "m2")}
    torch.testing.assert_close(TransportConsistency().score(*sides), Pairwise().score(*sides))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "cycle"}, "form is 'cycle'"),
        ({"epsilon": 0.0}, "epsilon is 0"),
        ({"pairing": -1.0}, "pairing is -1"),
        ({"consistency": -1.0}, "consistency is -1"),
        ({"steps": -1}, "steps is -1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((InputError, TypeCheckError), match=rf"{message}|parameter '{next(iter(options))}'"):
        TransportConsistency(**options)
