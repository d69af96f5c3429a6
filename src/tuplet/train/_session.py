"""One call of `fit`: where training stands, and every step of it."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import torch
from torch import Tensor

from tuplet.data import Rows
from tuplet.io.files import locked, write_atomic
from tuplet.model import AlignmentModel
from tuplet.model._towers import based, checksums
from tuplet.train import _checkpoint as checkpoint
from tuplet.train._checkpoint_schema import FIX
from tuplet.train._folder import CARD, write_card, write_config, write_weights
from tuplet.train._interrupt import Interrupt
from tuplet.train._monitor import monitor, warn_if_unbalanced
from tuplet.train._needs import Embedder, View
from tuplet.train._progress import Progress
from tuplet.train._rate import learning_rate, make_optimizer
from tuplet.train._runtime import Runtime
from tuplet.train._step import cached_step, plain_step
from tuplet.train._stream import Stream
from tuplet.train._tally import EVERY, Tally
from tuplet.train._undo import Undo
from tuplet.train._validate import advance, best_epoch, exhausted, validation_loss
from tuplet.train.config import TrainConfig
from tuplet.types import Batch, Embeddings, InputError, Loss


class Session:
    """Model, objective and optimiser on their devices, and how far they have come."""

    def __init__(
        self,
        model: AlignmentModel,
        objective: Callable[[Embeddings], Loss],
        train: Rows,
        val: Rows | None,
        config: TrainConfig,
        augment: View | None,
    ) -> None:
        self.model, self.objective, self.train, self.val = model, objective, train, val
        self.config, self.augment = config, augment
        self.runtime = Runtime(config)
        share = min(config.batch_size, len(train)) // self.runtime.world
        self.batch_size = share * self.runtime.world
        if share < 1 or self.batch_size < 2:
            raise InputError(f"batch_size is {config.batch_size} for {self.runtime.world} devices, expected 2 rows or more")
        if self.batch_size < min(config.batch_size, len(train)) and self.runtime.rank == 0:
            warnings.warn(
                f"batch_size is {config.batch_size} for {self.runtime.world} devices: {self.batch_size} rows a step",
                stacklevel=3,
            )
        self.per_epoch = len(train) // self.batch_size
        self.total = self.per_epoch * config.epochs
        model.based = based(model)
        self.runtime.place(model, objective)
        self.optimizer = make_optimizer(model, objective, config, apart=self.runtime.sharded)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.embed = self.step_embed = Embedder(model, objective, augment)
        self.step_objective = objective
        if config.compile:
            self.step_embed = Embedder(torch.compile(model), objective, augment)
            self.step_objective = torch.compile(objective)
        self.file = config.out / checkpoint.NAME if config.out else None
        self.identity = {
            "config": json.loads(json.dumps(config.fixed(), default=str)),
            "objective": checkpoint.describe(objective),
            "data": " ".join([str(getattr(train, "fingerprint", "")), *checksums(model)]),
            "rows": len(train),
            "steps": self.total,
            "rows_per_step": self.batch_size,
        }
        self.step, self.history = 0, list[dict[str, float | int]]()
        self.tally = Tally(self.runtime.device)
        self.best: dict[str, Tensor] | None = None
        self.warned, self.torn = False, False
        torch.manual_seed(config.seed)

    def run(self) -> bool:
        """Train to the end, or to Ctrl-C; return whether it was that."""
        main = self.runtime.rank == 0
        with ExitStack() as held:
            held.enter_context(locked(self.config.out if main else None))
            self.runtime.barrier()  # from here on nobody else changes the folder
            if self.file and self.file.exists():
                self._resume(self.file)
            self.runtime.barrier()  # nobody may replace the checkpoint before all have read it
            self._advance()
            early = self.config.patience is not None and self.config.patience < self.config.epochs
            tell = held.enter_context(Progress(self.config.progress and main, self.total, self.step, early=early))
            interrupt = held.enter_context(Interrupt(active=self.runtime.world == 1))
            self._write_log()
            if self.config.out and main:
                write_config(self.config.out, self.model, self.objective, self.train, self.config)
            began = self.step
            stream = held.enter_context(closing(self._stream()))
            try:
                while not self.finished and not interrupt.asked:
                    self._epoch(stream, interrupt, tell)
            except KeyboardInterrupt:  # a second time, or raised by other code
                if self.torn:
                    raise
                interrupt.asked = True
            if self.best is not None:
                checkpoint.put(self.best, self.model, self.objective)
            out = self.config.out
            if out and (self.step > began or not (out / CARD).exists()):
                self._write_model()
                if main:
                    write_card(out, self.progress, self.history)
        return interrupt.asked

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the validation loss has stopped improving."""
        return self.step == self.total or (self.step % self.per_epoch == 0 and exhausted(self.history, self.config.patience))

    @property
    def progress(self) -> dict[str, int | bool]:
        """How far training has come, as a model folder says it."""
        done, best = len(self.history), best_epoch(self.history) if self.config.keep == "best" else None
        kept = done if best is None else best
        return {"done": done, "epochs": self.config.epochs, "step": self.step, "kept": kept, "finished": self.finished}

    def _stream(self) -> Stream:
        share, gpu = self.batch_size // self.runtime.world, self.runtime.device.type == "cuda"
        own = slice(self.runtime.rank * share, (self.runtime.rank + 1) * share)
        return Stream(self.train, self.val, self.config, size=self.batch_size, own=own, step=self.step, pin=gpu)

    def _epoch(self, stream: Stream, interrupt: Interrupt, tell: Callable[[Loss], None]) -> None:
        start, stream.waited = time.perf_counter(), 0.0
        last = False
        while not last:
            read = stream.batch()  # where a look at its masks waits for nothing; of several processes, none knows of all rows
            complete = self.runtime.world == 1 and all(mask.numpy().all() for mask in read.present.values())
            own = read.map(lambda value: value.to(self.runtime.device, non_blocking=True))
            rate = learning_rate(self.step, self.total, self.config)
            loss = self._step(own, rate, complete)
            tell(loss)
            last = self.step % self.per_epoch == 0
            if last or self.step % EVERY == 0:
                self.tally.check()
            if last:
                self._end_epoch(own, rate, start, stream)
            every = self.config.checkpoint_every
            due = last if every is None else self.step % every == 0 or self.finished
            if self.file and (due or interrupt.asked):
                self._save()
            if last:
                self._write_log()
                if not self.finished:  # then the end writes it
                    self._write_model()
            if interrupt.asked:
                break

    def _step(self, batch: Batch, rate: float, complete: bool) -> Loss:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        undo, masks = Undo(self.model, self.objective), {k: (v, v._version) for k, v in batch.present.items()}

        def told(emb: Embeddings) -> Loss:
            same = emb.z.keys() == masks.keys() and all(emb.present[k] is v and v._version == n for k, (v, n) in masks.items())
            return self.step_objective(emb.known(complete=complete and same))

        try:
            with self.runtime.autocast():
                if self.config.step == "cached":
                    loss = cached_step(self.step_embed, told, batch, chunk=self.config.chunk)
                else:
                    loss = plain_step(self.step_embed, told, batch)
        except KeyboardInterrupt:
            self.optimizer.zero_grad(set_to_none=True)
            undo()
            if self.file:
                self._save()
            raise
        except Exception as error:
            self.runtime.explain(error, self.config)
            raise
        self.tally.add(loss)
        self.runtime.average(self.parameters)
        norm = self.runtime.clip(self.parameters, self.config.clip)
        self.tally.judge(loss, norm, self.step)
        self.optimizer.found_inf = self.tally.bad  # type: ignore[attr-defined]  # fused ones then leave the weights alone
        self.torn = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.torn = False
        self._advance()
        return loss

    def _advance(self) -> None:
        """Tell scheduled weights and encoders how much of the run is done."""
        advance(self.objective, self.step / self.total)
        self.model.advance(self.step / self.total)

    def _end_epoch(self, batch: Batch, rate: float, start: float, stream: Stream) -> None:
        means = {k: self.runtime.mean(v / self.per_epoch) for k, v in self.tally.read().items()}
        entry = {"epoch": len(self.history) + 1, "step": self.step, "lr": rate, **means}
        if self.val is not None:
            entry["val"] = self._validated(self.val, stream)
        seen = monitor(self.embed, self.objective, batch)
        self.warned = self.warned or (self.runtime.rank == 0 and warn_if_unbalanced(seen))
        entry |= seen | {"seconds": time.perf_counter() - start, "waited": stream.waited}
        self.history.append({k: v if math.isfinite(v) else math.nan for k, v in entry.items()})
        self.tally.begin()
        if self.config.keep == "best" and best_epoch(self.history) == len(self.history):
            self.best = checkpoint.weights(self.model, self.objective)

    def _validated(self, rows: Rows, stream: Stream) -> float:
        choosing = self.config.keep == "best" or self.config.patience is not None
        if choosing:
            advance(self.objective, 1.0)  # scheduled weights as they end: epochs are compared by one loss
        held = stream.held()
        with self.runtime.autocast():
            loss = validation_loss(
                self.model,
                self.objective,
                rows,
                batch_size=self.batch_size,
                device=self.runtime.device,
                augment=self.augment,
                held=held,
            )
        for _ in held:  # nothing of it is left for the next epoch
            pass
        if choosing:
            advance(self.objective, self.step / self.total)
        return loss

    def _save(self) -> None:
        assert self.file is not None
        self.tally.check()
        shared = {k: self.runtime.mean(v) for k, v in self.tally.read().items()}
        state = {**self.identity, "step": self.step, "history": self._plain(), "sums": shared}
        write = self.runtime.rank == 0
        if write or self.runtime.sharded:
            checkpoint.save(self.file, self.model, self.objective, self.optimizer, state, best=self.best, write=write)

    def _resume(self, file: Path) -> None:
        """Restore a checkpoint of the same run, or say what differs."""
        saved = checkpoint.read(file)
        checkpoint.check_same(self.identity, saved[1], file.parent)
        checkpoint.restore(file, self.model, self.objective, self.optimizer, saved=saved)
        self.step = saved[1]["step"]
        self.tally.begin(saved[1]["sums"])
        if len(saved[1]["history"]) != self.step // self.per_epoch:
            raise InputError(
                f"{file} has {len(saved[1]['history'])} epochs in its history, expected {self.step // self.per_epoch} "
                f"after step {self.step}; {FIX}"
            )
        self.history = [{k: math.nan if v is None else v for k, v in entry.items()} for entry in saved[1]["history"]]
        self.best = checkpoint.part(saved[0], "best") or None

    def _write_model(self) -> None:
        if self.config.out and (self.runtime.rank == 0 or self.runtime.sharded):
            tensors = self.best or checkpoint.weights(self.model, self.objective)
            tensors = checkpoint.separate(tensors)  # all processes help to collect sharded ones
            if self.runtime.rank == 0:
                write_weights(self.config.out, tensors, self.progress)

    def _write_log(self) -> None:
        if self.config.out and self.runtime.rank == 0:
            lines = "".join(json.dumps(entry) + "\n" for entry in self._plain())
            write_atomic(self.config.out / "train.jsonl", lines.encode())

    def _plain(self) -> list[dict[str, float | int | None]]:
        """Write the history as JSON has it: null for what is not defined."""
        return [{k: None if math.isnan(v) else v for k, v in entry.items()} for entry in self.history]
