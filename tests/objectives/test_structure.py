"""The structure regulariser: its consensus, weights, missing rows and inputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import embeddings, gradients
from tests.oracles import transport as oracle
from tuplet import Embeddings, InputError
from tuplet.functional import _plans
from tuplet.objectives import Pairwise, Structure


def inputs(emb, seed=1, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    return {f"input.{k}": scale * torch.randn(len(emb), 2, 3, generator=g, dtype=torch.float64) for k in emb.z}


def test_inputs_are_taken_from_aux_and_only_their_shape_matters():
    emb = embeddings(3)
    aux = inputs(emb)
    given = replace(emb, aux=aux)
    C = np.mean([oracle.rbf(x.flatten(1).numpy()) for x in aux.values()], axis=0)
    expected = np.mean([np.mean((C - oracle.rbf(z.numpy(), 2**0.5)) ** 2) for z in emb.z.values()])
    assert float(Structure()(given).total) == pytest.approx(expected, rel=1e-9)
    by_hand = Embeddings.of(emb.z, h={k: aux[f"input.{k}"].flatten(1) for k in emb.z})
    torch.testing.assert_close(Structure()(by_hand).total, Structure()(given).total)
    scaled = replace(emb, aux=inputs(emb, scale=50.0))
    for kernels in ("rbf", "linear"):
        torch.testing.assert_close(Structure(kernels=kernels)(scaled).total, Structure(kernels=kernels)(given).total)


def test_missing_rows_leave_the_pairs_of_rows_that_a_modality_has():
    emb = embeddings(3, size=8)
    masks = {k: torch.rand(8, generator=torch.Generator().manual_seed(i)) > 0.3 for i, k in enumerate(emb.z)}
    given = replace(Embeddings.of(emb.z, present=masks), aux=inputs(emb))
    seen, grads = gradients(Structure(), given)
    there = [m.numpy() for m in masks.values()]
    K = [np.zeros((8, 8)) for _ in there]
    for k, mask, x in zip(K, there, given.aux.values(), strict=True):
        k[np.ix_(mask, mask)] = oracle.rbf(x.flatten(1).numpy()[mask])
    C, total = np.zeros((8, 8)), 0.0
    for i, j in np.ndindex(8, 8):
        shares = [1 / mask.sum() ** 2 if mask[i] and mask[j] else 0.0 for mask in there]
        if sum(shares):
            C[i, j] = sum(s * k[i, j] for s, k in zip(shares, K, strict=True)) / sum(shares)
    for mask, z in zip(there, emb.z.values(), strict=True):
        own = np.ix_(mask, mask)
        total += np.mean((C[own] - oracle.rbf(z.numpy()[mask], 2**0.5)) ** 2) / 3
    assert float(seen.total.detach()) == pytest.approx(total, rel=1e-9)
    for k, grad in grads.items():
        assert not grad[~masks[k]].any()
        assert grad[masks[k]].any()


def test_masses_of_float32_rows_are_met_exactly(monkeypatch):
    """Masses that sum to 1 up to 1e-7 have no plan: the solver would take every step it has."""
    steps, solve = [], _plans.potentials
    monkeypatch.setattr(_plans, "potentials", lambda *given: steps.append(given) or solve(*given))
    emb = embeddings(2, dtype=torch.float32)
    there = torch.tensor([1, 1, 0, 1, 1, 1]).bool()
    Structure(coupling="entropic", epsilon=0.2, rounds=1)(Embeddings.of(emb.z, present={"m0": there}))
    assert 0 < len(steps) < 100


@pytest.mark.parametrize("coupling", ["identity", "gw", "entropic"])
def test_rows_missing_everywhere_count_for_nothing(coupling):
    emb = embeddings(3, size=8)
    gone = torch.tensor([0, 0, 1, 0, 0, 0, 1, 0], dtype=torch.bool)
    aux = inputs(emb)
    masked = replace(Embeddings.of(emb.z, present=dict.fromkeys(emb.z, ~gone)), aux=aux)
    removed = replace(Embeddings.of({k: v[~gone] for k, v in emb.z.items()}), aux={k: v[~gone] for k, v in aux.items()})
    structure = Structure(coupling=coupling)
    torch.testing.assert_close(structure(masked).total, structure(removed).total, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("coupling", ["gw", "entropic"])
def test_modalities_of_different_rows_are_matched(coupling):
    emb = embeddings(2, size=8)
    half = torch.arange(8) < 4
    apart = replace(Embeddings.of(emb.z, present={"m0": half, "m1": ~half}), aux=inputs(emb))
    loss, grads = gradients(Structure(coupling=coupling), apart)
    assert torch.isfinite(loss.total)
    assert grads["m0"][half].any()
    assert not grads["m0"][~half].any()


def test_learned_weights_follow_the_distances_and_pay_for_concentration():
    emb = replace(embeddings(3), aux=inputs(embeddings(3)))
    structure = Structure(weights="learned", modalities=["m2", "m0", "m1"], entropy=0.05).double()
    structure.logits.data = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    share = structure.logits.detach().softmax(0)
    loss = structure(emb)
    loss.total.backward()
    C = sum(w * torch.from_numpy(oracle.rbf(x.flatten(1).numpy())) for w, x in zip(share, emb.aux.values(), strict=True))
    d = torch.stack([(C - torch.from_numpy(oracle.rbf(z.numpy(), 2**0.5))).square().mean() for z in emb.z.values()])
    slope = d + 0.05 * (share * 3).log()  # and a constant, which a softmax ignores
    torch.testing.assert_close(structure.logits.grad, share * (slope - (share * slope).sum()))
    torch.testing.assert_close(loss.terms["weights"], 0.05 * (share * (share * 3).log()).sum())
    assert structure.weights() == pytest.approx(dict(zip(["m0", "m1", "m2"], share.tolist(), strict=True)))
    assert structure.logged() == {f"weight/{k}": v for k, v in structure.weights().items()}


def test_learned_weights_stay_inside_the_simplex():
    emb = replace(embeddings(3), aux=inputs(embeddings(3)))
    structure = Structure(weights="learned", modalities=["m0", "m1", "m2"])
    optimiser = torch.optim.Adam(structure.parameters(), lr=0.3)
    for _ in range(60):
        optimiser.zero_grad()
        structure(emb).total.backward()
        optimiser.step()
    weights = structure.weights()
    assert sum(weights.values()) == pytest.approx(1, abs=1e-6)
    assert 1e-3 < min(weights.values()) < max(weights.values()) < 0.999
    assert max(weights.values()) - min(weights.values()) > 0.01


def test_fixed_weights_are_scaled_to_one():
    emb = replace(embeddings(2), aux=inputs(embeddings(2)))
    structure = Structure(weights={"m0": 3.0, "m1": 1.0})
    assert structure.weights() == {"m0": 0.75, "m1": 0.25}
    torch.testing.assert_close(structure(emb).total, Structure(weights={"m0": 6.0, "m1": 2.0})(emb).total)
    assert structure.logged() == Structure().weights() == {}
    with pytest.raises(InputError, match=r"\['m2'\] without a weight"):
        structure(embeddings(3))


def test_a_kernel_of_ones_own_sees_the_present_rows_and_is_scaled():
    emb = embeddings(2, size=6)
    mask = torch.tensor([True, True, False, True, True, True])
    given = replace(Embeddings.of(emb.z, present={"m0": mask}), aux=inputs(emb))
    seen = []

    def own(x):
        seen.append(x.shape)
        return 9 * x.flatten(1) @ x.flatten(1).mT

    ours = Structure(kernels={"m0": own, "m1": "linear"})(given).total
    assert seen == [torch.Size([5, 2, 3])]
    torch.testing.assert_close(ours, Structure(kernels="linear")(given).total)


def test_a_collapsed_batch_is_pushed_apart():
    g = torch.Generator().manual_seed(0)
    h = {k: torch.randn(12, 8, generator=g, dtype=torch.float64) for k in "ab"}
    z = {k: (torch.ones(12, 8) + 0.1 * torch.randn(12, 8, generator=g)).double() for k in "ab"}
    leaves = {k: torch.nn.functional.normalize(v, dim=1).requires_grad_() for k, v in z.items()}
    Structure()(replace(Embeddings.of(leaves, h=h), z=leaves)).total.backward()
    for v in leaves.values():
        moved = torch.nn.functional.normalize(v - 0.5 * v.grad, dim=1).detach()
        assert torch.pdist(moved).mean() > torch.pdist(v.detach()).mean()


def test_a_renamed_geometry_costs_nothing_with_gw_and_something_with_the_pairing():
    g = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(12, 6, generator=g, dtype=torch.float64), dim=1)
    order = torch.randperm(12, generator=g)
    inputs = {"a": z, "b": z}  # the consensus is z's own geometry; b's embeddings are its rows in another order
    emb = Embeddings.of({"a": z, "b": z[order]}, h=inputs)
    options = {"kernels": "linear", "embedding": "linear"}
    assert float(Structure(coupling="gw", **options)(emb).total) < 1e-9
    assert float(Structure(coupling="identity", **options)(emb).total) > 0.01


def test_unknown_names_are_refused():
    for options in ({"kernels": {"forse": "linear"}}, {"weights": {"m0": 1.0, "m1": 1.0, "zz": 1.0}}):
        with pytest.raises(InputError, match="which z does not have"):
            Structure(**options)(embeddings(2))


def test_it_adds_to_an_objective_and_asks_for_inputs():
    both = Pairwise() + 0.1 * Structure()
    emb = embeddings(3)
    torch.testing.assert_close(both(emb).total, Pairwise()(emb).total + 0.1 * Structure()(emb).total)
    assert Structure().traits.needs == ("inputs",)
    assert Structure().score is None
    assert both.score is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": "poly"}, "kernels is 'poly'"),
        ({"kernels": {"a": "poly"}}, "kernels is 'poly'"),
        ({"coupling": "ot"}, "coupling is 'ot'"),
        ({"weights": "learned"}, "weights='learned' needs modalities"),
        ({"modalities": ["a"]}, "weights='learned' needs modalities"),
        ({"weights": {"a": -1.0}}, "weights is"),
        ({"entropy": 0.0}, "entropy is 0"),
        ({"epsilon": 0.0}, "epsilon is 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((InputError, TypeCheckError), match=rf"{message}|parameter '{next(iter(options))}'"):
        Structure(**options)


@pytest.mark.parametrize("options", [{}, {"kernels": "linear"}, {"coupling": "gw"}, {"coupling": "entropic", "epsilon": 0.05}])
def test_the_length_of_inputs_and_of_embeddings_does_not_matter(options):
    g = torch.Generator().manual_seed(0)
    z = {k: torch.nn.functional.normalize(torch.randn(12, 6, generator=g), dim=1) for k in "abc"}
    h = {k: torch.randn(12, 5, generator=g) for k in "abc"}
    objective = Structure(**options)
    value = objective(Embeddings.of(z, h=h)).total
    for power in (-100, -66, 66, 100):
        scaled = objective(Embeddings.of(z, h={k: v * 2.0**power for k, v in h.items()})).total
        torch.testing.assert_close(scaled, value, rtol=1e-6, atol=0)
    long = Embeddings.of({k: v * 1e20 for k, v in z.items()}, h=h)
    torch.testing.assert_close(objective(long).total, value, rtol=1e-4, atol=0)
