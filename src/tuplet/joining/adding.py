"""`join`: train one new modality into a space that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuplet.data import Source
from tuplet.data._scaling import Scaling
from tuplet.data.splits import Split
from tuplet.joining._ridge import ridge_layer
from tuplet.joining._space import joined_source, open_space
from tuplet.joining.finding import Reached, reached
from tuplet.model import AlignmentModel
from tuplet.model.frozen import Given
from tuplet.nets import Projection, Residual, encoders
from tuplet.objectives import Pairwise
from tuplet.train import Recipe, Run, TrainConfig, fit
from tuplet.train._folder import read_progress, write_card
from tuplet.train._validate import lacks_pairs
from tuplet.train.recipe import long_enough, patient, usual_target
from tuplet.types import InputError, Kind, evaluating


@dataclass(frozen=True)
class Joined:
    """A modality that joined a space.

    Attributes:
        run: of `tuplet.fit`; ``run.model`` embeds the space and the new modality.
        source: the data that it was trained on, with the space beside them.
        reached: what the new modality finds in the space on test rows, beside ridge regression and chance; print it.
    """

    run: Run
    source: Source
    reached: Reached


def join(
    space: Any,
    data: Any,
    *,
    modality: str,
    encoder: nn.Module | None = None,
    tower: Given | None = None,
    target: str | Mapping[str, Any] | None = None,
    group: Any = None,
    id: Any = None,
    kinds: Mapping[str, Kind] | None = None,
    scaling: Mapping[str, Scaling] | None = None,
    split: Split | None = None,
    tau: float = 0.07,
    config: TrainConfig | None = None,
    out: str | Path | None = None,
) -> Joined:
    r"""Train the encoder and the projection of one modality so that its rows come to lie where their items lie in a space.

    .. math:: L = \mathrm{mean}_k\; \mathrm{InfoNCE}(z_{\mathrm{new}}, z_k)

    Args:
        space: ready vectors: modality -> ``(n, D)``, perhaps with ``"id"`` ``(n,)``, or a file that `tuplet embed` or another
            program wrote. Or a model, or its folder; ``data`` then hold raw rows of some of its modalities.
        data: what `tuplet.data.read` takes. Rows are joined with the space by id; those without ids are named 0, 1, ...
        modality: name of what joins the space.
        encoder: from rows of the modality to ``(B, H)``; one that suits them, which begins as ridge regression, when left out.
        tower: frozen tower whose features of the raw rows the encoder reads, as in `tuplet.features`.
        target: like all that follow, as in `tuplet.data.read`.
        group: a name, or values.
        id: a name, values, or modality -> ids.
        kinds: modality -> kind.
        scaling: by modality; the space is never scaled.
        split: the parts.
        tau: temperature.
        config: how to train; the best epoch by validation loss, with patience, when left out.
        out: folder for the model, as in `TrainConfig`.

    Returns:
        The `Joined`.

    Raises:
        InputError: if space and data have no id in common, widths differ, or the modality is not there.

    Notes:
        The space does not move by a bit: its vectors are passed on as they are (those of another length than 1 are scaled to
        it), and the parts of a model are frozen, Dropout and moving statistics included.

    Source:
        Girdhar et al. (2023), ImageBind, binds modalities to a frozen space in this way.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(60, 8))
        >>> found = join({"text": z}, {"force": z[:, :4]}, modality="force", config=TrainConfig(epochs=2))
        >>> found.reached.pool, found.run.model.encode({"force": z[:3, :4]})["force"].shape
        (12, (3, 8))
    """
    asked = {"modalities": None, "target": target, "group": group, "id": id, "kinds": kinds, "scaling": scaling}
    held, towers = open_space(space), None if tower is None else {modality: tower}
    source, old = joined_source(held, data, {**asked, "split": split, "target_kind": None}, [modality], towers)
    made = recipe(source, old, model=held.model, encoder=encoder, tau=tau, config=config)
    config = made.config if out is None else replace(made.config, out=Path(out))
    run = fit(made.model, made.objective, train=source.train, val=source.val, config=config)
    found = reached(run.model, source, old)
    if config.out is not None:
        write_card(config.out, read_progress(config.out), run.history, str(found))
    return Joined(run, source, found)


def recipe(
    source: Source,
    old: Sequence[str],
    *,
    model: AlignmentModel | None = None,
    encoder: nn.Module | None = None,
    tau: float = 0.07,
    config: TrainConfig | None = None,
) -> Recipe:
    """Make the recipe that trains all modalities of a source but the old ones, which are the space."""
    new = [k for k in source.modalities if k not in old]
    if not new:
        raise InputError(
            f"{source.name} has {sorted(source.modalities)}, all of the space; add the modality that is to join it"
        )
    towers: dict[str, nn.Module] = {k: nn.Identity() if model is None else model.encoders[k] for k in old}
    heads: dict[str, nn.Module] = {k: nn.Identity() if model is None else model.projections[k] for k in old}
    bridges = {} if model is None else dict(model.bridges.items())
    for part in (*towers.values(), *heads.values(), *bridges.values()):
        part.requires_grad_(False)
    config = config or TrainConfig()
    torch.manual_seed(config.seed)
    space = AlignmentModel({**towers, new[0]: nn.Identity()}, {**heads, new[0]: nn.Identity()}, bridges).eval()
    width = _width(space, source, old)
    own = encoders(source.select([*new, old[0]]), dim=width, overrides={old[0]: nn.Identity()}) if encoder is None else {}
    for name in new:
        if encoder is None:  # it begins as ridge regression
            towers[name] = Residual(ridge_layer(space, source, name, old), own[name], width)
            heads[name] = Residual(nn.Identity(), Projection(width, width), width)
        else:
            towers[name], heads[name] = encoder, Projection(_told(encoder, source, name), width)
    made = AlignmentModel(towers, heads, bridges)
    made.preprocessing = dict(source.preprocessing)
    if model is not None:
        made.words, made.towers = dict(model.words), dict(model.towers)
    pairs = [(a, b) for a in new for b in old]
    if config.epochs == TrainConfig().epochs:
        config = long_enough(config, len(source.train))
    if config.patience is None and not lacks_pairs(source.val):
        config = patient(config)
    return Recipe(source, made, Pairwise(pairs=pairs, tau=tau), config, target=usual_target(source))


def _width(space: AlignmentModel, source: Source, old: Sequence[str]) -> int:
    """Return the width of the space, which all its modalities share."""
    batch = source.train[:2]
    if odd := [k for k in old if space.encoders[k].__class__ is nn.Identity and batch.inputs[k].ndim != 2]:
        raise InputError(
            f"{odd[0]!r} has rows of shape {tuple(batch.inputs[odd[0]].shape[1:])}, expected vectors (n, D) of a space"
        )
    with torch.no_grad():
        widths = {k: int(space.embed_one(k, batch.inputs[k], batch.present[k], batch.aux).shape[1]) for k in old}
    if len(set(widths.values())) > 1:
        raise InputError(f"the space has vectors of different widths ({widths}), expected one; name those of one space")
    return widths[old[0]]


def _told(encoder: nn.Module, source: Source, name: str) -> int:
    """Return the width of what an encoder of the user's own gives."""
    batch = source.train[:2]
    with torch.no_grad(), evaluating(encoder):
        out = encoder(batch.inputs[name])
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or len(out) != len(batch):
        seen = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise InputError(f"encoder gives {seen} for {len(batch)} rows of {name!r}, expected a tensor ({len(batch)}, H)")
    return int(out.shape[1])
