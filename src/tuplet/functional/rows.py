"""Rows as every score takes them: of unit length, and multiplied so that equal rows get equal scores."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order


def unit(z: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
    r"""Scale rows to unit length, :math:`z / \lVert z \rVert`.

    Args:
        z: ``(..., D)``.

    Returns:
        ``(..., D)``. Rows whose norm is already 1 within 1e-6 (half the spacing of 16-bit numbers) come back bit by bit, so
        normalising twice changes neither value nor gradient; a zero row stays zero. Every other row gets unit length,
        subnormal numbers included; the gradient of rows shorter than 4e-16 (float64: 6e-151) is that of a row of this length.

    Source:
        Elementary.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    flat = z.detach()
    flat = flat.float() if z.dtype in (torch.float16, torch.bfloat16) else flat
    norm = torch.linalg.vector_norm(flat, dim=-1, keepdim=True)
    near, limits = max(1e-6, torch.finfo(z.dtype).eps / 2), torch.finfo(flat.dtype)
    low, high = 0.0, math.inf  # unknown under torch.compile
    if not torch.compiler.is_compiling() and norm.numel():
        low, high = torch.stack(torch.aminmax(norm)).tolist()  # one wait
    if low - 1 >= -near and high - 1 <= near:
        return z
    short, long = limits.tiny**0.5 * 2**12, limits.max**0.5 / 2**12  # between them squares are exact enough
    return cast(Tensor, _Unit.apply(z, norm, near, None if short <= low and high <= long else (short, long)))


class _Unit(torch.autograd.Function):
    r"""Rows over their length, where that is neither 0 nor 1: :math:`dz = (g - (g \cdot u)\, u) / |z|`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, norm: Tensor, near: float, limits: tuple[float, float] | None) -> Tensor:
        wide = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        as_is = (norm - 1).abs() <= near
        if limits is None:
            divisor = torch.where(as_is, 1.0, norm)
            scale = divisor.reciprocal()
        else:
            as_is = as_is | (norm == 0)
            usual = (norm >= limits[0]) & (norm <= limits[1])
            peak = wide.abs().amax(dim=-1, keepdim=True) if wide.shape[-1] else norm
            peak = torch.where(usual | (peak == 0), 1.0, peak)
            as_is &= usual | (norm == 0) & (peak == 1)
            wide = wide / peak
            norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
            scale = torch.where(as_is, 1.0, (1 / norm / peak).clamp_max(1 / limits[0]))
            divisor = torch.where(as_is, 1.0, norm)
        out = wide / divisor
        ctx.save_for_backward(out, scale, as_is)
        return out.to(z.dtype)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        out, scale, as_is = ctx.saved_tensors
        wide = grad.to(out.dtype)
        along = torch.where(as_is, 0.0, torch.linalg.vecdot(wide, out)[..., None])
        over = torch.addcmul(wide, along, out, value=-1).mul_(scale)
        if over.dtype != grad.dtype:
            largest = torch.finfo(grad.dtype).max
            over = over.clamp(-largest, largest).to(grad.dtype)
        return over, None, None, None
