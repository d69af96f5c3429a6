"""Exact partial information decomposition of discrete distributions, by the definition of Bertschinger et al. (BROJA)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from tuplet.functional._given import numbers
from tuplet.information.pid import PID, Units, nats_in, of_union
from tuplet.information.union import Solver, union_information
from tuplet.types import InputError, in_range

Table = Tensor | NDArray[np.generic]

SAME = 1e-12  # largest difference of two posteriors that count as equal


class Components(NamedTuple):
    """Decompositions of ``T`` tables, each field ``(T,)``: parts, terms, and the certified gap of the union information."""

    redundancy: Tensor
    unique1: Tensor
    unique2: Tensor
    synergy: Tensor
    information1: Tensor
    information2: Tensor
    information12: Tensor
    gap: Tensor


def discrete(table: Table, *, units: Units = "bits", solver: Solver = "auto", gap: float = 1e-6) -> PID:
    r"""Decompose what two discrete sources say about a target, from their joint table.

    .. math::
        I^* = \min_{q} I_q(X_1, X_2; Y) \;\text{ with }\; q(x_1, y) = p(x_1, y),\; q(x_2, y) = p(x_2, y)

        R = I_1 + I_2 - I^*, \quad U_1 = I^* - I_2, \quad U_2 = I^* - I_1, \quad S = I_{12} - I^*

    Args:
        table: ``(n1, n2, |Y|)`` array or tensor of probabilities or counts, axes (x1, x2, y). It is divided by its sum.
            States without mass count for nothing.
        units: ``"bits"`` or ``"nats"``.
        solver: as in `union_information`; ``"auto"`` chooses by size.
        gap: certified error of the union information at which to stop, in ``units``.

    Returns:
        The `PID`, with the gap that was reached. States of a source with the same posterior of the target are merged for
        :math:`I^*`, which is exact. Counts give the plug-in decomposition of their frequencies, which is biased: put a null
        beside it, as `clustered` does.

    Raises:
        InputError: if the table is not three-dimensional, is empty, or has negative, NaN or infinite entries or no mass.

    Source:
        Bertschinger, Rauh, Olbrich, Jost and Ay (2014), Quantifying unique information, definition 4.

    Example:
        >>> xor = np.zeros((2, 2, 2))
        >>> for x1 in (0, 1):
        ...     for x2 in (0, 1):
        ...         xor[x1, x2, x1 ^ x2] = 1
        >>> discrete(xor).synergy
        1.0
    """
    in_range("gap", gap, 0)
    joint = _checked(table, 3)
    first, second = _merged(joint.sum(1)), _merged(joint.sum(0))
    parts = _parts(joint[None], first[None], second[None], units, solver, gap)
    values: dict[str, Any] = {k: float(v) for k, v in parts._asdict().items()}
    short = f"the certified gap is {values['gap']:.1e} {units}, not the {gap:.1e} asked for"
    warnings = (short,) if values["gap"] > 1.01 * gap else ()
    return PID(**values, units=units, estimator="discrete", warnings=warnings)


def components(tables: Float[Tensor, "T N P Y"], *, units: Units = "bits", gap: float = 1e-6) -> Components:
    """Decompose many tables of one shape at once, as bootstraps and permutation nulls need.

    Args:
        tables: ``(T, n1, n2, |Y|)`` probabilities or counts, each divided by its sum; on any device.
        units, gap: as in `discrete`.

    Returns:
        The `Components`, float64 on the device of the tables. States are not merged, as each table would merge others; zeros
        are exact all the same.

    Source:
        As `discrete`.

    Example:
        >>> components(torch.ones(5, 2, 2, 2)).redundancy
        tensor([0., 0., 0., 0., 0.], dtype=torch.float64)
    """
    in_range("gap", gap, 0)
    joint = _checked(tables, 4)
    return _parts(joint, joint.sum(2), joint.sum(1), units, "auto", gap)


def _parts(joint: Tensor, first: Tensor, second: Tensor, units: Units, solver: Solver, gap: float) -> Components:
    """The parts of ``(T, N, P, Y)`` tables, the union information from marginals that may have merged states."""
    factor = nats_in(units)
    one, two, together = _information(joint.sum(2)), _information(joint.sum(1)), _information(joint.flatten(1, 2))
    found = union_information(first, second, gap=gap / factor, solver=solver, ceiling=together)
    union = torch.maximum(found.upper, torch.maximum(one, two))  # merging rounds
    width = (union - found.lower).clamp_min(0)
    values = of_union(one, two, together, union)  # the terms are not negative anyway
    return Components(**{k: v.clamp_min(0) * factor for k, v in values.items()}, gap=width * factor)


def _information(joint: Tensor) -> Tensor:
    """I(X; Y) of ``(T, N, Y)`` tables, in nats, never below zero."""
    logs = [torch.xlogy(t, t).flatten(1).sum(1) for t in (joint, joint.sum(1), joint.sum(2))]
    return (logs[0] - logs[1] - logs[2]).clamp_min(0)


def _checked(table: Table, ndim: int) -> Tensor:
    axes = "(n1, n2, |Y|)" if ndim == 3 else "(T, n1, n2, |Y|)"
    name = "table" if ndim == 3 else "tables"
    joint = numbers(name, table).detach().double()
    if joint.ndim != ndim or not joint.numel():
        raise InputError(f"{name} has shape {tuple(joint.shape)}, expected {axes}, none of them 0; axes are (x1, x2, y)")
    if not bool(joint.isfinite().all()):
        bad = int((~joint.isfinite()).sum())
        raise InputError(f"{name} has {bad} NaN or infinite entries; give counts or probabilities")
    if bool((joint < 0).any()):
        least = float(joint.min())
        raise InputError(f"{name} has negative entries, the least {least:.3g}; give counts or probabilities")
    total = joint.sum((-3, -2, -1), keepdim=True)
    if bool((total <= 0).any()):
        raise InputError(f"{name} sums to 0, expected some mass; no sample was counted")
    return joint / total


def _merged(marginal: Tensor) -> Tensor:
    """Add up the states of a source that have the same posterior of the target; drop those without mass."""
    marginal = marginal[marginal.sum(1) > 0]
    posterior = marginal / marginal.sum(1, keepdim=True)
    kinds, which = torch.unique((posterior / SAME).round(), dim=0, return_inverse=True)
    return torch.zeros_like(kinds).index_add_(0, which, marginal)
