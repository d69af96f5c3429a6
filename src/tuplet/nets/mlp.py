"""A multilayer perceptron for feature vectors."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from tuplet.types import InputError


class MLP(nn.Module):
    """Linear layers with LayerNorm and GELU in between; inputs of any shape are flattened.

    LayerNorm and not BatchNorm: rows must not influence each other, or chunked and distributed steps would differ from
    plain ones.

    Args:
        in_features: numbers per row, after flattening.
        out_features: width of the output.
        hidden: width in between.
        layers: number of linear layers, at least 1.

    Raises:
        InputError: if a size is not positive.

    Example:
        >>> import torch
        >>> MLP(12, 5)(torch.zeros(3, 4, 3)).shape
        torch.Size([3, 5])
    """

    def __init__(self, in_features: int, out_features: int, *, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        if min(in_features, out_features, hidden, layers) < 1:
            raise InputError(
                f"in_features, out_features, hidden, layers are {in_features, out_features, hidden, layers}, expected "
                f"positive numbers"
            )
        widths = [in_features, *[hidden] * (layers - 1), out_features]
        steps: list[nn.Module] = [nn.Flatten()]
        for i in range(layers):
            steps.append(nn.Linear(widths[i], widths[i + 1]))
            if i < layers - 1:
                steps += [nn.LayerNorm(widths[i + 1]), nn.GELU()]
        self.layers = nn.Sequential(*steps)

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B out"]:
        """Return the encoded rows."""
        out: Tensor = self.layers(x)
        return out
