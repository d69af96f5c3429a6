"""What the papers' formulas imply, and the options of single objectives."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import embeddings
from tests.oracles import objectives as oracle
from tuplet import Embeddings, InputError, Loss
from tuplet.objectives import Bottleneck, Gram, OneVsAll, Pairwise, Sum, Supervised, Symile, Temperature, Triangle


def terms(objective, emb):
    return {k: float(v) for k, v in objective(emb).terms.items()}


@pytest.mark.parametrize("m", [2, 3, 5])
def test_minimality_is_the_spread_around_the_mean(m):
    emb = embeddings(m)
    z = np.stack([emb.z[k].numpy() for k in emb.modalities])
    spread = ((z - z.mean(0)) ** 2).sum(axis=(0, 2)).mean()
    assert terms(OneVsAll(), emb)["minimality"] == pytest.approx(m / (m - 1) ** 2 * spread)


def test_minimality_is_the_mean_dependent_part_of_the_gaussian_divergence():
    """KL(N(mu, s^2 I) || product of the others) = (M-1)/(2 s^2) |mu - mean|^2 + d/2 ((M-1) - 1 - log(M-1))."""
    m, d, s2 = 4, 8, 0.3
    emb = embeddings(m, dim=d)
    z = [emb.z[k].numpy() for k in emb.modalities]
    values = []
    for i in range(m):
        others = np.mean([z[k] for k in range(m) if k != i], axis=0)
        v = s2 / (m - 1)  # variance of the product of m - 1 equal Gaussians
        values.append((d * s2 / v + ((z[i] - others) ** 2).sum(1) / v - d + d * np.log(v / s2)) / 2)
    constant = d / 2 * ((m - 1) - 1 - np.log(m - 1))
    minimality = terms(OneVsAll(), emb)["minimality"]
    assert np.mean(values) == pytest.approx((m - 1) / (2 * s2) * minimality + constant)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_gaussian_sandwich(m):
    """Sum of one-versus-all informations = TC + DTC, and it bounds DTC from both sides (OVA-IB, equation 14)."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        a = rng.normal(size=(2 * m, 2 * m))
        sigma = a @ a.T + 0.1 * np.eye(2 * m)
        blocks = [list(range(2 * i, 2 * i + 2)) for i in range(m)]
        rest = [[j for b in blocks if b != own for j in b] for own in blocks]

        def logdet(index, sigma=sigma):
            return np.linalg.slogdet(sigma[np.ix_(index, index)])[1]

        whole = logdet(list(range(2 * m)))
        info = sum((logdet(b) + logdet(r) - whole) / 2 for b, r in zip(blocks, rest, strict=True))
        tc = (sum(logdet(b) for b in blocks) - whole) / 2
        dtc = (sum(logdet(r) for r in rest) - (m - 1) * whole) / 2
        assert info == pytest.approx(tc + dtc)
        assert info / m <= dtc + 1e-9
        assert dtc <= (m - 1) / m * info + 1e-9


def test_with_two_modalities_the_projection_is_the_absolute_cosine():
    emb = embeddings(2)
    s = np.abs(emb.z["m0"].numpy() @ emb.z["m1"].numpy().T) / 0.1
    expected = (oracle.cross_entropy(s) + oracle.cross_entropy(s.T)) / 2
    loss = OneVsAll(tau=0.1, include_positive=True, beta=0.0)(emb)
    assert float(loss.total) == pytest.approx(expected)


def test_symile_of_two_is_pairwise_and_listed_pairs_are_all_pairs():
    emb = embeddings(2)
    assert Symile()(emb).total == Pairwise()(emb).total == Symile(negatives="n_squared")(emb).total
    three = embeddings(3)
    listed = Pairwise(pairs=[("m0", "m1"), ("m2", "m0"), ("m1", "m2")])
    torch.testing.assert_close(listed(three).total, Pairwise()(three).total)
    torch.testing.assert_close(Pairwise(reduction="sum")(three).total, 3 * Pairwise()(three).total)
    torch.testing.assert_close(Bottleneck(beta=0.0)(three).total, Pairwise()(three).total)


def test_symile_draws_other_negatives_each_time_unless_told():
    emb = embeddings(3, size=16)
    objective = Symile(generator=torch.Generator().manual_seed(0))
    first, second = float(objective(emb).total), float(objective(emb).total)
    assert first != second
    again = Symile(generator=torch.Generator().manual_seed(0))
    assert float(again(emb).total) == first
    with pytest.raises(InputError, match="permutations has shape"):
        Symile(permutations=torch.arange(4))(emb)


def test_symile_shuffles_present_rows_among_themselves():
    emb = embeddings(3, size=12)
    mask = torch.arange(12) % 3 != 0
    masked = Embeddings.of(emb.z, present={"m1": mask})
    p = Symile(generator=torch.Generator().manual_seed(0))._shuffles(emb, mask)
    assert p.shape == (3, 2, 12)
    assert (p.sort(-1).values == torch.arange(12)).all()
    assert mask[p[..., mask]].all()
    assert torch.isfinite(Symile()(masked).total)


def test_symile_scales_and_raw_rows():
    emb = embeddings(3, dim=8)
    p = torch.rand(3, 2, 6).argsort(-1)
    scaled = Symile(permutations=p, scale="dimension", tau=0.7)(emb).total
    torch.testing.assert_close(scaled, Symile(permutations=p, tau=0.7 / 8)(emb).total)
    longer = Embeddings.of({k: 2 * v for k, v in emb.z.items()})
    given = Symile(permutations=p, rows_as="given", tau=0.7)(longer).total
    torch.testing.assert_close(given, Symile(permutations=p, tau=0.7 / 8)(emb).total)


def test_one_vs_all_takes_an_mlp_in_place_of_the_span():
    torch.manual_seed(0)
    emb = embeddings(3, dtype=torch.float32)
    objective = OneVsAll(projector="mlp", modalities=3, dim=8, tau=0.1)
    loss = objective(emb)
    loss.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.parameters())
    s = objective.score({"m1": emb.z["m1"]}, {"m0": emb.z["m0"], "m2": emb.z["m2"]})
    expected = torch.nn.functional.normalize(objective.mlps[1](torch.cat([emb.z["m0"], emb.z["m2"]], 1)), dim=1)
    torch.testing.assert_close(s, emb.z["m1"] @ expected.T)
    with pytest.raises(InputError, match="the remaining 2"):
        objective.score({"m1": emb.z["m1"]}, {"m0": emb.z["m0"]})
    with pytest.raises(InputError, match="modalities=M and dim=D"):
        OneVsAll(projector="mlp")
    with pytest.raises(InputError, match="built for modalities=3"):
        objective(embeddings(2, dtype=torch.float32))


def test_scores_of_several_against_several():
    emb = embeddings(4, size=5, dim=16)
    z = {k: v.numpy() for k, v in emb.z.items()}
    query, others = {k: emb.z[k] for k in ("m0", "m1")}, {k: emb.z[k] for k in ("m2", "m3")}
    volumes = [[oracle.volume([z["m0"][i], z["m1"][i], z["m2"][j], z["m3"][j]]) for j in range(5)] for i in range(5)]
    torch.testing.assert_close(Gram().score(query, others), -torch.tensor(np.array(volumes)))
    cosines = (z["m0"] + z["m1"]) @ (z["m2"] + z["m3"]).T / 4
    torch.testing.assert_close(Pairwise().score(query, others), torch.tensor(cosines))
    products = (z["m0"] * z["m1"]) @ (z["m2"] * z["m3"]).T
    torch.testing.assert_close(Symile().score(query, others), torch.tensor(products))
    one = OneVsAll(ridge=0.0).score({"m0": emb.z["m0"]}, others) + OneVsAll(ridge=0.0).score({"m1": emb.z["m1"]}, others)
    torch.testing.assert_close(OneVsAll(ridge=0.0).score(query, others), one / 2)


def test_temperature_is_learnable_within_bounds():
    tau = Temperature(0.07, bounds=(0.01, 0.5))
    objective = Pairwise(tau=tau)
    emb = embeddings(2)
    torch.testing.assert_close(objective(emb).total.detach(), Pairwise(tau=0.07)(emb).total, rtol=1e-5, atol=1e-6)
    optimiser = torch.optim.SGD(objective.parameters(), lr=100.0)
    for _ in range(50):
        optimiser.zero_grad()
        objective(embeddings(2, noise=0.01)).total.backward()
        optimiser.step()
    assert 0.0099 < float(tau().detach()) < 0.03
    for start in (0.0, 0.01, 2.0):
        with pytest.raises(InputError, match="strictly between"):
            Temperature(start)
    for bad in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="tau is"):
            Pairwise(tau=bad)


def test_sums_name_and_weigh_every_part():
    emb = embeddings(3)
    a, b = Pairwise(), OneVsAll(tau=0.1)

    def plain(e):
        return Loss(e.z["m0"].sum(), {"sum": e.z["m0"].sum()})

    total = (a + 0.5 * b) * 2.0
    expected = 2 * a(emb).total + b(emb).total
    torch.testing.assert_close(total(emb).total, expected)
    assert set(total(emb).terms) == {"pairwise.contrast", "onevsall.sufficiency", "onevsall.minimality"}
    torch.testing.assert_close(sum(total(emb).terms.values()), expected)
    joined = Sum((1.0, a), (0.1, plain))
    torch.testing.assert_close(joined(emb).terms["plain.sum"], 0.1 * emb.z["m0"].sum())
    query, rest = {"m0": emb.z["m0"]}, {"m1": emb.z["m1"]}
    assert torch.equal(total.score(query, rest), a.score(query, rest))
    assert len(list((0.5 * OneVsAll(projector="mlp", modalities=3, dim=8) + a).parameters())) == 12
    assert Sum((1.0, plain)).score is None


def test_supervised_reads_labels():
    emb = embeddings(2, size=6, dim=4, dtype=torch.float32)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    objective = Supervised(8, 3)
    with_labels = Embeddings.of(emb.z, target={"label": labels})
    loss = objective(with_labels)
    expected = torch.nn.functional.cross_entropy(objective.head(torch.cat([emb.z["m0"], emb.z["m1"]], 1)), labels)
    torch.testing.assert_close(loss.total, expected)
    real = Supervised(8, 1)(Embeddings.of(emb.z, target={"label": labels.float()}))
    assert real.total > 0
    with pytest.raises(InputError, match=r"target\['label'\] is missing"):
        objective(emb)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda e: Gram(anchor="nope")(e), "anchor is 'nope'"),
        (lambda e: Triangle(anchor="nope")(e), "anchor is 'nope'"),
        (lambda e: Pairwise(pairs="hub", anchor="nope")(e), "anchor is 'nope'"),
        (lambda e: Pairwise(pairs=[("m0", "x")])(e), "two different names"),
        (lambda e: Pairwise(pairs=[])(e), "pairs is empty"),
        (lambda e: Pairwise(anchor="m0"), "only pairs='hub'"),
        (lambda e: OneVsAll(beta=-1.0), "beta is -1"),
        (lambda e: OneVsAll(negatives="querry"), "negatives is 'querry', expected 'query' or 'own'"),
        (lambda e: OneVsAll(projector="nlp"), "projector is 'nlp'"),
        (lambda e: Pairwise(direction="bth"), "direction is 'bth'"),
        (lambda e: Pairwise(reduction="summ"), "reduction is 'summ'"),
        (lambda e: Pairwise(pairs="al"), "pairs is 'al'"),
        (lambda e: Symile(negatives="n2"), "negatives is 'n2'"),
        (lambda e: Symile(rows_as="units"), "rows_as is 'units'"),
        (lambda e: Symile(scale="dim"), "scale is 'dim'"),
        (lambda e: Pairwise(label_smoothing=7.0)(e), "label_smoothing is 7"),
        (lambda e: Gram(block_size=0)(e), "block_size is 0"),
        (lambda e: OneVsAll(ridge=-1.0), "ridge is -1"),
        (lambda e: Bottleneck(beta=-1.0), "beta is -1"),
        (lambda e: OneVsAll()(embeddings(3, dim=2)), "D = 2 for 3"),
        (lambda e: Gram()(embeddings(3, dim=2)), "D = 2 for 3"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises((InputError, TypeCheckError), match=f"{message}|Expected type: typing"):
        make(embeddings(3))


def test_given_permutations_never_bring_missing_rows_among_the_negatives():
    g = torch.Generator().manual_seed(0)
    z = {k: torch.randn(5, 6, generator=g, dtype=torch.float64) for k in "abc"}
    present = {"a": torch.tensor([True, True, True, True, False])}
    mixed = torch.tensor([1, 0, 2, 4, 3])  # would bring the missing row 4 to column 3
    whole = Symile(permutations=mixed.expand(3, 2, 5))(Embeddings.of(z, present=present)).total
    complete = Symile(permutations=torch.tensor([1, 0, 2, 3]).expand(3, 2, 4))(
        Embeddings.of({k: v[:4] for k, v in z.items()})
    ).total
    u, v = (torch.nn.functional.normalize(z[k], dim=1) for k in "bc")  # row 4 has two: CLIP of that row among all five
    scores = u @ v.mT / 0.07
    last = (scores[4].logsumexp(0) + scores[:, 4].logsumexp(0)) / 2 - scores[4, 4]
    torch.testing.assert_close(whole, (4 * complete + last) / 5)
