"""Every subset of the modalities: what remains when sensors are absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from tuplet.evaluate.probe import Probe, linear_probe
from tuplet.types import InputError


def subsets(names: Sequence[str], *, sizes: Collection[int] | None = None) -> list[tuple[str, ...]]:
    """List the non-empty subsets of the modalities, small ones first.

    Args:
        names: the modalities.
        sizes: keep subsets of these sizes; all when left out (2^M - 1 of them).

    Returns:
        Tuples of sorted names.

    Raises:
        InputError: if no subset is left.

    Example:
        >>> subsets(["b", "a"])
        [('a',), ('b',), ('a', 'b')]
    """
    found = [s for r in range(1, len(names) + 1) if sizes is None or r in sizes for s in combinations(sorted(names), r)]
    if not found:
        raise InputError(f"sizes is {sizes}, expected some of 1 .. {len(names)}")
    return found


def subset_probes(
    train: tuple[Mapping[str, Tensor], Tensor],
    test: tuple[Mapping[str, Tensor], Tensor],
    *,
    which: Sequence[tuple[str, ...]] | None = None,
) -> dict[tuple[str, ...], Probe]:
    """Fit a linear probe on the concatenated representations of every subset.

    Args:
        train: modality -> ``(n, H_m)``, and the target.
        test: likewise.
        which: the subsets; all when left out.

    Returns:
        Subset -> `Probe`. Encoders were trained with all modalities; only the probe sees the subset.

    Source:
        OVA-IB (Li et al., 2026), section 4.3: modality-agnostic evaluation.

    Example:
        >>> x = torch.linspace(-1, 1, 40)[:, None]
        >>> data = ({"good": x, "useless": x * 0}, (x[:, 0] > 0).long())
        >>> {k: round(p.value, 1) for k, p in subset_probes(data, data, which=[("good",), ("useless",)]).items()}
        {('good',): 1.0, ('useless',): 0.5}
    """
    return {
        names: linear_probe((joined(train[0], names), train[1]), (joined(test[0], names), test[1]))
        for names in (which or subsets(list(train[0])))
    }


def joined(h: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Concatenate the representations of some modalities."""
    return torch.cat([h[k].flatten(1) for k in names], dim=1)
