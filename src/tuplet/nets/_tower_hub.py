"""Folders of transformers and sentence-transformers as towers: nothing is downloaded, and nothing in them is executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tuplet.nets._tower_files import check_folder, check_weights, fill, read_json
from tuplet.nets.raw import Pretrained
from tuplet.nets.towers import silent_bars
from tuplet.types import InputError, importing

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
LONGEST = 512
"""Tokens of a text where a model does not say how many it reads."""
ACTIVATIONS = {"Tanh": nn.Tanh, "Identity": nn.Identity, "ReLU": nn.ReLU, "GELU": nn.GELU}


def hub(folder: Path, part: Literal["text", "vision"] | None) -> Pretrained:
    """Make the tower of a folder that `transformers` or `sentence-transformers` saved."""
    check_folder(folder)
    about, reads = read_json(folder / "config.json"), read_json(folder / "preprocessor_config.json")
    processor = read_json(folder / "processor_config.json")
    reads |= processor.get("image_processor", {}) | processor.get("feature_extractor", {})
    both = "text_config" in about and "vision_config" in about
    if both and part is None:
        raise InputError(f"tower {str(folder)!r} reads texts and pictures; say which: part='text' or part='vision'")
    if about.get("is_encoder_decoder"):
        raise InputError(f"tower {str(folder)!r} is an encoder with a decoder; save its encoder alone with save_pretrained")
    if not both and reads.get("sampling_rate"):
        return Sound(folder)
    if part == "vision" if both else reads:
        return Pictures(folder, both=both)
    return Text(folder, both=both)


@contextmanager
def _reading(what: str, folder: Path) -> Iterator[None]:
    """Let the library read, in silence; whatever it raises becomes one line."""
    with importing("towers need transformers; pip install 'tuplet[towers]'"):
        import transformers  # noqa: F401
    try:
        with silent_bars():
            yield
    except Exception as error:  # libraries raise what their readers raise
        seen = " ".join(str(error).split())[:160]
        raise InputError(f"{what} of the tower {str(folder)!r} cannot be read ({type(error).__name__}: {seen})") from None


def _model(folder: Path) -> tuple[Any, bool]:
    """Read a model in float32; also say whether its last pooling layer has weights."""
    with _reading("the model", folder):
        from transformers import AutoModel

        model, info = AutoModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **LOCAL)
    missing = sorted(info["missing_keys"])
    if strange := [k for k in missing if "pooler" not in k]:
        raise InputError(f"tower {str(folder)!r} lacks the weights {strange[0]}, which would be random; copy the model again")
    return model.float().eval(), not missing


def _pooled(out: Any) -> Tensor:
    found: Tensor = out if isinstance(out, Tensor) else out.pooler_output
    return found.flatten(1)


class Text(Pretrained):
    """Texts: tokens, and the mean of their last states, or what the folder says."""

    takes = "text"

    def __init__(self, folder: Path, *, both: bool) -> None:
        super().__init__()
        with _reading("the tokeniser", folder):
            from transformers import AutoTokenizer

            self.tokeniser = AutoTokenizer.from_pretrained(folder, **LOCAL)
        self.body, _ = _model(folder)
        self.both = both
        config = self.body.config
        own = getattr(config, "text_config", config)
        self.fixed = str(config.model_type).startswith("siglip")  # trained with every text filled up to one length
        most = [self.tokeniser.model_max_length, getattr(own, "max_position_embeddings", None)]
        most += [read_json(folder / "sentence_bert_config.json").get("max_seq_length")]
        self.length = min(int(n) for n in (*most, 2**20) if n) if any(most) else LONGEST
        self.length = LONGEST if self.length == 2**20 else self.length
        if "roberta" in str(config.model_type) or config.model_type == "mpnet":  # their places begin after that of the padding
            self.length = min(self.length, own.max_position_embeddings - 2)
        prompts = read_json(folder / "config_sentence_transformers.json")
        self.prompt = str((prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or "")
        self.pooling, self.after = _sentence(folder)
        self.width = int(getattr(config, "projection_dim", 0) or own.hidden_size) if both else int(own.hidden_size)
        for layer in self.after:
            self.width = int(layer[0].out_features) if isinstance(layer, nn.Sequential) else self.width  # type: ignore[arg-type]

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return the ids of tokens, -1 after the end of a text; texts that are too long are cut."""
        if odd := [v for v in raw if not isinstance(v, str)]:
            raise InputError(f"{self} reads texts, but rows hold {type(odd[0]).__name__}; give it another modality")
        texts = [self.prompt + v for v in raw]
        pad = "max_length" if self.fixed else True
        out = self.tokeniser(texts, padding=pad, truncation=True, max_length=self.length, return_attention_mask=True)
        ids = np.array(out["input_ids"], dtype=np.float32)
        return ids if self.fixed else np.where(np.array(out["attention_mask"]) > 0, ids, np.float32(-1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of rows of ids."""
        mask, pad = x >= 0, self.tokeniser.pad_token_id or 0
        ids = torch.where(mask, x, pad).long()
        given = {"input_ids": ids} if self.fixed else {"input_ids": ids, "attention_mask": mask.long()}
        if self.both:
            return _pooled(self.body.get_text_features(**given))
        h = self.body(**given).last_hidden_state  # (B, N, width)
        z = _pool(h, mask, self.pooling)
        for layer in self.after:
            z = layer(z)
        return z


def _pool(h: Tensor, mask: Tensor, how: str) -> Tensor:
    """Make one vector of the states of tokens ``(B, N, width)``."""
    if how == "cls":
        return h[:, 0]
    if how == "lasttoken":
        last = (mask * torch.arange(mask.shape[1], device=h.device)).argmax(dim=1)
        return h[torch.arange(len(h), device=h.device), last]
    weight = mask[:, :, None].to(h.dtype)
    if how == "max":
        return h.masked_fill(weight == 0, -torch.inf).amax(dim=1)
    total = (h * weight).sum(dim=1)
    n = weight.sum(dim=1).clamp_min(1e-9)
    return total / (n.sqrt() if how == "mean_sqrt_len_tokens" else n)


class Unit(nn.Module):
    """Scale vectors to unit length."""

    def forward(self, z: Tensor) -> Tensor:
        """Return the vectors over their length."""
        return nn.functional.normalize(z, dim=1)


def _sentence(folder: Path) -> tuple[str, nn.ModuleList]:
    """Read what sentence-transformers does after the model: how it pools, and the layers that follow."""
    how, after = "mean", nn.ModuleList()
    listed = folder / "modules.json"
    if not listed.is_file():
        return how, after
    try:
        steps = [(str(s["type"]).rsplit(".", 1)[-1], folder / str(s["path"])) for s in json.loads(listed.read_text())]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{listed} is damaged; copy the model again") from None
    for name, place in steps:
        if not place.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{listed} names {str(place)[:80]!r}, which is outside of the folder; copy the model again")
        about = read_json(place / "config.json")
        if name == "Pooling":
            on = [k.removeprefix("pooling_mode_") for k, v in about.items() if k.startswith("pooling_mode_") and v is True]
            modes = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean"}
            how = str(about.get("pooling_mode") or " ".join(modes.get(k, k) for k in on))
            if how not in ("mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens"):
                raise InputError(f"tower {str(folder)!r} pools by {how!r}, expected mean, cls, max or lasttoken")
        elif name == "Dense":
            check_weights(place)
            word = str(about.get("activation_function", "")).rsplit(".", 1)[-1]
            if word not in ACTIVATIONS:
                raise InputError(f"tower {str(folder)!r} has the activation {word[:40]!r}, expected {', '.join(ACTIVATIONS)}")
            layer = nn.Linear(int(about["in_features"]), int(about["out_features"]), bias=bool(about.get("bias", True)))
            after.append(nn.Sequential(layer, ACTIVATIONS[word]()))
            fill(nn.ModuleDict({"linear": layer}), place / "model.safetensors")
        elif name == "Normalize":
            after.append(Unit())
        elif name != "Transformer":
            raise InputError(
                f"tower {str(folder)!r} has a module {name[:40]!r}, expected Transformer, Pooling, Dense, Normalize"
            )
    return how, after.eval()


class Pictures(Pretrained):
    """Pictures ``(C, H, W)`` or ``(H, W, C)``: bytes, or numbers from 0 to 1; resized as the folder says."""

    takes = "pictures"

    def __init__(self, folder: Path, *, both: bool) -> None:
        super().__init__()
        self.both = both
        self.body, self.pools = _model(folder)
        with _reading("the preprocessor_config.json", folder):
            from transformers import AutoImageProcessor

            self.processor = AutoImageProcessor.from_pretrained(folder, **LOCAL)  # type: ignore[no-untyped-call]
        config = self.body.config
        sizes = getattr(config, "hidden_sizes", None) or [getattr(config, "hidden_size", 0)]
        inner = config.vision_config.hidden_size if both else sizes[-1]
        self.width = int((getattr(config, "projection_dim", 0) or inner) if both else inner)

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return the pixels ``(n, 3, H, W)`` that the model reads."""
        x = pictures(self, raw)
        whole = x.dtype == torch.uint8
        out = self.processor(images=list(x), return_tensors="pt", do_rescale=whole, input_data_format="channels_first")
        return np.asarray(out["pixel_values"].float().numpy())

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of pixels."""
        if self.both:
            return _pooled(self.body.get_image_features(pixel_values=x))
        out = self.body(pixel_values=x)
        return _pooled(out) if self.pools and out.pooler_output is not None else out.last_hidden_state[:, 0]


def pictures(tower: Pretrained, raw: Any) -> Tensor:
    """Bring raw pictures to three channels, first; bytes stay bytes."""
    array = np.asarray(raw)
    last = array.ndim == 4 and array.shape[3] in (1, 3, 4) and array.shape[1] not in (1, 3, 4)
    array = np.moveaxis(array, -1, 1) if last else array
    if array.ndim != 4 or array.shape[1] not in (1, 3, 4) or array.dtype.kind not in "uf":
        raise InputError(f"{tower} reads pictures (n, C, H, W), but rows are {array.dtype} of shape {array.shape}")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if low < 0 or high > 1:
            raise InputError(f"{tower} reads pictures of bytes or from 0 to 1, but they go from {low:g} to {high:g}; rescale")
        array = array.astype(np.float32)
    x = torch.from_numpy(np.ascontiguousarray(array[:, :3]))
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


class Sound(Pretrained):
    """Sound of one channel, zeros after its end: the mean of the last states over its length."""

    takes = "sound"

    def __init__(self, folder: Path) -> None:
        with _reading("the preprocessor_config.json", folder):
            from transformers import Wav2Vec2FeatureExtractor

            kind = read_json(folder / "preprocessor_config.json").get("feature_extractor_type", "Wav2Vec2FeatureExtractor")
            if kind != "Wav2Vec2FeatureExtractor":
                raise ValueError(f"{kind} is not known, expected Wav2Vec2FeatureExtractor")
            extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
        super().__init__(rate=int(extractor.sampling_rate))
        self.body, _ = _model(folder)
        self.extractor, self.width = extractor, int(self.body.config.hidden_size)

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return the samples ``(n, T)`` that the model reads."""
        array = np.asarray(raw)
        array = array.squeeze(1 if array.ndim == 3 and array.shape[1] == 1 else -1) if array.ndim == 3 else array
        if array.ndim != 2 or array.dtype.kind not in "iuf":
            raise InputError(f"{self} reads sound of one channel (n, T), but rows are {array.dtype} of shape {array.shape}")
        whole = float(np.iinfo(array.dtype).max) if array.dtype.kind in "iu" else 1.0
        wave = np.nan_to_num(array.astype(np.float32)) / np.float32(whole)
        ends = _ends(torch.from_numpy(wave)).tolist()
        out = self.extractor([w[:n] for w, n in zip(wave, ends, strict=True)], sampling_rate=self.rate, padding=True)
        return np.stack([np.asarray(v, dtype=np.float32) for v in out["input_values"]])

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of samples."""
        ends = _ends(x)
        held = torch.arange(x.shape[1], device=x.device) < ends[:, None]
        h = self.body(x, attention_mask=held.long() if self.extractor.return_attention_mask else None).last_hidden_state
        steps = self.body._get_feat_extract_output_lengths(ends).clamp_min(1)
        mask = torch.arange(h.shape[1], device=x.device) < steps[:, None]
        return _pool(h, mask, "mean")


def _ends(wave: Tensor) -> Tensor:
    """Return how many samples there are before the zeros at the end."""
    n = wave.shape[1]
    return ((wave != 0) * torch.arange(1, n + 1, device=wave.device)).amax(dim=1).clamp_min(1)
