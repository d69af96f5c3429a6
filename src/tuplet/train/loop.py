"""`fit`: train a model on paired rows; it resumes exactly and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from tuplet.data import Rows
from tuplet.frames import html
from tuplet.functional._blocks import reuse_memory
from tuplet.model import AlignmentModel
from tuplet.plot import history
from tuplet.train._frozen import mixes_rows, train_unfrozen
from tuplet.train._needs import View
from tuplet.train._session import Session
from tuplet.train._validate import best_epoch, lacks_pairs
from tuplet.train.config import TrainConfig
from tuplet.types import Embeddings, InputError, Loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Run:
    """A training run: finished, stopped early, or stopped by Ctrl-C.

    Attributes:
        model: the trained model, in evaluation mode.
        objective: the objective, with its own parameters trained if it has any.
        history: one dict per epoch: epoch, step, lr, loss, every term, val (validation loss), seconds, those of them
            that steps ``waited`` for rows, and what `tuplet.train._monitor.monitor` sees in the last batch: ``space/..``,
            ``force/..``, ``together/..``, ``weight/..``.
        steps: optimiser steps that were taken, those of the call that this one resumed included.
        seconds: wall time of this call (a resumed run counts from where it resumed).
        out: folder of the log, the checkpoint and the model, if any.
        best: epoch whose weights the model has, from 1, with ``TrainConfig(keep="best")``; None for the last weights.
        stopped: whether Ctrl-C ended it. The model has the weights after the last finished step (with ``keep="best"``, of the
            best epoch so far), and calling `fit` again with the same ``out`` continues.
    """

    model: AlignmentModel
    objective: Callable[[Embeddings], Loss]
    history: list[dict[str, float | int]]
    steps: int
    seconds: float
    out: Path | None
    best: int | None = None
    stopped: bool = False

    def __repr__(self) -> str:
        parts = [f"{len(self.history)} epochs" + (f", best {self.best}" if self.best else ""), f"{self.steps} steps"]
        if self.history:
            entry = self.history[(self.best or 0) - 1]
            parts += [f"{name} {entry[name]:.4g}" for name in ("loss", "val") if name in entry]
        parts += ["stopped by Ctrl-C"] if self.stopped else []
        return f"Run({', '.join(parts)}, {self.seconds:.1f} s{f', out={str(self.out)!r}' if self.out else ''})"

    def _repr_html_(self) -> str:
        kept = ("epoch", "loss", "val", "seconds")
        return html(repr(self), [{k: e[k] for k in kept if k in e} for e in self.history[-5:]])

    def plot(self) -> Figure:
        """Draw training and validation loss by epoch, as a matplotlib figure."""
        return history(self.history, best=self.best)


def fit(
    model: AlignmentModel | None,
    objective: Callable[[Embeddings], Loss],
    *,
    train: Rows,
    val: Rows | None = None,
    config: TrainConfig | None = None,
    augment: View | None = None,
) -> Run:
    """Train a model, and the objective's own parameters, on paired rows.

    Args:
        model: changed in place. Frozen modules (no parameter requires a gradient) stay as they are: no Dropout, no moving
            statistics. None builds `AlignmentModel.for_source` of the rows' source, with weights drawn from ``config.seed``.
        objective: any function from `Embeddings` to `Loss`.
        train: rows to train on, as in ``source.train``.
        val: rows whose loss is logged after each epoch, and chooses the epoch with ``keep="best"`` or ``patience``. They
            count if at least two of them have two modalities.
        config: see `TrainConfig`; defaults when left out.
        augment: makes one random view of a batch, for objectives that need views (`CoMM`); `tuplet.nets.Augment` when left
            out.

    Returns:
        The `Run`. Ctrl-C ends training after the step at hand and returns it too, with ``run.stopped``; press it twice to
        end at once.

    Raises:
        InputError: for fewer than two training rows, a loss that is not finite (naming step and term), a run folder that
            holds a run with other settings or is damaged, or ``keep="best"`` or ``patience`` without validation rows.

    Notes:
        With ``config.out`` the folder becomes a model that `tuplet.load` reads: weights, ``config.json`` and a card, beside
        the log (``train.jsonl``) and one checkpoint. Calling again continues: killed at any moment, a resumed run on one CPU
        thread ends with the same bits as an uninterrupted one.

    Example:
        >>> from tuplet.data import from_arrays
        >>> from tuplet.objectives import Pairwise
        >>> x = torch.randn(40, 3).numpy()
        >>> source = from_arrays({"a": x, "b": x[:, ::-1].copy()})
        >>> model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
        >>> fit(model, Pairwise(), train=source.train, config=TrainConfig(epochs=2, batch_size=8)).steps
        6
    """
    config = config or TrainConfig()
    if len(train) < 2:
        raise InputError(f"train has {len(train)} row, expected 2 or more; nothing to contrast it with")
    if config.out and config.out.exists() and not config.out.is_dir():
        raise InputError(f"out is {config.out}, which is a file; expected a folder that exists or can be made")
    lacking = lacks_pairs(val)
    if lacking and (config.keep == "best" or config.patience is not None):
        raise InputError(
            f"keep is {config.keep!r} and patience {config.patience}, but there are {lacking} to compare epochs by; give val "
            f"rows, or set keep='last' and patience=None"
        )
    model = _beginning(model, train, config)
    config = replace(config, start=model.start)
    if known := getattr(getattr(train, "source", None), "preprocessing", None):
        model.preprocessing = {k: p for k, p in known.items() if k in model.encoders}
    if not any(p.requires_grad for x in (model, objective) if isinstance(x, nn.Module) for p in x.parameters()):
        raise InputError("model has no parameter that requires a gradient, nothing would train; unfreeze a module")
    train_unfrozen(model)
    if config.step == "cached" and any(mixes_rows(m) for m in model.modules()):
        raise InputError("step is 'cached', but the model has BatchNorm, which sees one chunk only; use norm='group'")
    began = time.perf_counter()
    reuse_memory()
    session = Session(model, objective, train, None if lacking else val, config, augment)
    stopped = session.run()
    model.eval()
    return Run(
        model,
        objective,
        session.history,
        session.step,
        time.perf_counter() - began,
        config.out,
        best=best_epoch(session.history) if config.keep == "best" else None,
        stopped=stopped,
    )


def _beginning(model: AlignmentModel | None, train: Rows, config: TrainConfig) -> AlignmentModel:
    """Build the model that suits the source of some rows, or take the one that is given if it begins as the settings say."""
    if model is not None:
        if config.start not in ("random", model.start):
            raise InputError(
                f"start is {config.start!r}, which is for a model that fit builds; give model=None, or build yours with "
                f"AlignmentModel.for_source(source, start={config.start!r})"
            )
        return model
    source = getattr(train, "source", None)
    if source is None:
        raise InputError("model is None, but train does not say of which source it is; give model=AlignmentModel...")
    torch.manual_seed(config.seed)
    return AlignmentModel.for_source(source, start=config.start)
