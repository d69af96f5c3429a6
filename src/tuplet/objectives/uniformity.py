"""UniAlign: uniformity within every modality, alignment to an anchor, never a push across modalities (Yin et al.)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from tuplet.functional._blocks import BlockSize, size_of_block
from tuplet.functional._rough import Rough
from tuplet.functional.density import Geometry, squared_distance
from tuplet.functional.divergence import uniformity
from tuplet.functional.rows import unit
from tuplet.functional.scores import paired_volume
from tuplet.objectives.compose import Objective, check_width, row_mean, rows_with
from tuplet.objectives.gram import Gram
from tuplet.types import Embeddings, InputError, Traits, in_range, one_of, positive

SHORTEST = 1e-4  # a sum of unit rows shorter than this has no direction


class UniAlign(Objective):
    r"""Spread every modality out on its own and pull all of them to one anchor.

    .. math::
        L = \lambda_u\, w_u \sum_m U(Z^m) + \lambda_a\, w_a \sum_{n \ne a} \mathrm{mean}_i |z^a_i - z^n_i|^2
            + \lambda_c\, U(C) + \lambda_v\, \mathrm{mean}_i V_i

    with :math:`U(Z) = \mathrm{mean}_i \log \mathrm{mean}_{j \ne i} e^{-|z_i - z_j|^2 / 2\tau^2}`, ``C`` the normalised means of
    the tuples and :math:`V_i = \sqrt{\det G_i + \epsilon^2} - \epsilon` the volume that tuple ``i`` spans.

    Args:
        anchor: the modality that the others are pulled to; the first name in sorted order when left out.
        pairs: ``"anchor"``, or ``"all"``: alignment of every pair of modalities, averaged over which one is the anchor
            (appendix C, table 4); no anchor then.
        tau: Gaussian bandwidth, > 0; 0.07 in the paper, the softmax temperature 0.0049; CLIP's 0.07 is ``tau = 0.265``. Or one
            per modality (appendix C): :math:`\tau_m` in ``U`` and, with ``"holder"``, :math:`1 / 2\tau_n^2` in alignment.
        temperature: the softmax temperature ``tau**2``, in place of ``tau``.
        tau_ctr: bandwidth of the centroids' uniformity; ``tau`` when left out, if it is one number. The paper tried 0.01,
            0.03 and 0.07.
        weighting: ``"holder"``, the weights of the Hoelder divergence (equation 24) for small ``tau``:
            :math:`w_u = (M-1)/M, w_a = 1 / 2\tau^2`; ``"literal"``, equation 13 as printed: :math:`w_u = 1, w_a = 1 / (M-1)`.
        geometry: ``"euclidean"``, or ``"geodesic"``: angles in uniformity and alignment. The volume stays.
        reduction: ``"row"`` (equation 9) or ``"global"``, as in `tuplet.functional.divergence.uniformity`.
        uniformity: :math:`\lambda_u >= 0`.
        alignment: :math:`\lambda_a >= 0`.
        centroid_weights: :math:`w_m` of equation 11, >= 0, for every modality; equal ones when left out.
        centroid: :math:`\lambda_c >= 0`. By default 0 with ``"holder"`` and 1 with ``"literal"`` (the paper's retrieval; 0.1
            for generation).
        volume: :math:`\lambda_v >= 0`, with the same defaults.
        volume_eps: :math:`\epsilon`, >= 0; smooths the root where modalities coincide.
        detach_anchor: False follows equation 10. True lets alignment move the others only, as the text says, for a pretrained
            anchor; centroid and volume still move it.
        score_by: ``"cosine"`` (the paper's ablations) or ``"volume"`` (its tuple retrieval): see the notes.
        block_size: as in `Pairwise`.

    Raises:
        InputError: for an unknown anchor, a bad option, both ``tau`` and ``temperature``, fewer than two modalities or rows, or
            ``D < M`` with a volume term.

    Notes:
        When to use: where modalities should share one region of space; negatives never push across modalities. Departures:
        equation 13 as printed weighs alignment 1 against a uniformity whose gradient carries ``1 / tau**2 = 204``, so from
        scratch it spreads and does not align; a detached anchor hardly learns from scratch either (docs/claims.md has the
        numbers). The volume score multiplies by the volume that each candidate spans on its own, which nothing here
        equalises. With ``"holder"`` value and gradient
        are of the order ``1 / tau**2``: add other objectives as ``tau**2 * UniAlign() + ...``. Missing modalities: uniformity
        over the present rows; in a row without the anchor its first present modality serves as anchor; centroid and volume
        over the present members of rows with two or more. ``M`` counts the modalities that the batch has at all. Rows of one
        group do not repel each other. Cost: M products of B x D x B, one more with a centroid term.

    Source:
        UniAlign, Towards uniformity and alignment for multi-modal representation learning, equations 9 to 14 and 24.

    Example:
        >>> e = torch.eye(4)
        >>> loss = UniAlign(tau=0.5)(Embeddings.of({"image": e, "sound": e, "text": e}))
        >>> {k: round(float(v), 4) for k, v in loss.terms.items()}  # 2/3 of three times -2 / (2 * 0.25), no distance
        {'uniformity': -8.0, 'alignment': 0.0}
    """

    traits = Traits(symmetric=False, missing="pairs", cost="M B^2 D")

    def __init__(
        self,
        *,
        anchor: str | None = None,
        pairs: Literal["anchor", "all"] = "anchor",
        tau: float | Mapping[str, float] | None = None,
        temperature: float | None = None,
        tau_ctr: float | None = None,
        weighting: Literal["holder", "literal"] = "holder",
        geometry: Geometry = "euclidean",
        reduction: Literal["row", "global"] = "row",
        uniformity: float = 1.0,
        alignment: float = 1.0,
        centroid_weights: Mapping[str, float] | None = None,
        centroid: float | None = None,
        volume: float | None = None,
        volume_eps: float = 1e-4,
        detach_anchor: bool = False,
        score_by: Literal["cosine", "volume"] = "cosine",
        block_size: BlockSize = "auto",
    ) -> None:
        super().__init__()
        if tau is not None and temperature is not None:
            raise InputError(f"tau is {tau} and temperature is {temperature}; give one, temperature is tau**2")
        one_of("pairs", pairs, ("anchor", "all"))
        if pairs == "all" and (anchor is not None or detach_anchor):
            raise InputError("pairs is 'all', which has no anchor; leave out anchor and detach_anchor")
        one_of("weighting", weighting, ("holder", "literal"))
        one_of("geometry", geometry, ("euclidean", "geodesic"))
        one_of("reduction", reduction, ("row", "global"))
        one_of("score_by", score_by, ("cosine", "volume"))
        size_of_block(block_size, 1)  # refused now, if at all
        self.taus = {k: _bandwidth(v, None) for k, v in tau.items()} if isinstance(tau, Mapping) else None
        self.tau = math.nan if isinstance(tau, Mapping) else _bandwidth(tau, temperature)
        self.tau_ctr = self.tau if tau_ctr is None else _bandwidth(tau_ctr, None)
        extra = 0.0 if weighting == "holder" else 1.0
        weights = {"uniformity": uniformity, "alignment": alignment, "centroid": centroid, "volume": volume}
        self.weights = {k: extra if w is None else float(w) for k, w in weights.items()}
        for name, weight in self.weights.items():
            in_range(name, weight, 0)
        if self.weights["centroid"] and math.isnan(self.tau_ctr):
            raise InputError("tau has one bandwidth per modality and the centroids have none; give tau_ctr")
        for name, share in (centroid_weights or {}).items():
            in_range(f"centroid_weights of {name!r}", share, 0)
        if centroid_weights is not None and not any(centroid_weights.values()):
            raise InputError("centroid_weights are all 0; give one of them a weight")
        if not any(self.weights.values()):
            raise InputError("uniformity, alignment, centroid and volume are all 0; give one of them a weight")
        in_range("volume_eps", volume_eps, 0)
        if reduction == "global":
            self.traits = replace(self.traits, rowwise=False)
        self.anchor, self.weighting, self.pairs = anchor, weighting, pairs
        self.centroid_weights = None if centroid_weights is None else {k: float(v) for k, v in centroid_weights.items()}
        self.geometry: Geometry = geometry
        self.reduction: Literal["row", "global"] = reduction
        self.volume_eps, self.detach_anchor, self.score_by = volume_eps, detach_anchor, score_by
        self.inner = score_by == "cosine"
        self.block_size = block_size

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the weighted terms whose weight is not 0."""
        if len(emb) < 2:
            raise InputError(f"z has {len(emb)} row, UniAlign needs at least 2 to spread out; raise batch_size")
        if self.anchor is not None and self.anchor not in emb.modalities:
            raise InputError(f"anchor is {self.anchor!r}, expected one of {list(emb.modalities)}")
        for name, given in (("tau", self.taus), ("centroid_weights", self.centroid_weights)):
            if given is not None and set(given) != set(emb.modalities):
                raise InputError(f"{name} names {sorted(given)}, but z has {list(emb.modalities)}; give a number for each")
        parts = {
            "uniformity": self._uniformity,
            "alignment": self._of_all_pairs if self.pairs == "all" else self._to_anchor,
            "centroid": self._centroid,
            "volume": self._volume,
        }
        return {name: weight * parts[name](emb) for name, weight in self.weights.items() if weight}

    def score(self, query: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the mean cosine over pairs of a query and a candidate modality, or minus the volume, ``(Nq, Nc)``."""
        if self.score_by == "volume":
            return Gram().score(query, candidates)
        return self._mean_cosine(query, candidates)

    def bounds(self, rough: Rough) -> Tensor | None:
        """Return minus the smallest volumes that are possible, ``(B, N)``."""
        return Gram().bounds(rough) if self.score_by == "volume" else None

    def _uniformity(self, emb: Embeddings) -> Tensor:
        taus = self.taus or dict.fromkeys(emb.modalities, self.tau)
        total = torch.stack([self._spread(emb, emb.z[k], rows_with(emb, [k]), taus[k]) for k in emb.modalities]).sum()
        if self.weighting == "literal":
            return total
        m = _seen(emb)
        return total * (m - 1) / m

    def _spread(self, emb: Embeddings, z: Tensor, valid: Tensor | None, tau: float) -> Tensor:
        return uniformity(
            z,
            tau=tau,
            geometry=self.geometry,
            reduction=self.reduction,
            rows=emb.rows,
            valid=valid,
            group=emb.group,
            block_size=size_of_block(self.block_size, len(emb), gpu=z.is_cuda),
        )

    def _pull(self, *names: str) -> float:
        """Return the weight of alignment towards modalities: in the divergence that of their kernels, ``_all`` apart."""
        return sum(1.0 if self.taus is None or self.weighting == "literal" else 0.5 / self.taus[k] ** 2 for k in names)

    @property
    def _all(self) -> float:
        """Divide alignment by what one bandwidth for all contributes."""
        return 2 * self.tau**2 if self.taus is None and self.weighting == "holder" else 1.0

    def _of_all_pairs(self, emb: Embeddings) -> Tensor:
        """Average over anchors: pair ``(m, n)`` is pulled once towards each of the two."""
        losses = []
        for a, b in combinations(emb.modalities, 2):
            apart = squared_distance(emb.z[a], emb.z[b], geometry=self.geometry)
            losses.append(self._pull(a, b) * row_mean(apart, rows_with(emb, [a, b]), emb.rows))
        total, m = torch.stack(losses).sum(), _seen(emb)
        return total / (self._all * m) if self.weighting == "holder" else total / (m * (m - 1)).clamp_min(1)

    def _to_anchor(self, emb: Embeddings) -> Tensor:
        """Pull every modality to its row's anchor: the first that the row has, in this order."""
        first = emb.modalities[0] if self.anchor is None else self.anchor
        whole = rows_with(emb, emb.modalities) is None
        hub, anchored = emb.z[first], emb.present[first]
        losses = []
        for name in (k for k in emb.modalities if k != first):
            z, here = emb.z[name], emb.present[name]
            target = hub.detach() if self.detach_anchor else hub
            apart = squared_distance(target, z, geometry=self.geometry)
            losses.append(self._pull(name) * row_mean(apart, None if whole else anchored & here, emb.rows))
            if not whole:
                hub, anchored = torch.where(anchored[:, None], hub, z), anchored | here
        total = torch.stack(losses).sum()
        return total / self._all if self.weighting == "holder" else total / (_seen(emb) - 1).clamp_min(1)

    def _centroid(self, emb: Embeddings) -> Tensor:
        members = torch.stack(_members(emb))  # (M, B, D)
        if self.centroid_weights is not None:
            shares = [self.centroid_weights[k] for k in emb.modalities]
            members = members * members.new_tensor(shares)[:, None, None] * (len(shares) / sum(shares))
        total = members.sum(dim=0)
        long = torch.linalg.vector_norm(total.detach(), dim=1) > SHORTEST
        valid = long if (several := _several(emb)) is None else long & several
        everywhere = not torch.compiler.is_compiling() and bool(valid.all())
        centroids = unit(total if everywhere else torch.where(valid[:, None], total, 0.0))
        return self._spread(emb, centroids, None if everywhere else valid, self.tau_ctr)

    def _volume(self, emb: Embeddings) -> Tensor:
        members = _members(emb)
        m, dim = len(members), members[0].shape[1]
        check_width(m, dim, "volumes need D >= M, or set volume=0")
        several = _several(emb)
        if several is not None:  # an absent member becomes an axis of its own, which leaves the others' volume
            axes = torch.eye(m, dtype=members[0].dtype, device=members[0].device)
            absent = [~emb.present[k][:, None] for k in emb.modalities]
            members = [torch.cat([z, gone * axis], dim=1) for z, gone, axis in zip(members, absent, axes, strict=True)]
        volumes, eps = paired_volume(members), self.volume_eps
        smooth = (volumes.square() + eps**2).sqrt() - eps if eps else volumes
        return row_mean(smooth, several, emb.rows)


def _bandwidth(tau: float | None, temperature: float | None) -> float:
    for name, value in (("tau", tau), ("temperature", temperature)):
        if value is not None:
            positive(name, value)
    if temperature is not None:
        return math.sqrt(temperature)
    return 0.07 if tau is None else float(tau)


def _members(emb: Embeddings) -> list[Tensor]:
    """List the rows of every modality; absent ones are zero and receive no gradient."""
    whole = rows_with(emb, emb.modalities) is None
    return [emb.z[k] if whole else torch.where(emb.present[k][:, None], emb.z[k], 0.0) for k in emb.modalities]


def _several(emb: Embeddings) -> Tensor | None:
    """Find the rows with two or more modalities; None when every row has all."""
    if rows_with(emb, emb.modalities) is None:
        return None
    return torch.stack([emb.present[k] for k in emb.modalities]).sum(dim=0) >= 2


def _seen(emb: Embeddings) -> Tensor:
    """Count the modalities that any row has, at least 1."""
    count = torch.stack([emb.present[k].any() for k in emb.modalities]).sum().clamp_min(1)
    return count.to(emb.z[emb.modalities[0]].dtype)
