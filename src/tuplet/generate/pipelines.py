"""Decoders that others have trained, from a local folder as diffusers saves them: safetensors only, nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tuplet.generate._flow import diffusers
from tuplet.types import InputError, one_of

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
Kind = Literal["kandinsky", "unclip", "ip-adapter"]


class ExternalDecoder:
    """Pictures from embeddings of the picture tower that a diffusion pipeline was trained with; made by `external`.

    It takes raw embeddings, not unit vectors: put an `EmbeddingAdapter` before it.

    Example:
        >>> from tuplet import InputError
        >>> try:
        ...     external("no-such-folder", "kandinsky")
        ... except InputError as error:
        ...     print(error)
        folder 'no-such-folder' is no folder of a diffusers pipeline; save one with save_pretrained
    """

    def __init__(self, pipeline: Any, kind: Kind) -> None:
        self.pipeline, self.kind = pipeline, kind
        pipeline.set_progress_bar_config(disable=True)
        if kind == "kandinsky":
            self.dim = int(pipeline.unet.config.encoder_hid_dim)
        elif kind == "unclip":
            self.dim = int(pipeline.image_normalizer.mean.shape[-1])
        else:
            projection = pipeline.unet.encoder_hid_proj.image_projection_layers[0]
            self.dim = int(projection.image_embeds.in_features)

    @torch.no_grad()
    def sample(
        self,
        z: Tensor,
        *,
        guidance: float = 4.0,
        steps: int = 50,
        seed: int = 0,
        side: int = 512,
        without: Tensor | None = None,
    ) -> Tensor:
        """Draw a picture for each embedding.

        Args:
            z: ``(B, D)`` raw embeddings of the pipeline's own picture tower.
            guidance: 1 is none.
            steps: of the sampler.
            seed: of the noise.
            side: height and width.
            without: for Kandinsky: ``(1, D)``, the embedding of a black picture, which guidance moves away from; needed
                unless ``guidance`` is 1.

        Returns:
            ``(B, 3, side, side)`` from 0 to 1.

        Raises:
            InputError: for embeddings of another width, or a missing ``without``.
        """
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise InputError(f"z has shape {tuple(z.shape)}, expected (B, {self.dim}); put an EmbeddingAdapter before it")
        if self.kind == "kandinsky" and guidance != 1 and without is None:
            raise InputError("guidance needs without, the embedding of an all-zero picture by the same tower; or set it to 1")
        draw, n = torch.Generator().manual_seed(seed), len(z)
        common: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance, "generator": draw}
        common |= {"height": side, "width": side, "output_type": "np"}
        if self.kind == "kandinsky":
            away = torch.zeros_like(z) if without is None else without.expand(n, -1)
            # one row per call: without guidance the pipeline neither repeats nor casts what it is given
            rows = [self.pipeline(z[i : i + 1], away[i : i + 1], **common).images for i in range(n)]
            return torch.cat([_pictures(r) for r in rows])
        if self.kind == "unclip":  # the size of the batch is that of the prompt
            return _pictures(self.pipeline(prompt=[""] * n, image_embeds=z, **common).images)
        pair = [z[:, None]] if guidance <= 1 else [torch.cat([torch.zeros_like(z), z])[:, None]]
        return _pictures(self.pipeline(prompt=[""] * n, ip_adapter_image_embeds=pair, **common).images)


def external(folder: str | Path, kind: Kind, *, adapter: str | Path | None = None) -> ExternalDecoder:
    """Open a pipeline from a local folder.

    Args:
        folder: as diffusers saves a ``KandinskyV22Pipeline`` (``kandinsky``), a ``StableUnCLIPImg2ImgPipeline`` (``unclip``),
            or a Stable Diffusion pipeline (``ip-adapter``).
        kind: which of them.
        adapter: for ``ip-adapter``: the ``.safetensors`` file of a plain adapter, which takes one vector.

    Returns:
        The decoder; ``dim`` is the width of the embeddings that it takes.

    Raises:
        InputError: without diffusers, for a folder that is none, holds pickled weights or another pipeline, or without an
            adapter.

    Example:
        >>> from tuplet import InputError
        >>> try:
        ...     external("sd", "ip-adapter")
        ... except InputError as error:
        ...     print(error)
        ip-adapter needs adapter, the .safetensors file of its weights
    """
    one_of("kind", kind, ("kandinsky", "unclip", "ip-adapter"))
    folder = Path(folder)
    if kind == "ip-adapter" and (adapter is None or Path(adapter).suffix != ".safetensors"):
        raise InputError("ip-adapter needs adapter, the .safetensors file of its weights")
    if not (folder / "model_index.json").is_file():
        raise InputError(f"folder {str(folder)!r} is no folder of a diffusers pipeline; save one with save_pretrained")
    if pickled := [p for p in folder.rglob("*") if p.suffix in PICKLED]:
        first = pickled[0].relative_to(folder)
        raise InputError(f"folder {str(folder)!r} has pickled weights ({first}), which can run code; save it as safetensors")
    name = {"kandinsky": "KandinskyV22Pipeline", "unclip": "StableUnCLIPImg2ImgPipeline"}.get(kind, "StableDiffusionPipeline")
    try:
        diffusers().utils.logging.disable_progress_bar()
        pipeline = getattr(diffusers(), name).from_pretrained(folder, local_files_only=True, use_safetensors=True)
        if kind == "ip-adapter":
            file = Path(str(adapter))
            pipeline.load_ip_adapter(
                str(file.parent), subfolder="", weight_name=file.name, image_encoder_folder=None, local_files_only=True
            )
    except InputError:
        raise
    except Exception as error:  # diffusers raises many kinds for a folder that is not what it says
        what = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"folder {str(folder)!r} does not open as {name}: {what}") from None
    return ExternalDecoder(pipeline, kind)


def _pictures(made: Any) -> Tensor:
    """Turn what a pipeline returns, ``(B, H, W, 3)`` from 0 to 1, into ``(B, 3, H, W)``."""
    return torch.from_numpy(made).movedim(-1, 1)
