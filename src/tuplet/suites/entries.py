"""The objectives as rows of a comparison, shared by suites."""

from __future__ import annotations

import math

from tuplet.objectives import (
    CMC,
    Bottleneck,
    CoMM,
    Cone,
    Gram,
    Objective,
    OneVsAll,
    Pairwise,
    SigmoidPairwise,
    Structure,
    Supervised,
    Symile,
    TransportConsistency,
    Triangle,
    UniAlign,
)
from tuplet.study.suite import Entry, Settings, Task

TAUS = tuple({"tau": tau} for tau in (0.03, 0.1))
TAUS_BELOW = tuple({"tau": tau} for tau in (0.03, 0.07))
BANDWIDTHS = tuple({"tau": round(math.sqrt(tau), 3)} for tau in (0.03, 0.1))
TAUS_AND_BETAS = ({"tau": 0.03, "beta": 0.3}, {"tau": 0.1, "beta": 1.0})


def _supervised(settings: Settings, task: Task) -> Objective:
    return Supervised(len(task.modalities) * task.budget.dim, task.classes, target=task.target)


def _structured(settings: Settings, task: Task) -> Objective:
    return Pairwise(tau=settings["tau"]) + Structure() * float(settings["weight"])


def baselines() -> tuple[Entry, ...]:
    """List the rows that align nothing."""
    return (
        Entry("raw", "Inputs", kind="inputs", note="scaled inputs, no encoder"),
        Entry("none", "Random encoders", kind="random", note="untrained: what alignment has to beat"),
        Entry(
            "linear",
            "Linear closed form",
            kind="linear",
            note="regularised CCA, its generalisation for three or more views: no training; an objective has to beat it",
        ),
        Entry(
            "supervised",
            "Supervised",
            _supervised,
            note="trained end to end with all labels: the ceiling for probes; it cannot retrieve",
            aligns=False,
        ),
    )


def objectives() -> tuple[Entry, ...]:
    """List the objectives with their papers' settings and two others to try."""
    return (
        Entry("pairwise", "Pairwise CLIP", lambda s, t: Pairwise(**s), defaults={"tau": 0.07}, trials=TAUS),
        Entry(
            "pairwise_hub",
            "Pairwise hub",
            lambda s, t: Pairwise(pairs="hub", **s),
            defaults={"tau": 0.07},
            trials=TAUS,
            note="every view with the first one only",
        ),
        Entry(
            "sigmoid",
            "Pairwise sigmoid",
            lambda s, t: SigmoidPairwise(**s),
            defaults={"tau": 0.1},
            trials=TAUS_BELOW,
            note="SigLIP for any number of views; the bias is learned, the temperature is not",
        ),
        Entry(
            "cmc",
            "CMC",
            lambda s, t: CMC(**s),
            defaults={"tau": 0.1},
            trials=TAUS_BELOW,
            note="NT-Xent: negatives from both views of a pair",
        ),
        Entry(
            "bottleneck",
            "Pairwise + IB",
            lambda s, t: Bottleneck(**s),
            defaults={"tau": 0.07, "beta": 1.0},
            trials=TAUS_AND_BETAS,
        ),
        Entry("symile", "Symile", lambda s, t: Symile(**s), defaults={"tau": 0.07}, trials=TAUS, note="n negatives"),
        Entry(
            "symile_n_squared",
            "Symile all tuples",
            lambda s, t: Symile(negatives="n_squared", **s),
            defaults={"tau": 0.07},
            trials=TAUS,
            sizes=(3,),
            note="all B^(M-1) negatives; affordable with three views",
        ),
        Entry("gram", "GRAM", lambda s, t: Gram(**s), defaults={"tau": 0.07}, trials=TAUS),
        Entry("triangle", "TRIANGLE", lambda s, t: Triangle(**s), defaults={"tau": 0.07}, trials=TAUS, sizes=(3,)),
        Entry(
            "one_vs_all",
            "OVA-IB",
            lambda s, t: OneVsAll(**s),
            defaults={"tau": 0.01, "beta": 1.0},
            trials=TAUS_AND_BETAS,
        ),
        Entry(
            "one_vs_all_sufficiency",
            "OVA-IB beta 0",
            lambda s, t: OneVsAll(beta=0.0, **s),
            defaults={"tau": 0.01},
            trials=TAUS,
            note="without minimality: blind to sign",
        ),
        Entry(
            "cone",
            "Cone (ours)",
            lambda s, t: Cone(**s),
            defaults={"tau": 0.1},
            trials=({"tau": 0.05}, {"tau": 0.2}),
            note="against the best non-negative mixture of the other views",
        ),
        Entry(
            "uni_align",
            "UniAlign",
            lambda s, t: UniAlign(**s),
            defaults={"tau": 0.07},
            trials=BANDWIDTHS,
            note="Hoelder weights; its tau is a bandwidth, the root of a temperature",
        ),
        Entry(
            "structure",
            "Pairwise + structure",
            _structured,
            defaults={"tau": 0.07, "weight": 1.0},
            trials=({"tau": 0.03, "weight": 1.0}, {"tau": 0.07, "weight": 10.0}),
            note="UniOMA's regulariser with the identity coupling, added to Pairwise CLIP",
        ),
        Entry(
            "transport",
            "OT consistency",
            lambda s, t: TransportConsistency(**s),
            defaults={"epsilon": 0.05},
            trials=({"epsilon": 0.1}, {"epsilon": 0.2}),
            note="entropic transport between batches, a loop of plans; epsilon smooths them as a temperature does",
        ),
        Entry(
            "comm",
            "CoMM",
            lambda s, t: CoMM(t.modalities, t.budget.dim, **s),
            defaults={"tau": 0.1},
            trials=TAUS_BELOW,
            note="a small fusion transformer is trained with it, on two noisy views of the inputs",
        ),
    )
