"""One encoder per modality of a source, chosen by what its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from torch import nn

from tuplet.nets.images import ResNet18, SmallCNN
from tuplet.nets.mlp import MLP
from tuplet.nets.sequence import LSTM, SequenceCNN
from tuplet.types import InputError, Kind, kind_of, one_of, some_of

WIDTHS = {"small": 64, "paper": 256}
"""Preset -> width of every representation; 256 is OVA-IB's (appendix B.2), 64 is ours."""


@runtime_checkable
class Described(Protocol):
    """What is known of a modality; `tuplet.data.Modality` is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one row."""
        ...

    @property
    def kind(self) -> Kind | None:
        """Return what a row is, or None."""
        ...


@runtime_checkable
class Paired(Protocol):
    """Anything with modalities; `tuplet.data.Source` is one."""

    @property
    def modalities(self) -> Mapping[str, Described]:
        """Return the modalities."""
        ...


def encoders(
    source: Paired,
    *,
    preset: Literal["small", "paper"] = "small",
    dim: int | None = None,
    kinds: Mapping[str, Kind] | None = None,
    overrides: Mapping[str, nn.Module] | None = None,
) -> dict[str, nn.Module]:
    """Build an encoder per modality, all of the same output width.

    ======== ============= =============================== =====================================
    kind     rows          ``"small"``                     ``"paper"`` (OVA-IB, appendix B.2)
    ======== ============= =============================== =====================================
    vector   any           `MLP`, GELU                     `MLP`, LeakyReLU, no norm
    sequence ``(T, d)``    `SequenceCNN`, 32 wide          `SequenceCNN`, 64 wide
    padded   ``(T, d)``    `LSTM`                          `LSTM`
    image    ``(C, H, W)`` `SmallCNN`, group norm          `ResNet18`, batch norm
    signal   ``(C, T)``    `SequenceCNN`, strided, 32 wide `SequenceCNN`, strided, 64 wide
    text     hashed        `MLP`, GELU                     `MLP`, LeakyReLU, no norm
    ======== ============= =============================== =====================================

    Args:
        source: has ``modalities`` with shapes.
        preset: ``"small"`` trains on two cores in seconds to minutes; ``"paper"`` is built as the paper says. Weights are
            drawn from torch's generator: call ``torch.manual_seed`` first.
        dim: output width; 64 for small and 256 for paper when left out.
        kinds: modality -> kind, before what the source says.
        overrides: modality -> a module of your own, such as a ``ResNet18(3, 256, norm="group")``.

    Returns:
        Modality -> encoder, for `tuplet.AlignmentModel`. Without a kind, ``(d,)`` is a vector, ``(1, T)`` a signal, ``(T,
        d)`` with ``T > d > 1`` a sequence and ``(C, H, W)`` an image. Pose histories such as MuJoCo Push's ``(32, 7)`` go to
        an MLP in the paper: give them the kind ``"vector"``. Strides of signals leave about 64 steps before pooling.

    Raises:
        InputError: if a shape may mean several things and nobody says which, does not fit its kind, or a name is unknown.

    Example:
        >>> from tuplet.data import SOURCES
        >>> sorted(encoders(SOURCES["digits"]().select(["pixels", "zernike"])))
        ['pixels', 'zernike']
    """
    one_of("preset", preset, get_args(Literal["small", "paper"]))
    for argument, given in (("kinds", kinds), ("overrides", overrides)):
        some_of(argument, given or (), sorted(source.modalities))
    width = WIDTHS[preset] if dim is None else dim
    chosen = dict(overrides or {})
    for name in sorted(set(source.modalities) - set(chosen)):
        shape = tuple(source.modalities[name].shape)
        kind = (kinds or {}).get(name) or source.modalities[name].kind or _kind(name, shape)
        _fits(name, shape, kind)
        chosen[name] = _encoder(shape, kind, preset, width)
    return {k: chosen[k] for k in sorted(chosen)}


def _kind(name: str, shape: tuple[int, ...]) -> Kind:
    if (kind := kind_of(shape)) is not None:
        return kind
    raise InputError(
        f"modalities[{name!r}] has shape {shape}, which may mean several things; give kinds={{{name!r}: ...}}, one of "
        f"{', '.join(get_args(Kind))}, and put channels first in images"
    )


def _fits(name: str, shape: tuple[int, ...], kind: Kind) -> None:
    one_of(f"kinds[{name!r}]", kind, get_args(Kind))
    wanted = {"sequence": 2, "padded": 2, "signal": 2, "image": 3}.get(kind, len(shape))
    if len(shape) != wanted:
        raise InputError(f"modalities[{name!r}] has shape {shape}, expected {wanted} dimensions for kind {kind!r}")


def _encoder(shape: tuple[int, ...], kind: Kind, preset: Literal["small", "paper"], dim: int) -> nn.Module:
    small = preset == "small"
    if kind in ("vector", "text"):
        paper: dict[str, Any] = {} if small else {"hidden": dim, "activation": "leaky_relu", "norm": "none"}
        return MLP(prod(shape), dim, **paper)
    if kind == "padded":
        return LSTM(shape[1], dim)
    if kind == "image":
        return SmallCNN(shape[0], dim) if small else ResNet18(shape[0], dim)
    width = 32 if small else 64
    if kind == "sequence":
        return SequenceCNN(shape[1], dim, width=width)
    stride = max(1, round((shape[1] / 64) ** (1 / 3)))
    return SequenceCNN(shape[0], dim, layout="signal", width=width, kernel=2 * stride + 3, stride=stride, pool=16)
