"""How long training waits for pictures that workers decode, and the memory that it takes.

    python benchmarks/loading.py [--rows 100000] [--steps 100] [--workers 0 2] [--side 64] [--batch 64] [--folder DIR]
        [--accelerator gpu]

Writes PNG files once, and trains for two epochs of some steps on some of them: a ResNet18 beside an MLP for vectors
of 16 numbers. Prints the share of the second epoch in which steps waited for rows, and the resident memory of all its processes
together (shared pages count in each) after the first step and at most.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.data import Pictures, Source, from_columns
from tuplet.nets import MLP, ResNet18
from tuplet.objectives import Pairwise


def written(folder: Path, rows: int, side: int) -> list[Path]:
    """Write pictures of a few waves each, unless they are there."""
    from PIL import Image

    draw, axis = np.random.default_rng(0), np.linspace(0, 2 * np.pi, side)
    paths = [folder / f"{side}-{i:06}.png" for i in range(rows)]
    for path in paths:
        f, g, phase = draw.integers(1, 6, (3, 3))
        wave = np.sin(f[:, None, None] * axis[:, None] + g[:, None, None] * axis + phase[:, None, None])
        if not path.exists():
            Image.fromarray(np.uint8(127 + 120 * np.moveaxis(wave, 0, -1))).save(path, compress_level=1)
    return paths


def source(paths: list[Path]) -> Source:
    vectors = np.random.default_rng(1).normal(size=(len(paths), 16)).astype(np.float32)
    return from_columns({"picture": Pictures(paths), "vector": vectors}, checksum="generated", fractions=(0.98, 0.01, 0.01))


def resident() -> float:
    """MiB of all processes of this session."""
    total, page = 0, os.sysconf("SC_PAGE_SIZE")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == os.getsid(0):
                total += int((entry / "statm").read_text().split()[1]) * page
        except (OSError, ProcessLookupError):
            continue
    return total / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 100_000), ("steps", 100), ("side", 64), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--workers", type=int, nargs="*", default=(0, 2))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "gpu"))
    args = parser.parse_args()
    with contextlib.suppress(OSError):
        os.setsid()  # a session of its own, so that its processes can be told
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        paths = written(folder, args.rows, args.side)
        rows = source(paths).train.take(range(args.steps * args.batch))
        print(f"{args.rows} PNG of {args.side} x {args.side}, {args.steps} steps of {args.batch}, one thread")
        for workers in args.workers:
            torch.manual_seed(0)
            encoders = {"picture": ResNet18(3, 64, norm="group"), "vector": MLP(16, 64)}
            model = AlignmentModel(encoders, {k: torch.nn.Linear(64, 64) for k in encoders})
            held: list[float] = []
            objective = Pairwise()
            objective.register_forward_hook(lambda *_, held=held: held.append(resident()))
            config = TrainConfig(epochs=2, batch_size=args.batch, workers=workers, accelerator=args.accelerator)
            run = fit(model, objective, train=rows, config=config)
            began, entry = run.history
            share, each = 100 * entry["waited"] / entry["seconds"], 1e3 * entry["seconds"] / args.steps
            start, memory = f"first epoch: {began['waited']:.1f} s", f"memory {held[0]:.0f} MiB, at most {max(held):.0f}"
            print(f"workers {workers}: {each:.0f} ms a step, {share:.1f} % of it waiting ({start}); {memory}", flush=True)


if __name__ == "__main__":
    main()
