"""Queries a second and their latency from `tuplet serve`, server and client on one core: ``python benchmarks/serve.py ITEMS``.

The items have pictures of 32 x 32, words and weights; one client asks, one query after the other, over one connection.
Queries a second are per second of CPU time of server and client, which a busy machine changes little; p50 and p95 are times on
the clock.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

import tuplet
from tuplet import AlignmentModel, Embeddings, store
from tuplet.data import from_arrays
from tuplet.objectives import Pairwise

DIM, QUERIES, SEEN = 256, 200, 400


def written(folder: Path, items: int) -> Path:
    """Write a hardly trained model and vectors of three modalities; what they are does not matter for the time."""
    rng = np.random.default_rng(0)
    views = {
        "photo": rng.integers(0, 256, (SEEN, 3, 32, 32)).astype(np.uint8),
        "note": np.array([f"a {w} thing" for w in rng.integers(0, 50, SEEN)]),
        "weight": rng.normal(size=(SEEN, 4)),
    }
    source = from_arrays(views, kinds={"photo": "image"})
    config = tuplet.TrainConfig(epochs=1, out=folder / "model")
    tuplet.fit(AlignmentModel.for_source(source, dim=DIM), Pairwise(), train=source.train, config=config)
    z = {k: rng.standard_normal((items, DIM), dtype=np.float32) for k in views}
    emb = Embeddings.of({k: v / np.linalg.norm(v, axis=1, keepdims=True) for k, v in z.items()})
    return store.write(folder / "emb.safetensors", emb, columns={"label": rng.integers(0, 9, items)}, model=folder / "model")


def cpu(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(items: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(picture, "PNG")
    questions = {
        "words": [("text", (None, "a 7 thing"))],
        "a picture": [("picture", ("file", picture.getvalue()))],
        "words and a picture": [("text", (None, "a 7 thing")), ("picture", ("file", picture.getvalue()))],
        "an id": [("like", (None, "7"))],
        "words, with a filter": [("text", (None, "a 7 thing")), ("where", (None, "label=3"))],
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tuplet", "serve", str(written(Path(folder), items)), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}) as server:
            assert server.stdout is not None
            about, address = server.stdout.readline().strip(), server.stdout.readline().split()[0]
            print(about, "on one core", flush=True)
            with httpx2.Client(base_url=address, timeout=60) as client:
                while client.get("/about").status_code != 200:
                    time.sleep(0.1)
                for name, parts in questions.items():
                    times, before = [], 0.0
                    for i in range(QUERIES + 10):
                        before = cpu(server.pid) + cpu(os.getpid()) if i == 10 else before
                        start = time.perf_counter()
                        client.post("/search", files=parts).raise_for_status()
                        times.append(time.perf_counter() - start)
                    rate = QUERIES / (cpu(server.pid) + cpu(os.getpid()) - before)
                    p50, p95 = np.percentile(times[10:], [50, 95]) * 1000
                    print(f"{name:22} {rate:5.0f} queries/s, p50 {p50:5.1f} ms, p95 {p95:5.1f} ms", flush=True)
            server.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]))
