"""Pretrained towers: tokens in, the hidden states of every level and a pooled vector out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from tuplet.nets._tower_files import check_folder
from tuplet.types import InputError, importing, one_of

First = Callable[[Tensor], Tensor]
"""Changes the tokens ``(B, N, D)`` before the first block."""
After = Callable[[Tensor, int], Tensor]
"""Changes the tokens after block ``i``."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the red, green and blue that CLIP was trained on."""


class Levels(NamedTuple):
    """What a tower makes of a batch: the tokens after each block, ``(B, N, D)``, and the pooled vector ``(B, D)``."""

    hidden: list[Tensor]
    pooled: Tensor


@runtime_checkable
class Tower(Protocol):
    """A pretrained encoder that can be entered between its blocks.

    Attributes:
        width: ``D`` of its tokens.
        levels: number of blocks.
        projection: from ``(B, D)`` to the shared space; an `AlignmentModel` holds it, not the tower.
    """

    width: int
    levels: int

    @property
    def projection(self) -> nn.Module:
        """Return the map into the shared space."""
        ...

    def __call__(self, x: Any, *, first: First | None = None, after: After | None = None) -> Levels:
        """Return the hidden states and the pooled vector."""
        ...


class ClipTower(nn.Module):
    """One tower of CLIP, block by block; made by `clip`."""

    def __init__(self, body: Any, projection: nn.Linear, part: Literal["vision", "text"], *, unit: bool = False) -> None:
        super().__init__()
        self.body, self.part = body, part
        self._projection = (projection,)  # in a tuple, so that it is not a part of this module
        self.width, self.levels = int(body.config.hidden_size), len(body.encoder.layers)
        self.order = list(range(self.levels))  # which block runs at each level
        self.unit = unit
        self.source: Path | None = None  # folder of the weights it began with
        self.sha256 = ""  # of those weights, where a model folder says it
        self.lora: tuple[int, int] | None = None  # rank and scale of low-rank updates
        self.checkpoint = False

    @property
    def projection(self) -> nn.Linear:
        """Return the map into the shared space."""
        return self._projection[0]

    def forward(self, x: Any, *, first: First | None = None, after: After | None = None) -> Levels:
        """Embed pictures ``(B, 3, H, W)``, or token ids ``(B, N)`` (with a mask: ``{"ids": .., "mask": ..}``)."""
        tokens, mask, pool = self._pictures(x) if self.part == "vision" else self._words(x)
        if first is not None:
            tokens = first(tokens)
        hidden = []
        for level, which in enumerate(self.order):

            def step(h: Tensor, which: int = which, level: int = level) -> Tensor:
                out = self.body.encoder.layers[which](h, attention_mask=mask)
                out = out[0] if isinstance(out, tuple) else out
                return out if after is None else after(out, level)

            if self.checkpoint and torch.is_grad_enabled():
                tokens = torch.utils.checkpoint.checkpoint(step, tokens, use_reentrant=False)
            else:
                tokens = step(tokens)
            hidden.append(tokens)
        return Levels(hidden, pool(tokens))

    def _pictures(self, x: Tensor) -> tuple[Tensor, None, First]:
        size = int(self.body.config.image_size)
        if x.ndim != 4 or x.shape[1:] != (3, size, size):
            raise InputError(f"pictures have shape {tuple(x.shape)}, expected (B, 3, {size}, {size}); resize them")
        if self.unit:
            if not torch.compiler.is_compiling():
                low, high = (float(v) for v in x.detach().aminmax())
                if low < 0 or high > 1:
                    raise InputError(f"pictures have values from {low:g} to {high:g}, expected 0 to 1; divide bytes by 255")
            x = (x - x.new_tensor(MEAN)[:, None, None]) / x.new_tensor(DEVIATION)[:, None, None]
        tokens = self.body.pre_layrnorm(self.body.embeddings(x))
        return tokens, None, lambda h: self.body.post_layernorm(h[:, 0])

    def _words(self, x: Tensor | Mapping[str, Tensor]) -> tuple[Tensor, Tensor, First]:
        ids, given = (x["ids"], x.get("mask")) if isinstance(x, Mapping) else (x, None)
        longest = int(self.body.config.max_position_embeddings)
        if ids.ndim != 2 or ids.shape[1] > longest:
            raise InputError(f"token ids have shape {tuple(ids.shape)}, expected (B, N) with N at most {longest}; cut the text")
        ids, words = ids.long(), int(self.body.config.vocab_size)  # sources hold numbers as floats
        if not torch.compiler.is_compiling() and bool(((ids < 0) | (ids >= words)).any()):
            low, high = (int(v) for v in ids.aminmax())
            raise InputError(f"token ids go from {low} to {high}, expected 0 to {words - 1}; use the tower's own tokeniser")
        tokens = self.body.embeddings(input_ids=ids)
        n = ids.shape[1]
        seen = torch.ones(n, n, dtype=torch.bool, device=ids.device).tril()[None, None]  # a word sees those before it
        if given is not None:
            seen = seen & given.bool()[:, None, None, :]
        mask = torch.zeros_like(seen, dtype=tokens.dtype).masked_fill(~seen, torch.finfo(tokens.dtype).min)
        end = int(self.body.config.eos_token_id)  # 2 stands for the largest id, as in CLIP's first configurations
        last = ids.argmax(dim=1) if end == 2 else (ids == end).int().argmax(dim=1)
        rows = torch.arange(ids.shape[0], device=ids.device)
        return tokens, mask, lambda h: self.body.final_layer_norm(h)[rows, last]

    def add_lora(self, *, rank: int, scale: int) -> None:
        """Add low-rank updates to every attention, in place; they begin with nothing added."""
        with importing("low-rank updates need peft; pip install 'tuplet[towers]'"):
            from peft import LoraConfig, inject_adapter_in_model
        config = LoraConfig(r=rank, lora_alpha=scale, target_modules=["q_proj", "k_proj", "v_proj", "out_proj"])
        inject_adapter_in_model(config, self.body)
        self.lora = (rank, scale)


@contextmanager
def silent_bars() -> Iterator[None]:
    """Keep transformers from drawing progress bars for files of seconds."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    cast(Any, logging).disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            cast(Any, logging).enable_progress_bar()


def clip(
    source: str | Path | Mapping[str, Any], part: Literal["vision", "text"] = "vision", *, unit: bool = False
) -> ClipTower:
    """Make a tower of CLIP from a local folder, or from a configuration with random weights.

    Args:
        source: folder with ``config.json`` and ``.safetensors`` weights, as `transformers` saves a ``CLIPModel``; nothing is
            downloaded. Or the configuration as a dict.
        part: which of its two towers.
        unit: whether pictures come as numbers from 0 to 1, which the tower brings to CLIP's mean and deviation itself; by
            default they come so.

    Returns:
        The tower: ``tower(x) -> Levels(hidden, pooled)``; ``pooled`` is what CLIP projects.

    Raises:
        InputError: without the extra ``towers``, or for a folder that is not there, holds no safetensors, or is no CLIP; from
            the tower, for pictures or texts of another size or range.

    Source:
        Radford et al. (2021); the layers are those of `transformers`.

    Example:
        >>> tiny = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
        >>> words = {"vision_config": tiny | {"image_size": 8, "patch_size": 4}, "text_config": tiny, "projection_dim": 4}
        >>> out = clip(words, part="vision")(torch.zeros(2, 3, 8, 8))
        >>> len(out.hidden), out.hidden[0].shape, out.pooled.shape
        (2, torch.Size([2, 5, 8]), torch.Size([2, 8]))
    """
    one_of("part", part, ("vision", "text"))
    with importing("towers need transformers; pip install 'tuplet[towers]'"):
        from huggingface_hub.errors import StrictDataclassError
        from transformers import CLIPConfig, CLIPModel
    if isinstance(source, Mapping):
        try:
            model = CLIPModel(CLIPConfig(**source))
        except (ValueError, KeyError, TypeError, StrictDataclassError) as error:  # sizes that do not fit, an unknown activation
            why = str(error.__cause__ or error).splitlines()[0][:160]
            raise InputError(f"source is a configuration of which CLIP cannot be made: {why}") from None
    else:
        folder = Path(source)
        check_folder(folder)
        with silent_bars():
            model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    body, projection = (
        (model.vision_model, model.visual_projection) if part == "vision" else (model.text_model, model.text_projection)
    )
    tower = ClipTower(body, projection, part, unit=unit)
    tower.source = None if isinstance(source, Mapping) else Path(source).resolve()
    return tower
