"""A multilayer perceptron for feature vectors, the projection head after an encoder, and a sum of a map and a network."""

from __future__ import annotations

from typing import Literal, cast

from jaxtyping import Float
from torch import Tensor, nn

from tuplet.types import InputError, one_of


def sizes_of(**sizes: int) -> dict[str, int | str]:
    """Refuse sizes below 1, and return them."""
    if min(sizes.values()) < 1:
        raise InputError(f"{', '.join(sizes)} are {tuple(sizes.values())}, expected positive numbers")
    return dict(sizes)


class MLP(nn.Module):
    """Linear layers with a norm and a bend in between; inputs of any shape are flattened.

    LayerNorm and not BatchNorm: rows must not influence each other, or chunked and distributed steps would differ.

    Args:
        in_features: numbers per row, after flattening.
        out_features: width of the output.
        hidden: width in between.
        layers: number of linear layers, at least 1.
        activation: ``"gelu"``, or ``"leaky_relu"`` (slope 0.01; what OVA-IB uses for poses).
        norm: ``"layer"`` or ``"none"``, after every linear layer but the last.

    Example:
        >>> import torch
        >>> MLP(12, 5)(torch.zeros(3, 4, 3)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: int = 128,
        layers: int = 2,
        activation: Literal["gelu", "leaky_relu"] = "gelu",
        norm: Literal["layer", "none"] = "layer",
    ) -> None:
        super().__init__()
        sizes = sizes_of(in_features=in_features, out_features=out_features, hidden=hidden, layers=layers)
        one_of("activation", activation, ("gelu", "leaky_relu"))
        one_of("norm", norm, ("layer", "none"))
        widths = [in_features, *[hidden] * (layers - 1), out_features]
        steps: list[nn.Module] = [nn.Flatten()]
        for i in range(layers):
            steps.append(nn.Linear(widths[i], widths[i + 1]))
            if i < layers - 1:
                steps += [nn.LayerNorm(widths[i + 1])] if norm == "layer" else []
                steps.append(nn.GELU() if activation == "gelu" else nn.LeakyReLU())
        self.layers = nn.Sequential(*steps)
        self._arguments = {**sizes, "activation": activation, "norm": norm}

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B out"]:
        """Return the encoded rows."""
        return cast(Tensor, self.layers(x))


class Projection(MLP):
    """A three-layer head between an encoder's representation and the shared space, as in OVA-IB (appendix B.2).

    Args:
        in_features: width of the encoder's representation.
        out_features: dimension ``D`` of the shared space.
        hidden: width in between; ``out_features`` when left out.

    Example:
        >>> import torch
        >>> Projection(16, 8)(torch.zeros(3, 16)).shape
        torch.Size([3, 8])
    """

    def __init__(self, in_features: int, out_features: int, *, hidden: int | None = None) -> None:
        super().__init__(in_features, out_features, hidden=hidden or out_features, layers=3)
        width = hidden or out_features
        self._arguments = {"in_features": in_features, "out_features": out_features, "hidden": width}


class Residual(nn.Module):
    """Add a network to a map: :math:`f(x) + W g(x)` with ``W = 0`` at the beginning.

    Args:
        main: the map ``f`` whose values the whole begins with, from a row to ``(B, out)``.
        branch: the network ``g``, from the same row to ``(B, out)``; its gradient begins after one step.
        out_features: width of both.

    Example:
        >>> import torch
        >>> x = torch.randn(2, 3)
        >>> bool((Residual(nn.Identity(), nn.Linear(3, 3), 3)(x) == x).all())
        True
    """

    def __init__(self, main: nn.Module, branch: nn.Module, out_features: int) -> None:
        super().__init__()
        self.main, self.branch = main, branch
        self.last = nn.Linear(out_features, out_features)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return cast(Tensor, self.main(x) + self.last(self.branch(x)))
