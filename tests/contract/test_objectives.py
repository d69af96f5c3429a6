"""What every objective must satisfy."""

import copy
import re
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.contract.cases import CASES, SIZED, embeddings, gradients
from tuplet import Embeddings, InputError, diagnose
from tuplet.objectives._patterns import POSITION

ENDS = [(k, m) for k, m in SIZED if m in (min(CASES[k].sizes), max(CASES[k].sizes))]
"""The fewest modalities and the most: where one more changes nothing in the code that is run."""
sized = pytest.mark.parametrize(("name", "m"), SIZED)
ends = pytest.mark.parametrize(("name", "m"), ENDS)
contrasting = pytest.mark.parametrize(("name", "m"), [(k, m) for k, m in ENDS if CASES[k].contrasts])
scoring = pytest.mark.parametrize(("name", "m"), [(k, m) for k, m in SIZED if CASES[k].scores])
named = pytest.mark.parametrize("name", list(CASES))
TRACED_ALIKE = (
    "symile-n-squared",
    "pairwise-sum",
    "pairwise-hub",
    "gram-penalised",
    "triangle-all",
    "one-vs-all-ridge",
    "cone",
)
TRACED_ALIKE += ("uni-align-volume", "uni-align-global", "uni-align-literal", "structure-learned", "structure-gw")
TRACED_ALIKE += ("gram-all", "gram-conditional", "pairwise-exclusive", "one-vs-all-own", "one-vs-all-penalised", "mv_infonce")
"""Cases whose options are numbers, or are traced as well with another case."""


def saying(where):
    """Put where it happened before what `assert_close` says."""
    return lambda message: f"{where}: {message}"


@sized
def test_equals_the_numpy_oracle(name, m):
    emb = embeddings(m, size=6)
    loss = CASES[name].build(m)(emb)
    expected = CASES[name].oracle([emb.z[k].numpy() for k in emb.modalities])
    total = float(loss.total.detach())
    assert total == pytest.approx(expected, rel=1e-9)
    assert float(sum(loss.terms.values())) == pytest.approx(total, rel=1e-12)
    assert all(not t.requires_grad for t in loss.terms.values())


@ends
def test_gradient_is_that_of_the_value(name, m):
    emb = embeddings(m, size=4, dim=6)
    objective = CASES[name].build(m, size=4, dim=6)
    leaves = tuple((1.5 * v).requires_grad_() for v in emb.z.values())  # not unit: scaling is part of the gradient

    def value(*z):
        return objective(replace(emb, z=dict(zip(emb.z, z, strict=True)))).total

    # along random directions of the inputs; entry by entry takes fifty times as long
    assert torch.autograd.gradcheck(value, leaves, atol=1e-5, rtol=1e-4, fast_mode=True)


@sized
def test_order_of_rows_does_not_matter(name, m):
    emb = embeddings(m)
    order = torch.randperm(len(emb), generator=torch.Generator().manual_seed(1))
    shuffled = Embeddings.of({k: v[order] for k, v in emb.z.items()})
    objective, moved = CASES[name].build(m), CASES[name].build(m)
    if name == "symile":  # its negatives are tied to row numbers, so the permutations move along
        moved.permutations = order.argsort()[objective.permutations[..., order]]
    torch.testing.assert_close(moved(shuffled).total, objective(emb).total, rtol=1e-10, atol=1e-12)


@sized
def test_names_of_modalities_do_not_matter_if_symmetric(name, m):
    emb = embeddings(m)
    renamed = Embeddings.of(dict(zip(reversed(emb.modalities), emb.z.values(), strict=True)))
    objective, other = CASES[name].build(m), CASES[name].build(m)
    if name == "symile":
        other.permutations = objective.permutations.flip(0, 1)
    same = torch.allclose(other(renamed).total, objective(emb).total, rtol=1e-10)
    assert same == (objective.traits.symmetric or m == 2)


@sized
def test_full_mask_equals_no_mask_and_masked_rows_equal_removed_rows(name, m):
    emb = embeddings(m, size=9)
    objective = CASES[name].build(m, size=9)
    full = {k: torch.ones(9, dtype=torch.bool) for k in emb.z}
    assert objective(Embeddings.of(emb.z, present=full)).total == objective(emb).total

    gone = torch.zeros(9, dtype=torch.bool)
    gone[[2, 5, 8]] = True
    kept = (~gone).nonzero()[:, 0]
    smaller = CASES[name].build(m)
    if name == "symile":  # let the masked rows be shuffled among themselves, the others as in the smaller batch
        p = torch.arange(9).expand(m, max(m - 1, 1), 9).clone()
        p[..., kept] = kept[smaller.permutations]
        objective.permutations = p
    masked, masked_grad = gradients(objective, Embeddings.of(emb.z, present=dict.fromkeys(emb.z, ~gone)))
    removed, removed_grad = gradients(smaller, Embeddings.of({k: v[kept] for k, v in emb.z.items()}))
    torch.testing.assert_close(masked.total, removed.total, rtol=1e-10, atol=1e-12)
    for k in emb.z:
        torch.testing.assert_close(masked_grad[k][kept], removed_grad[k], rtol=1e-9, atol=1e-12)
        assert not masked_grad[k][gone].any()


@ends
def test_rows_said_to_be_complete_have_the_same_bits_and_a_wrong_word_is_not_believed(name, m, monkeypatch):
    emb, objective = embeddings(m, size=9), CASES[name].build(m, size=9)
    gaps = Embeddings.of(emb.z, present={"m0": torch.arange(9) != 4})
    for part, believed in ((emb, True), (emb, False), (gaps, False)):  # on a CPU one looks
        plain, expected = gradients(objective, part)
        with monkeypatch.context() as patch:
            for module in ("_patterns", "compose", "comm") if believed else ():
                patch.setattr(f"tuplet.objectives.{module}.without_gaps", lambda emb: emb.complete)
            told, seen = gradients(lambda emb: objective(emb.known(complete=True)), part)
        assert told.total == plain.total
        for k in emb.z:
            assert torch.equal(seen[k], expected[k])


@pytest.mark.whole
@ends
def test_mean_over_processes_is_the_whole(name, m):
    objective = CASES[name].build(m)
    some = {
        "m0": torch.tensor([True, True, False, True, True, True]),
        "m1": torch.tensor([True, False, True, True, True, False]),
        f"m{m - 1}": torch.tensor([True, True, True, True, False, m == 2]),
    }
    for present, world in (({}, 2), (some, 3)):
        emb = Embeddings.of(embeddings(m, size=6).z, present=present)
        whole, expected = gradients(objective, emb)
        share = len(emb) // world
        parts = [gradients(objective, emb, rows=slice(r * share, (r + 1) * share)) for r in range(world)]
        where = f"{world} processes, without {sorted(present)}"
        mean = sum(p[0].total for p in parts) / world
        torch.testing.assert_close(mean, whole.total, rtol=1e-10, atol=1e-12, msg=saying(where))
        for k in emb.z:
            mean = sum(p[1][k] for p in parts) / world
            torch.testing.assert_close(mean, expected[k], rtol=1e-9, atol=1e-12, msg=saying(f"{where}, {k}"))


@contrasting
def test_blocks_change_nothing(name, m):
    emb = embeddings(m, size=6)
    whole, expected = gradients(CASES[name].build(m), emb)
    for block_size in (1, 4, 6, 100):
        blocked, seen = gradients(CASES[name].build(m, block_size=block_size), emb)
        torch.testing.assert_close(blocked.total, whole.total, rtol=1e-12, atol=1e-14)
        for k in emb.z:
            torch.testing.assert_close(seen[k], expected[k], rtol=1e-10, atol=1e-13)


@ends
def test_half_precision_is_finite_and_near_float32(name, m):
    emb = embeddings(m, size=6, dim=16, dtype=torch.float32)
    objective = CASES[name].build(m, dim=16)
    for dtype in (torch.bfloat16, torch.float16):
        half = {k: v.to(dtype) for k, v in emb.z.items()}
        with torch.autocast("cpu", torch.bfloat16):
            loss, grads = gradients(objective, Embeddings.of(half))
        rounded = objective(Embeddings.of({k: v.float() for k, v in half.items()}))
        assert loss.total.dtype == torch.float32, dtype
        torch.testing.assert_close(loss.total, rounded.total, rtol=1e-4, atol=1e-4, msg=saying(dtype))
        assert all(torch.isfinite(g).all() for g in grads.values()), dtype


@ends
def test_nearly_coincident_modalities_are_finite(name, m):
    spreads = product((1e-2, 1e-4, 1e-6, 0.0), [torch.float32])
    for spread, dtype in (*spreads, (1e-6, torch.float64), (0.0, torch.float64)):
        emb = embeddings(m, size=6, dim=32, noise=spread, dtype=dtype)
        loss, grads = gradients(CASES[name].build(m, dim=32), emb)
        assert torch.isfinite(loss.total), (spread, dtype)
        assert all(torch.isfinite(g).all() and g.abs().max() < 1e6 for g in grads.values()), (spread, dtype)


@sized
def test_antipodal_modalities_are_finite(name, m):
    emb = embeddings(m, size=6, noise=0.0)
    flipped = Embeddings.of({k: -v if k == "m0" else v for k, v in emb.z.items()})
    loss, grads = gradients(CASES[name].build(m), flipped)
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(g).all() for g in grads.values())


@contrasting
def test_rows_of_one_group_are_not_negatives(name, m):
    emb = embeddings(m, size=6)
    objective = CASES[name].build(m)
    if name == "symile":  # shifts by 1, 2, .. never put a row's own tuple among its negatives
        shifts = torch.arange(6) + torch.arange(1, max(m, 2))[:, None]
        objective.permutations = (shifts % 6).expand(m, -1, -1)
    own_groups = Embeddings.of(emb.z, group=torch.arange(6))
    torch.testing.assert_close(objective(own_groups).total, objective(emb).total, rtol=1e-12, atol=1e-14)
    # a copy of row 0 in row 5 is a false negative; saying so must lower the loss
    doubled = {k: torch.cat([v[:5], v[:1]]) for k, v in emb.z.items()}
    told = objective(Embeddings.of(doubled, group=torch.tensor([0, 1, 2, 3, 4, 0]))).total
    untold = objective(Embeddings.of(doubled)).total
    assert told < untold or (name == "symile" and told == untold)  # its shifted tuples never stay in one group


@named
def test_training_lowers_the_loss_and_raises_the_positive_cosine(name):
    case = CASES[name]
    m = 3
    emb = embeddings(m, size=6, dim=16, noise=2.0, seed=3)
    z = {k: v.clone().requires_grad_() for k, v in emb.z.items()}
    objective = case.build(m, dim=16)
    optimiser = torch.optim.Adam(z.values(), lr=0.03)

    def positive_cosine():
        u = torch.stack([torch.nn.functional.normalize(v.detach(), dim=1) for v in z.values()])
        return float(((u.sum(0).square().sum(1) - m) / (m * (m - 1))).mean())

    first, start = float(objective(replace(emb, z=z)).total.detach()), positive_cosine()
    for _ in range(12):
        optimiser.zero_grad()
        objective(replace(emb, z=z)).total.backward()
        optimiser.step()
    assert float(objective(replace(emb, z=z)).total.detach()) < first
    if case.blind is None:
        assert positive_cosine() > start
        return
    # why it need not raise the cosine: the loss is the same of embeddings that are as far apart as one likes
    aligned = embeddings(m, size=6, dim=16, noise=0.1)
    apart = Embeddings.of(case.blind(aligned.z))
    assert diagnose.positive_cosine(apart).mean() < 0.5 < 0.9 < diagnose.positive_cosine(aligned).mean()
    torch.testing.assert_close(objective(apart).total, objective(aligned).total)


@pytest.mark.whole
@pytest.mark.parametrize("name", [k for k in CASES if k not in TRACED_ALIKE])
def test_compiles_without_breaks(name):
    m = {"pairwise": 3, "uni-align": 3, "symile": 3, "cone-minimal": 4}.get(name, min(CASES[name].sizes))  # it takes seconds
    emb = embeddings(m, size=6, dtype=torch.float32)
    objective = CASES[name].build(m)
    if name == "structure-entropic":
        objective.epsilon = 0.2  # found in few steps
    torch._dynamo.reset()
    backend = "aot_eager" if name.startswith("cone") else "eager"  # it writes its own gradient: the rest are only traced
    compiled = torch.compile(objective, fullgraph=True, backend=backend)
    # all there; and rows that lack one modality, two, all, or share what they have with no other row
    for here in (
        "111 111 111 111 111 111",
        "111 111 011 110 101 011",
        "111 011 011 110 001 000",
        "110 101 011 111 111 100",
    ):
        table = torch.tensor([[int(c) for c in row + "1" * (m - 3)] for row in here.split()]).bool()
        part = Embeddings.of(emb.z, present={k: table[:, i] for i, k in enumerate(emb.modalities)})
        expected, slopes = gradients(objective, part)
        for complete in {False, bool(table.all())}:
            loss, seen = gradients(lambda emb, complete=complete: compiled(emb.known(complete=complete)), part)
            torch.testing.assert_close(loss.total, expected.total, rtol=1e-5, atol=1e-6)
            for k, slope in slopes.items():
                torch.testing.assert_close(seen[k], slope, rtol=1e-3, atol=1e-5)


@named
def test_one_modality_absent_from_the_whole_batch_leaves_a_graph(name):
    emb = embeddings(3)
    absent = Embeddings.of(emb.z, present={"m1": torch.zeros(6, dtype=torch.bool)})
    loss, grads = gradients(CASES[name].build(3), absent)
    assert torch.isfinite(loss.total)
    assert all(g is None or torch.isfinite(g).all() for g in grads.values())
    assert grads["m1"] is None or not grads["m1"].any()
    traits = CASES[name].build(3).traits
    if traits.missing == "complete":
        assert loss.total == 0
    elif name != "pairwise-sum" and 2 in CASES[name].sizes:
        two = {"m0": emb.z["m0"], "m1": emb.z["m2"]}
        torch.testing.assert_close(loss.total, CASES[name].build(2)(Embeddings.of(two)).total)
    nobody = Embeddings.of(emb.z, present=dict.fromkeys(emb.z, torch.zeros(6, dtype=torch.bool)))
    loss, _ = gradients(CASES[name].build(3), nobody)
    assert loss.total == 0


@named
def test_rows_with_two_modalities_contribute(name):
    m = 3
    traits = CASES[name].build(m).traits
    if traits.missing == "complete":
        return
    emb = embeddings(m, size=8, dim=8)
    here = torch.rand(8, m, generator=torch.Generator().manual_seed(5)) < 0.6
    here[:2] = True
    here[2] = torch.tensor([True, True, False])
    here[3] = torch.tensor([False, True, True])
    here[4] = torch.tensor([False, False, True])
    present = {k: here[:, i] for i, k in enumerate(emb.modalities)}
    objective = CASES[name].build(m, size=8)
    loss, grads = gradients(objective, Embeddings.of(emb.z, present=present))
    for row in range(8):
        if name == "pairwise-hub" and not here[row, 0]:
            continue  # every pair has the hub
        moved = torch.stack([grads[k][row] for k in emb.modalities]).abs().sum(dim=1) > 0
        assert (moved == (here[row] & (here[row].sum() > 1))).all() or here[row].sum() < 2
    if traits.missing != "patterns":
        return
    # by hand: every row beside the rows that have at least its modalities, over its modalities
    expected, count = 0.0, 0
    for row in range(8):
        kept = [k for k in emb.modalities if present[k][row]]
        others = [r for r in range(8) if r != row and all(present[k][r] for k in kept)]
        if len(kept) < 2 or not others:
            continue
        order = torch.tensor([row, *others])
        part = replace(Embeddings.of({k: emb.z[k][order] for k in kept}), rows=slice(0, 1))
        part.aux[POSITION] = order
        expected = expected + sum(objective.terms(part).values())
        count += 1
    torch.testing.assert_close(loss.total, expected / count, rtol=1e-10, atol=1e-12)


@named
def test_bad_input_is_one_clear_line(name):
    objective = CASES[name].build(3)
    with pytest.raises(InputError, match=r"1 row.*batch_size"):
        objective(embeddings(3, size=1))
    with pytest.raises(InputError, match=r"1 modalities"):
        objective(embeddings(1))
    if name == "triangle":
        with pytest.raises(InputError, match=r"4 modalities .* Triangle needs 3"):
            objective(embeddings(4))


@scoring
def test_score_is_higher_for_matches_and_agrees_with_the_swapped_sides(name, m):
    objective = CASES[name].build(m, dim=32)
    emb = embeddings(m, size=8, dim=32, noise=0.1)
    query = {"m0": emb.z["m0"]}
    rest = {k: v for k, v in emb.z.items() if k != "m0"}
    scores = objective.score(query, rest)
    assert scores.shape == (8, 8)
    if not name.startswith("symile"):
        assert (scores.argmax(dim=1) == torch.arange(8)).all()
    torch.testing.assert_close(objective.score(rest, query), scores.mT)
    with pytest.raises(InputError, match="share"):
        objective.score(query, query)
    with pytest.raises(InputError, match="candidates is empty"):
        objective.score(query, {})


@named
def test_state_and_copies(name):
    objective = CASES[name].build(3)
    emb = embeddings(3)
    torch.testing.assert_close(copy.deepcopy(objective)(emb).total, objective(emb).total)
    fresh = CASES[name].build(3)
    fresh.load_state_dict(objective.state_dict())
    torch.testing.assert_close(fresh(emb).total, objective(emb).total)


@named
def test_multiplications_grow_with_the_batch_as_the_stated_cost(name):
    def count(size):
        objective = CASES[name].build(3, size=size)
        with FlopCounterMode(display=False) as counter:
            objective(embeddings(3, size=size))
        return counter.get_total_flops(), objective.traits.cost

    (small, cost), (large, _) = count(24), count(48)
    cost = cost.split(", ")[name == "symile-n-squared"].replace("B^M", "B^3")
    power = max(int(p or 1) for p in re.findall(r"\bB\b(?:\^(\d))?", cost))
    assert 1.9 * small <= large <= 1.05 * 2**power * small, (small, large, cost)  # a loss without products has none
