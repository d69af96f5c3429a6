"""An ONNX file of numbers or texts as a tower, run by onnxruntime; it cannot be trained."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.nets.raw import Pretrained
from tuplet.types import InputError, importing

READS = ("input_ids", "attention_mask", "token_type_ids")
"""What a model of texts may read."""
LONGEST = 512
"""Tokens of a text where the tokeniser does not cut it."""


def onnx(file: Path) -> Pretrained:
    """Make the tower of a file: of texts where it reads the ids of tokens, of numbers otherwise."""
    return OnnxText(file) if READS[0] in (i.name for i in _session(str(file)).get_inputs()) else Onnx(file)


class OnnxText(Pretrained):
    """Texts, by the ``tokenizer.json`` beside the file: the first output, or the mean of its tokens."""

    takes = "text"

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, beside = str(file), file.with_name("tokenizer.json")
        self.inputs = {str(i.name): np.int32 if "int32" in i.type else np.int64 for i in _session(self.file).get_inputs()}
        if unknown := sorted(set(self.inputs) - set(READS)):
            raise InputError(f"tower {self.file!r} reads {', '.join(unknown)[:160]}, expected some of {', '.join(READS)}")
        with importing("texts need tokenizers; pip install 'tuplet[towers]'"):
            from tokenizers import Tokenizer
        try:
            self.tokeniser = Tokenizer.from_file(str(beside))
        except Exception as error:  # the library raises what its reader raises
            seen = " ".join(str(error).split())[:160]
            raise InputError(f"{str(beside)!r} cannot be read ({seen}); put the tokeniser of the model there") from None
        self.tokeniser.no_padding()
        if self.tokeniser.truncation is None:
            self.tokeniser.enable_truncation(LONGEST)
        self.width = _width(self.file)

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return the ids of tokens, -1 after the end of a text; texts that are too long are cut."""
        if odd := [v for v in raw if not isinstance(v, str)]:
            raise InputError(f"{self} reads texts, but rows hold {type(odd[0]).__name__}; give it another modality")
        found = [e.ids for e in self.tokeniser.encode_batch(list(raw))]
        out = np.full((len(found), max(map(len, found))), -1, np.float32)
        for row, ids in zip(out, found, strict=True):
            row[: len(ids)] = ids
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors of rows of ids; without a gradient."""
        ids = x.detach().cpu().numpy()
        mask = ids >= 0
        given = dict(zip(READS, (np.where(mask, ids, 0), mask, np.zeros_like(ids)), strict=True))
        out = _session(self.file).run(None, {k: given[k].astype(kind) for k, kind in self.inputs.items()})[0]
        if out.ndim == 3:
            out = (out * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True).clip(1)
        return torch.from_numpy(out.astype(np.float32)).to(x.device)


class Onnx(Pretrained):
    """One input of numbers, and the first output: a vector per row, or the mean of its tokens."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = str(file)
        inputs = _session(self.file).get_inputs()
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(double)", "tensor(float16)", "tensor(uint8)"):
            seen = ", ".join(f"{i.name} {i.type}" for i in inputs)
            raise InputError(f"tower {self.file!r} reads {seen[:160]}, expected one input of numbers (B, ...)")
        self.input, self.shape = str(inputs[0].name), tuple(inputs[0].shape)
        kinds: dict[str, Any] = {"double": np.float64, "float16": np.float16, "uint8": np.uint8}
        self.kind = kinds.get(inputs[0].type[7:-1], np.float32)
        self.width = _width(self.file)

    def rows(self, raw: Any) -> NDArray[np.float32]:
        """Return the numbers, of the shape that the file says; bytes become 0 .. 1 unless it reads bytes."""
        x = np.asarray(raw).astype(np.float32) if self.kind is np.uint8 else super().rows(raw)
        wanted = self.shape[1:]
        if x.ndim != len(self.shape) or any(isinstance(w, int) and w != n for w, n in zip(wanted, x.shape[1:], strict=True)):
            expected = ", ".join(["n", *(str(w) if isinstance(w, int) else "any" for w in wanted)])
            raise InputError(f"{self} reads rows ({expected}), but they have shape {x.shape}; resize or reshape them")
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors; without a gradient."""
        rows = x.detach().cpu().numpy().astype(self.kind)
        step = self.shape[0] if isinstance(self.shape[0], int) else len(rows)
        parts = []
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            short = step - len(some)  # the file may read one number of rows only
            some = np.concatenate([some, np.repeat(some[-1:], short, axis=0)]) if short else some
            parts.append(_session(self.file).run(None, {self.input: some})[0][: step - short])
        out = np.concatenate(parts).astype(np.float32)
        out = out.mean(axis=1) if out.ndim == 3 else out.mean(axis=(2, 3)) if out.ndim == 4 else out
        return torch.from_numpy(out).to(x.device)


def _width(file: str) -> int:
    """Return the numbers of a vector, or 0 where the file does not say it."""
    shape = _session(file).get_outputs()[0].shape
    return shape[-1] if shape and isinstance(shape[-1], int) else 0


@cache
def _session(file: str) -> Any:
    """Open a file once; one thread, so that bits do not depend on the machine's load."""
    with importing("ONNX files need onnxruntime; pip install 'tuplet[onnx]'"):
        import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises what its reader raises
        seen = " ".join(str(error).split())[:160]
        raise InputError(f"tower {file!r} cannot be read as ONNX ({seen}); export it again") from None
