"""Standardise features within every sensor, site or subject: the free way to make them forget where they come from."""

from __future__ import annotations

from torch import Tensor

from tuplet.functional._measures import scaling
from tuplet.types import InputError


def standardise_by(train: tuple[Tensor, Tensor], *others: tuple[Tensor, Tensor]) -> list[Tensor]:
    r"""Standardise features within every group of rows, by the statistics of the group's training rows.

    .. math:: x_i \mapsto (x_i - \mu_{s(i)}) / \sigma_{s(i)}

    Args:
        train: features ``(n, d)`` and int64 ``(n,)`` ids of the sensor, site or subject that each row comes from.
        others: likewise, of rows that the statistics do not see, such as validation and test rows.

    Returns:
        The features of ``train`` and of each of ``others``. A column that is constant in a group is centred there.

    Raises:
        InputError: for ids of another length, or a group without training rows.

    Notes:
        A linear probe no longer finds the group from means and deviations. It needs the ids of new rows, and it takes out
        what differs between groups for a reason, too: give groups whose content is alike.

    Source:
        Per-group location and scale, as in batch correction (Johnson et al., 2007) without its shrinkage.

    Example:
        >>> import torch
        >>> x, sensor = torch.tensor([[0.0], [2.0], [10.0], [14.0]]), torch.tensor([0, 0, 1, 1])
        >>> [v.flatten().tolist() for v in standardise_by((x, sensor), (torch.tensor([[3.0]]), torch.tensor([0])))]
        [[-1.0, 1.0, -1.0, 1.0], [2.0]]
    """
    for x, ids in (train, *others):
        if x.ndim != 2 or ids.shape != x.shape[:1] or ids.is_floating_point():
            raise InputError(
                f"features have shape {tuple(x.shape)} and ids {tuple(ids.shape)}, expected (n, d) and n whole numbers"
            )
    known = {s: scaling(train[0][train[1] == s]) for s in sorted(set(train[1].tolist()))}
    if lacking := sorted({s for _, ids in others for s in ids.tolist()} - set(known)):
        raise InputError(f"ids name {lacking[:9]}, of which train has no row; leave those rows out, or give rows to fit")
    found = []
    for x, ids in (train, *others):
        out = x.clone()
        for s, (mean, deviation) in known.items():
            out[ids == s] = ((x[ids == s] - mean) / deviation).to(x.dtype)
        found.append(out)
    return found
