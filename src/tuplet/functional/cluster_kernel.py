"""Time series cluster kernel: how often an ensemble of mixtures puts two windows together (Mikalsen et al., 2018)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional.mixture import Floor, Mixture, Prior, fit_mixture
from tuplet.types import InputError, in_range, one_of


class View(NamedTuple):
    """A mixture and the part of a window that it sees: times ``start`` to ``stop`` of some attributes."""

    mixture: Mixture
    start: int
    stop: int
    attributes: Tensor

    def of(self, windows: Tensor) -> Tensor:
        """Cut that part out of windows ``(N, T, V)``."""
        return windows[:, self.start : self.stop, self.attributes]


class ClusterKernel:
    r"""Kernel between windows of multivariate time series with missing values, from an ensemble of mixtures.

    .. math::
        K_{ij} = \frac1Q \sum_q \cos(\pi^q_i, \pi^q_j)

    where :math:`\pi^q_i` are the posteriors of window ``i`` under mixture ``q``. Each of the
    :math:`Q = \text{draws} \cdot (C - 1)` mixtures has 2 to ``C`` components, its own segment of time, attributes, windows
    and prior, all drawn at random. Fit once on training windows; then any batch has features ``F`` with ``K = F F'``.

    Args:
        components: largest number of components ``C`` >= 2. None: 40, or 10 with fewer than 100 windows; at most as windows.
        draws: mixtures per number of components >= 1.
        iterations: M-steps per mixture >= 1.
        segment: shortest and longest segment of time. None: 6 to the smaller of 25 and 80 % of ``T``.
        attributes: fewest and most attributes of a mixture. None: 2 (or 1) to the smaller of 15 and 90 % of ``V``.
        share: smallest part of the windows a mixture is fitted on, in (0, 1].
        ridge: on the prior's covariance where it is near singular, >= 0; 0.1 in the authors' MATLAB program.
        floor: what bounds the density of one value from below: ``"density"`` the standard normal density at 3; ``"none"``
            nothing, as in the paper's algorithm.
        units: ``"standard"`` scales every attribute by its training deviation first; ``"raw"`` takes values as they are, as
            the authors' programs do.
        normalise: ``"unit"`` is the formula above, with diagonal 1; ``"sum"`` leaves out ``1 / Q``, as the authors' Python
            program does; ``"raw"`` sums inner products of posteriors instead of cosines, as their first MATLAB program does.
        seed: of all draws, by a generator of their own.

    Notes:
        Defaults are those of the authors' programs where nothing else is said. Computed in float64 and returned in the dtype
        and on the device of the windows, without a gradient. Cost of `fit`: ``iterations Q N C T' V'`` for segments of ``T'``
        and ``V'``; of `transform` ``Q N C T' V'``. Missing values are left out of every sum; a window that a mixture does not
        see at all gets its weights as posterior. Departures from the programs: everything is in log space; the ridge is
        added where it is due (the Python one tests the condition number instead of its reciprocal); with 100 windows or
        fewer the number for each mixture is drawn, too, instead of 90 %; means start at the prior's mean.

    Source:
        Mikalsen et al. (2018), Time series cluster kernel for learning similarities between multivariate time series with
        missing data, algorithms 1 and 2.

    Example:
        >>> wave = torch.linspace(0, 12, 24).sin()[:, None]
        >>> x = 0.1 * torch.randn(20, 24, 1, generator=torch.Generator().manual_seed(0))
        >>> x[:10] += wave
        >>> x[0, :12] = torch.nan
        >>> kernel = ClusterKernel(components=3, draws=5).fit(x)
        >>> K = kernel(x)
        >>> K.shape, bool(K[:10, :10].mean() > K[:10, 10:].mean() + 0.3)
        (torch.Size([20, 20]), True)
    """

    def __init__(
        self,
        *,
        components: int | None = None,
        draws: int = 30,
        iterations: int = 20,
        segment: tuple[int, int] | None = None,
        attributes: tuple[int, int] | None = None,
        share: float = 0.8,
        ridge: float = 0.1,
        floor: Floor = "density",
        units: Literal["standard", "raw"] = "standard",
        normalise: Literal["unit", "sum", "raw"] = "unit",
        seed: int = 0,
    ) -> None:
        if components is not None:
            in_range("components", components, 2)
        in_range("draws", draws, 1)
        in_range("iterations", iterations, 1)
        in_range("ridge", ridge, 0)
        if not 0 < share <= 1:
            raise InputError(f"share is {share}, expected a number in (0, 1]")
        one_of("floor", floor, ("density", "none"))
        one_of("units", units, ("standard", "raw"))
        one_of("normalise", normalise, ("unit", "sum", "raw"))
        self.components, self.draws, self.iterations, self.seed = components, draws, iterations, seed
        self.segment, self.attributes, self.share, self.ridge = segment, attributes, share, ridge
        self.floor: Floor = floor
        self.units, self.normalise = units, normalise
        self._length = 0
        self._location = self._scale = torch.empty(0, dtype=torch.float64)
        self._views: list[View] = []

    @torch.no_grad()
    def fit(self, windows: Float[Tensor, "N T V"]) -> ClusterKernel:
        """Fit the ensemble on training windows, NaN where missing; returns itself.

        Raises:
            InputError: for a shape other than ``(N, T, V)``, infinite values, a window or attribute without any value,
                fewer windows than components, or a ``segment`` or ``attributes`` that do not fit.
        """
        _check(windows)
        n, length, width = windows.shape
        most = self.components if self.components is not None else min(10 if n < 100 else 40, n)
        if n < max(most, 2):
            raise InputError(f"windows has {n} rows, expected at least components={max(most, 2)}; lower components")
        empty = windows.isnan().all(dim=0).all(dim=0).nonzero().flatten().tolist()
        if empty:
            raise InputError(f"windows has no value at all for attributes {empty}; leave them out")
        short = min(6, length)
        few = min(2, width)
        times = _bounds("segment", self.segment, (short, max(short, min(25, length * 4 // 5))), length, "T")
        chosen = _bounds("attributes", self.attributes, (few, max(few, min(15, -(-width * 9 // 10)))), width, "V")
        values = windows.double()
        self._location = values.nanmean(dim=(0, 1))
        spread = (values - self._location).square().nanmean(dim=(0, 1)).sqrt()
        varies = (spread > 1e-9 * self._location.abs()) & (self.units == "standard")
        self._scale, self._length = torch.where(varies, spread, 1.0), length
        values = (values - self._location) / self._scale
        generator = torch.Generator().manual_seed(self.seed)
        self._views = [self._one(values, c, times, chosen, generator) for c in range(2, most + 1) for _ in range(self.draws)]
        return self

    @torch.no_grad()
    def transform(self, windows: Float[Tensor, "N T V"]) -> Float[Tensor, "N F"]:
        """Return features ``F`` of windows of the same ``T`` and ``V``, such that ``K = F F'``.

        Raises:
            InputError: before `fit`, for another ``T`` or ``V``, infinite values, or a window without any value.
        """
        return self._features(windows).to(windows.dtype)

    @torch.no_grad()
    def kernel(self, x: Float[Tensor, "N T V"], y: Float[Tensor, "P T V"] | None = None) -> Float[Tensor, "N P"]:
        """Return the kernel between windows ``x`` and ``y`` (``x`` again by default); raises as `transform`."""
        left = self._features(x)
        right = left if y is None else self._features(y)
        return (left @ right.mT).to(x.dtype)

    def __call__(self, windows: Float[Tensor, "N T V"]) -> Float[Tensor, "N N"]:
        """Return the kernel of a batch of windows with itself."""
        return self.kernel(windows)

    def to(self, device: torch.device | str) -> ClusterKernel:
        """Move the ensemble, where `transform` computes; returns itself."""
        return self.load_state_dict({k: v.to(device) for k, v in self.state_dict().items()})

    def state_dict(self) -> dict[str, Tensor]:
        """Return the fitted ensemble as plain tensors, laid end to end over mixtures; the options are not in it."""
        views, width = self._fitted(), len(self._location)
        device = self._location.device
        seen = torch.zeros(len(views), width, dtype=torch.bool, device=device)
        for row, view in zip(seen, views, strict=True):
            row[view.attributes] = True
        sizes = [(len(view.mixture.weight), view.start, view.stop) for view in views]
        return {
            "length": torch.tensor(self._length, device=device),
            "location": self._location,
            "scale": self._scale,
            "sizes": torch.tensor(sizes, device=device),
            "attributes": seen,
            "weight": torch.cat([view.mixture.weight for view in views]),
            "mean": torch.cat([view.mixture.mean.flatten() for view in views]),
            "variance": torch.cat([view.mixture.variance.flatten() for view in views]),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> ClusterKernel:
        """Take over what `state_dict` gave, from a kernel of the same options; returns itself.

        Raises:
            InputError: if an entry is absent or of the wrong size.
        """
        wanted = {"length", "location", "scale", "sizes", "attributes", "weight", "mean", "variance"}
        if set(state) != wanted:
            raise InputError(f"state has {sorted(state)}, expected {sorted(wanted)}")
        shapes = [
            (c, stop - start, int(n))
            for (c, start, stop), n in zip(state["sizes"].tolist(), state["attributes"].sum(dim=1), strict=True)
        ]
        counts = {
            "weight": [c for c, _, _ in shapes],
            "mean": [c * t * v for c, t, v in shapes],
            "variance": [c * v for c, _, v in shapes],
        }
        parts = {}
        for name, sizes in counts.items():
            if state[name].shape != (sum(sizes),):
                raise InputError(f"state[{name!r}] has shape {tuple(state[name].shape)}, expected ({sum(sizes)},)")
            parts[name] = torch.split(state[name].double(), sizes)
        self._views = [
            View(Mixture(weight, mean.view(shape), variance.view(shape[0], shape[2])), start, stop, seen.nonzero().flatten())
            for weight, mean, variance, shape, (_, start, stop), seen in zip(
                *parts.values(), shapes, state["sizes"].tolist(), state["attributes"], strict=True
            )
        ]
        self._length = int(state["length"])
        self._location, self._scale = state["location"].double(), state["scale"].double()
        return self

    def _one(self, values: Tensor, c: int, times: tuple[int, int], chosen: tuple[int, int], generator: torch.Generator) -> View:
        """Draw what one mixture sees, and its prior, and fit it."""

        def whole(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=generator))

        def some(of: int, size: int) -> Tensor:
            return torch.randperm(of, generator=generator)[:size].sort().values.to(values.device)

        def between(low: float, high: float) -> float:
            return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))

        n, length, width = values.shape
        rows = some(n, whole(max(1, round(self.share * n)), n))
        start = whole(0, length - times[0])
        stop = whole(start + times[0], min(length, start + times[1]))
        seen = some(width, whole(*chosen))
        part = values[rows, start:stop][:, :, seen]
        prior = Prior.of(
            part, smoothness=between(0.001, 1.0), amplitude=between(0.005, 0.2), strength=between(0.001, 0.2), ridge=self.ridge
        )
        cluster = torch.randint(c, (len(rows),), generator=generator).to(values.device)
        mixture = fit_mixture(part, cluster, prior, components=c, iterations=self.iterations, floor=self.floor)
        return View(mixture, start, stop, seen)

    def _features(self, windows: Tensor) -> Tensor:
        views = self._fitted()
        _check(windows)
        if windows.shape[1:] != (self._length, len(self._location)):
            expected = f"(N, {self._length}, {len(self._location)})"
            raise InputError(f"windows has shape {tuple(windows.shape)}, expected {expected} as in fit")
        values = (windows.to(self._location) - self._location) / self._scale
        sizes = [len(view.mixture.weight) for view in views]
        features = values.new_empty(len(values), sum(sizes))
        for view, slot in zip(views, torch.split(features, sizes, dim=1), strict=True):
            posterior = view.mixture.log_joint(view.of(values), floor=self.floor).softmax(dim=1)
            length = 1.0 if self.normalise == "raw" else torch.linalg.vector_norm(posterior, dim=1, keepdim=True)
            torch.div(posterior, length, out=slot)
        return (features / len(views) ** 0.5 if self.normalise == "unit" else features).to(windows.device)

    def _fitted(self) -> list[View]:
        if not self._views:
            raise InputError("the kernel has no mixtures yet; call fit on training windows first")
        return self._views


def _bounds(argument: str, given: tuple[int, int] | None, default: tuple[int, int], largest: int, axis: str) -> tuple[int, int]:
    low, high = default if given is None else given
    if not 1 <= low <= high <= largest:
        raise InputError(f"{argument} is ({low}, {high}), expected 1 <= low <= high <= {axis} = {largest}")
    return low, high


def _check(windows: Tensor) -> None:
    if windows.ndim != 3 or not windows.is_floating_point():
        seen = f"shape {tuple(windows.shape)} and dtype {windows.dtype}"
        raise InputError(f"windows has {seen}, expected floating (N, T, V): windows, times, attributes")
    if bool(windows.isinf().any()):
        raise InputError("windows has infinite values; mark what is missing as NaN")
    empty = windows.isnan().all(dim=2).all(dim=1)
    if bool(empty.any()):
        rows = empty.nonzero().flatten().tolist()
        raise InputError(f"windows has no value at all in {len(rows)} rows, the first is {rows[0]}; leave them out")
