"""TLV-Link: touch learns from text while vision, the teacher, fades out of what is aligned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from tuplet.functional.contrast import contrast
from tuplet.objectives.compose import Objective, rows_with
from tuplet.objectives.temperature import Fixed, Temperature
from tuplet.types import Embeddings, InputError, Traits, one_of

Decay = Literal["linear", "exp", "cosine"]


def teacher_share(
    step: float,
    total: float,
    *,
    start: float = 0.9,
    end: float = 0.1,
    span: float = 0.9,
    decay: Decay = "linear",
    after: Literal["above", "below"] = "above",
) -> float:
    r"""Weight of the teacher at a step of a run.

    .. math:: \beta(s) = \beta_0 (1 - s/S), \quad \beta_0\, 0.1^{s/S}, \quad \beta_0 (1 + \cos \pi s/S)/2, \qquad S = \lfloor
        \mathrm{total} \cdot \mathrm{span} \rfloor

    Args:
        step: of the run, from 0.
        total: steps of the run.
        start: weight at the first step.
        end: with ``after="below"``, what the weight falls to below zero by the end of the run.
        span: share of the run over which the teacher fades.
        decay: ``"linear"``, ``"exp"`` or ``"cosine"``.
        after: ``"above"`` keeps the weight at 0 once it has faded; ``"below"`` lets it go on falling linearly to ``-end``.

    Returns:
        The weight.

    Raises:
        InputError: for an unknown word.

    Source:
        TLV-Link (the code of Touch100k).

    Example:
        >>> [round(teacher_share(s, 100), 2) for s in (0, 45, 95)]
        [0.9, 0.45, 0.0]
    """
    one_of("decay", decay, ("linear", "exp", "cosine"))
    one_of("after", after, ("above", "below"))
    fading = int(total * span)
    if step <= fading:
        share = step / max(fading, 1)
        left = {"linear": 1 - share, "exp": math.pow(0.1, share), "cosine": (1 + math.cos(math.pi * share)) / 2}
        return start * left[decay]
    return 0.0 if after == "above" else -end * (step - fading) / (fading / span * (1 - span))


class Curriculum(Objective):
    r"""InfoNCE between text and a mixture of student and teacher, from which the teacher fades.

    .. math:: u_i = (1 - \beta) z^{touch}_i + \beta z^{vision}_i, \qquad L = \tfrac12 \big( \mathrm{CE}(U T^\top / \tau) +
        \mathrm{CE}(T U^\top / \tau) \big)

    Args:
        student: modality that learns.
        teacher: modality that guides it.
        texts: modalities whose unit vectors are summed into ``T``, such as a sentence and a phrase.
        tau: temperature, a number or a `Temperature`.
        start: weight of the teacher at the beginning.
        end: how far the weight falls below zero, with ``after="below"``.
        span: share of the run over which it fades.
        decay: how it fades.
        after: what follows.

    Raises:
        InputError: if a modality is not there.

    Notes:
        When to use: to reproduce TLV-Link. Neither the mixture nor the sum of texts is scaled to unit length, as in its code.
        Missing modalities: only rows with all of them count. Retrieval score: the mean cosine over pairs, as `Pairwise`.

    Source:
        TLV-Link (the code of Touch100k).

    Example:
        >>> e = torch.eye(4)
        >>> round(float(Curriculum(tau=0.5)(Embeddings.of({"touch": e, "vision": e, "text": e})).total), 4)
        0.3408
    """

    traits = Traits(modalities=(3, None), symmetric=False, missing="complete", cost="B^2 D")
    inner = True

    def __init__(
        self,
        *,
        student: str = "touch",
        teacher: str = "vision",
        texts: Sequence[str] = ("text",),
        tau: float | Temperature = 0.07,
        start: float = 0.9,
        end: float = 0.1,
        span: float = 0.9,
        decay: Decay = "linear",
        after: Literal["above", "below"] = "above",
    ) -> None:
        super().__init__()
        self.student, self.teacher, self.texts = student, teacher, tuple(texts)
        self.tau = tau if isinstance(tau, Temperature) else Fixed(tau)
        self.fading = {"start": start, "end": end, "span": span, "decay": decay, "after": after}
        self.beta = 0.0
        self.advance(0.0)

    def advance(self, progress: float) -> None:
        """Be told how much of the run is done."""
        self.beta = teacher_share(progress * 1e6, 1e6, **self.fading)  # type: ignore[arg-type]

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the contrastive term."""
        names = (self.student, self.teacher, *self.texts)
        if unknown := sorted(set(names) - set(emb.z)):
            raise InputError(f"the embeddings have {list(emb.modalities)}, expected {unknown} too; name the curriculum's")
        u = (1 - self.beta) * emb.z[self.student] + self.beta * emb.z[self.teacher]
        text = torch.stack([emb.z[k] for k in self.texts]).sum(dim=0)
        tau = self.tau()
        loss = contrast(
            lambda q, c: u[q] @ text[c].mT / tau,
            (u * text).sum(dim=1) / tau,
            rows=emb.rows,
            valid=rows_with(emb, names),
            group=emb.group,
        )
        return {"contrast": loss}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over the pairs of a query and a candidate modality, ``(Nq, Nc)``."""
        return self._mean_cosine(query, candidates)
