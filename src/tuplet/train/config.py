"""How to train: one frozen dataclass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

from tuplet.types import InputError, Start, in_range, one_of, positive

Optimizer = Literal["adamw", "adam"]
Precision = Literal["float32", "bf16"]
Step = Literal["plain", "cached"]
Accelerator = Literal["cpu", "gpu", "auto"]
Strategy = Literal["auto", "ddp", "fsdp"]
Keep = Literal["best", "last"]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `tuplet.fit`.

    Args:
        epochs: passes over the training rows.
        batch_size: rows per step over all processes; clipped to the number of training rows.
        lr: peak learning rate.
        weight_decay: of AdamW, on matrices only: biases, norms and temperatures are left alone.
        optimizer: ``"adamw"`` or ``"adam"`` (the OVA-IB paper's choice; no decay).
        betas: of Adam and AdamW, the decay of the gradient's mean and of its square.
        eps: of Adam and AdamW.
        warmup: share of the steps over which the learning rate rises from 0, before it falls along a cosine to 0.
        clip: largest gradient norm.
        precision: ``"float32"`` or ``"bf16"`` (mixed; objectives stay in float32).
        step: ``"plain"``, or ``"cached"`` to embed in chunks with the memory of one chunk and the same gradient.
        chunk: rows per chunk of a cached step.
        keep: weights that the trained model has: those of the ``"last"`` epoch (validation rows then only watch), or of the
            ``"best"`` one, which has the lowest validation loss, the first of equals.
        patience: stop after so many epochs in which the validation loss did not improve; None to train them all.
        start: of the encoders, if `fit` builds the model; as in `AlignmentModel.for_source`.
        seed: of the weights, if `fit` builds the model; of the order of the batches and of everything random in training.
        compile: whether the model and the objective of a step go through ``torch.compile``: minutes at the first step, then
            faster ones if batches have no gaps. Losses and weights agree with those of plain steps up to rounding; random
            layers draw other numbers.
        accelerator: ``"cpu"``; ``"gpu"``: CUDA, or Apple's MPS, which computes in float32 only; ``"auto"``: a GPU where there
            is one.
        devices: number of processes.
        strategy: how several devices share the work. ``"ddp"`` (and ``"auto"``): every process holds the whole model.
            ``"fsdp"``: encoders and projections are sharded over the processes (PyTorch's ``fully_shard``, FSDP2), for models
            that do not fit one device. The objective's own parameters are not sharded, the trained model stays sharded (read
            the checkpoint in one process to use it), and encoders must return a tensor.
        out: folder for the log and the checkpoint; None keeps nothing on disk. A run found there is resumed.
        workers: processes that read, decode and scale rows ahead of the steps; 0 reads in this process. Any number gives the
            same batches, bit for bit. The log's ``waited`` has the seconds that steps waited for rows: raise this until it is
            small. The rows must be such that pickle can hand them to processes, and a script needs
            ``if __name__ == "__main__":``.
        checkpoint_every: steps between checkpoints; None for once per epoch.
        progress: show a progress bar; a line every ten seconds where there is no terminal.

    Raises:
        InputError: naming the setting that is out of range.

    Example:
        >>> TrainConfig(epochs=3).lr
        0.001
    """

    epochs: int = 40
    batch_size: int = 128
    lr: float = 1e-3
    weight_decay: float = 1e-4
    optimizer: Optimizer = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    warmup: float = 0.05
    clip: float = 1.0
    precision: Precision = "float32"
    step: Step = "plain"
    chunk: int = 256
    compile: bool = False
    keep: Keep = "last"
    patience: int | None = None
    start: Start = "random"
    seed: int = 0
    accelerator: Accelerator = "cpu"
    devices: int = 1
    strategy: Strategy = "auto"
    out: Path | None = None
    workers: int = 0
    checkpoint_every: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.out is not None:
            object.__setattr__(self, "out", Path(self.out))
        for name, kind in (
            ("optimizer", Optimizer),
            ("precision", Precision),
            ("step", Step),
            ("accelerator", Accelerator),
            ("strategy", Strategy),
            ("keep", Keep),
            ("start", Start),
        ):
            one_of(name, getattr(self, name), get_args(kind))
        for name in ("epochs", "batch_size", "chunk", "devices", "seed", "workers"):
            if not isinstance(getattr(self, name), int) or isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}, expected a whole number")
        for name in ("epochs", "batch_size", "lr", "clip", "chunk", "devices"):
            positive(name, getattr(self, name))
        if len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas) or not 0 < self.eps < inf:
            raise InputError(
                f"betas and eps are {self.betas} and {self.eps}, expected two numbers in [0, 1) and a positive one"
            )
        in_range("weight_decay", self.weight_decay, 0)
        in_range("warmup", self.warmup, 0, 1)
        in_range("workers", self.workers, 0)
        if not 0 <= self.seed < 2**40:
            raise InputError(f"seed is {self.seed}, expected a number from 0 to 2^40")
        for name, unit in (("checkpoint_every", "steps"), ("patience", "epochs")):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name} is {value!r}, expected a positive number of {unit}")

    def fixed(self) -> dict[str, Any]:
        """Return the settings that a resumed run must share with the one it continues."""
        loose = ("out", "progress", "checkpoint_every", "accelerator", "devices", "strategy", "workers")
        return {k: v for k, v in asdict(self).items() if k not in loose}
