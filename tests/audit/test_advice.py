"""The curve against a joint normal written out, and what follows from curves."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal, norm

from tuplet.audit import Pilot, advise, gain_curve, pilot
from tuplet.audit._words import WORDS, answer, conclusion
from tuplet.audit.advice import FEW, GRID, QUANTILES, SPREADS, WARP, Curve, judge, unpaired
from tuplet.audit.run import Audit, PairAudit
from tuplet.data import from_arrays
from tuplet.information import PID
from tuplet.report.words import SENTENCES

STRENGTHS = [0.0, 0.1, 0.3, 1.0, 3.0]


def tried(gain, deviation, rows=400, score=0.5, chance=0.25):
    covariance = np.diag([0.0, *[deviation**2] * (len(gain) - 1)])
    scores = {k: [[score, score]] * len(gain) for k in "ab"}
    return Pilot(
        tuple(STRENGTHS),
        (0, 1),
        "accuracy",
        scores,
        list(gain),
        covariance.tolist(),
        rows,
        {"a": 1.0, "b": 1.0},
        chance,
    )


@pytest.mark.parametrize("freedom", [None, 3.0])
def test_curve_is_a_mixture_of_conditionals_of_joint_normals(freedom):
    gain, noise = np.array([0.0, 1.0, 2.0, 1.5, -1.0]), np.diag([0.0, 0.4, 0.4, 0.9, 0.9])
    t, n = np.log(1 + np.concatenate([GRID, STRENGTHS]) / WARP), len(GRID)
    sizes = [1.0] if freedom is None else freedom / chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, freedom)
    likely, means, deviations = [], [], []
    for spread, size in product(SPREADS, sizes):
        joint = spread**2 * np.minimum.outer(t, t)
        seen = joint[n:, n:] + size * noise + np.diag([0.0, *[1e-4] * 4])  # 0 at strength 0 is known exactly
        weights = joint[:n, n:] @ np.linalg.pinv(seen)
        likely.append(multivariate_normal(cov=seen[1:, 1:]).pdf(gain[1:]))
        means.append(weights @ gain)
        deviations.append(np.sqrt(np.clip(np.diag(joint[:n, :n] - weights @ joint[n:, :n]), 0, None)))
    curve, likely = gain_curve(gain, noise, STRENGTHS, freedom), np.array(likely) / sum(likely)
    np.testing.assert_allclose(curve.mean, likely @ means, atol=1e-6)
    for edge, share in ((curve.low, 0.1), (curve.high, 0.9)):
        below = norm.cdf((np.array(edge)[1:] - np.array(means)[:, 1:]) / np.array(deviations)[:, 1:])
        np.testing.assert_allclose(likely @ below, share, atol=0.02)


def test_noise_draws_the_curve_to_zero():
    gain = [0.0, 2.0, 4.0, 5.0, 3.0]
    sharp, dull = (gain_curve(gain, np.eye(5) * s**2, STRENGTHS) for s in (0.05, 100.0))
    assert [sharp.mean[GRID.index(s)] for s in STRENGTHS] == pytest.approx(gain, abs=0.1)
    assert np.abs(dull.mean).max() < 0.3
    assert sharp.interval[0] >= 0.5
    assert judge(sharp) == "helps"
    assert judge(dull) == "unclear"


@pytest.mark.parametrize(
    ("gain", "deviation", "verdict"),
    [
        ([0, 1, 2, 3, 3], 0.4, "helps"),
        ([0, -1, -2, -4, -6], 0.4, "hurts"),
        ([0, 0, 0, 0, 0], 0.3, "no difference"),
        ([0, 0, 0, 0, -6], 0.3, "no difference"),
        ([0, 0, 0, 0, 0], 6.0, "unclear"),
        ([0, 2, 3, 0, -6], 0.4, "helps"),
    ],
)
def test_verdicts(gain, deviation, verdict):
    found = advise(("a", "b"), None, None, tried(gain, deviation))
    assert found.verdict == verdict
    assert (found.strength > 0) == (verdict == "helps")
    assert found.interval[0] <= found.interval[1]
    assert spoken(found, tried(gain, deviation)).startswith(SENTENCES[found.word].format("a and b"))


def spoken(advice, pilot):
    return answer(PairAudit(("a", "b"), SimpleNamespace(significant=None), {}, pilot, advice))


@pytest.mark.parametrize(("groups", "verdict"), [(None, "helps"), (10, "helps"), (9, "unclear")])
def test_few_groups_are_not_enough(groups, verdict):
    found = advise(("a", "b"), None, None, replace(tried([0, 1, 2, 3, 3], 0.4, score=0.9), groups=groups))
    assert found.verdict == verdict
    assert (f"in {groups} groups" in found.evidence[0]) == (groups is not None)
    assert ("too few" in " ".join(found.evidence)) == (verdict == "unclear")


def test_evidence_says_only_what_is_significant():
    pid = PID(
        redundancy=0.1,
        unique1=0.3,
        unique2=0.0,
        synergy=0.5,
        information1=0.4,
        information2=0.1,
        information12=0.9,
        gap=0.0,
        significant={"redundancy": False, "unique1": True, "unique2": False, "synergy": True},
    )
    knn = {"value": 0.4, "chance": 0.02, "low": 0.01, "high": 0.03}
    found = advise(("a", "b"), pid, {"mutual_knn": knn, "cka": knn}, tried([0, 1, 2, 3, 3], 0.4))
    text = " ".join(found.evidence)
    assert "0.30 only in a, 0.50 visible only jointly; not found by models and clusters alike: shared, only in b." in text
    assert "40 % of nearest neighbours (chance 2 %" in text
    assert found.objective == "CoMM"


@pytest.mark.parametrize(("joint", "verdict"), [(True, "no difference"), (False, "unclear")])
def test_where_no_modality_tells_the_target_nothing_can_be_gained(joint, verdict):
    terms = {"redundancy": 0.0, "unique1": 0.0, "unique2": 0.0, "information1": 0.0, "information2": 0.0}
    pid = PID(
        **terms,
        synergy=1.0,
        information12=1.0,
        gap=0.0,
        significant={"redundancy": False, "unique1": False, "unique2": False, "synergy": joint},
    )
    found = advise(("a", "b"), pid, None, tried([0, 1, 2, 3, 3], 0.4, score=0.54, chance=0.5))
    assert (found.verdict, found.strength) == (verdict, 0.0)
    said = "constant prediction (0.50): the best has 0.54, and 400 rows can tell it only from 0.55."
    assert said in " ".join(found.evidence)
    assert advise(("a", "b"), pid, None, tried([0, 1, 2, 3, 3], 0.4, score=0.56, chance=0.5)).verdict == "helps"


def test_a_handful_of_rows_says_nothing_and_a_guess_is_called_one():
    assert advise(("a", "b"), None, None, tried([0, 1, 2, 3, 3], 0.4, rows=20)).verdict == "unclear"
    sure = tried([0, 1, 2, 3, 3], 0.4)
    assert spoken(advise(("a", "b"), None, None, sure), sure).startswith("Align a and b, at strength ")
    guess = advise(("a", "b"), None, None, tried([0, 0.6, 1, 1, 0.5], 1.5))
    assert guess.verdict == "helps"
    assert 0.7 < guess.curve.helps < 0.9
    said = spoken(guess, tried([0, 0.6, 1, 1, 0.5], 1.5))
    assert said.startswith("Aligning a and b may help, at strength ")
    assert "check it with a sweep" in said
    assert f"probability of a gain {guess.curve.helps - 0.005:.2f}" in said
    i = guess.curve.strengths.index(guess.strength)
    assert f"{guess.curve.mean[i]:+.1f} points" in said
    assert f"{guess.curve.low[i]:+.1f} to {guess.curve.high[i]:+.1f}" in said
    worse = tried([0, -1, -2, -4, -6], 0.4)
    assert spoken(advise(("a", "b"), None, None, worse), worse).startswith(
        "Do not align a and b. At strength 1: validation accuracy -"
    )


def test_nothing_is_to_gain_where_each_alone_is_at_the_ceiling():
    for score, said in ((1.0, True), (0.995, True), (0.99, False)):
        pilots = tried([0, 0, 0, 0, 0], 0.1, score=score)
        found = advise(("a", "b"), None, None, pilots)
        assert found.word == "no difference"
        assert ("Both are at 100 % without alignment: nothing to gain." in spoken(found, pilots)) == said, score
        assert "; probability 0." in spoken(found, pilots)
    one = replace(tried([0, 0, 0, 0, 0], 0.1), scores={"a": [[1.0, 1.0]] * 5, "b": [[0.6, 0.6]] * 5})
    assert "nothing to gain" not in spoken(advise(("a", "b"), None, None, one), one)


def test_labels_that_mean_nothing_are_not_worth_aligning_for():
    """Permuted labels: whatever the pilot measures, nothing is recommended."""
    rng = np.random.default_rng(0)
    for k in range(3):
        x = rng.normal(size=(1000, 6))
        source = from_arrays({"a": x, "b": x + rng.normal(size=x.shape)}, targets={"label": rng.integers(0, 3, 1000)}, seed=k)
        found = pilot(source, ("a", "b"), strengths=(1.0,), seeds=(0, 1), steps=60)
        assert advise(("a", "b"), None, None, found).verdict == "unclear"


def test_limits_are_where_they_are_said_to_be():
    """49 rows and 9 groups are too few, 50 and 10 are not; evidence of a fall or of chance is never read as a gain."""
    gains = [0, 1, 2, 3, 3]
    rows = [advise(("a", "b"), None, None, tried(gains, 0.4, rows=n, score=0.9)) for n in (FEW - 1, FEW)]
    assert [a.verdict for a in rows] == ["unclear", "helps"]
    assert [a.strength > 0 for a in rows] == [False, True]  # no strength is named where nothing is concluded
    below = advise(("a", "b"), None, None, tried(gains, 0.4, score=0.2, chance=0.25))
    assert (below.verdict, below.strength) == ("unclear", 0.0)
    late = gain_curve([0, 0, 0, 0, -6], np.diag([0, 0.01, 0.01, 0.01, 0.01]), STRENGTHS)
    assert late.hurts < 0.7  # it falls beyond strength 1 only
    assert (late.low[-1] + late.high[-1]) / 2 == pytest.approx(late.mean[-1], abs=0.1)
    slight = gain_curve([0, 0.2, 0.3, 0.3, 0.3], np.diag([0, *[1e-4] * 4]), STRENGTHS)
    assert slight.helps > 0.99
    assert judge(slight) == "no difference"  # sure, and too little to matter
    fall = gain_curve([0, -0.2, -0.3, -0.3, -0.3], np.diag([0, *[1e-4] * 4]), STRENGTHS)
    assert fall.hurts > 0.99
    assert judge(fall) == "no difference"


def test_coarse_evidence_needs_its_probability():
    for helps, hurts, gained, lost, verdict in (
        (0.69, 0.0, 1.0, 0.0, "unclear"),
        (0.70, 0.0, 0.5, 0.0, "helps"),
        (0.99, 0.0, 0.49, 0.0, "unclear"),
        (0.3, 0.69, 0.0, 1.0, "unclear"),
        (0.3, 0.70, 0.0, 0.5, "hurts"),
        (0.8, 0.9, 1.0, 2.0, "helps"),
    ):
        mean = tuple(-lost if s == 1.0 else gained if s == 0.3 else 0.0 for s in GRID)
        curve = Curve(GRID, mean, mean, mean, helps, hurts, 0.0, 0.3, (0.1, 0.5))
        assert judge(curve) == verdict, (helps, hurts, gained, lost)


def test_joint_information_asks_for_fusion_only_where_it_outweighs_the_shared():
    for redundancy, synergy, objective in ((0.1, 0.5, "CoMM"), (0.5, 0.1, "Pairwise(tau=0.07)")):
        pid = PID(
            redundancy=redundancy,
            unique1=0.0,
            unique2=0.0,
            synergy=synergy,
            information1=redundancy,
            information2=redundancy,
            information12=redundancy + synergy,
            gap=0.0,
            significant={"redundancy": True, "unique1": False, "unique2": False, "synergy": True},
        )
        assert advise(("a", "b"), pid, None, tried([0, 1, 2, 3, 3], 0.4)).objective == objective


def test_pairs_that_look_like_shuffled_rows_are_sent_to_the_pairing_first():
    terms = {"redundancy": 0.0, "unique1": 0.5, "unique2": 0.0, "synergy": 0.0}
    totals = {"information1": 0.5, "information2": 0.0, "information12": 0.5}
    for shared, joint, value, doubted in (
        (False, False, 0.1, True),
        (True, False, 0.1, False),
        (False, True, 0.1, False),  # what shows only jointly needs the pairing
        (False, False, 0.3, False),
        (None, None, 0.1, False),  # not looked for
    ):
        there = {"redundancy": shared, "unique1": True, "unique2": False, "synergy": joint}
        pid = PID(**terms, **totals, gap=0.0, significant=None if shared is None else there)
        near = {"value": value, "high": 0.2, "chance": 0.02}
        similarity = {"cka": near, "mutual_knn": {"value": 0.1, "high": 0.2, "chance": 0.02}}
        assert unpaired(pid, similarity) == doubted
        pilots = tried([0, 1, 2, 3, 3], 0.4)
        found = advise(("a", "b"), pid, similarity, pilots)
        assert (found.verdict == "unpaired") == doubted
        assert (found.strength == 0) == doubted  # never aligned by a plan either
        assert spoken(found, pilots).startswith("Check the pairing of a and b first.") == doubted
        assert found.word in WORDS
    assert not unpaired(pid, {})
    pid = PID(**terms, **totals, gap=0.0, significant=dict.fromkeys(there, False))
    for value in (0.1, 0.3):  # an encoder near chance does not hide broken pairing
        similarity["cka"] = {**near, "value": value}
        weak = advise(("a", "b"), pid, similarity, tried([0, 1, 2, 3, 3], 0.4, score=0.54, chance=0.5))
        assert weak.word == ("check the pairing" if value < 0.2 else "unknown")
        assert "Check also that row i of a and row i of b" in " ".join(weak.evidence)
    few = advise(("a", "b"), pid, similarity, tried([0, 1, 2, 3, 3], 0.4, rows=20))
    assert few.word == "unknown"


def test_no_answer_for_any_pair_is_said_once():
    for word, said in (("unknown", "Unknown for all 2 pairs: a + b, a + c."), ("no", "Align none of 2 pairs. No: ")):
        advice = SimpleNamespace(word=word, verdict="unclear", strength=0.0, probability=None)
        pairs = [SimpleNamespace(pair=("a", k), advice=advice) for k in "bc"]
        assert conclusion(Audit("made", "", "label", {}, pairs, {}, 0.0, {})).startswith(said)
