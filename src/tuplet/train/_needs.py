"""What an objective needs beside the embeddings: the inputs themselves, or embeddings of random views of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from tuplet.nets.augment import Augment
from tuplet.types import Batch, Embeddings, InputError

View = Callable[[Batch], Batch]


class Embedder:
    """A model whose embeddings carry in ``aux`` what an objective's ``traits.needs`` asks for."""

    def __init__(
        self, model: Callable[[Batch], Embeddings], objective: Callable[..., Any], augment: View | None = None
    ) -> None:
        self.model = model
        self.augment = augment or Augment()
        self.needs: tuple[str, ...] = getattr(getattr(objective, "traits", None), "needs", ())
        if unknown := sorted(set(self.needs) - {"inputs", "views"}):
            raise InputError(f"the objective needs {unknown}, which training cannot provide; it knows inputs and views")

    def __call__(self, batch: Batch) -> Embeddings:
        """Return the batch's embeddings with everything needed."""
        emb = self.model(batch)
        aux: dict[str, Tensor] = {}
        if "inputs" in self.needs:
            for name, value in batch.inputs.items():
                if not isinstance(value, Tensor):
                    raise InputError(f"inputs[{name!r}] is a {type(value).__name__}, but the objective needs one tensor")
                aux[f"input.{name}"] = value
        if "views" in self.needs:
            for number in range(2):
                view = self.model(self.augment(batch))
                aux |= {f"view{number}.{k}": v for k, v in view.z.items()}
        return replace(emb, aux=emb.aux | aux) if aux else emb
