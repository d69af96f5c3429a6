"""Build src/tuplet/data/sources/emoji.npz: the same concepts drawn by three artists and named in several languages.

Fetch the packages with `npm pack @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/twemoji@1.2.5
emojibase-data@17.0.0` and give the folder of the four .tgz files: `python tools/emoji.py FOLDER OUT`.
It needs `pip install 'tuplet[speech,data]'` (resvg-py draws, Pillow decodes). The same packages give the same file.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
PICTURES = {
    "noto": ("iconify-json-noto-1.2.9.tgz", "Noto Emoji, Google Inc., Apache-2.0"),
    "fluent": ("iconify-json-fluent-emoji-flat-1.2.6.tgz", "Fluent Emoji Flat, Microsoft Corporation, MIT"),
    "twemoji": ("iconify-json-twemoji-1.2.5.tgz", "Twemoji, Twitter Inc. and contributors, CC BY 4.0"),
}
NAMES = (
    "emojibase-data-17.0.0.tgz",
    "emojibase-data, Miles Johnson, MIT; names and tags from Unicode CLDR, Unicode License v3",
)
LANGUAGES = {"english": "en", "french": "fr", "german": "de", "spanish": "es", "italian": "it", "japanese": "ja"}
LEFT_OUT = ("component", "country-flag", "subdivision-flag")  # a group and two subgroups
PEOPLE = {"1F468": "1F9D1", "1F469": "1F9D1"}  # man, woman -> person
ALIKE = (  # variants of one concept that code points do not show, by their English names
    (r"(family|kiss|couple with heart|keycap)(?::.*)?", r"\1"),
    (r"(globe showing) .*", r"\1"),
    (r".*\bholding hands", "holding hands"),
    (
        r"(?:light |dark )?(?:red|pink|orange|yellow|green|blue|purple|brown|black|grey|white) (heart|circle|square)",
        r"\1",
    ),
    (r"(?:white|black) (?:large|medium|medium-small|small) square", "square"),
    (r"(?:large|small) (?:orange|blue) diamond", "diamond"),
    (r"\w+(?:.o.clock|-thirty)", "clock face"),
    (r"old (?:man|woman)|older person", "older person"),
    (r"boy|girl|child", "child"),
    (r"prince|princess|person with crown", "person with crown"),
    (r"santa claus|mrs\. claus|mx claus", "santa claus"),
    (r"(?:man|woman|person) dancing", "dancing"),
    (r"pregnant (?:man|woman|person)", "pregnant person"),
)


def main(folder: Path, out: Path) -> None:
    """Write the file."""
    base = _members(folder / NAMES[0], ["meta/groups.json", *(f"{k}/data.json" for k in LANGUAGES.values())])
    meta = base["meta/groups.json"]
    rows = [e for e in base["en/data.json"] if e.get("group") is not None]
    rows = [
        e for e in rows if not {meta["groups"][str(e["group"])], meta["subgroups"][str(e["subgroup"])]} & set(LEFT_OUT)
    ]
    rows.sort(key=lambda e: e["order"])
    concepts = [_concept(e) for e in rows]
    arrays: dict[str, NDArray[Any]] = {}
    for name, (file, _) in PICTURES.items():
        arrays[name], arrays[f"{name}.present"] = _pictures(folder / file, [e["hexcode"] for e in rows])
    texts: dict[str, Any] = {"emoji": [e["emoji"] for e in rows], "concept": concepts}
    for language, code in LANGUAGES.items():
        known = {e["hexcode"]: e for e in base[f"{code}/data.json"]}
        texts[language] = [[known[e["hexcode"]]["label"], *known[e["hexcode"]].get("tags", [])] for e in rows]
    texts["group"] = [meta["groups"][str(e["group"])] for e in rows]
    texts["subgroup"] = [meta["subgroups"][str(e["subgroup"])] for e in rows]
    texts["licences"] = {name: line for name, (_, line) in PICTURES.items()} | {"names": NAMES[1]}
    arrays["texts"] = np.frombuffer(json.dumps(texts, ensure_ascii=False, sort_keys=True).encode(), np.uint8)
    _write(out, arrays)
    print(f"{out}: {len(rows)} concepts in {len(set(concepts))} families, {out.stat().st_size / 1e6:.2f} MB")
    print({k: int((~v).sum()) for k, v in arrays.items() if k.endswith(".present")}, "absent")


def _members(file: Path, names: list[str]) -> dict[str, Any]:
    with tarfile.open(file) as packed:
        return {n: json.load(packed.extractfile(f"package/{n}") or io.BytesIO()) for n in names}


def _concept(entry: dict[str, Any]) -> str:
    """Name the family of near variants that an emoji belongs to."""
    label = entry["label"].lower()
    for pattern, name in ALIKE:
        if match := re.fullmatch(pattern, label):
            return match.expand(name)
    code = "-".join(PEOPLE.get(p, p) for p in entry["hexcode"].split("-") if p != "FE0F")
    return re.sub(r"-200D-(2640|2642|27A1)", "", code)  # a gender or a direction at the end


def _pictures(file: Path, codes: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    read = _members(file, ["chars.json", "icons.json"])
    icons, chars = read["icons.json"], read["chars.json"]
    found = np.zeros((len(codes), SIDE, SIDE, 3), np.uint8)
    present = np.zeros(len(codes), bool)
    for row, code in enumerate(codes):
        name = chars.get("-".join(p for p in code.lower().split("-") if p != "fe0f"))
        if name in icons["icons"]:
            found[row], present[row] = _draw(icons["icons"][name], icons), True
    return found, present


def _draw(icon: dict[str, Any], icons: dict[str, Any]) -> NDArray[np.uint8]:
    left, top, width, height = (icon.get(k, icons.get(k, 0)) for k in ("left", "top", "width", "height"))
    side = max(width, height)  # a square around the middle
    box = f"{left - (side - width) / 2:g} {top - (side - height) / 2:g} {side:g} {side:g}"
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {spaces} width="{SIDE}" height="{SIDE}" viewBox="{box}">{icon["body"]}</svg>'
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, background="white", skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("RGB"))


def _write(out: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write an .npz packed by LZMA, with fixed dates, which `numpy.load` reads."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as packed:
        for name, values in sorted(arrays.items()):
            memory = io.BytesIO()
            np.lib.format.write_array(memory, np.ascontiguousarray(values), allow_pickle=False)
            packed.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), memory.getvalue(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
