"""Drawings, their English names, and the names as people say them in French and Catalan: the stamps of Tux Paint.

apt-get download tuxpaint-stamps-default && dpkg-deb -x tuxpaint-stamps-default_*.deb .
python examples/tux_paint.py usr/share/tuxpaint/stamps
tuplet data info stamps.npz
tuplet bench stamps.npz
"""

import io
import sys
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

from tuplet.data import Sounds
from tuplet.simulators.sound import clip_features

SIDE, LANGUAGES = 32, ("fr", "ca")


def drawn(file):
    """Draw a stamp on a white square, ``(3, SIDE, SIDE)``; None for an SVG without a size."""
    try:
        content = file.read_bytes() if file.suffix == ".png" else bytes(resvg_py.svg_to_bytes(svg_path=str(file), width=256))
    except ValueError:
        return None
    stamp = Image.open(io.BytesIO(content)).convert("RGBA")
    page = Image.new("RGBA", (max(stamp.size),) * 2, "white")
    page.alpha_composite(stamp, ((page.width - stamp.width) // 2, (page.height - stamp.height) // 2))
    return np.asarray(page.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


def heard(file):
    """Return 48 frames of 32 mel bands of a recording; NaN, a missing row, where there is none."""
    if not file.exists():
        return np.full((48, 32), np.nan, np.float32)
    sound = Sounds([file], steps=480_000)
    return clip_features(sound[[0]][0].mean(axis=0), rate=int(sound.rate))


root = Path(sys.argv[1] if sys.argv[1:] else "/usr/share/tuxpaint/stamps")
found = sorted((f for f in root.rglob("*") if f.suffix in (".svg", ".png")), reverse=True)
files = sorted({f.with_suffix(""): f for f in found if f.with_suffix(".txt").exists()}.values())  # the PNG of both
rows = [(f, f.with_suffix(".txt").read_text(errors="replace").partition("\n")[0].strip()) for f in files]
pictures = [drawn(f) if name else None for f, name in rows]
kept = [i for i, picture in enumerate(pictures) if picture is not None]
rows, lost = [rows[i] for i in kept], len(rows) - len(kept)
np.savez_compressed(
    "stamps.npz",
    picture=np.stack([pictures[i] for i in kept]),
    name=np.array([name for _, name in rows]),
    **{k: np.stack([heard(f.with_name(f"{f.stem}_desc_{k}.ogg")) for f, _ in rows]) for k in LANGUAGES},
    label=np.array([f.relative_to(root).parts[0] for f, _ in rows]),
    group=np.array([name.lower() for _, name in rows]),  # stamps of one name stay in one part
    id=np.array([str(f.relative_to(root)) for f, _ in rows]),
)
print(f"{len(rows)} stamps -> stamps.npz (Tux Paint, GPL-2); {lost} without a name or a readable drawing left out")
