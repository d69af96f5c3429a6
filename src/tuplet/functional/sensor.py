"""Which sensor saw it: a classifier of cosine centroids, its reversal, and a bounded confusion loss."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from tuplet.functional.rows import unit
from tuplet.types import InputError, positive


def sensor_loss(
    f: Float[Tensor, "B D"], centroids: Float[Tensor, "K D"], sensor: Int[Tensor, " B"], *, tau: float = 0.05
) -> Float[Tensor, ""]:
    r"""Cross-entropy of the sensor that the nearest centroid names, without reversal.

    .. math:: p(k \mid f) = \frac{e^{\cos(f, c_k) / \tau}}{\sum_j e^{\cos(f, c_j) / \tau}}, \qquad
        L = -\frac1B \sum_i \log p(s_i \mid f_i)

    Args:
        f: ``(B, D)`` features.
        centroids: ``(K, D)``, one per sensor.
        sensor: ``(B,)`` ids from 0 to K - 1; a row whose id is -1 (unknown) is left out.
        tau: temperature.

    Returns:
        Scalar in nats; 0 if no row has a sensor.

    Raises:
        InputError: if shapes disagree, an id is out of range or tau is not positive.

    Source:
        TLV-CoRe, equations 2 and 3.

    Example:
        >>> round(float(sensor_loss(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), tau=1.0)), 4)
        0.3133
    """
    named, _ = sensor_losses(f, centroids, sensor, tau=tau)
    return named.sum() / (sensor >= 0).sum().clamp(min=1)


def sensor_confusion(
    f: Float[Tensor, "B D"], centroids: Float[Tensor, "K D"], sensor: Int[Tensor, " B"] | None = None, *, tau: float = 0.05
) -> Float[Tensor, ""]:
    r"""Cross-entropy of the sensor's distribution to the uniform one: how far features give the sensor away.

    .. math:: L = -\frac1{BK} \sum_i \sum_k \log p(k \mid f_i) \ge \log K

    It is bounded below, as the reversed loss is not, and smallest where every sensor is equally likely.

    Args:
        f: ``(B, D)`` features.
        centroids: ``(K, D)``, one per sensor.
        sensor: ``(B,)`` ids; rows of id -1 are left out. None takes all rows.
        tau: temperature.

    Returns:
        Scalar in nats; log K at its optimum.

    Raises:
        InputError: as `sensor_loss`.

    Source:
        Ours, a bounded alternative to equation 3 of TLV-CoRe; as Tzeng et al. (2015) for domains.

    Example:
        >>> round(float(sensor_confusion(torch.ones(3, 2), torch.eye(2))), 4)  # equally far from both
        0.6931
    """
    sensor = f.new_zeros(len(f), dtype=torch.int64) if sensor is None else sensor
    _, confused = sensor_losses(f, centroids, sensor, tau=tau)
    return confused.sum() / (sensor >= 0).sum().clamp(min=1)


def sensor_losses(
    f: Float[Tensor, "B D"], centroids: Float[Tensor, "K D"], sensor: Int[Tensor, " B"], *, tau: float = 0.05
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    r"""Per row: the cross-entropy of its sensor, and of the uniform distribution over sensors.

    .. math:: -\log p(s_i \mid f_i), \qquad -\frac1K \sum_k \log p(k \mid f_i)

    Args:
        f: ``(B, D)`` features.
        centroids: ``(K, D)``, one per sensor.
        sensor: ``(B,)`` ids from 0 to K - 1, or -1 for unknown.
        tau: temperature.

    Returns:
        Two tensors ``(B,)`` in nats; 0 in rows whose sensor is unknown.

    Raises:
        InputError: if shapes disagree, an id is out of range or tau is not positive.

    Source:
        TLV-CoRe, equations 2 and 3.

    Example:
        >>> sensor_losses(torch.ones(1, 2), torch.eye(2), torch.tensor([1]))[0]
        tensor([0.6931])
    """
    if f.ndim != 2 or centroids.ndim != 2 or f.shape[1] != centroids.shape[1] or sensor.shape != f.shape[:1]:
        raise InputError(
            f"f has shape {tuple(f.shape)}, centroids {tuple(centroids.shape)} and sensor {tuple(sensor.shape)}, expected "
            f"(B, D), (K, D) and (B,)"
        )
    positive("tau", tau)
    if not torch.compiler.is_compiling() and bool(((sensor < -1) | (sensor >= len(centroids))).any()):
        ids = sorted(set(sensor.tolist()))[:9]
        raise InputError(f"sensor has the ids {ids}, expected 0 to {len(centroids) - 1}, or -1 for unknown")
    log_p = F.log_softmax(unit(f) @ unit(centroids).mT / tau, dim=1)  # (B, K)
    named = -log_p.gather(1, sensor.clamp(min=0)[:, None])[:, 0]
    known = sensor >= 0
    return named.where(known, 0.0), (-log_p.mean(dim=1)).where(known, 0.0)


def reverse_gradient(x: Tensor, strength: float = 1.0) -> Tensor:
    r"""Return the input as it is; its gradient is multiplied by minus the strength.

    .. math:: R(x) = x, \qquad \frac{\partial R}{\partial x} = -\lambda I

    Args:
        x: any tensor.
        strength: :math:`\lambda`.

    Returns:
        A tensor equal to ``x``.

    Source:
        Ganin and Lempitsky (2015).

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_gradient(x, 0.5).sum().backward()
        >>> x.grad
        tensor([-0.5000, -0.5000])
    """
    return cast(Tensor, _Reverse.apply(x, strength))


def reversal_ramp(progress: float) -> float:
    r"""Raise the strength of a reversal over a run.

    .. math:: \lambda(p) = \frac{2}{1 + e^{-10 p}} - 1

    Args:
        progress: share of the run that is done, in [0, 1].

    Returns:
        0 at the start, nearly 1 at the end.

    Source:
        Ganin et al. (2016), section 5.2.2.

    Example:
        >>> reversal_ramp(0.0), round(reversal_ramp(1.0), 4)
        (0.0, 0.9999)
    """
    return 2 / (1 + math.exp(-10 * progress)) - 1


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * grads[0], None
