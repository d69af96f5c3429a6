"""One number each: do matching embeddings point the same way, do modalities occupy one region, how is a cloud spread?"""

from __future__ import annotations

from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional import divergence
from tuplet.functional._given import vectors
from tuplet.functional.rows import unit
from tuplet.types import Embeddings, InputError, in_range


def positive_cosine(emb: Embeddings) -> Tensor:
    """List the cosines of matching embeddings over all pairs of modalities.

    Args:
        emb: the embeddings.

    Returns:
        ``(number of pairs of present embeddings,)``. Their mean is what volume and projection scores cannot see: those are as
        good at -1 as at 1.

    Raises:
        InputError: if no row has two modalities.

    Example:
        >>> positive_cosine(Embeddings.of({"a": torch.eye(2), "b": -torch.eye(2)}))
        tensor([-1., -1.])
    """
    found = []
    for a, b in combinations(emb.modalities, 2):
        both = emb.present[a] & emb.present[b]
        found.append((unit(emb.z[a][both]) * unit(emb.z[b][both])).sum(dim=1))
    cosines = torch.cat(found) if found else torch.empty(0)
    if len(cosines) == 0:
        raise InputError("no row has two modalities present; there is no positive pair to measure")
    return cosines


def positive_quantile(emb: Embeddings, *, q: float = 0.05) -> float:
    """Find a low quantile of the cosines of matching embeddings: how bad are the worst matches?

    Args:
        emb: the embeddings.
        q: in [0, 1].

    Returns:
        The quantile of `positive_cosine`, in [-1, 1].

    Raises:
        InputError: if no row has two modalities.

    Example:
        >>> positive_quantile(Embeddings.of({"a": torch.eye(2), "b": torch.eye(2)}))
        1.0
    """
    if not 0 <= q <= 1:
        raise InputError(f"q is {q}, expected a number in [0, 1]")
    cosines = positive_cosine(emb).double().sort().values
    return float(cosines[int(q * (len(cosines) - 1))])


def paired_distance(emb: Embeddings) -> float:
    r"""Measure the mean distance of matching embeddings, :math:`\mathrm{mean}\, |x_i - y_i|` (L2I).

    Args:
        emb: the embeddings.

    Returns:
        Mean over all pairs of present embeddings of one row, in [0, 2].

    Raises:
        InputError: if no row has two modalities.

    Example:
        >>> paired_distance(Embeddings.of({"a": torch.eye(2), "b": -torch.eye(2)}))
        2.0
    """
    return float(torch.cat([torch.linalg.vector_norm(x - y, dim=1) for x, y in _matches(emb)]).mean())


def centroid_gap(emb: Embeddings) -> float:
    """Measure the mean distance between the modalities' centroids.

    Args:
        emb: the embeddings.

    Returns:
        Mean over pairs of modalities of the distance of their mean unit vectors, in [0, 2]. Small is not aligned: an untrained
        uniform space has a small gap too.

    Raises:
        InputError: if fewer than two modalities have a row.

    Source:
        Liang et al. (2022), Mind the gap.

    Example:
        >>> centroid_gap(Embeddings.of({"a": torch.eye(2), "b": torch.eye(2)}))
        0.0
    """
    there = [k for k in emb.modalities if bool(emb.present[k].any())]
    if len(there) < 2:
        raise InputError(f"only {there} have a present row; a gap needs two modalities")
    centroids = [unit(emb.z[k][emb.present[k]]).mean(dim=0) for k in there]
    return float(torch.stack([torch.linalg.vector_norm(a - b) for a, b in combinations(centroids, 2)]).mean())


def relative_gap(emb: Embeddings) -> float:
    r"""Measure the distance of matches relative to the spread within modalities (RMG).

    .. math:: \frac{m}{m + (i_x + i_y) / 2}, \quad m = \mathrm{mean}_i \tfrac{1 - x_i \cdot y_i}2, \quad
        i_x = \mathrm{mean}_{i \ne j} \tfrac{1 - x_i \cdot x_j}2

    Args:
        emb: the embeddings.

    Returns:
        Mean over pairs of modalities, each over the rows that have both, in [0, 1]: 0 when matches coincide, about 1/2 for
        unrelated spread-out modalities.

    Raises:
        InputError: if no row has two modalities.

    Source:
        Schrodi et al. (2025), Two effects, one trigger: on the modality gap.

    Example:
        >>> relative_gap(Embeddings.of({"a": torch.eye(2), "b": torch.eye(2)}))
        0.0
    """
    values = []
    for x, y in _matches(emb):
        matched = (1 - (x * y).sum(dim=1)).mean() / 2
        n = len(x)
        # the mean cosine of different unit rows, from the length of their sum
        within = [(1 - (v.sum(dim=0).square().sum() - n) / max(n * (n - 1), 1)) / 2 for v in (x, y)]
        spread = (within[0] + within[1]) / 2
        values.append(matched / (matched + spread).clamp_min(1e-12))
    return float(torch.stack(values).mean())


def modality_auc(emb: Embeddings) -> float:
    """Tell modalities apart by a linear classifier: 0.5 when it cannot, 1 when a plane separates them.

    Args:
        emb: the embeddings.

    Returns:
        Area under the ROC curve of ridge regression (1e-3 of the mean squared feature), fitted to the odd rows and read on
        the even ones, and the reverse; averaged over pairs of modalities, in [0, 1]. Costs ``D^3`` per pair.

    Raises:
        InputError: if no two modalities share four rows.

    Source:
        The linear separability of modalities in Shi et al. (2023), Towards understanding the modality gap in CLIP.

    Example:
        >>> e = torch.eye(8)
        >>> modality_auc(Embeddings.of({"a": e + 1, "b": -e - 1}))
        1.0
    """
    values = []
    for x, y in _matches(emb, least=4):
        for fitted in (0, 1):
            train = torch.cat([x[fitted::2], y[fitted::2]])
            centre = train.mean(dim=0)
            train = train - centre
            label = torch.cat([torch.ones(len(train) // 2), -torch.ones(len(train) // 2)]).to(train)
            gram = train.mT @ train
            gram.diagonal().add_((1e-3 * gram.diagonal().mean()).clamp_min(1e-12))
            plane = torch.linalg.solve(gram, train.mT @ label)
            first, second = (x[1 - fitted :: 2] - centre) @ plane, (y[1 - fitted :: 2] - centre) @ plane
            second = second.sort().values.contiguous()
            below = torch.searchsorted(second, first) + torch.searchsorted(second, first, right=True)
            values.append(below.double().mean() / (2 * len(second)))  # a tie counts one half
    return float(torch.stack(values).mean())


def alignment(x: Float[Tensor, "B D"], y: Float[Tensor, "B D"], *, alpha: float = 2.0) -> Tensor:
    r"""Compute the mean distance of matching rows, :math:`\mathrm{mean}_i |x_i - y_i|^\alpha` (Wang and Isola, 2020).

    Args:
        x, y: ``(B, D)``, usually unit rows.
        alpha: exponent > 0.

    Returns:
        Scalar, at least 0.

    Raises:
        InputError: for shapes that differ, no rows, values that are not finite, or ``alpha`` of 0 or less.

    Example:
        >>> alignment(torch.eye(2), -torch.eye(2))
        tensor(4.)
    """
    in_range("alpha", alpha, 1e-9)
    x, y = vectors("x", x), vectors("y", y)
    if x.shape != y.shape:
        raise InputError(f"y has shape {tuple(y.shape)}, expected {tuple(x.shape)} as x; row i of both must be the same thing")
    value: Tensor = torch.linalg.vector_norm(x - y, dim=1).pow(alpha).mean()
    return value


def uniformity(z: Float[Tensor, "B D"], *, t: float = 2.0) -> Tensor:
    r"""Compute the log of the mean Gaussian potential, :math:`\log \mathrm{mean}_{i<j} e^{-t |z_i - z_j|^2}`.

    Args:
        z: ``(B, D)``, usually unit rows; two or more.
        t: sharpness > 0.

    Returns:
        Scalar, at most 0; lower is more uniform. By log-sum-exp, so large ``t`` does not underflow.

    Raises:
        InputError: for fewer than two rows, values that are not finite, or ``t`` of 0 or less.

    Source:
        Wang and Isola (2020).

    Example:
        >>> uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        tensor(-8.)
    """
    in_range("t", t, 1e-9)
    return divergence.uniformity(vectors("z", z, least=2), tau=(2 * t) ** -0.5, reduction="global")


def effective_rank(z: Float[Tensor, "B D"]) -> float:
    r"""Compute the exponential of the entropy of the normalised singular values.

    Args:
        z: ``(B, D)``.

    Returns:
        Between 1 (all rows on one line) and ``min(B, D)``; 0 if all values are 0.

    Raises:
        InputError: for no rows or values that are not finite.

    Source:
        Roy and Vetterli (2007), The effective rank.

    Example:
        >>> round(effective_rank(torch.eye(3)), 4)
        3.0
    """
    rows = vectors("z", z).detach().double()
    if not (largest := float(rows.abs().max())):
        return 0.0
    p = torch.linalg.svdvals(rows / largest)
    p = p / p.sum()
    return float(torch.exp(-(p * torch.log(p.clamp_min(1e-300))).sum()))


def _matches(emb: Embeddings, *, least: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Give, for every pair of modalities with that many common rows, the unit rows of both in float64."""
    found = []
    for a, b in combinations(emb.modalities, 2):
        both = emb.present[a] & emb.present[b]
        if int(both.sum()) >= least:
            found.append((unit(emb.z[a][both].detach().double()), unit(emb.z[b][both].detach().double())))
    if not found:
        raise InputError(f"no two modalities are both present in {least} rows; there is nothing to compare")
    return found
