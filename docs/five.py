"""Runs the commands of docs/five.md on five kinds of files and writes what they print: python docs/five.py [--missing]."""

import argparse
import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

PAGE = Path(__file__).parent / "five.md"
WORDS = ("red", "blue", "green", "grey")
THINGS = ("cup", "ball", "box")


def hidden(rows: int) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    """Return what all modalities of a case see: a colour and a thing per row."""
    rng = np.random.default_rng(0)
    return rng, rng.integers(0, 4, rows), rng.integers(0, 3, rows)


def seen(rng: np.random.Generator, colour: np.ndarray, thing: np.ndarray, width: int, noise: float = 0.5) -> np.ndarray:
    """Return a random linear view of both, with noise."""
    clean = np.eye(4)[colour] @ rng.normal(size=(4, width)) + np.eye(3)[thing] @ rng.normal(size=(3, width))
    return (clean + noise * rng.normal(size=clean.shape)).astype(np.float32)


def log() -> None:
    """Write a Parquet log of three sensors; force is lost in every tenth row."""
    rng, colour, thing = hidden(600)
    columns: dict[str, object] = {}
    for name, width in (("imu", 6), ("force", 3), ("sound", 12)):
        view = seen(rng, colour, thing, width)
        if name == "force":
            view[::10] = np.nan
        columns |= {f"{name}.{i}": view[:, i] for i in range(width)}
    columns |= {"label": np.array(THINGS)[thing], "group": np.arange(600) // 20}
    pd.DataFrame(columns).to_parquet("log.parquet")


def cells() -> None:
    """Write an h5mu of counts and proteins of 400 cells of ten donors."""
    import anndata
    import mudata

    mudata.set_options(pull_on_update=False)
    rng, colour, thing = hidden(400)
    rna = rng.poisson(np.exp(seen(rng, colour, thing, 60, 0.2))).astype(np.float32)
    with pd.option_context("future.infer_string", False):  # mudata writes no strings of Arrow
        names, found = [f"cell{i}" for i in range(400)], {}
        for name, values in (("rna", rna), ("protein", seen(rng, colour, thing, 12))):
            features = pd.DataFrame(index=[f"{name}{i}" for i in range(values.shape[1])])
            found[name] = anndata.AnnData(values, pd.DataFrame(index=names), features)
        whole = mudata.MuData(found)
        whole.obs["cell_type"] = np.array(["B", "T", "NK"])[thing]
        whole.obs["donor"] = [f"d{i % 10}" for i in range(400)]
        whole.write("cells.h5mu")


def robot() -> None:
    """Write a LeRobotDataset: 30 episodes of 40 frames, state, force and action."""
    rng, root, rows = np.random.default_rng(0), Path("robot"), []
    features = {"observation.state": 4, "observation.force": 3, "action": 2}
    for episode in range(30):
        phase = np.linspace(0, 6, 40)[:, None] + rng.normal() + np.arange(4)
        push = np.sin(phase) + 0.1 * rng.normal(size=(40, 4))
        views = (push, push[:, :3] ** 2 + 0.1 * rng.normal(size=(40, 3)), np.gradient(push[:, :2], axis=0))
        for t in range(40):
            row = {k: v[t].astype(np.float32) for k, v in zip(features, views, strict=True)}
            rows.append(
                row | {"timestamp": t / 10, "frame_index": t, "episode_index": episode, "task_index": 0, "index": len(rows)}
            )
    told = {k: {"dtype": "float32", "shape": [n]} for k, n in features.items()}
    told |= {k: {"dtype": "int64", "shape": [1]} for k in ("frame_index", "episode_index", "index", "task_index")}
    told["timestamp"] = {"dtype": "float32", "shape": [1]}
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    frame = pd.DataFrame(rows)
    for episode, part in frame.groupby("episode_index"):
        part.to_parquet(root / f"data/chunk-000/episode_{episode:06d}.parquet")
    about = {"codebase_version": "v2.1", "fps": 10, "total_episodes": 30, "total_frames": len(rows), "chunks_size": 1000}
    about |= {"data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet", "features": told}
    (root / "meta/info.json").write_text(json.dumps(about))
    (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "push"}))
    lengths = [json.dumps({"episode_index": e, "tasks": ["push"], "length": 40}) for e in range(30)]
    (root / "meta/episodes.jsonl").write_text("\n".join(lengths))


def captions() -> None:
    """Write a folder with pictures, and a table of their paths and captions."""
    rng, colour, thing = hidden(500)
    Path("shots").mkdir()
    paints = np.array([[200, 40, 40], [40, 60, 200], [40, 180, 60], [128, 128, 128]])
    for i, (c, t) in enumerate(zip(colour, thing, strict=True)):
        picture = np.full((16, 16, 3), 250.0)
        shape = (
            (slice(3, 13), slice(6, 10)) if t == 0 else (slice(5, 11), slice(5, 11)) if t == 1 else (slice(2, 14), slice(2, 14))
        )
        picture[shape] = paints[c]
        noisy = np.clip(picture + 20 * rng.normal(size=picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(f"shots/{i:03d}.png")
    words = [
        f"a {WORDS[c]} {THINGS[t]}" if i % 2 else f"{THINGS[t]}, {WORDS[c]}"
        for i, (c, t) in enumerate(zip(colour, thing, strict=True))
    ]
    table = {"picture": [f"shots/{i:03d}.png" for i in range(500)], "caption": words, "label": np.array(THINGS)[thing]}
    pd.DataFrame(table).to_csv("shots.csv", index=False)


def vectors() -> None:
    """Write ready vectors of two encoders of somebody else."""
    rng, colour, thing = hidden(500)
    np.savez(
        "vectors.npz", clip=seen(rng, colour, thing, 32), audio=seen(rng, colour, thing, 24), label=np.array(THINGS)[thing]
    )


CASES = {
    "log": ("A Parquet log with three sensors", log, "log.parquet", "--group group"),
    "cells": ("Cells: a .h5mu with two assays", cells, "cells.h5mu", "--target cell_type --group donor"),
    "robot": (
        "A robot: a LeRobotDataset without labels",
        robot,
        '"lerobot?window=8&stride=8" --root robot --modalities state force action',
        "",
    ),
    "captions": ("Pictures and captions", captions, "shots.csv", ""),
    "vectors": ("Ready vectors of somebody else's encoders", vectors, "vectors.npz", ""),
}
"""Name -> heading, what writes the files, and what names them on a command line: the data, and what its columns are."""
COMMANDS = (
    "data info {data}",
    "audit {data} --seeds 2",
    "bench {data} --only cone --start gcca --seeds 2",
    "train {data} --objective auto --out runs/model",
    "evaluate runs/model",
    "embed runs/model {data} --out emb.parquet",
    "inspect emb.parquet",
    "explore emb.parquet --table-only",
)
LINES = 8
"""Of what a command prints, the first ones: they answer."""
HEAD = """# Five kinds of data, from the file to the space

A log, cells, a robot, pictures with captions, and ready vectors: the same eight commands each. All files are made up, and
small; `python docs/five.py` writes them, runs the commands and puts here what they print first. Without `--table-only`,
`explore` opens a map in the browser.
"""


def section(title: str, make: Callable[[], None], data: str, more: str) -> str:
    """Write the files of a case, run the commands, and return the section of the page."""
    make()
    parts = [f"## {title}", (make.__doc__ or "").replace("Write ", "The file: ", 1)]
    for command in COMMANDS:
        line = command.format(data=f"{data} {more}".strip())
        done = subprocess.run([sys.executable, "-m", "tuplet", *shlex.split(line)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"tuplet {line}: {done.stderr}")
        shown = done.stdout.strip().splitlines()
        rest = ["..."] * (len(shown) > LINES)
        parts.append("\n".join(["```bash", f"tuplet {line}", "```", "", "```", *shown[:LINES], *rest, "```"]))
    return "\n\n".join(parts)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="leave a page that is there alone")
    parser.add_argument("names", nargs="*", help="of cases; all when left out")
    arguments = parser.parse_args()
    if arguments.missing and PAGE.exists():
        return
    sections = [HEAD]
    for name in arguments.names or CASES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            sections.append(section(*CASES[name]))
        print(name, flush=True)
    PAGE.write_text("\n\n".join(sections) + "\n")


if __name__ == "__main__":
    main()
