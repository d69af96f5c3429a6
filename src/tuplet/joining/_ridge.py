"""Ridge regression of a new modality onto a space: where its encoder begins, and the baseline that it has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tuplet.data import Rows, Source
from tuplet.functional.gcca import principal_axes
from tuplet.functional.rows import unit
from tuplet.model import AlignmentModel
from tuplet.model.closed_form import POOL, _even, _score
from tuplet.nets import MLP
from tuplet.types import InputError

RIDGES = (0.001, 0.01, 0.1, 1.0, 10.0)  # relative to the mean variance of the components; validation rows choose
AXES = 512  # principal components, at most
SHARE = 1024  # rows read at once


def ridge_layer(model: AlignmentModel, source: Source, name: str, old: Sequence[str]) -> MLP:
    """Fit one linear layer from flat rows of a modality to where the other modalities of the same items lie."""
    x, y = _pairs(model, source.train, name, old)
    if len(x) < 2:
        raise InputError(f"{name!r} has {len(x)} training rows with an item of the space, expected 2 or more; check their ids")
    mean, axes = principal_axes(x, count=AXES)
    p, centre = (x.double() - mean) @ axes, y.double().mean(dim=0)  # (n, k), (D,)
    moment, cross = p.mT @ p / len(p), p.mT @ (y.double() - centre) / len(p)  # (k, k), (k, D)
    eye = torch.eye(len(moment), dtype=torch.float64) * (moment.trace() / max(1, len(moment)))
    vx, vy = _pairs(model, source.val, name, old, most=POOL)
    best: tuple[float, Tensor] | None = None
    for strength in RIDGES if len(vx) > 1 else (0.1,):
        weight = axes @ torch.linalg.solve(moment + strength * eye, cross)  # (d, D)
        both = torch.ones(len(vx), dtype=torch.bool)
        z = {"new": unit((vx.double() - mean) @ weight + centre), "old": vy.double()}
        score = _score(z, dict.fromkeys(z, both)) if len(vx) > 1 else 0.0
        if best is None or score > best[0]:
            best = score, weight
    assert best is not None
    with torch.random.fork_rng(devices=[]):
        layer = MLP(*best[1].shape, layers=1)
    layer.layers[1].load_state_dict({"weight": best[1].mT.float(), "bias": (centre - mean @ best[1]).float()})
    return layer


@torch.no_grad()
def _pairs(model: AlignmentModel, rows: Rows, name: str, old: Sequence[str], most: int = 2**62) -> tuple[Tensor, Tensor]:
    """Read flat rows of a modality, and the direction in which the others of the same item lie in the space."""
    inputs, places = [], []
    for share in torch.split(_even(len(rows), min(most, max(1, len(rows)))), SHARE):
        batch = rows[share]
        z = torch.stack([model.embed_one(k, batch.inputs[k], batch.present[k]) for k in old]).sum(dim=0)
        both = batch.present[name] & torch.stack([batch.present[k] for k in old]).any(dim=0)
        inputs.append(batch.inputs[name].flatten(1)[both].float())
        places.append(unit(z[both].float()))
    return (torch.cat(inputs), torch.cat(places)) if inputs else (torch.empty(0, 1), torch.empty(0, 1))
