"""Draws rows of every source and writes the gallery's page: python docs/gallery.py [--missing] [--folder DIR] [names].

Pictures are `tuplet.data.show`'s, at settings that take seconds; what is physical, modelled and not claimed is the text of
the sources' own documentation.
"""

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markup import markdown

from tuplet.catalog import SOURCES
from tuplet.data import Source
from tuplet.datasets import wearable
from tuplet.simulators import opinions, spoken_digits
from tuplet.study._samples import about, picture
from tuplet.types import InputError

DOCS = Path(__file__).resolve().parent
LOADS: dict[str, Callable[..., Source]] = {
    **SOURCES,
    "opinions": opinions.load,
    "spoken_digits": spoken_digits.load,
    "wearable": wearable.load,
}
HEAD = """# Gallery

What rows of each source look like. Each column is one row of the training part: the same thing at the same time, as
every sensor has it. Values are in the unit named in bold, and all columns of a modality share one scale. Nothing here
was selected by eye: rows take turns over the classes of the first label, else they are spread evenly.

The same picture of any data set, yours included:

```bash
tuplet data show push --out push.png               # or .svg, or .html with what the source says of itself
tuplet data show wesad --root DIR                  # a published data set on your disk
tuplet data show my_columns.safetensors            # your own, written by tuplet.data.write_table
```

In Python, `tuplet.data.show(source)` returns a matplotlib figure ([`show`](api/data.md#tuplet.data.show)). It
draws by shape, kind, unit and rate: give `units=`, `kinds=` and `rates=` to `tuplet.data.from_arrays`.
"""


@dataclass(frozen=True)
class Entry:
    """How a source is drawn, and what a stranger should look at.

    Attributes:
        seen: what the picture shows.
        settings: of the source; small ones, for speed.
        shapes: as in `tuplet.data.show`.
    """

    seen: str
    settings: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


ENTRIES = {
    "push": Entry(
        "Four of the 32 pictures of a window (real size: 32 x 32 pixels), the force and torque at the finger over the "
        "same 1.6 s, and the fingertip's path and turn. Force along x and y appears where the finger meets the puck; "
        "height z drops where a stroke begins.",
        {"episodes": 12},
    ),
    "peg": Entry(
        "Depth is the distance along the camera's axis. Flow is where each pixel went within 50 ms; the arrows are "
        "longer than true, the colour is their length in pixels, and only gripper and peg move. Force: the last 32 ms "
        "at the wrist, steady in the air, chattering in contact.",
        {"episodes": 12, "size": 128},
    ),
    "tap": Entry(
        "Touch is the picture inside a soft fingertip that is pressed on the object: red, green and blue lamps from "
        "three sides, so colour is slope. Audio has the 64 mel bands of 50 Hz to 8 kHz upwards; glass rings long at "
        'few pitches, plastic hardly. The waveform is the sound behind it (an option, `waveform="keep"`).',
        {"episodes": 40, "size": 128, "instances": 1, "seed": 1, "waveform": "keep"},
    ),
    "arm": Entry(
        "The camera's picture, the last 0.32 s of acceleration (gravity included) and turning rate at the wrist, and "
        "the seven joint angles. The target, the pose of the hand, is seven numbers and not written above.",
        {"episodes": 8, "size": 96},
    ),
    "physiology": Entry(
        "Five seconds of one person in each state. Every R peak of the ECG is followed by a rise of the blood volume "
        "at the wrist, a quarter of a second later; the breath moves both.",
        {"episodes": 3, "windows": 2},
    ),
    "touch": Entry(
        "What the camera behind a soft gel sees: colour is slope, dots are printed markers that the press drags along. Each "
        "column is another object through another sensor; the photograph shows the same texture from elsewhere. The "
        "sentences, which a network gets as hashed n-grams, are not drawn.",
        {"contacts": 96, "size": 128, "calibration": "approximate"},
    ),
    "wearable": Entry(
        "Real recordings: two seconds of a watch on the wrist during three shoulder exercises (PEN pendulum, ABD "
        "abduction, FEL forward elevation). The units are guessed from the values.",
    ),
    "digits": Entry(
        "Real handwritten numerals. The pixels are what a person recognises; the other five views are numbers "
        "computed from the same scans, drawn in the order of the files.",
        shapes={"pixels": (1, 16, 15)},
    ),
    "emoji": Entry(
        "Real drawings by three artists, and names from Unicode. The texts, which a network gets as hashed n-grams, are not "
        "drawn.",
    ),
    "spoken_digits": Entry(
        "Real handwriting, synthetic speech, paired by a rule of ours: here the two say the same digit. Audio is loudness "
        "by mel band over time.",
    ),
    "opinions": Entry(
        "Real sentences and emoji that people judged, synthetic speech, paired by us. A smiling emoji can stand for a "
        "negative opinion: it is drawn by how often people called tweets with it negative. Text is what a network gets: "
        "hashed counts of words, and five sums over a word list at the end.",
    ),
    "redundancy": Entry(
        "Generated, no sensors. Of the twelve bits of a modality, the first eight are the same in both and the last "
        "four are its own; the label follows from eight of all the bits.",
    ),
    "blocks": Entry(
        "Generated, no sensors. The four bits that the label consists of stand above; each modality shows those that "
        "it sees through a random network, so nothing is left to see for the eye.",
    ),
}


def page(folder: Path) -> str:
    """Write the gallery's page."""
    parts = [HEAD]
    for name, entry in (ENTRIES | {k: ENTRIES.get(k, Entry("")) for k in SOURCES}).items():
        first, *rest = (re.sub(r"\b(Physical|Modelled|Not claimed):", r"**\1:**", text) for text in about(LOADS[name]))
        parts += [f"## {name}\n", markdown(first) + "\n"]
        parts += [
            *[f"![Rows of {name}](gallery/{name}.svg)\n"] * (folder / "gallery" / f"{name}.svg").exists(),
            *[f"*{entry.seen}*\n"] * bool(entry.seen),
            *(markdown(text) + "\n" for text in rest),
        ]
    return "\n".join(parts)


def main() -> None:
    """Draw what was asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="sources; all when left out")
    parser.add_argument("--missing", action="store_true", help="only pictures that are not there")
    parser.add_argument("--folder", type=Path, default=DOCS, help="where to write to")
    options = parser.parse_args()
    (options.folder / "gallery").mkdir(parents=True, exist_ok=True)
    for name in options.names or {**ENTRIES, **SOURCES}:
        file, entry = options.folder / "gallery" / f"{name}.svg", ENTRIES.get(name, Entry(""))
        if options.missing and file.exists():
            continue
        try:
            source = LOADS[name](**entry.settings)
        except InputError as error:  # real data that are not here
            print(f"{name} is not drawn: {error}")
            continue
        file.write_bytes(picture(source, shapes=entry.shapes))
    (options.folder / "gallery.md").write_text(page(options.folder))


if __name__ == "__main__":
    main()
