r"""From a pilot to a recommendation: a smooth curve of gain over strength with its uncertainty, and what to do about it.

The change of accuracy :math:`f(\lambda)` since strength 0 is a Wiener process in :math:`t = \log(1 + \lambda / 0.1)`: it starts
at zero, has mean zero and drifts the further the stronger the alignment; the pilot's measured covariance is its noise. A noisy
pilot is so drawn towards "makes no difference", never towards a strength, and between two strengths nothing is invented. How
far it drifts, and how large the noise is where few seeds measured it, is not known: what the data say of both is weighed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tuplet.audit._folds import FEW_GROUPS, LEAST_GROUPS
from tuplet.audit.pilots import Pilot
from tuplet.information import PID
from tuplet.train._fits import FEW

Array = NDArray[np.float64]
Verdict = Literal["helps", "hurts", "no difference", "unclear", "unpaired"]
GRID = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
SPREADS, WARP = (1.5, 4.5), 0.1
"""Standard deviations of the gain in points at ``t = 1``, as likely as each other before anything is measured, and where ``t``
turns from linear to logarithmic. The bounds below were chosen on the tuning family of ``benchmarks/recommendation.py``."""
QUANTILES = 10
"""Equally likely sizes of the noise, of a covariance with few degrees of freedom."""
BAND = 0.5
"""A verdict needs an expected change of this many points."""
SURE = 0.7
"""And this posterior probability of its sign."""
FIRM = 0.9
"""Below this probability the advice is a guess, and is worded as one."""
FULL = 0.995
"""Accuracy that reads 100 %: nothing is left to gain."""
SAME = 1.5
"""No difference: more likely than not, no strength that was tried below 1, nor 1, changes accuracy by this many points."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Gain over strength, in points.

    Attributes:
        strengths: a grid from 0.
        mean: posterior mean at each.
        low: posterior 10 % quantile.
        high: posterior 90 % quantile.
        helps: probability that the strength with the best mean gains anything.
        hurts: probability that strength 1 loses anything.
        same: probability that no strength that was tried below 1, nor 1, changes accuracy by `SAME` points.
        best: strength with the best mean.
        interval: between these the best strength lies with probability 0.8.
    """

    strengths: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    helps: float
    hurts: float
    same: float
    best: float
    interval: tuple[float, float]


def gain_curve(
    gain: Sequence[float], covariance: Sequence[Sequence[float]], strengths: Sequence[float], freedom: float | None = None
) -> Curve:
    r"""Infer the gain at every strength from noisy measurements at some.

    .. math::

        f \sim \mathrm{GP}(0, s^2 \min(t, t')), \quad g = f(\lambda) + \varepsilon, \quad
        \varepsilon \sim N(0, w \Sigma), \quad w \sim \nu / \chi^2_\nu, \quad s \sim U(\text{SPREADS})

    Args:
        gain: measured change since strength 0 in points, at ``strengths``.
        covariance: of these measurements.
        strengths: where; the first is 0.
        freedom: degrees of freedom :math:`\nu` of the covariance; None: it is known.

    Returns:
        The `Curve` on `GRID`.

    Source:
        C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, equations 2.22 to
        2.24; the Wiener process: appendix B.

    Example:
        >>> curve = gain_curve([0.0, 4.0, 5.0], [[0, 0, 0], [0, 0.1, 0], [0, 0, 0.1]], [0.0, 0.3, 1.0])
        >>> curve.helps > 0.99, curve.best >= 0.3
        (True, True)
    """
    from scipy.stats import chi2

    grid, seen, noise = np.array(GRID), np.array(strengths)[1:], np.array(covariance)[1:, 1:]
    sizes = np.ones(1) if freedom is None else freedom / chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, freedom)
    cases = [_given(np.array(gain)[1:], size * noise, grid, seen, spread) for spread in SPREADS for size in sizes]
    evidence, means, roots = (np.array(v) for v in zip(*cases, strict=True))
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    mean = weights @ means
    rng = np.random.default_rng(0)
    which = rng.choice(len(cases), 4000, p=weights)
    draws = means[which] + np.einsum("nij,nj->ni", roots[which], rng.standard_normal((4000, len(grid))))
    draws[:, 0] = 0.0
    best = int(mean.argmax())
    tried = np.abs(grid[:, None] - np.append(seen[seen < 1], 1.0)).argmin(axis=0)
    up_to_one = np.abs(draws[:, tried]).max(axis=1)
    low, high = np.quantile(draws, [0.1, 0.9], axis=0)
    interval = np.quantile(grid[draws.argmax(axis=1)], [0.1, 0.9], method="nearest")
    return Curve(
        strengths=GRID,
        mean=tuple(mean.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        helps=float((draws[:, best] > 0).mean()) if best else 0.0,
        hurts=float((draws[:, GRID.index(1.0)] < 0).mean()),
        same=float((up_to_one < SAME).mean()),
        best=float(grid[best]),
        interval=(float(interval[0]), float(interval[1])),
    )


def _given(gain: Array, noise: Array, grid: Array, seen: Array, spread: float) -> tuple[float, Array, Array]:
    """Log-likelihood of measured gains, and mean and root of the covariance of those on the grid."""
    own, across, every = (spread**2 * _kernel(a, b) for a, b in ((seen, seen), (grid, seen), (grid, grid)))
    root = np.linalg.cholesky(own + noise + 1e-4 * np.eye(len(seen)))
    white, shares = np.linalg.solve(root, gain), np.linalg.solve(root, across.T)
    left = np.linalg.cholesky(every - shares.T @ shares + 1e-6 * np.eye(len(grid)))
    return float(-white @ white / 2 - np.log(np.diag(root)).sum()), shares.T @ white, left


def _kernel(a: Array, b: Array) -> Array:
    """Covariance of a Wiener process."""
    t, u = (np.log1p(v / WARP) for v in (a, b))
    return np.minimum(t[:, None], u[None])


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about one pair.

    Attributes:
        verdict: whether alignment ``"helps"``, ``"hurts"``, makes ``"no difference"``, there is not enough data to tell
            (``"unclear"``), or nothing shows that the rows of the two modalities belong together (``"unpaired"``).
        strength: to start with; 0 unless it helps.
        interval: where the best strength lies with probability 0.8.
        objective: what to align with first.
        curve: gain over strength.
        evidence: sentences for a reader.
        full: the one among them that says that there is nothing to gain, or empty.
        lacks: the one that says what keeps it from an answer, or empty.
    """

    verdict: Verdict
    strength: float
    interval: tuple[float, float]
    objective: str
    curve: Curve
    evidence: tuple[str, ...]
    full: str = ""
    lacks: str = ""

    @property
    def probability(self) -> float | None:
        """Return how probable the answer is; None where the pilot's curve does not answer."""
        same = self.curve.same if self.curve.same >= 0.5 else None
        return {"helps": self.curve.helps, "hurts": self.curve.hurts, "no difference": same}.get(self.verdict)

    @property
    def word(self) -> str:
        """Return the answer to "should I align?" in a word or two, as every report gives it."""
        if self.verdict == "helps":
            return "yes" if self.curve.helps >= FIRM else "perhaps"
        if self.verdict == "hurts":
            return "no" if self.curve.hurts >= FIRM else "rather not"
        return {"unclear": "unknown", "unpaired": "check the pairing"}.get(self.verdict, self.verdict)


def advise(
    pair: tuple[str, str], pid: PID | None, similarity: Mapping[str, Mapping[str, float]] | None, tried: Pilot
) -> Advice:
    """Weigh what is known about one pair.

    Args:
        pair: names of the two modalities.
        pid: what they say about the target; None where it could not be estimated.
        similarity: metric -> ``value``, ``chance``, ``low`` and ``high`` of shuffled pairs, of separately trained encoders.
        tried: the pilot.

    Returns:
        The `Advice`. The pilot decides the sign and the strength, because only it saw training, unless nothing shows
        that rows belong together (`unpaired`), none of its encoders is surely above the best constant prediction, or it has too
        few rows; the decomposition and the similarity say why, and choose the objective.

    Example:
        >>> tried = Pilot((0.0, 0.3, 1.0), (0, 1), "accuracy", {"a": [[0.5, 0.5]] * 3, "b": [[0.5, 0.5]] * 3},
        ...     [0.0, 3.0, 4.0], [[0.0] * 3, [0.0, 0.2, 0.1], [0.0, 0.1, 0.2]], 500, {"a": 0.9, "b": 0.9})
        >>> advise(("a", "b"), None, None, tried).verdict
        'helps'
    """
    freedom = max(tried.groups - 1, 1) if tried.freedom is None and tried.groups else tried.freedom
    curve = gain_curve(tried.gain, tried.covariance, tried.strengths, freedom)
    verdict = judge(curve)
    full = lacks = ""
    objective = "Pairwise(tau=0.07)"
    if tried.metric == "accuracy" and (alone := min(sum(v[0]) / len(v[0]) for v in tried.scores.values())) >= FULL:
        full = f"Both are at {100 * alone:.0f} % without alignment: nothing to gain."
    least = FEW_GROUPS if tried.folds == 1 else LEAST_GROUPS
    if tried.rows < FEW:
        verdict = "unclear"
        lacks = f"{tried.rows} judged rows are too few: below {FEW} nothing is concluded."
    elif tried.groups is not None and tried.groups < least:
        verdict = "unclear"
        lacks = f"{tried.groups} groups of judged rows are too few: below {least} nothing is concluded."
    else:
        best, bar, drawn = _bound(tried)
        if not best > bar:
            verdict = "no difference" if pid is not None and _there(pid, "synergy") else "unclear"
            has, from_ = math.floor(100 * best + 1e-6) / 100, math.ceil(100 * bar - 1e-6) / 100  # never seem above it
            lacks = (
                f"No encoder is surely above the best constant prediction ({tried.chance:.2f}): the best has {has:.2f}, and "
                f"{drawn} can tell it only from {from_:.2f}."
                + f" Check also that row i of {pair[0]} and row i of {pair[1]} are the same thing: hardly anything shows it."
                * unpaired(pid, similarity, lucky=1)
            )
        if unpaired(pid, similarity):
            verdict = "unpaired"
    evidence = [said for said in (_said_by_pilot(curve, tried), full, lacks) if said]
    if pid is not None:
        evidence.append(_said_by_pid(pair, pid))
        if _there(pid, "synergy") and pid.synergy > pid.redundancy:
            objective = "CoMM"
            evidence.append(
                "More of it shows only jointly than is shared, which aligning one with the other cannot reach: try CoMM, whose "
                "fused views keep it (not tried by this pilot)."
            )
    if similarity is not None:
        evidence.append(_said_by_similarity(similarity))
    return Advice(
        verdict=verdict,
        strength=curve.best if verdict == "helps" else 0.0,
        interval=curve.interval,
        objective=objective,
        curve=curve,
        evidence=tuple(evidence),
        full=full,
        lacks=lacks,
    )


def unpaired(pid: PID | None, similarity: Mapping[str, Mapping[str, float]] | None, *, lucky: int = 0) -> bool:
    """Tell whether a pair looks as if its rows did not belong together, as shuffled rows or unrelated sensors do."""
    looked = {} if pid is None else pid.significant or {}
    nulls = [n for n in (similarity or {}).values() if "high" in n]
    alone = bool(looked) and not looked["redundancy"] and not looked["synergy"]
    return alone and len(nulls) > lucky and sum(n["value"] > n["high"] for n in nulls) <= lucky


def judge(curve: Curve) -> Verdict:
    """Name what a curve says."""
    gained = max(curve.mean)
    lost = -curve.mean[GRID.index(1.0)]
    if curve.helps >= SURE and gained >= BAND:
        return "helps"
    if curve.hurts >= SURE and lost >= BAND:
        return "hurts"
    return "no difference" if curve.same >= 0.5 else "unclear"


def _bound(tried: Pilot) -> tuple[float, float, str]:
    """Return the best mean score, what it must exceed (chance and two standard errors), and of what these are the errors."""
    n, drawn = (tried.rows, "rows") if tried.groups is None else (tried.groups, "groups of rows")
    best = max(sum(row) / len(row) for scores in tried.scores.values() for row in scores)
    if tried.bar is not None:
        return best, tried.bar, f"{n} {drawn}"
    return best, tried.chance + 2 * math.sqrt(tried.chance * (1 - tried.chance) / n), f"{n} {drawn}"


def _there(pid: PID, part: str) -> bool:
    return bool((pid.significant or {}).get(part))


def _said_by_pilot(curve: Curve, tried: Pilot) -> str:
    def at(strength: float) -> str:
        i = GRID.index(strength)
        return f"{curve.mean[i]:+.1f} [{curve.low[i]:+.1f}, {curve.high[i]:+.1f}]"

    what, unit = ("accuracy", "points") if tried.metric == "accuracy" else ("R2", "hundredths")
    shown = dict.fromkeys([curve.best, 1.0] if curve.best else [1.0])
    measured = ", ".join(f"{g:+.1f} at {s:g}" for s, g in zip(tried.strengths, tried.gain, strict=True) if s)
    changes = " and ".join(f"{at(strength)} at strength {strength:g}" for strength in shown)
    of = "" if tried.groups is None else f" in {tried.groups} groups"
    rows = f"{tried.rows} validation rows{of}" if tried.folds == 1 else f"{tried.folds} folds over {tried.rows} rows{of}"
    return (
        f"Short trainings ({len(tried.seeds)} seeds, {rows}) changed {what} by this many {unit}, by strength: {measured}. The "
        f"estimate, which leaves 0 only as far as the noise of these numbers allows, is {changes} [80 % interval]."
    ) + ("" if curve.best else " No strength gains.")


def _said_by_pid(pair: tuple[str, str], pid: PID) -> str:
    names = {
        "redundancy": "shared",
        "unique1": f"only in {pair[0]}",
        "unique2": f"only in {pair[1]}",
        "synergy": "visible only jointly",
    }
    parts = [f"{getattr(pid, k):.2f} {name}" for k, name in names.items() if _there(pid, k)]
    rest = [name for k, name in names.items() if not _there(pid, k)]
    said = f"About the target, models read {pid.information12:.2f} {pid.units} from both together"
    said += f": {', '.join(parts)}" if parts else ", none of it found by models and clusters alike"
    return said + (f"; not found by models and clusters alike: {', '.join(rest)}." if parts and rest else ".")


def _said_by_similarity(similarity: Mapping[str, Mapping[str, float]]) -> str:
    knn = similarity["mutual_knn"]
    return (
        f"Trained separately, their encoders share {100 * knn['value']:.0f} % of nearest neighbours (chance "
        f"{100 * knn['chance']:.0f} %, shuffled pairs up to {100 * knn['high']:.0f} %); CKA {similarity['cka']['value']:.2f}."
    )
