"""Pictures from names: a space of emoji, a decoder for it, and one page of sheets to look at.

``python benchmarks/generation.py --out DIR [--steps 3000] [--seed 0]`` trains the space (the cone, begun as the closed
form) and the decoder, which is kept in DIR, and writes ``report.html``: 20 concepts seen in training, then 20 unseen ones.
The decoder learns every drawing from every vector of its concept, names included. Those of ``uni-align-sim`` learn from the
vectors of drawings only.
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
    parser.add_argument("--steps", type=int, default=3000)
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
        z, pictures, style = examples(source.train[slice(0, len(source.train))], spaces["train"])
        decoder = Decoder(z.shape[1], styles=len(ARTISTS), widths=(32, 48, 64))
        began = time.perf_counter()

        def told(step: int, steps: int, loss: float) -> None:
            print(f"{step} of {steps}: {loss:.3f}", flush=True)

        settings = DecoderConfig(steps=args.steps, seed=args.seed)
        fit_decoder(decoder, z, pictures, style, config=settings, report=told)
        print(f"decoder: {time.perf_counter() - began:.0f} s of {torch.get_num_threads()} threads")
        decoder.save(args.out)
    sections = []
    for part, title in (("train", "Concepts seen in training"), ("test", "Concepts never seen")):
        for guidance in (1.0, 2.0):
            sheet = sheets(source, spaces, decoder, part, guidance, args.seed)
            sections.append(Section(f"{title}, guidance {guidance:g}", [[sheet]]))
    page = write_page(
        args.out / "report.html",
        title="Emoji: pictures from names",
        lead="tuplet",
        name="generation",
        sections=sections,
    )
    print(f"report: {page}")


def examples(rows: Batch, space: Embeddings) -> tuple[Tensor, Tensor, Tensor]:
    """Pair every drawing with every vector of its concept: its own, those of other drawings, those of names."""
    found = []
    for i, drawn in enumerate(ARTISTS):
        for asked in space.modalities:
            there = space.present[drawn] & space.present[asked]
            found.append((space.z[asked][there], (255 * rows.inputs[drawn][there]).byte(), torch.full((int(there.sum()),), i)))
    z, pictures, style = (torch.cat(parts) for parts in zip(*found, strict=True))
    return z, pictures, style


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
    lines = [(names[int(where[int(r)])], "", [tile(v[i], k) for k, v in columns.items()]) for i, r in enumerate(rows)]
    return Sheet(f"{SHOWN} concepts drawn at random", lines, large=True)


if __name__ == "__main__":
    main()
