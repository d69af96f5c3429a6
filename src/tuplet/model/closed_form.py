"""The closed form: linear maps of all modalities into one space, by regularised multi-set CCA on training rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tuplet.data import Rows, Source
from tuplet.functional.gcca import EXACT, Moments, principal_axes, shared_directions
from tuplet.functional.rows import unit
from tuplet.nets import MLP
from tuplet.types import InputError, in_range

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)  # ridges that validation rows choose from
UNTUNED = 0.1  # ridge where validation rows cannot choose
POOL = 1000  # validation rows that choose, at most
AXES = 100  # principal components per modality, at most
SHARE = 1024  # rows read at once


class ClosedFormError(InputError):
    """Data that have no linear closed form, or one that says nothing about some modality: ``"<why>; <fix>"``.

    Example:
        >>> ClosedFormError("all rows of 'a' are equal; leave it out").why
        "all rows of 'a' are equal"
    """

    @property
    def why(self) -> str:
        """Return what the data lack, without the fix."""
        return str(self).partition("; ")[0]


@dataclass(frozen=True)
class LinearMap:
    """One linear map, ``(x - mean) @ weight`` with ``x`` flattened; all in float64.

    Attributes:
        mean: ``(d,)``.
        weight: ``(d, dim)``.
    """

    mean: Tensor
    weight: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map ``(N, d)`` rows."""
        return (x.double() - self.mean) @ self.weight

    def module(self) -> MLP:
        """Make a trainable layer of it, in float32; torch's random state is left alone."""
        with torch.random.fork_rng(devices=[]):
            layer = MLP(*self.weight.shape, layers=1)
        layer.layers[1].load_state_dict({"weight": self.weight.mT.float(), "bias": -(self.mean @ self.weight).float()})
        return layer


def linear_maps(source: Source, *, dim: int = 64, ridge: float | None = None) -> dict[str, LinearMap]:
    r"""Fit one linear map per modality: regularised CCA for two modalities, its generalisation (MAXVAR) for more.

    .. math:: z_m = \mathrm{diag}(\sqrt{\lambda - 1})\, W_m^\top (x_m - \bar x_m)

    Args:
        source: its training rows give the maps; nothing else is read, but for the choice of the ridge.
        dim: width of the common space; columns that the data cannot fill are 0.
        ridge: > 0, relative to the mean variance of a modality's components. None chooses by validation rows.

    Returns:
        Modality -> `LinearMap`. That of a constant modality is 0.

    Raises:
        InputError: if ``dim`` or ``ridge`` is not positive.
        ClosedFormError: if fewer than two training rows have two modalities, or fewer than two modalities vary.

    Notes:
        Rows are flattened, and each modality is reduced to at most 100 principal components, whose axes come from at most
        4,096 training rows, evenly spaced. Covariances are summed over all training rows in shares, each block over the
        rows that have both modalities, so memory does not grow with the number of rows. The ridge is the one of `RIDGES`,
        and the number of columns ``dim``, a half or a quarter of it (the others are 0), with the best mean reciprocal rank by
        cosine over all pairs of modalities on at most 1,000 validation rows.

    Source:
        `tuplet.functional.gcca`; weights by the square root of the correlation as in Foster et al. (2008).

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> maps = linear_maps(from_arrays({"a": x, "b": x[:, :2] - x[:, 1:]}), dim=4)
        >>> maps["a"].weight.shape
        torch.Size([3, 4])
    """
    in_range("dim", dim, 1)
    if ridge is not None and not ridge > 0:
        raise InputError(f"ridge is {ridge}, expected a number above 0, or None to choose it by validation rows")
    names = sorted(source.modalities)
    x, present = _read(source.train, _even(len(source.train), EXACT), names)
    axes = {k: principal_axes(x[k][present[k]], count=AXES) for k in names}
    del x
    moments = Moments([axes[k][1].shape[1] for k in names])
    paired = 0
    for start in range(0, len(source.train), SHARE):
        x, present = _read(source.train, torch.arange(start, min(start + SHARE, len(source.train))), names)
        paired += int((torch.stack(list(present.values())).sum(dim=0) >= 2).sum())
        moments.add([(x[k].double() - axes[k][0]) @ axes[k][1] for k in names], [present[k] for k in names])
    if paired < 2:
        raise ClosedFormError(f"{source.name} has {paired} training rows with two modalities, expected 2 or more")
    if len(names) - len(still := [k for k in names if not axes[k][1].shape[1]]) < 2:
        raise ClosedFormError(f"{source.name} has constant modalities {still}; a linear closed form needs two that vary")
    covariance = moments.covariance()
    val, there = _read(source.val, _even(len(source.val), POOL), names)
    together = torch.stack([there[k] for k in names]).long()
    choosable = int((together @ together.T).fill_diagonal_(0).max()) > 1  # two rows of one pair can be told apart
    best: tuple[float, dict[str, LinearMap]] | None = None
    for strength in (ridge,) if ridge is not None else RIDGES if choosable else (UNTUNED,):
        directions, eigen = shared_directions(covariance, moments.sizes, ridge=strength, dim=dim)
        for count in sorted({dim, -(-dim // 2), -(-dim // 4)}, reverse=True) if choosable else (dim,):
            scale = eigen.sqrt() * (torch.arange(dim) < count)
            maps = {k: LinearMap(axes[k][0], axes[k][1] @ w * scale) for k, w in zip(names, directions, strict=True)}
            score = _score({k: unit(maps[k](val[k])) for k in names}, there) if choosable else 0.0
            if best is None or score > best[0]:
                best = score, maps
    assert best is not None
    return best[1]


def _even(size: int, most: int) -> Tensor:
    """Choose at most ``most`` of ``size`` positions, evenly spaced."""
    return torch.arange(size) if size <= most else torch.linspace(0, size - 1, most).long()


def _read(rows: Rows, positions: Tensor, names: list[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Read rows, flat: values and presence per modality."""
    values: dict[str, list[Tensor]] = {k: [] for k in names}
    present: dict[str, list[Tensor]] = {k: [] for k in names}
    for share in torch.split(positions, SHARE) if len(positions) else (positions,):
        batch = rows[share]
        for k in names:
            values[k].append(batch.inputs[k].flatten(1).float())
            present[k].append(batch.present[k])
    return {k: torch.cat(v) for k, v in values.items()}, {k: torch.cat(v) for k, v in present.items()}


def _score(z: dict[str, Tensor], present: dict[str, Tensor]) -> float:
    """Mean reciprocal rank by cosine over all directions between two modalities; of equal scores half count as better."""
    found = []
    for a in z:
        for b in z:
            both = present[a] & present[b]
            if a == b or int(both.sum()) < 2:
                continue
            scores = z[a][both] @ z[b][both].mT
            own = scores.diagonal()[:, None]
            better, equal = (scores > own).sum(dim=1), (scores == own).sum(dim=1) - 1
            found.append(float((1 / (1 + better + equal / 2)).mean()))
    return sum(found) / len(found)
