"""The model of a run folder: read without running anything that is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tuplet.data.preprocessing import Preprocessing
from tuplet.io import AnyOf, Between, read_state
from tuplet.model._towers import build_bridges, build_encoder, from_bases, settle
from tuplet.model.alignment import AlignmentModel
from tuplet.model.frozen import Given
from tuplet.nets import tokeniser
from tuplet.nets._described import build, plain
from tuplet.types import InputError

CONFIG, WEIGHTS = "config.json", "model.safetensors"  # files of a model folder
_WORDS = {"source": str, "length": Between(int, 2, 2**16), "vocabulary": Between(int, 4, 2**24)}
_TOWER: dict[Any, Any] = {
    "encoder": {...: object},
    "projection": {...: object},
    "preprocessing": object,
    "words?": AnyOf(None, _WORDS),
}
_CONFIG: dict[Any, Any] = {
    "schema": Between(int, 1, 1),
    "modalities": {...: {**_TOWER, ...: object}},
    "bridges?": {...: object},
    "training?": {"start?": {"random", "gcca"}, ...: object},
    ...: object,
}


def load(
    folder: str | Path,
    *,
    encoders: Mapping[str, nn.Module] | None = None,
    projections: Mapping[str, nn.Module] | None = None,
    base: str | Path | None = None,
    towers: Mapping[str, Given] | None = None,
) -> AlignmentModel:
    """Load the model of a run folder, ready to `AlignmentModel.encode`.

    Args:
        folder: that `tuplet train`, or `tuplet.fit` with ``TrainConfig(out=...)``, wrote to.
        encoders: modality -> module, for encoders that are no class of this package; they receive their weights.
        projections: likewise.
        base: where the frozen weights of its towers lie now, if the folder that `tuplet.nets.clip` read has moved.
        towers: modality -> where the tower lies now whose features it was trained on (`tuplet.features`), if that has moved.

    Returns:
        The model, in evaluation mode, on the CPU. Nothing in the folder is executed: it names classes of this package and
        their arguments, and holds numbers. Weights that the base of its towers holds are frozen.

    Raises:
        InputError: if the folder holds no model, is damaged, or an encoder of your own is not given or does not fit; if the
            base of its towers is gone or has changed.

    Example:
        >>> load("nowhere")
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere/config.json is not there; give the folder that `tuplet train` or tuplet.fit wrote to
    """
    folder = Path(folder)
    fix = "give the folder that `tuplet train` or tuplet.fit wrote to"
    config = read_state(folder / CONFIG, _CONFIG, fix=fix)
    about: dict[str, Any] = config["modalities"]
    tensors = read_weights(folder)
    own = {"encoder": encoders or {}, "projection": projections or {}}
    for part, given in {**own, "tower": towers or {}}.items():
        if unknown := sorted(set(given) - set(about)):
            raise InputError(f"{part}s names {unknown}, but the model in {folder} has {sorted(about)}")
    made: dict[str, dict[str, nn.Module]] = {"encoder": {}, "projection": {}}
    bridges = build_bridges(config.get("bridges", {}), str(folder / CONFIG))
    for part, modules in made.items():
        for name in sorted(about):
            description = about[name][part]
            if name in own[part]:
                modules[name] = plain(own[part][name])
            elif description.get("class") == "custom":
                raise InputError(
                    f"the {part} of {name!r} in {folder} is no class of tuplet ({str(description.get('name'))[:80]}); pass it: "
                    f"tuplet.load(folder, {part}s={{{name!r}: module}})"
                )
            elif description.get("class") == "shared":
                other = description.get("with")
                if not isinstance(other, str) or other not in modules:
                    raise InputError(
                        f"{folder / CONFIG} shares the {part} of {name!r} with {str(other)[:80]!r}, which is not there"
                    )
                modules[name] = modules[other]
            elif part == "encoder" and description.get("class") in ("TowerEncoder", "MaskedTower"):
                modules[name] = build_encoder(description, bridges, str(folder / CONFIG))
            else:
                modules[name] = build(description)
    model = AlignmentModel(made["encoder"], made["projection"], bridges)
    lent = from_bases(model, set(model.state_dict()) - set(tensors), folder, None if base is None else Path(base))
    _fill(model, tensors | lent, folder)
    model.based = frozenset(lent)
    for key, parameter in model.named_parameters():
        if key in lent:
            parameter.requires_grad_(False)
    model.towers = dict(towers or {})
    model.start = config.get("training", {}).get("start", "random")
    for name, entry in about.items():
        if entry["preprocessing"] is not None:
            model.preprocessing[name] = Preprocessing.from_json(entry["preprocessing"])
        if entry.get("words") is not None:
            model.words[name] = tokeniser(**entry["words"])
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
    settle(model)
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

    Example:
        >>> read_weights(Path("nowhere"))
        Traceback (most recent call last):
        tuplet.types.InputError: nowhere has no model.safetensors yet; run the same `tuplet train` command again
    """
    with opened_weights(folder) as file:
        return {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 (not a dict)
