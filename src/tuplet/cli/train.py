"""The ``tuplet train`` command."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from tuplet.cli.audit import planned
from tuplet.cli.runs import NOTE, data_recipe, file_recipe, read_note
from tuplet.cli.source import Reading, placed
from tuplet.errors import InputError

if TYPE_CHECKING:
    from tuplet.audit._planned import Plan
    from tuplet.train.recipe import Recipe


@dataclass(frozen=True)
class Train(Reading):
    """Train one model on your data and keep it in --out; a stopped run continues."""

    data: Positional[str]
    """A source that ships (digits, blocks, ...), your own file.npz, or a Python file that defines recipe() ->
    tuplet.Recipe, which then decides everything."""
    objective: str | None = None
    """What aligns: cone, pairwise, one_vs_all, gram, symile, uni_align, structure ... (the README's table has all) [default:
    cone]; or auto: what a finished `tuplet bench` of the same data chose, or else a short one,
    which also decides --tau and --start."""
    align: Literal["auto"] | None = None
    """auto: audit the data first, then train every modality on the target and align the pairs that it helps, in place of
    --objective."""
    method: Literal["tlv_core", "tlv_link", "any_touch", "vit_lens", "uni_touch"] | None = None
    """A method for touch, vision and text on towers of CLIP, in place of --objective; ids of sensors are the data's sensor."""
    frozen: str | None = None
    """A space that does not move, which the other modalities join: the name of a modality of ready vectors (or of one with a
    --tower), a model folder, or a file of vectors such as `tuplet embed` writes, joined with the data by id."""
    tau: float | None = None
    """Temperature of the objective [default: the objective's own]; `tuplet bench` finds a good one."""
    epochs: int | None = None
    """Passes over the training rows, at most [default: 40, more for few rows, or the recipe's]; training stops when the
    validation loss has not improved for a quarter of them, and keeps the best epoch."""
    start: Literal["random", "gcca"] | None = None
    """What the encoders begin as: gcca, the linear closed form of the training rows, or random weights [default: gcca where
    the data allow it; random with --align auto, whose audit begins so]."""
    seed: int = 0
    """Seed of the weights and of the order of the batches."""
    dim: int | None = None
    """Width of the space [default: 64]."""
    batch_size: int | None = None
    """Rows per step [default: 128]."""
    lr: float | None = None
    """Peak learning rate [default: 0.001]."""
    devices: int | None = None
    """Number of processes [default: 1, or as many as torchrun started]."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several devices share the work: ddp (auto) holds the model in each, fsdp shards it."""
    accelerator: Literal["cpu", "gpu", "auto"] | None = None
    """Where to train: cpu, gpu (CUDA, or Apple's MPS in float32), or auto, which takes a GPU where there is one
    [default: cpu, or the recipe's]."""
    workers: int | None = None
    """Processes that read rows ahead of the steps; any number gives the same model [default: 0, or the recipe's]."""
    out: Path = Path("runs/train")
    """Run folder."""
    fresh: bool = False
    """Start the folder anew: forget what an earlier command left there."""


def train(command: Train) -> None:
    """Train on data, or as a recipe says."""
    from tuplet.cli.contents import contents
    from tuplet.evaluate._pairing import doubt
    from tuplet.evaluate.screen import wrapped
    from tuplet.io import fresh, locked, write_atomic
    from tuplet.model import WEIGHTS
    from tuplet.train import fit
    from tuplet.train._folder import read_progress, write_card
    from tuplet.train._validate import lacks_pairs

    if command.objective == "auto":
        command = _decided(command)
    first = int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0  # of several processes, one speaks
    if (command.out / "suite.json").exists():
        raise InputError(f"out {command.out} holds a bench run; choose another folder")
    note, recipe = _asked(command, first)
    config = replace(
        recipe.config,
        progress=first,
        out=command.out,
        devices=int(os.environ.get("WORLD_SIZE", "1")) if command.devices is None else command.devices,
        strategy=command.strategy,
        **{k: v for k in ("accelerator", "workers") if (v := getattr(command, k)) is not None},
    )
    if lacking := lacks_pairs(recipe.source.val):
        config = replace(config, keep="last", patience=None)
        if first:
            print(f"{lacking}: the last epoch is kept")
    if command.fresh:
        fresh(command.out)
    plan = _owned(command, note) if first else None  # the others may come while the first one empties the folder
    if command.align:
        from tuplet.audit._planned import aligned

        plan = planned(recipe, command.out / "audit") if plan is None else plan  # a stopped audit is continued
        recipe = replace(recipe, objective=aligned(recipe, plan))
    if first:
        if not command.data.endswith(".py"):
            print(contents(recipe.source))
        print(f"{type(recipe.objective).__name__} on {', '.join(recipe.source.modalities)}")
        if not (command.out / NOTE).exists():
            with locked(command.out):
                _owned(command, note)
                write_atomic(command.out / NOTE, json.dumps({**note, "plan": plan}).encode())
    done = first and not command.fresh and (command.out / WEIGHTS).exists() and read_progress(command.out)["finished"]
    run = fit(recipe.model, recipe.objective, train=recipe.source.train, val=recipe.source.val, config=config)
    if not first:
        return
    if run.stopped:
        print(f"stopped after step {run.steps}; the weights so far are in {command.out}")
        raise KeyboardInterrupt
    entry = run.history[(run.best or 0) - 1]
    losses = f"loss {entry['loss']:.4f}" + (f", validation {entry['val']:.4f}" if "val" in entry else "")
    epochs = f"{len(run.history)} epochs"
    if len(run.history) < config.epochs:
        epochs = f"{len(run.history)} of at most {config.epochs} epochs (stopped early)"
    kept = f"epoch {run.best} is the best: {losses}" if run.best else losses
    said = [f"{epochs}, {run.steps} steps, {run.seconds:.1f} s; {kept}"]
    if done:
        said.insert(0, f"{command.out} was finished before: nothing was trained.")
    if config.devices == 1 and plan is None:
        said.append(doubt(run.model, recipe.objective, recipe.source.val))
    print("\n".join(line for text in said for line in wrapped(text)))
    if command.frozen is not None and config.devices == 1:
        from tuplet.cli.frozen import told

        text = told(replace(recipe, model=run.model))
        print(f"\n{text}\n")
        write_card(command.out, read_progress(command.out), run.history, text)
    print(f"model: {command.out}")
    print(f"now: tuplet evaluate {command.out}")
    print(f"or:  tuplet embed {command.out} DATA --out emb.npz")


def _decided(command: Train) -> Train:
    """Let a comparison choose the objective."""
    from tuplet.cli.auto import decided

    _leave_out(command, ("align", "method", "frozen", "tau", "devices"), "--objective auto decides or excludes that")
    if command.data.endswith(".py") or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("--objective auto compares in one process, on data and not on a recipe; name an objective")
    found = decided(command.data, Reading.noted(command.note()), command.out, start=command.start)
    return replace(command, objective=found.objective, tau=found.tau, start=found.start)


def _leave_out(command: Train, options: Sequence[str], why: str) -> None:
    """Refuse options that something else decides."""
    for name in options:
        if (value := getattr(command, name)) not in (None, ()):
            raise InputError(f"--{name.replace('_', '-')} is {value!r}, but {why}; leave it out")


def _asked(command: Train, first: bool) -> tuple[dict[str, Any], Recipe]:
    """Check all arguments and build what they say, before anything is written."""
    python = command.data.endswith(".py")
    settings = {k: getattr(command, k) for k in ("epochs", "dim", "batch_size", "lr", "tau")}
    note: dict[str, Any] = {
        "schema": 1,
        "data": None if python else placed(command.data),
        "recipe": command.data if python else None,
        "objective": None if python or command.align or command.method or command.frozen else command.objective or "cone",
        "method": command.method,
        "frozen": str(Path(command.frozen).absolute()) if command.frozen and Path(command.frozen).exists() else command.frozen,
        "tower": str(Path(command.tower[0]).absolute()) if command.method and command.tower else None,
        "start": "random" if (command.align and command.start is None) or command.method else command.start,
        "seed": command.seed,
        "target": command.target,
        "reading": command.note(),
        "settings": settings,
    }
    if command.method is not None:
        _leave_out(command, ("objective", "align", "tau", "start", "dim"), f"--method {command.method} decides that itself")
        if command.tower and ("=" in command.tower[0] or len(command.tower) > 1):
            raise InputError(f"--tower is {' '.join(command.tower)}, but a method has one CLIP for all; give --tower PATH")
    if command.frozen is not None:
        _leave_out(command, ("objective", "align", "method", "start", "dim"), f"--frozen {command.frozen} decides that itself")
    if command.align and command.objective:
        raise InputError(f"objective is {command.objective!r}, but --align auto makes its own; leave one of them out")
    if command.tau is not None and (command.align or command.objective == "transport"):
        what = "--align auto" if command.align else "transport"
        raise InputError(f"tau is {command.tau}, but {what} has no temperature to set; leave it out")
    if command.align and (int(os.environ.get("WORLD_SIZE", "1")) > 1 or (command.devices or 1) > 1):
        raise InputError("--align auto plans in one process; leave --devices out, or run `tuplet audit` first")
    if command.batch_size is not None and command.batch_size < 2:
        raise InputError(f"batch_size is {command.batch_size}, expected 2 rows or more to contrast with each other")
    if not python:
        recipe = data_recipe(note, say=print if first else lambda line: None)
    else:
        options = ("objective", "method", "frozen", "tau", "start", "dim", "batch_size", "lr")
        reading = (f.name for f in fields(Reading))
        _leave_out(command, (*options, *reading), f"{command.data} is a recipe, which decides that itself")
        recipe = file_recipe(command.data)
        epochs = recipe.config.epochs if command.epochs is None else command.epochs
        recipe = replace(recipe, config=replace(recipe.config, seed=command.seed, epochs=epochs))
    return {**note, "start": recipe.model.start, "fingerprint": recipe.source.fingerprint}, recipe


def _owned(command: Train, note: dict[str, Any]) -> Plan | None:
    """Refuse a folder that another run owns; return the plan of the run that continues."""
    if not (command.out / NOTE).exists():
        if (command.out / "checkpoint.safetensors").exists():
            raise InputError(f"out {command.out} holds a run without {NOTE}; choose another --out, or use --fresh")
        return None
    there = read_note(command.out)
    plan = there.pop("plan")
    for k, two in note.items():
        if (one := there[k]) != two:
            what = k
            if isinstance(one, dict) and (differs := [w for w in one if one[w] != two[w]]):
                what, one, two = differs[0], one[differs[0]], two[differs[0]]
            raise InputError(
                f"{command.out} holds a run with {what} = {one}, this one has {what} = {two}; choose another --out, repeat the "
                f"same options to continue, or start it anew with --fresh"
            )
    if (plan is None) == bool(command.align):
        word = "without" if plan is None else "with"
        raise InputError(f"{command.out} holds a run {word} --align auto; choose another --out, or use --fresh")
    return None if plan is None else [(a, b, float(strength)) for a, b, strength in plan]
