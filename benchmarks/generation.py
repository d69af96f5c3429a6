"""Pictures from names: a space of emoji, a decoder for it, and one page of sheets to look at.

``python benchmarks/generation.py --out DIR [--steps 0] [--seed 0]`` trains the space (the cone, begun as the closed
form) and the decoder, which is kept in DIR, prints distances to real pictures, and writes ``report.html``: 20 concepts seen
in training, then 20 unseen ones. The decoder learns every drawing from every vector of its concept, names included: what
it draws for a concept of training is recalled. ``--steps`` trains the network beside the closed form. Decoders of
``uni-align-sim`` learn from the vectors of drawings only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tuplet import Batch, Embeddings
from tuplet.data import SOURCES, Source
from tuplet.datasets.emoji import contents
from tuplet.evaluate import embed
from tuplet.generate import Decoder, DecoderConfig, between, fit_decoder, load_decoder
from tuplet.model import AlignmentModel
from tuplet.objectives import Cone
from tuplet.report import Section, Sheet, Tile, write_page
from tuplet.report.png import data_uri
from tuplet.suites.generation import Judge, nearest
from tuplet.train import TrainConfig, fit

ARTISTS = ("noto", "fluent", "twemoji")
SHOWN = 20


def tile(picture: Tensor, caption: str) -> Tile:
    """Show a picture, ``(3, 32, 32)`` from 0 to 1."""
    pixels = (255 * picture).round().byte().permute(1, 2, 0).numpy()
    return Tile(data_uri(np.ascontiguousarray(pixels)), caption, caption)


def main() -> None:
    """Train, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=DecoderConfig().steps)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    source, began = SOURCES["emoji"](), time.perf_counter()
    model = AlignmentModel.for_source(source, start="gcca")
    config = TrainConfig(epochs=8, lr=5e-4, start="gcca", seed=args.seed)
    fit(model, Cone(), train=source.train, val=source.val, config=config)
    print(f"space: {time.perf_counter() - began:.0f} s", flush=True)
    spaces = {part: embed(model, getattr(source, part)) for part in ("train", "test")}
    if (args.out / "decoder.safetensors").is_file():
        decoder = load_decoder(args.out)
    else:
        concept = source.train.group
        assert concept is not None
        z, pictures, style, group = examples(source.train[slice(0, len(source.train))], spaces["train"], concept)
        decoder = Decoder(z.shape[1], styles=len(ARTISTS))
        began, used = time.perf_counter(), time.process_time()

        def told(step: int, steps: int, loss: float) -> None:
            print(f"{step} of {steps}: {loss:.3f}", flush=True)

        settings = DecoderConfig(steps=args.steps, seed=args.seed)
        fit_decoder(decoder, z, pictures, style, group=group, config=settings, report=told)
        took = time.perf_counter() - began, time.process_time() - used
        print(f"decoder: {took[0]:.0f} s, {took[1]:.0f} s of processor time")
        decoder.save(args.out)
    numbers(source, spaces, decoder, args.seed)
    sections = []
    for part, title, about in (
        ("train", "Concepts seen in training", "Training held these drawings and names: what a name draws is recalled."),
        ("test", "Concepts never seen", "Blends of training pictures: at best they show what kind of thing was named."),
    ):
        for guidance in (1.0, 2.0):
            sheet = sheets(source, spaces, decoder, part, guidance, args.seed)
            sections.append(Section(f"{title}, guidance {guidance:g}", [about, [sheet]]))
    page = write_page(
        args.out / "report.html",
        title="Emoji: pictures from names",
        lead="tuplet",
        name="generation",
        sections=sections,
    )
    print(f"report: {page}")


def examples(rows: Batch, space: Embeddings, concept: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pair every drawing with every vector of its concept: its own, those of other drawings, those of names."""
    found = []
    for i, drawn in enumerate(ARTISTS):
        for asked in space.modalities:
            there = space.present[drawn] & space.present[asked]
            drawing = (255 * rows.inputs[drawn][there]).round().byte()
            found.append((space.z[asked][there], drawing, torch.full((len(drawing),), i), concept[there]))
    z, pictures, style, group = (torch.cat(parts) for parts in zip(*found, strict=True))
    return z, pictures, style, group


def numbers(source: Source, spaces: dict[str, Embeddings], decoder: Decoder, seed: int) -> None:
    """Print how far pictures are from real ones, and from the nearest picture of training, beside real ones."""
    judge, batches = Judge.of(source, ARTISTS, "group"), {part: getattr(source, part)[:] for part in spaces}
    print(f"{'pictures of Noto':42} {'KID':>6} {'error':>6} {'class':>6} {'nearest in training':>20}")
    known = batches["train"].inputs["noto"]
    for part, batch in batches.items():
        rows = torch.randperm(len(batch.inputs["noto"]), generator=torch.Generator().manual_seed(seed))[:320]
        real, y = batch.inputs["noto"][rows], batch.target["group"][rows]
        half = len(rows) // 2
        shown = [("real, against other real ones (floor)", real[:half], real[half:], y[half:])]
        asked = {
            "own vector (ceiling)": spaces[part].z["noto"],
            "name": spaces[part].z["english"],
            "drawing of Fluent": spaces[part].z["fluent"],
            "mean of name and Twemoji": between(spaces[part].z["english"], spaces[part].z["twemoji"]),
        }
        for name, z in asked.items():
            there = spaces[part].present["fluent"][rows] if "Fluent" in name else torch.ones(len(rows), dtype=torch.bool)
            shown.append((name, real[there], decoder.sample(z[rows][there], seed=seed), y[there]))
        for name, truth, made, asked_class in shown:
            found = {r.metric: r.value for r in judge.compared(truth, made, "", asked_class)}
            values = [found[f"generate/{k}"] for k in ("kid", "kid error", "class")]
            line = " ".join(f"{v:6.3f}" for v in values)
            own = "" if part == "train" and name.startswith("real") else f"{nearest(made, known):20.3f}"
            print(f"{('seen' if part == 'train' else 'unseen') + ': ' + name:42} {line} {own}", flush=True)


def sheets(source: Source, spaces: dict[str, Embeddings], decoder: Decoder, part: str, guidance: float, seed: int) -> Sheet:
    """Draw a row per concept: the real drawings, then pictures from the name in every artist's style, and others."""
    space, batch = spaces[part], getattr(source, part)[:]
    names = contents().names["english"]
    where = getattr(source.split, part)
    whole = torch.stack([batch.present[k] for k in ARTISTS]).all(dim=0).nonzero().squeeze(1)
    rows = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))][:SHOWN]
    z = {k: v[rows] for k, v in space.z.items()}
    columns = {f"real {k}": batch.inputs[k][rows] for k in ARTISTS}
    for i, k in enumerate(ARTISTS):
        columns[f"name → {k}"] = decoder.sample(z["english"], style=i, guidance=guidance, seed=seed)
    columns["noto → fluent"] = decoder.sample(z["noto"], style=1, guidance=guidance, seed=seed)
    columns["noto → twemoji"] = decoder.sample(z["noto"], style=2, guidance=guidance, seed=seed)
    mixed = between(z["english"], z["noto"])
    columns["name + noto → fluent"] = decoder.sample(mixed, style=1, guidance=guidance, seed=seed)
    after = between(z["english"], z["english"].roll(-1, dims=0), along="slerp")
    columns["half way to the next name"] = decoder.sample(after, guidance=guidance, seed=seed)
    lines = [(names[int(where[int(r)])], "", [tile(v[i], k) for k, v in columns.items()]) for i, r in enumerate(rows)]
    return Sheet(f"{SHOWN} concepts drawn at random", lines, large=True)


if __name__ == "__main__":
    main()
