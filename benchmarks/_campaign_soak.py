"""Training and a service for a long time: memory and open files stay flat; see ``benchmarks/campaign.py``."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from benchmarks._campaign_commands import Site, ended
from benchmarks.serve import written
from tests.starter import STARTER

GROWTH = 16.0
"""MiB that the last fifth may have more than the second."""


def seen(pid: int) -> tuple[float, int]:
    """MiB of memory of a process, and its open files."""
    (line,) = (s for s in Path(f"/proc/{pid}/status").read_text().splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1]) / 2**10, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def judged(samples: list[tuple[float, int]], count: int, unit: str) -> str:
    """Compare the last fifth with the second one."""
    fifth = max(len(samples) // 5, 1)
    early, late = samples[fifth : 2 * fifth], samples[-fifth:]
    grown, files = max(m for m, _ in late) - max(m for m, _ in early), max(f for _, f in late) - max(f for _, f in early)
    word = "flat" if grown < GROWTH and files <= 0 else "BROKEN"
    return f"{word}: {count:,} {unit}, {max(m for m, _ in late):.0f} MiB, {grown:+.1f} MiB, {files:+} files"


def fitting(site: Site, seconds: int, rng: random.Random) -> str:
    """Train for so long, with checkpoints and a log."""
    folder = site.fresh()
    process = STARTER.Process(target=train, args=(site.whole / "many.npz", folder, seconds))
    process.start()
    code = ended(process, 2 * seconds + 300)
    file = folder / "ended.txt"
    return file.read_text() if file.exists() else f"BROKEN: {code}"


def train(data: Path, folder: Path, seconds: int) -> None:
    from tuplet import AlignmentModel, TrainConfig, fit
    from tuplet.data import read
    from tuplet.objectives import Pairwise

    source, objective, samples, steps = read(data), Pairwise(), [seen(os.getpid())], 0
    end = time.monotonic() + seconds

    def step(*_: object) -> None:
        nonlocal steps
        steps += objective.training
        if steps % 200 == 0:
            samples.append(seen(os.getpid()))
        if time.monotonic() > end:
            raise KeyboardInterrupt

    objective.register_forward_hook(step)
    config = TrainConfig(epochs=10**6, batch_size=64, out=folder / "out", checkpoint_every=100)
    fit(AlignmentModel.for_source(source, dim=8), objective, train=source.train, val=source.val, config=config)
    (folder / "ended.txt").write_text(judged(samples, steps, "steps"))


def serving(site: Site, seconds: int, rng: random.Random) -> str:
    """Ask a service for so long: words, ids, pictures that are none, wrong fields, requests that are too large."""
    folder = site.fresh()
    command = [sys.executable, "-m", "tuplet", "serve", str(written(folder, 2000)), "--port", "0", "--largest", "100000"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    answers, samples = 0, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout is not None
        server.stdout.readline()
        address, end = server.stdout.readline().split()[0], time.monotonic() + seconds
        while time.monotonic() < end:
            with httpx2.Client(base_url=address, timeout=60) as client:
                for _ in range(100):
                    fields, expected = rng.choice(
                        [
                            ({"text": (None, f"a {rng.randrange(50)} thing")}, 200),
                            ({"like": (None, str(rng.randrange(2000)))}, 200),
                            ({"picture": ("x", rng.randbytes(500))}, 400),
                            ({"nothing": (None, "x")}, 400),
                            ({"picture": ("x", bytes(200_000))}, 413),
                        ]
                    )
                    status = client.post("/search", files=fields).status_code
                    if status != expected:
                        server.terminate()
                        return f"BROKEN: {status} for {list(fields)}"
                    answers += 1
            samples.append(seen(server.pid))
        server.terminate()
    return judged(samples, answers, "requests")
