"""One encoder and one projection per modality: `Batch` in, `Embeddings` out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.data.preprocessing import Preprocessing
from tuplet.functional.rows import unit
from tuplet.io import Between, read_state
from tuplet.nets import MLP, Named, Projection, encoders
from tuplet.nets.described import build, plain
from tuplet.nets.encoders import WIDTHS, Paired
from tuplet.types import Batch, Embeddings, InputError, Kind

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""Files of a model folder."""
_TOWER: dict[Any, Any] = {"encoder": {...: object}, "projection": {...: object}, "preprocessing": object}
_CONFIG: dict[Any, Any] = {"schema": Between(int, 1, 1), "modalities": {...: {**_TOWER, ...: object}}, ...: object}


class AlignmentModel(nn.Module):
    """Encoders and projection heads, one of each per modality.

    Args:
        encoders: modality -> module from that modality's input to ``(B, H_m)``.
        projections: modality -> module from ``(B, H_m)`` to ``(B, D)``; the same ``D`` for all.

    Attributes:
        preprocessing: modality -> how raw rows become what its encoder reads, as `encode` needs; set by `for_source` and by
            `tuplet.fit`.

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

    def __init__(self, encoders: Mapping[str, nn.Module], projections: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if set(encoders) != set(projections):
            raise InputError(
                f"encoders has {sorted(encoders)} and projections {sorted(projections)}; give one of each per modality"
            )
        if len(encoders) < 2:
            raise InputError(f"encoders has {len(encoders)} modality, expected two or more to align")
        self.encoders = Named({k: encoders[k] for k in sorted(encoders)})
        self.projections = Named({k: projections[k] for k in sorted(projections)})
        self.preprocessing: dict[str, Preprocessing] = {}

    @classmethod
    def mlp(
        cls, shapes: Mapping[str, tuple[int, ...]], *, dim: int = 64, hidden: int = 128, layers: int = 2
    ) -> AlignmentModel:
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
    ) -> AlignmentModel:
        """Build the encoders that suit a source, and a three-layer projection per modality of the same width.

        Args:
            source: has ``modalities`` with shapes, as any `tuplet.data.Source`.
            preset: as in `tuplet.nets.encoders`.
            dim: width of representations and embeddings; the preset's when left out.
            kinds: as in `tuplet.nets.encoders`.

        Returns:
            The model.
        """
        found = encoders(source, preset=preset, dim=dim, kinds=kinds)
        width = WIDTHS[preset] if dim is None else dim
        model = cls(found, {k: Projection(width, width) for k in found})
        model.preprocessing = dict(getattr(source, "preprocessing", {}))
        return model

    def forward(self, batch: Batch) -> Embeddings:
        """Return the embeddings of a batch that has exactly the model's modalities."""
        if set(batch.inputs) != set(self.encoders):
            raise InputError(
                f"inputs has {sorted(batch.inputs)}, but the model was built for {sorted(self.encoders)}; select the same "
                f"modalities"
            )
        h: dict[str, Tensor] = {}
        z: dict[str, Tensor] = {}
        for name in self.encoders:
            z[name], h[name] = self._embed(name, batch.inputs[name], batch.present[name])
        return Embeddings(
            z=z,
            h=h,
            present=batch.present,
            index=batch.index,
            group=batch.group,
            target=batch.target,
            aux={},
            rows=slice(0, len(batch)),
        )

    def embed_one(self, name: str, inputs: Any, present: Tensor) -> Tensor:
        """Return ``z`` of one modality, from rows as its encoder reads them."""
        return self._embed(name, inputs, present)[0]

    def _embed(self, name: str, inputs: Any, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``z`` and ``h`` of one modality."""
        mask = present[:, None]
        encoded = self.encoders[name](inputs)
        projected = self.projections[name](encoded)
        if projected.dtype in (torch.bfloat16, torch.float16):  # under autocast: lengths need float32
            projected = projected.float()
        return torch.where(mask, unit(projected), 0.0), torch.where(mask, encoded, 0.0)

    @torch.no_grad()
    def encode(
        self, raw: Mapping[str, Any], *, batch_size: int = 256, device: str | torch.device | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Embed raw rows, as they were given to `tuplet.data.read` or as new ones of the same kind.

        Args:
            raw: modality -> its rows, before any scaling: an array, a tensor, a list of strings, a frame. Any of the model's
                modalities; each may have another number of rows. A row that is NaN throughout, or None, is absent.
            batch_size: rows per forward pass.
            device: where to compute, such as ``"cuda"``; where the model is when left out.

        Returns:
            Modality -> float32 ``(N, D)`` of unit length; zero where a row is absent.

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
            raise InputError(f"raw is {str(raw)[:80]!r}, expected a dict of modality -> rows")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected a positive number")
        if unknown := [k for k in raw if k not in self.encoders]:
            raise InputError(f"raw names {unknown}, but the model was built for {sorted(self.encoders)}")
        if unscaled := [k for k in raw if k not in self.preprocessing]:
            raise InputError(
                f"the model does not know how the inputs of {unscaled} were scaled; build it with "
                f"AlignmentModel.for_source(source), or train it with tuplet.fit on the rows of a source"
            )
        rows = {k: self.preprocessing[k].apply(v, name=k) for k, v in raw.items()}
        parameter = next(iter(self.parameters()), torch.empty(0))
        modes, home = {m: m.training for m in self.modules()}, parameter.device
        away = home if device is None else torch.device(device)
        try:
            self.eval().to(away)
            return {k: self._encoded(k, *rows[k], batch_size, away) for k in rows}
        finally:
            self.to(home)
            for module, mode in modes.items():
                module.training = mode

    def _encoded(
        self, name: str, values: NDArray[np.float32], present: NDArray[np.bool_], size: int, device: torch.device
    ) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(values), size):
            # copied, as results depend on how memory is aligned, which NumPy leaves open
            x = torch.from_numpy(values[start : start + size]).clone().to(device)
            z, _ = self._embed(name, x, torch.from_numpy(present[start : start + size]).to(device))
            parts.append(z.float().cpu())
        joined: NDArray[np.float32] = torch.cat(parts).numpy()
        if not np.isfinite(joined).all():
            raise InputError(f"model gives NaN or infinite values for {name!r}; train it again with a lower lr")
        return joined


def load(
    folder: str | Path,
    *,
    encoders: Mapping[str, nn.Module] | None = None,
    projections: Mapping[str, nn.Module] | None = None,
) -> AlignmentModel:
    """Load the model of a run folder, ready to `AlignmentModel.encode`.

    Args:
        folder: that `tuplet train`, or `tuplet.fit` with ``TrainConfig(out=...)``, wrote to.
        encoders: modality -> module, for encoders that are no class of this package; they receive their weights.
        projections: likewise.

    Returns:
        The model, in evaluation mode, on the CPU.

    Raises:
        InputError: if the folder holds no model, is damaged, or an encoder of your own is not given or does not fit.

    Notes:
        Nothing in the folder is executed: it names classes of this package and their arguments, and holds numbers.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/config.json is not there; give the folder that `tuplet train` or tuplet.fit wrote to
    """
    folder = Path(folder)
    fix = "give the folder that `tuplet train` or tuplet.fit wrote to"
    about: dict[str, Any] = read_state(folder / CONFIG, _CONFIG, fix=fix)["modalities"]
    tensors = read_weights(folder)
    own = {"encoder": encoders or {}, "projection": projections or {}}
    for part, given in own.items():
        if unknown := sorted(set(given) - set(about)):
            raise InputError(f"{part}s names {unknown}, but the model in {folder} has {sorted(about)}")
    made: dict[str, dict[str, nn.Module]] = {"encoder": {}, "projection": {}}
    for part, towers in made.items():
        for name in sorted(about):
            description = about[name][part]
            if name in own[part]:
                towers[name] = plain(own[part][name])
            elif description.get("class") == "custom":
                raise InputError(
                    f"the {part} of {name!r} in {folder} is no class of tuplet ({str(description.get('name'))[:80]}); pass it: "
                    f"tuplet.load(folder, {part}s={{{name!r}: module}})"
                )
            elif description.get("class") == "shared":
                other = description.get("with")
                if not isinstance(other, str) or other not in towers:
                    raise InputError(
                        f"{folder / CONFIG} shares the {part} of {name!r} with {str(other)[:80]!r}, which is not there"
                    )
                towers[name] = towers[other]
            else:
                towers[name] = build(description)
    model = AlignmentModel(made["encoder"], made["projection"])
    _fill(model, tensors, folder)
    for name, entry in about.items():
        if entry["preprocessing"] is not None:
            model.preprocessing[name] = Preprocessing.from_json(entry["preprocessing"])
    return model.eval()


def _fill(model: AlignmentModel, tensors: dict[str, Tensor], folder: Path) -> None:
    """Give a model the weights of a file; memory is taken only for what the file holds."""
    tensors = {k: v for k, v in tensors.items() if not k.startswith("objective.")}
    here = model.state_dict()
    for k in sorted(here.keys() | tensors.keys()):
        one, two = (None if k not in d else tuple(d[k].shape) for d in (here, tensors))
        if one != two:
            raise InputError(f"{folder / WEIGHTS} has {k} of shape {two}, but {CONFIG} or your module says {one}")
    for module in model.modules():
        if any(p.is_meta for p in (*module.parameters(recurse=False), *module.buffers(recurse=False))):
            module.to_empty(device="cpu", recurse=False)
    kinds = {v.dtype for v in tensors.values() if v.is_floating_point()}
    if len(kinds) == 1:
        model.to(kinds.pop())
    model.load_state_dict(tensors)


@contextmanager
def opened_weights(folder: Path) -> Iterator[Any]:
    """Open the weights of a model folder; what goes wrong inside is one line too.

    Args:
        folder: of a run.

    Yields:
        The file, with ``keys``, ``get_tensor`` and ``metadata``.

    Raises:
        InputError: if the file is missing or damaged.

    Example:
        >>> with opened_weights(Path("nowhere")):
        ...     pass
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere has no model.safetensors yet; run the same `tuplet train` command again
    """
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS
    if not path.exists():
        raise InputError(f"{folder} has no {WEIGHTS} yet; run the same `tuplet train` command again")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}); restore it, or train again") from None


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the weights of a model folder.

    Args:
        folder: of a run.

    Returns:
        Key of the model's state dict, or ``objective.`` and that of the objective's -> tensor.

    Raises:
        InputError: as `opened_weights` does.

    Example:
        >>> read_weights(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere has no model.safetensors yet; run the same `tuplet train` command again
    """
    with opened_weights(folder) as file:
        return {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 (not a dict)
