"""Weights, temperatures, schedules, signs, several positives: what a user can set beside the paper's formula."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tests.contract.cases import embeddings, gradients
from tests.oracles import objectives as oracle
from tuplet import Embeddings, InputError, Loss
from tuplet.objectives import (
    CMC,
    Bottleneck,
    Gram,
    OneVsAll,
    Pairwise,
    Schedule,
    SigmoidPairwise,
    Sum,
    Symile,
    Temperature,
    Triangle,
)

REFUSED = (InputError, TypeCheckError)


def rows(emb):
    return [emb.z[k].numpy() for k in emb.modalities]


def test_pairs_have_weights_and_temperatures_of_their_own():
    emb = embeddings(3)
    a, b, c = rows(emb)
    losses = {"ab": oracle.clip(a, b, 0.1), "ac": oracle.clip(a, c, 0.2), "bc": oracle.clip(b, c, math.sqrt(0.1 * 0.2))}
    tau = {"m0": 0.1, "m1": 0.1, "m2": 0.2, ("m0", "m2"): 0.2}
    weights = {("m1", "m0"): 3.0, "m2": 0.5}
    found = float(Pairwise(tau=tau, weights=weights)(emb).total)
    assert found == pytest.approx((3 * losses["ab"] + 0.5 * losses["ac"] + 0.5 * losses["bc"]) / 4, rel=1e-9)
    total = float(Pairwise(tau=tau, weights=weights, reduction="sum")(emb).total)
    assert total == pytest.approx(4 * found, rel=1e-9)


def test_anchors_have_weights_and_temperatures_of_their_own():
    emb = embeddings(3)
    z = rows(emb)
    tau, weights = {"m0": 0.1, "m1": 0.2, "m2": 0.3}, {"m0": 2.0, "m1": 0.0}
    for made, one in ((Gram, oracle.gram), (Triangle, oracle.triangle)):
        turned = [one([z[i], *(z[:i] + z[i + 1 :])], tau=t) for i, t in enumerate(tau.values())]
        found = float(made(anchors="all", tau=tau, weights=weights)(emb).total)
        assert found == pytest.approx((2 * turned[0] + turned[2]) / 3, rel=1e-9)
    alone = [float(OneVsAll(tau=t, weights={k: float(k == name) for k in emb.z})(emb).total) for name, t in tau.items()]
    found = float(OneVsAll(tau=tau, weights=weights)(emb).total)
    assert found == pytest.approx((2 * alone[0] + alone[2]) / 3, rel=1e-9)
    assert float(OneVsAll(tau=0.1)(emb).total) == pytest.approx(
        np.mean([float(OneVsAll(tau=0.1, weights={k: float(k == n) for k in emb.z})(emb).total) for n in emb.z])
    )
    p = torch.rand(3, 2, 6).argsort(-1)
    each = [float(Symile(permutations=p, tau=0.2, weights={k: float(k == n) for k in emb.z})(emb).total) for n in emb.z]
    assert float(Symile(permutations=p, tau=0.2, weights=weights)(emb).total) == pytest.approx((2 * each[0] + each[2]) / 3)


def test_learnable_temperatures_of_pairs_receive_gradients():
    objective = Pairwise(tau={"m0": Temperature(0.1), "m1": 0.2, "m2": Temperature(0.3)})
    objective(embeddings(3)).total.backward()
    assert all(p.grad.abs() > 0 for p in objective.parameters())
    assert len(list(objective.parameters())) == 2


@pytest.mark.parametrize("made", [Pairwise, CMC, Bottleneck, SigmoidPairwise, OneVsAll, Symile])
def test_unknown_names_and_negative_weights_are_refused(made):
    with pytest.raises(InputError, match="weights names 'm9'"):
        made(weights={"m9": 1.0})(embeddings(3))
    with pytest.raises(InputError, match=r"weights.*is -1"):
        made(weights={"m0": -1.0})(embeddings(3))


def test_a_missing_temperature_is_named():
    with pytest.raises(InputError, match=r"tau has no entry for 'm2' or the pair"):
        Pairwise(tau={"m0": 0.1, "m1": 0.1})(embeddings(3))
    with pytest.raises(InputError, match="tau is empty"):
        Pairwise(tau={})
    with pytest.raises(InputError, match="all anchors share"):
        Symile(negatives="n_squared", tau={"m0": 0.1})
    with pytest.raises(InputError, match="leave one of them out"):
        Gram(anchors="all", anchor="m0")
    with pytest.raises(InputError, match="set anchors='all'"):
        Triangle(weights={"m0": 1.0})


def test_schedules_move_weights_and_name_every_part():
    emb = embeddings(3)
    objective = Pairwise() + Schedule(0.0, 2.0, begin=0.5, until=1.0) * Bottleneck()
    plain, added = float(Pairwise()(emb).total), float(Bottleneck()(emb).total)
    for progress, weight in ((0.0, 0.0), (0.5, 0.0), (0.75, 1.0), (1.0, 2.0)):
        objective.advance(progress)
        loss = objective(emb)
        assert float(loss.total) == pytest.approx(plain + weight * added, rel=1e-9)
        assert set(loss.terms) == {"pairwise.contrast", "bottleneck.contrast", "bottleneck.bottleneck"}
        assert float(sum(loss.terms.values())) == pytest.approx(float(loss.total), rel=1e-9)
    halved = 0.5 * objective
    assert float(halved(emb).total) == pytest.approx(0.5 * (plain + 0 * added))
    halved.advance(1.0)
    assert float(halved(emb).total) == pytest.approx(0.5 * (plain + 2 * added))
    whole = Schedule(1.0, 0.0, shape="cosine") * objective
    whole.advance(0.5)
    assert float(whole(emb).total) == pytest.approx(0.5 * plain)
    with pytest.raises(InputError, match="expected 0 <= begin"):
        Schedule(0.0, 1.0, begin=0.6, until=0.5)


def test_cosine_schedules_are_half_a_cosine():
    assert Schedule(0.0, 1.0, shape="cosine")(0.25) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)
    assert Schedule(2.0, 1.0, begin=0.2, until=0.7)(0.3) == pytest.approx(1.8)


def test_parts_of_one_name_are_told_apart():
    class Toy2(Pairwise):
        pass

    loss = (Toy2() + Toy2(tau=0.5) + Toy2(tau=1.0))(embeddings(2))
    assert len(loss.terms) == 3
    assert float(sum(loss.terms.values())) == pytest.approx(float(loss.total))
    with pytest.raises(TypeError):
        Pairwise() + 1


def test_weights_that_leave_nothing_are_refused():
    for objective in (
        Pairwise(weights=dict.fromkeys(("m0", "m1", "m2"), 0.0)),
        Pairwise(weights={"m0": 0.0, "m1": 0.0}),
    ):
        with pytest.raises(InputError, match="leaves nothing to train"):
            objective(embeddings(3))
    with pytest.raises(REFUSED):
        Pairwise(weights={("m0", "m1", "m2"): 1.0})(embeddings(3))
    with pytest.raises(InputError, match="tau is a dict for anchors='one'"):
        Gram(tau={"m0": 0.1})


def test_groups_and_absent_modalities_together():
    emb = embeddings(3, size=8)
    group = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    present = {"m2": torch.tensor([True] * 4 + [False] * 4)}
    told = float(Gram()(Embeddings.of(emb.z, present=present, group=group)).total)
    whole = float(Gram()(Embeddings.of({k: v[:4] for k, v in emb.z.items()}, group=group[:4])).total)
    pair = {k: emb.z[k] for k in ("m0", "m1")}
    order = torch.tensor([4, 5, 6, 7, 0, 1, 2, 3])
    part = replace(Embeddings.of({k: v[order] for k, v in pair.items()}, group=group[order]), rows=slice(0, 4))
    assert told == pytest.approx((4 * whole + 4 * float(Gram().terms(part)["contrast"])) / 8, rel=1e-9)


def test_a_sum_can_be_differentiated_term_by_term():
    emb = embeddings(3)
    z = {k: v.clone().requires_grad_() for k, v in emb.z.items()}
    objective = 2.0 * Pairwise() + Sum((0.5, lambda e: Loss(e.z["m0"].square().sum(), {})))
    terms = objective.split(replace(emb, z=z))
    assert set(terms) == {"pairwise.contrast", "<lambda>.total"}
    apart = [torch.autograd.grad(t, z["m0"], retain_graph=True)[0] for t in terms.values()]
    torch.testing.assert_close(sum(apart), gradients(objective, emb)[1]["m0"])


def test_conditional_volume_is_the_distance_to_the_span():
    emb = embeddings(4, size=5)
    query, rest = {"m0": emb.z["m0"]}, {k: v for k, v in emb.z.items() if k != "m0"}
    scores = Gram(conditional=True).score(query, rest)
    for j in range(5):
        tuple_j = torch.stack([v[j] for v in rest.values()], dim=1)
        inside = tuple_j @ torch.linalg.lstsq(tuple_j, emb.z["m0"].mT).solution
        expected = -torch.linalg.vector_norm(emb.z["m0"].mT - inside, dim=0)
        torch.testing.assert_close(scores[:, j], expected, rtol=1e-8, atol=1e-9)
    # it ranks as the projection does, and does not see how large a candidate tuple is on its own
    projection = OneVsAll().score(query, rest)
    assert torch.equal(scores.argsort(dim=1), projection.argsort(dim=1))
    two = Gram(conditional=True).score({k: emb.z[k] for k in ("m0", "m1")}, {k: emb.z[k] for k in ("m2", "m3")})
    g = torch.stack([emb.z[k][0] for k in emb.modalities])
    volume = torch.linalg.det(g @ g.mT).sqrt()
    sides = [torch.linalg.det(s @ s.mT).sqrt() for s in (g[:2], g[2:])]
    torch.testing.assert_close(two[0, 0], -volume / sides[0] / sides[1])


@pytest.mark.parametrize("made", [Gram, OneVsAll])
def test_sign_is_ignored_checked_or_penalised(made, recwarn):
    emb = embeddings(3)
    flipped = Embeddings.of({k: -v if k == "m0" else v for k, v in emb.z.items()})
    cosines = {k: float((flipped.z[k] * flipped.z["m0"]).sum(1).mean()) for k in ("m1", "m2")}
    assert max(cosines.values()) < 0
    made()(flipped)
    made(sign="check")(emb)
    assert len(recwarn) == 0
    both = {k: -v if k == "m0" else v for k, v in flipped.z.items()}
    both["m1"], both["m2"] = both["m1"], -both["m2"]
    both["m0"] = -both["m1"] - both["m2"]  # every pair apart
    apart = Embeddings.of(both)
    checked = made(sign="check")
    with pytest.warns(UserWarning, match="mean cosine of -"):
        checked(apart)
    checked(apart)  # says it once
    penalised = made(sign="penalise")
    term = float(penalised(apart).terms["sign"])
    tau = 0.07 if made is Gram else 0.01
    assert term == pytest.approx(
        oracle.opposed([torch.nn.functional.normalize(v, dim=1).numpy() for v in apart.z.values()], tau=tau)
    )
    assert float(penalised(emb).terms["sign"]) < float(term)
    with pytest.raises(REFUSED):  # the type-checked run refuses other words first
        made(sign="flip")


def supervised_contrast(logits, group):
    """Khosla et al. (2020), equation 2, for a square table of logits."""
    losses = []
    for i, row in enumerate(logits):
        mates = [j for j in range(len(row)) if group[j] == group[i]]
        losses.append(np.log(np.exp(row).sum()) - np.mean([row[j] for j in mates]))
    return np.mean(losses)


def test_rows_of_one_group_can_be_positives():
    emb = embeddings(2, size=6)
    group = torch.tensor([0, 0, 1, 2, 2, 2])
    told = Embeddings.of(emb.z, group=group)
    a, b = rows(emb)
    s = a @ b.T / 0.2
    expected = (supervised_contrast(s, group) + supervised_contrast(s.T, group)) / 2
    for block_size in (None, 1, 4):
        loss, grads = gradients(Pairwise(tau=0.2, positives="group", block_size=block_size), told)
        assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-9)
        assert all(torch.isfinite(g).all() for g in grads.values())
    parts = [Pairwise(tau=0.2, positives="group")(replace(told, rows=slice(r, r + 2))).total for r in (0, 2, 4)]
    assert float(sum(parts)) / 3 == pytest.approx(expected, rel=1e-9)
    alone = Embeddings.of(emb.z, group=torch.arange(6))
    torch.testing.assert_close(Pairwise(positives="group")(alone).total, Pairwise()(emb).total, rtol=1e-12, atol=0)


def test_groups_as_positives_in_the_other_contrasts():
    emb = embeddings(3, size=6)
    told = Embeddings.of(emb.z, group=torch.tensor([0, 0, 1, 2, 2, 2]))
    for made in (Gram, Triangle, OneVsAll, CMC, SigmoidPairwise, Bottleneck):
        own, several = made(positives="own")(told).total, made(positives="group")(told).total
        assert torch.isfinite(several)
        assert own != several
    a, b, _ = rows(emb)
    group = told.group.numpy()
    signs = np.where(group[:, None] == group, 1, -1)
    logits = a @ b.T / 0.5 - 1.0
    objective = SigmoidPairwise(pairs=[("m0", "m1")], tau=0.5, bias=-1.0, positives="group").double()
    expected = np.log1p(np.exp(-signs * logits)).sum() / 6
    assert float(objective(told).total.detach()) == pytest.approx(expected, rel=1e-9)
    kept = (signs < 0) | np.eye(6, dtype=bool)
    own = SigmoidPairwise(pairs=[("m0", "m1")], tau=0.5, bias=-1.0).double()
    signs[~np.eye(6, dtype=bool)] = -1
    expected = (np.log1p(np.exp(-signs * logits)) * kept).sum() / 6
    assert float(own(told).total.detach()) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(REFUSED):
        Pairwise(positives="all")


def test_blocks_are_automatic_beyond_a_size():
    from tuplet.functional._blocks import BLOCK, size_of_block

    assert size_of_block("auto", 100) > 100
    assert size_of_block("auto", 16384) == BLOCK // 16384
    with pytest.raises(InputError, match="block_size is 0"):
        Pairwise(block_size=0)(embeddings(2))
    with pytest.raises(REFUSED):
        Pairwise(block_size="big")(embeddings(2))
