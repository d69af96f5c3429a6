"""One encoder and one projection per modality: `Batch` in, `Embeddings` out."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.data import Source
from tuplet.data._columns import texts_of
from tuplet.data.preprocessing import Preprocessing
from tuplet.functional.rows import unit
from tuplet.model.closed_form import ClosedFormError, LinearMap, linear_maps
from tuplet.model.frozen import Given, through_tower
from tuplet.nets import MLP, Encoded, Named, Projection, Residual, SensorTokens, encoders, universal_share
from tuplet.nets.choice import WIDTHS, Paired
from tuplet.nets.tokens import Tokeniser
from tuplet.types import Batch, Embeddings, InputError, Kind, Start, evaluating, in_range, one_of, some_of


class AlignmentModel(nn.Module):
    """Encoders and projection heads, one of each per modality.

    Args:
        encoders: modality -> module from that modality's input to ``(B, H_m)``. One whose attribute ``takes_aux`` is true is
            called with ``batch.aux`` too; it may return `Encoded`, whose values go into ``Embeddings.aux``.
        projections: modality -> module from ``(B, H_m)`` to ``(B, D)``; the same ``D`` for all.
        bridges: name -> module that several encoders use without holding it, such as a `BridgingAdapter`: it lives here once.

    Attributes:
        preprocessing: modality -> how raw rows become what its encoder reads, as `encode` needs; set by `for_source` and by
            `tuplet.fit`.
        towers: modality -> the frozen tower that its raw rows pass first (`tuplet.features`), once it was needed.
        words: modality -> `tuplet.nets.tokeniser` that turns its texts into ids; `encode` then takes texts.
        based: keys of the state that the base of a tower holds; a model folder names that base instead of copying it.
        start: what the encoders began as, ``"random"`` or ``"gcca"``; set by `for_source` and `started`.

    Raises:
        InputError: if names disagree or there are fewer than two modalities.

    Notes:
        Rows of ``z`` have unit length. Rows of missing modalities are exactly zero in ``z`` and ``h`` and receive no
        gradient. Modules may be anything, shared towers included.

    Example:
        >>> model = AlignmentModel.mlp({"force": (6,), "sound": (2, 10)}, dim=8)
        >>> sorted(model.encoders)
        ['force', 'sound']
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        projections: Mapping[str, nn.Module],
        bridges: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        if set(encoders) != set(projections):
            raise InputError(
                f"encoders has {sorted(encoders)} and projections {sorted(projections)}; give one of each per modality"
            )
        if len(encoders) < 2:
            raise InputError(f"encoders has {len(encoders)} modality, expected two or more to align")
        self.encoders = Named({k: encoders[k] for k in sorted(encoders)})
        self.projections = Named({k: projections[k] for k in sorted(projections)})
        self.bridges = Named(bridges or {})
        self.preprocessing: dict[str, Preprocessing] = {}
        self.towers: dict[str, Given] = {}
        self.words: dict[str, Tokeniser] = {}
        self.based: frozenset[str] = frozenset()
        self.start: Start = "random"

    def __repr__(self) -> str:
        lines = [f"AlignmentModel of {len(self.encoders)} modalities, {sum(p.numel() for p in self.parameters()):,} weights"]
        for name in self.encoders:
            rows = self.preprocessing.get(name)
            shape = "" if rows is None else " x ".join(map(str, rows.modality.shape)) + " -> "
            towers = [type(part[name]).__name__ for part in (self.encoders, self.projections)]
            lines.append(f"  {name}: {shape}{' -> '.join(towers)}")
        return "\n".join([*lines, "  layers: print(model.encoders, model.projections)"])

    @classmethod
    def mlp(cls, shapes: Mapping[str, tuple[int, ...]], *, dim: int = 64, hidden: int = 128, layers: int = 2) -> AlignmentModel:
        """Build an MLP encoder and a three-layer projection per modality.

        Args:
            shapes: modality -> shape of one row, as in ``{k: m.shape for k, m in source.modalities.items()}``.
            dim: width of representations and embeddings.
            hidden: hidden width of the encoders.
            layers: linear layers per encoder.

        Returns:
            The model.
        """
        return cls(
            {k: MLP(prod(shape), dim, hidden=hidden, layers=layers) for k, shape in shapes.items()},
            {k: Projection(dim, dim) for k in shapes},
        )

    @classmethod
    def for_source(
        cls,
        source: Paired,
        *,
        preset: Literal["small", "paper"] = "small",
        dim: int | None = None,
        kinds: Mapping[str, Kind] | None = None,
        start: Start = "random",
        ridge: float | None = None,
    ) -> AlignmentModel:
        """Build the encoders that suit a source, and a three-layer projection per modality of the same width.

        Args:
            source: has ``modalities`` with shapes, as any `tuplet.data.Source`.
            preset, kinds: as in `tuplet.nets.encoders`.
            dim: width of representations and embeddings; the preset's when left out.
            start: what untrained encoders give. ``"random"``: what random weights make of a row. ``"gcca"``: the linear
                closed form of the source's training rows (`tuplet.model.linear_maps`); an encoder is that map plus the usual
                network, whose last layer begins at zero, and a projection begins as the identity. All of it is trained.
            ridge: of the closed form; chosen on validation rows when left out.

        Returns:
            The model.

        Raises:
            ClosedFormError: an `InputError`, with ``start="gcca"``, for fewer than two training rows with two modalities, or a
                modality that is constant in them.
            InputError: for a source without rows.
        """
        one_of("start", start, ("random", "gcca"))
        found = encoders(source, preset=preset, dim=dim, kinds=kinds)
        width = WIDTHS[preset] if dim is None else dim
        model = cls(found, {k: Projection(width, width) for k in found})
        if start == "gcca":
            model = model.started(source, dim=width, ridge=ridge)
        model.preprocessing = dict(getattr(source, "preprocessing", {}))
        return model

    def started(self, source: Paired, *, dim: int, ridge: float | None = None) -> AlignmentModel:
        """Begin as the linear closed form: an encoder is that map plus the encoder so far, whose last layer begins at zero.

        Args:
            source: a `tuplet.data.Source` whose training rows give the maps.
            dim: width of this model's representations and embeddings.
            ridge: as in `for_source`.

        Returns:
            A model with this one's networks in it.

        Example:
            >>> from tuplet.data import from_arrays
            >>> x = np.random.default_rng(0).normal(size=(40, 3)).astype("f4")
            >>> model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
            >>> model.started(from_arrays({"a": x, "b": x[:, ::-1].copy()}), dim=4).start
            'gcca'
        """
        maps = _start(source, dim, ridge)
        model = AlignmentModel(
            {k: Residual(maps[k].module(), net, dim) for k, net in self.encoders.items()},
            {k: Residual(nn.Identity(), net, dim) for k, net in self.projections.items()},
        )
        model.preprocessing, model.start = dict(self.preprocessing), "gcca"
        return model

    def forward(self, batch: Batch) -> Embeddings:
        """Return the embeddings of a batch that has exactly the model's modalities."""
        if set(batch.inputs) != set(self.encoders):
            raise InputError(
                f"inputs has {sorted(batch.inputs)}, but the model was built for {sorted(self.encoders)}; select the same"
            )
        z: dict[str, Tensor] = {}
        h: dict[str, Tensor] = {}
        aux = dict(batch.aux)
        for name in self.encoders:
            z[name], h[name], told = self._embed(name, batch.inputs[name], batch.present[name], batch.aux)
            aux |= told
        return Embeddings(z, h, batch.present, batch.index, batch.group, batch.target, aux, slice(0, len(batch)))

    def embed_one(self, name: str, inputs: Any, present: Tensor, aux: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return ``z`` of one modality, from rows as its encoder reads them."""
        return self._embed(name, inputs, present, aux)[0]

    def advance(self, progress: float) -> None:
        """Be told how much of a training is done: sensor tokens are replaced by the universal one ever more often."""
        for module in self.modules():
            if isinstance(module, SensorTokens):
                module.share = universal_share(progress)

    def takes_aux(self, name: str) -> bool:
        """Tell whether the encoder of a modality reads more than its rows, such as the id of their sensor."""
        return bool(getattr(self.encoders[name], "takes_aux", False))

    def rows(self, name: str, raw: Any, *, argument: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Treat raw rows of a modality as its training did, and say which are present; texts become ids where it reads such."""
        if name in self.words and (texts := texts_of(raw)) is not None:
            raw = self.words[name].rows(texts)
        how = self.preprocessing[name]
        if how.tower is not None:
            raw = through_tower(name, raw, how.tower, self.towers, how.modality.shape[0])
        return how.apply(raw, name=argument)

    def _embed(
        self, name: str, inputs: Any, present: Tensor, aux: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return ``z`` and ``h`` of one modality, and what its encoder tells beside them."""
        mask, encoder = present[:, None], self.encoders[name]
        encoded = encoder(inputs, aux) if self.takes_aux(name) else encoder(inputs)
        encoded, told = encoded if isinstance(encoded, Encoded) else (encoded, {})
        projected = self.projections[name](encoded)
        if projected.dtype in (torch.bfloat16, torch.float16):  # under autocast: lengths need float32
            projected = projected.float()
        return torch.where(mask, unit(projected), 0.0), torch.where(mask, encoded, 0.0), told

    @torch.no_grad()
    def encode(
        self,
        raw: Mapping[str, Any],
        *,
        aux: Mapping[str, Any] | None = None,
        batch_size: int = 256,
        device: str | torch.device | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Embed raw rows, as they were given to `tuplet.data.read` or as new ones of the same kind.

        Args:
            raw: modality -> its rows, before any scaling: an array, a tensor, a list of strings, a frame (columns are found
                by name). Any of the model's modalities, each embedded for itself: they may have different numbers of
                rows. A row that is NaN throughout, or None, is absent; series that are padded may be shorter.
            aux: name -> whole numbers ``(N,)`` that encoders read beside the rows, such as ``sensor``: the id of each row's
                sensor, -1 for unknown; unknown everywhere when left out.
            batch_size: rows per forward pass.
            device: where to compute, such as ``"cuda"``; where the model is when left out.

        Returns:
            Modality -> float32 ``(N, D)`` of unit length. A row that is absent is zero: ``z.any(axis=1)`` tells
            which rows are there.

        Raises:
            InputError: for a modality that the model does not have, rows of another shape, values that are not finite, or a
                model that does not know how its inputs were scaled.

        Example:
            >>> from tuplet.data import from_arrays
            >>> x = np.random.default_rng(0).normal(size=(20, 3))
            >>> model = AlignmentModel.for_source(from_arrays({"a": x, "b": x}), dim=8)
            >>> model.encode({"a": x[:5]})["a"].shape
            (5, 8)
        """
        if not isinstance(raw, Mapping) or not raw:
            what = str(raw)[:80] if isinstance(raw, str | Mapping) else type(raw).__name__
            raise InputError(f"raw is {what!r}, expected a dict such as {{{next(iter(self.encoders))!r}: rows}}")
        in_range("batch_size", batch_size, 1)
        some_of("raw", raw, sorted(self.encoders))
        if unscaled := [k for k in raw if k not in self.preprocessing]:
            raise InputError(
                f"the model does not know how the inputs of {unscaled} were scaled; build it with "
                f"AlignmentModel.for_source(source), or train it with tuplet.fit on the rows of a source"
            )
        rows = {k: self.rows(k, v, argument=f"raw[{k!r}]") for k, v in raw.items()}
        beside = {k: _ids(k, v, {m: len(rows[m][0]) for m in rows if self.takes_aux(m)}) for k, v in (aux or {}).items()}
        parameter = next(iter(self.parameters()), torch.empty(0))
        home = parameter.device
        away = home if device is None else torch.device(device)
        with evaluating(self):
            try:
                self.to(away)
                return {k: self._encoded(k, *rows[k], beside, batch_size, away) for k in rows}
            finally:
                self.to(home)

    def _encoded(
        self,
        name: str,
        values: NDArray[np.float32],
        present: NDArray[np.bool_],
        aux: Mapping[str, Tensor],
        size: int,
        device: torch.device,
    ) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(values), size):
            # copied, as results depend on how memory is aligned, which NumPy leaves open
            x = torch.from_numpy(values[start : start + size]).clone().to(device)
            some = {k: v[start : start + size].to(device) for k, v in aux.items()}
            z, *_ = self._embed(name, x, torch.from_numpy(present[start : start + size]).to(device), some)
            parts.append(z.float().cpu())
        joined: NDArray[np.float32] = torch.cat(parts).numpy()
        if not np.isfinite(joined).all():
            raise InputError(f"model gives NaN or infinite values for {name!r}; train it again with a lower lr")
        return joined


def _ids(name: str, given: Any, rows: Mapping[str, int]) -> Tensor:
    """Read whole numbers that stand beside the rows of the modalities whose encoders take them."""
    ids = np.asarray(given)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or any(n != len(ids) for n in rows.values()):
        expected = " and ".join(f"{n} of {k!r}" for k, n in rows.items()) or "no rows that need them"
        raise InputError(
            f"aux[{name!r}] has dtype {ids.dtype} and shape {ids.shape}, expected whole numbers, one per row: {expected}"
        )
    return torch.from_numpy(ids.astype(np.int64))


def _start(source: Paired, dim: int, ridge: float | None) -> dict[str, LinearMap]:
    """Fit the closed form, which has to say something about every modality."""
    if not isinstance(source, Source):
        raise InputError("start is 'gcca', which needs a source with training rows; give a tuplet.data.Source")
    maps = linear_maps(source, dim=dim, ridge=ridge)
    if still := [k for k, m in maps.items() if not bool(m.weight.any())]:
        raise ClosedFormError(
            f"{still} of {source.name} shares nothing linear with the others or is constant in the training rows; leave it "
            f"out, or set start='random'"
        )
    return maps
