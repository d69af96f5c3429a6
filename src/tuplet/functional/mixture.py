"""MAP-EM of a diagonal Gaussian mixture over windows of time series with missing values (Mikalsen et al., 2018)."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tuplet.types import one_of

Floor = Literal["density", "none"]
"""What bounds the density of one value from below: that of a standard normal at 3, or nothing."""

LOWEST = -4.5 - 0.5 * math.log(2 * math.pi)  # log-density of a standard normal at 3
BLOCK = 1 << 15  # numbers per block of `Mixture.log_joint`: 256 KiB, which a processor keeps near


class Mixture(NamedTuple):
    """``C`` Gaussians over windows of ``T`` times and ``V`` attributes; the variance does not depend on time.

    Attributes:
        weight: ``(C,)``, sums to 1.
        mean: ``(C, T, V)``.
        variance: ``(C, V)``, > 0.
    """

    weight: Tensor
    mean: Tensor
    variance: Tensor

    @torch.no_grad()
    def log_joint(self, windows: Float[Tensor, "N T V"], *, floor: Floor = "density") -> Float[Tensor, "N C"]:
        """Return the log-density of each window with each component, without a gradient; its softmax is the posterior."""
        # log theta_c + sum over observed t, v of max(log N(x_ntv; mu_ctv, sigma_cv^2), log N(3; 0, 1)): the floor, which is in
        # the authors' programs, keeps one outlier from deciding; "none" leaves it out. A component of weight 0 gives -inf.
        one_of("floor", floor, ("density", "none"))
        n, shape = windows.shape[0], self.mean.shape
        size = shape[1] * shape[2]
        seen = ~windows.isnan()
        points = torch.where(seen, windows, torch.inf).reshape(n, 1, size)
        rate = (2 * self.variance).rsqrt()[:, None].expand(shape)
        top = rate.log() - 0.5 * math.log(math.pi) - LOWEST  # above the lowest; what is missing counts as the lowest
        start, rate, top = (x.reshape(-1, size) for x in (-rate * self.mean, rate, top))
        sums = windows.new_empty(n, shape[0])
        rows = max(1, BLOCK // (shape[0] * size))
        for part, out in zip(torch.split(points, rows), torch.split(sums, rows), strict=True):
            distance = torch.addcmul(start, part, rate)
            gain = torch.addcmul(top, distance, distance, value=-1)
            out.copy_((gain.clamp_min_(0) if floor == "density" else gain.masked_fill_(part.isinf(), 0)).sum(dim=2))
        return self.weight.log() + sums + LOWEST * seen.sum(dim=(1, 2)).to(sums)[:, None]


class Prior(NamedTuple):
    r"""What pulls the parameters of every component: :math:`\mu_v \sim N(m_v, s_v K)` and a variance near :math:`s_v^2`.

    Attributes:
        mean: ``(T, V)``, :math:`m`.
        deviation: ``(V,)``, :math:`s` > 0.
        kernel: ``(T, T)``, :math:`K`.
        strength: :math:`N_0` > 0, in observations.
    """

    mean: Tensor
    deviation: Tensor
    kernel: Tensor
    strength: float

    @classmethod
    @torch.no_grad()
    def of(
        cls, windows: Float[Tensor, "N T V"], *, smoothness: float, amplitude: float, strength: float, ridge: float = 0.1
    ) -> Prior:
        """Estimate it: the mean of windows (NaN where missing) at each time, their deviation, a smooth covariance over time."""
        # K_tt' = b e^(-a (t - t')^2), a the smoothness per squared step, b the amplitude; plus ridge b I where its smallest
        # eigenvalue is below 1e-8 of the largest (the authors' MATLAB program tests the reciprocal condition number). A time
        # without any observation takes the attribute's mean, an attribute without any 0; one that does not vary deviation 1.
        seen = ~windows.isnan()
        values = torch.where(seen, windows, 0.0)
        count, total = seen.sum(dim=0), values.sum(dim=0)
        number = count.sum(dim=0)
        centre = total.sum(dim=0) / number.clamp_min(1)
        mean = torch.where(count > 0, total / count.clamp_min(1), centre)
        squares = torch.where(seen, windows - centre, 0.0).square().sum(dim=(0, 1))
        deviation = (squares / (number - 1).clamp_min(1)).sqrt()
        varies = deviation > 1e-9 * values.abs().amax(dim=(0, 1))  # more than rounding
        steps = torch.arange(windows.shape[1], dtype=windows.dtype, device=windows.device)
        kernel = amplitude * (-smoothness * (steps[:, None] - steps).square()).exp()
        if ridge:
            eigenvalues = torch.linalg.eigvalsh(kernel)
            if bool(eigenvalues[0] < 1e-8 * eigenvalues[-1]):
                kernel.diagonal().add_(ridge * amplitude)
        return cls(mean, torch.where(varies, deviation, 1.0), kernel, strength)


@torch.no_grad()
def fit_mixture(
    windows: Float[Tensor, "N T V"],
    cluster: Int[Tensor, " N"],
    prior: Prior,
    *,
    components: int,
    iterations: int = 20,
    floor: Floor = "density",
) -> Mixture:
    """Fit a mixture by MAP-EM from a first assignment of windows to components.

    Args:
        windows: ``(N, T, V)``, NaN where missing.
        cluster: ``(N,)`` first component of each window, in [0, components).
        prior: the `Prior`.
        components: number of components ``C`` >= 1.
        iterations: number of M-steps >= 1, each ``N C T V + C V T^3``.
        floor: of `Mixture.log_joint`. With ``"none"`` no iteration lowers the posterior density of the parameters.

    Returns:
        The `Mixture`, without a gradient. Means start at the prior's mean; the authors' program measures the first variances
        around 0. A component that loses all windows keeps weight 0.

    Source:
        Mikalsen et al. (2018), algorithm 1.

    Example:
        >>> x = torch.tensor([0.0, 1.0, 5.0, 6.0])[:, None, None].repeat(1, 4, 1)
        >>> prior = Prior.of(x, smoothness=0.01, amplitude=0.2, strength=0.01)
        >>> fit_mixture(x, torch.tensor([0, 0, 1, 0]), prior, components=2).mean[:, 0].round(decimals=1)
        tensor([[0.7000],
                [5.3000]])
    """
    powers, mean = _powers(windows), prior.mean.expand(components, -1, -1)
    posterior = torch.eye(components, dtype=windows.dtype, device=windows.device)[cluster]
    mixture = _update(powers, posterior, mean, prior)
    for _ in range(iterations - 1):
        posterior = mixture.log_joint(windows, floor=floor).softmax(dim=1)
        mixture = _update(powers, posterior, mixture.mean, prior)
    return mixture


def _powers(windows: Tensor) -> Tensor:
    """Lay 1, x and x^2 side by side, ``(N, 3 T V)``, 0 where missing: what an M-step sums."""
    seen = ~windows.isnan()
    values = torch.where(seen, windows, 0.0)
    return torch.stack([seen.to(windows.dtype), values, values.square()], dim=1).flatten(1)


@torch.no_grad()
def _update(powers: Tensor, posterior: Tensor, mean: Tensor, prior: Prior) -> Mixture:
    """M-step: weights, then variances around the given means, then means."""
    c, t, v = mean.shape
    count, first, second = (posterior.mT @ powers).view(c, 3, t, v).unbind(1)
    # variance_cv = (N0 s_v^2 + sum_nt r pi (x - mu)^2) / (N0 + sum_nt r pi), with r = 1 for an observed value
    apart = (second - 2 * mean * first + mean.square() * count).sum(dim=1).clamp_min(0)
    variance = (prior.strength * prior.deviation.square() + apart) / (prior.strength + count.sum(dim=1))
    tiny = torch.finfo(count.dtype).tiny
    shift = torch.where(count > tiny, first / count.clamp_min(tiny) - prior.mean, 0.0)
    # mean_cv = m_v + ((s_v K)^-1 + D)^-1 D (xbar - m_v), D = diag_t(sum_n r pi) / variance. The prior covariance S = s_v K is
    # never inverted: with W = D^(1/2) it is S W (I + W S W)^-1 W, whose eigenvalues inside are >= 1, however singular K is.
    root = (count / variance[:, None]).sqrt().mT[..., None]  # (C, V, T, 1)
    covariance = prior.deviation[:, None, None] * prior.kernel
    inner = root * covariance * root.mT
    inner.diagonal(dim1=-2, dim2=-1).add_(1)
    solved = torch.cholesky_solve(root * shift.mT[..., None], torch.linalg.cholesky(inner))
    moved = (covariance @ (root * solved)).squeeze(-1).mT
    return Mixture(posterior.mean(dim=0), prior.mean + moved, variance)
