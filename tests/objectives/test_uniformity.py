"""UniAlign: what its paper says, its options, and rows that lack modalities."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import embeddings, gradients
from tests.oracles import uniformity as oracle
from tests.oracles.uniformity import uniformity as one_uniformity
from tests.reference import each_case, leaves
from tuplet import Embeddings, InputError
from tuplet.functional.divergence import holder_divergence
from tuplet.objectives import Gram, Pairwise, UniAlign


def terms(objective, emb):
    return {k: float(v) for k, v in objective(emb).terms.items()}


def named(data):
    return Embeddings.of({f"m{k}": v.detach() for k, v in enumerate(leaves(data))})


@each_case("align_uniform")
def test_alignment_is_the_authors_of_the_pairs_with_the_anchor(case, data):
    emb = named(data)
    m = len(emb.modalities)
    expected = data["align_alpha2"].numpy()[: m - 1]  # pairs (0, 1) .. (0, M - 1) come first
    literal = terms(UniAlign(weighting="literal"), emb)
    assert literal["alignment"] == pytest.approx(expected.mean(), rel=1e-9)
    exact = terms(UniAlign(tau=0.3), emb)
    assert exact["alignment"] == pytest.approx(expected.sum() / (2 * 0.3**2), rel=1e-9)
    # two rows: UniAlign's logarithm per row and Wang and Isola's over all pairs are one
    two = Embeddings.of({k: v[:2] for k, v in emb.z.items()})
    by_row, by_all = (terms(UniAlign(tau=0.5, reduction=r), two)["uniformity"] for r in ("row", "global"))
    assert by_row == pytest.approx(by_all)


@each_case("gram")
def test_volume_is_the_mean_of_the_authors_matching_volumes(case, data):
    emb = named(data)
    expected = float(np.diagonal(data["volume"]).mean())
    assert terms(UniAlign(volume=1.0, volume_eps=0.0), emb)["volume"] == pytest.approx(expected, abs=2e-6)
    assert terms(UniAlign(volume=0.1), emb)["volume"] == pytest.approx(0.1 * expected, abs=2e-5)


@each_case("clip_mean")
def test_equation_1_is_rows_times_the_mean_over_pairs(case, data):
    emb = named(data)
    z, tau, n = [emb.z[k].numpy() for k in emb.modalities], float(1 / data["logit_scale"]), len(emb)
    total = 0.0
    for a in range(3):
        for b in range(3):
            if a != b:
                for i in range(n):
                    logits = z[b] @ z[a][i] / tau
                    total += np.log(np.exp(logits - logits[i]).sum()) / 6  # all weights 1, their sum 6
    assert total == pytest.approx(n * float(data["loss"]), rel=1e-9)
    assert total == pytest.approx(n * float(Pairwise(tau=tau)(emb).total), rel=1e-9)


def test_holder_weights_are_the_limit_of_the_divergence():
    """Equation 24 for tau -> 0: own kernels exp((M - 1) log s), cross kernels of the matches; see UniAlign."""
    m, n, tau = 3, 5, 0.02
    emb = embeddings(m, size=n, dim=16, noise=0.0)
    g = torch.Generator().manual_seed(1)
    z = {k: v + 0.01 * torch.randn(v.shape, generator=g, dtype=v.dtype) for k, v in emb.z.items()}
    near = Embeddings.of(z)
    pulled = terms(UniAlign(tau=tau), near)["alignment"]
    # kernels of other rows vanish at this tau, so the plug-in's joint term is that of the matches alone
    rows = [torch.nn.functional.normalize(v, dim=1) for v in z.values()]
    exponents = sum(-(rows[0] - v).square().sum(1) for v in rows[1:]) / (2 * tau**2)
    joint = float(torch.logsumexp(exponents, 0)) - np.log(n) - (m - 1) * np.log(n)
    spread = -(m - 1) * np.log(n)  # every row meets itself only
    assert float(holder_divergence(rows, tau=tau)) == pytest.approx(spread - joint, rel=1e-6)
    assert -float(exponents.mean()) == pytest.approx(pulled, rel=1e-9)  # the mean of logarithms for the log of the mean


def test_temperature_is_the_square_of_the_bandwidth():
    emb = embeddings(3)
    torch.testing.assert_close(UniAlign(temperature=0.07)(emb).total, UniAlign(tau=0.07**0.5)(emb).total)
    cosines = (emb.z["m0"] @ emb.z["m0"].T / 0.09).masked_fill(torch.eye(6, dtype=torch.bool), -torch.inf)
    softmax = (cosines.logsumexp(1) - 1 / 0.09 - np.log(5)).mean()
    one = one_uniformity(emb.z["m0"].numpy(), tau=0.3)
    assert float(softmax) == pytest.approx(one)
    assert UniAlign().tau == UniAlign().tau_ctr == 0.07


def test_bandwidths_pairs_and_weights_of_centroids_are_those_of_loops():
    z = {k: v.double() for k, v in embeddings(3, size=6).z.items()}
    emb, x = Embeddings.of(z), [oracle.unit(v.numpy()) for v in z.values()]
    taus = {"m0": 0.3, "m1": 0.5, "m2": 0.7}
    found = terms(UniAlign(tau=taus), emb)
    spread = sum(oracle.uniformity(v, tau=t) for v, t in zip(x, taus.values(), strict=True))
    assert found["uniformity"] == pytest.approx(2 / 3 * spread)
    apart = {(i, j): np.mean(np.sum((x[i] - x[j]) ** 2, axis=1)) for i in range(3) for j in range(i + 1, 3)}
    assert found["alignment"] == pytest.approx(apart[0, 1] / (2 * 0.5**2) + apart[0, 2] / (2 * 0.7**2))
    # all pairs are the mean over anchors, with one bandwidth and with three
    for tau in (0.3, taus):
        anchored = [terms(UniAlign(tau=tau, anchor=a), emb)["alignment"] for a in z]
        assert terms(UniAlign(tau=tau, pairs="all"), emb)["alignment"] == pytest.approx(np.mean(anchored))
    literal = terms(UniAlign(weighting="literal", pairs="all"), emb)["alignment"]
    assert literal == pytest.approx(np.mean([*apart.values()]))
    shares = {"m0": 1.0, "m1": 0.0, "m2": 3.0}
    only = {"uniformity": 0.0, "alignment": 0.0, "centroid": 2.0, "tau": 0.4}
    centroids = oracle.unit(x[0] + 3 * x[2])
    found = terms(UniAlign(centroid_weights=shares, **only), emb)["centroid"]
    assert found == pytest.approx(2 * oracle.uniformity(centroids, tau=0.4))
    one, two = (UniAlign(centroid_weights=w, **only)(emb).total for w in (None, dict.fromkeys(z, 5.0)))
    torch.testing.assert_close(one, two)


def test_alignment_does_not_move_a_detached_anchor():
    emb = embeddings(3)
    only = {"uniformity": 0.0, "weighting": "literal", "centroid": 0.0, "volume": 0.0}
    loss, stopped = gradients(UniAlign(anchor="m1", detach_anchor=True, **only), emb)
    _, free = gradients(UniAlign(anchor="m1", **only), emb)
    assert stopped["m1"] is None
    assert free["m1"].abs().max() > 0.1
    torch.testing.assert_close(stopped["m0"], free["m0"])
    assert loss.terms.keys() == {"alignment"}
    assert UniAlign(anchor="m1", **only)(emb).total == loss.total
    _, spread = gradients(UniAlign(anchor="m1", alignment=0.0), emb)
    _, both = gradients(UniAlign(anchor="m1", detach_anchor=True), emb)
    torch.testing.assert_close(both["m1"], spread["m1"])  # uniformity is all that moves it


@pytest.mark.slow
def test_default_aligns_from_scratch_and_literal_does_not():
    def train(objective):
        g = torch.Generator().manual_seed(0)
        z = {k: torch.randn(24, 16, generator=g, dtype=torch.float64).requires_grad_() for k in ("a", "b", "c")}
        optimiser = torch.optim.Adam(z.values(), lr=0.05)
        for _ in range(90):
            optimiser.zero_grad()
            objective(Embeddings.of(z)).total.backward()
            optimiser.step()
        u = torch.stack([torch.nn.functional.normalize(v.detach(), dim=1) for v in z.values()])
        return float(((u.sum(0).square().sum(1) - 3) / 6).mean())

    for detach in (True, False):
        found = train(UniAlign(detach_anchor=detach))
        assert found > 0.9, (detach, found)
    assert train(UniAlign(weighting="literal", centroid=0.0, volume=0.0)) < 0.5


@pytest.mark.parametrize("weighting", ["holder", "literal"])
@pytest.mark.parametrize("anchor", [None, "m1"])
def test_rows_that_lack_modalities(weighting, anchor):
    tau, n = 0.5, 8
    emb = embeddings(3, size=n)
    present = {k: torch.ones(n, dtype=torch.bool) for k in emb.z}
    present["m0"][[0, 1]] = False
    present["m1"][[1, 2, 3]] = False
    present["m2"][[3, 5]] = False  # row 3 has m0 only, row 1 has m2 only
    masked = Embeddings.of(emb.z, present=present)
    objective = UniAlign(anchor=anchor, weighting=weighting, tau=tau, centroid=0.3, volume=0.7, volume_eps=0.0)
    seen = terms(objective, masked)
    z = {k: v.numpy() for k, v in emb.z.items()}
    here = {k: v.numpy() for k, v in present.items()}
    order = ["m0", "m1", "m2"] if anchor is None else ["m1", "m0", "m2"]
    spread = sum(one_uniformity(z[k][here[k]], tau=tau) for k in order)
    apart = {k: [] for k in order}
    centroids, volumes = [], []
    for i in range(n):
        members = [k for k in order if here[k][i]]
        for k in members[1:]:  # the first that the row has is its anchor
            apart[k].append(np.sum((z[members[0]][i] - z[k][i]) ** 2))
        if len(members) > 1:
            rows = np.stack([z[k][i] for k in members])
            centroids.append(rows.sum(0) / np.linalg.norm(rows.sum(0)))
            volumes.append(np.sqrt(np.linalg.det(rows @ rows.T)))
    distance = sum(np.mean(v) for v in apart.values() if v)
    uniform, align = (2 / 3, 1 / (2 * tau**2)) if weighting == "holder" else (1, 1 / 2)
    assert seen["uniformity"] == pytest.approx(uniform * spread)
    assert seen["alignment"] == pytest.approx(align * distance)
    assert seen["centroid"] == pytest.approx(0.3 * one_uniformity(np.stack(centroids), tau=tau))
    assert seen["volume"] == pytest.approx(0.7 * np.mean(volumes))
    shares = [objective(Embeddings.of(emb.z, present=present))]
    _, whole = gradients(objective, masked)
    parts = [gradients(objective, masked, rows=slice(4 * r, 4 * r + 4)) for r in range(2)]
    torch.testing.assert_close(sum(p[0].total for p in parts) / 2, shares[0].total)
    for k in emb.z:
        torch.testing.assert_close(sum(p[1][k] for p in parts) / 2, whole[k], rtol=1e-9, atol=1e-12)
        assert not whole[k][~present[k]].any()


def test_nothing_present_is_a_zero_with_a_graph():
    emb = embeddings(3)
    nowhere = Embeddings.of(emb.z, present=dict.fromkeys(emb.z, torch.zeros(6, dtype=torch.bool)))
    for weighting in ("holder", "literal"):
        loss, grads = gradients(UniAlign(weighting=weighting, centroid=1.0, volume=1.0, geometry="geodesic"), nowhere)
        assert loss.total == 0
        assert all(not g.any() for g in grads.values())


def test_rows_whose_members_cancel_have_no_centroid():
    emb = embeddings(2, size=6)
    opposite = {"m0": emb.z["m0"], "m1": torch.cat([-emb.z["m0"][:2], emb.z["m1"][2:]])}
    options = {"uniformity": 0.0, "alignment": 0.0, "centroid": 1.0, "tau": 0.5}
    loss, grads = gradients(UniAlign(**options), Embeddings.of(opposite))
    rest = Embeddings.of({k: v[2:] for k, v in opposite.items()})
    torch.testing.assert_close(loss.total, UniAlign(**options)(rest).total)
    assert all(torch.isfinite(g).all() and not g[:2].any() for g in grads.values())


def test_scores_by_cosine_and_by_volume():
    emb = embeddings(4, size=5, dim=16)
    query, others = {k: emb.z[k] for k in ("m0", "m1")}, {k: emb.z[k] for k in ("m2", "m3")}
    torch.testing.assert_close(UniAlign().score(query, others), Pairwise().score(query, others))
    assert torch.equal(UniAlign(score_by="volume").score(query, others), Gram().score(query, others))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda e: UniAlign(pairs="all", anchor="m0"), "has no anchor"),
        (lambda e: UniAlign(tau={"m0": 0.1})(e), "tau names"),
        (lambda e: UniAlign(tau={"m0": 0.0}), "tau is 0"),
        (lambda e: UniAlign(tau={"m0": 0.1}, centroid=1.0), "give tau_ctr"),
        (lambda e: UniAlign(centroid_weights={"m0": -1.0}), "centroid_weights of 'm0'"),
        (lambda e: UniAlign(centroid_weights={"m0": 0.0}), "all 0"),
        (lambda e: UniAlign(centroid_weights={"m0": 1.0})(e), "centroid_weights names"),
        (lambda e: UniAlign(anchor="nope")(e), "anchor is 'nope'"),
        (lambda e: UniAlign(tau=0.07, temperature=0.07), "give one, temperature is tau"),
        (lambda e: UniAlign(tau=0.0), "tau is 0"),
        (lambda e: UniAlign(tau_ctr=-1.0), "tau is -1"),
        (lambda e: UniAlign(temperature=-1.0), "temperature is -1"),
        (lambda e: UniAlign(weighting="exact"), "weighting is 'exact'"),
        (lambda e: UniAlign(geometry="sphere"), "geometry is 'sphere'"),
        (lambda e: UniAlign(reduction="mean"), "reduction is 'mean'"),
        (lambda e: UniAlign(score_by="area"), "score_by is 'area'"),
        (lambda e: UniAlign(alignment=-1.0), "alignment is -1"),
        (lambda e: UniAlign(volume_eps=-1.0), "volume_eps is -1"),
        (lambda e: UniAlign(uniformity=0.0, alignment=0.0), "are all 0"),
        (lambda e: UniAlign(block_size=0)(e), "block_size is 0"),
        (lambda e: UniAlign(volume=1.0)(embeddings(3, dim=2)), "D = 2 for 3"),
        (lambda e: UniAlign(reduction="global")(embeddings(3, size=1)), "1 row, UniAlign needs at least 2"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises((InputError, TypeCheckError), match=f"{message}|Expected type: typing"):
        make(embeddings(3))
