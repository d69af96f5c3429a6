"""Build src/tuplet/datasets/emoji.npz: the same concepts drawn by three artists and named in several languages.

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
COLOURS = "red|pink|orange|yellow|green|blue|light blue|dark blue|purple|brown|black|grey|white"
ALIKE = (  # families: English names, in small letters, of one concept that differs in form, number, colour, side or state
    # faces
    "grinning face(?: with (?:big eyes|smiling eyes|sweat))?|beaming face with smiling eyes|grinning squinting face",
    "(?:slightly )?smiling face(?: with (?:smiling eyes|open hands))?|smiling face with heart(?:s|-eyes)",
    "kissing face.*|face blowing a kiss",
    "(?:winking |squinting )?face with tongue|zany face",
    "face with (?:open eyes and )?hand over mouth",
    "neutral face|expressionless face|face without mouth|dotted line face",
    "head shaking .*",
    "sleepy face|sleeping face",
    "(?:slightly )?frowning face.*|anguished face|confused face|worried face|face with diagonal mouth",
    "face with open mouth|hushed face|astonished face",
    "crying face|loudly crying face|sad but relieved face",
    "weary face|tired face",
    "confounded face|persevering face",
    "pensive face|disappointed face",
    "pleading face|face holding back tears",
    "anxious face with sweat|downcast face with sweat|fearful face",
    "angry face|enraged face|face with symbols on mouth",
    "(?:smiling|angry) face with horns",
    "skull.*",
    "grinning cat.*|cat with .*|smiling cat with heart-eyes|(?:kissing|weary|crying|pouting) cat|(?:black )?cat(?: face)?",
    "(?:see|hear|speak)-no-evil monkey|monkey(?: face)?",
    # hearts, signs of comics
    f"(?:{COLOURS}|sparkling|growing|beating|broken|mending) heart|(?:revolving|two) hearts|heart (?:with|on) .*|"
    "heart (?:decoration|exclamation|suit)",
    "speech balloon|(?:left speech|right anger) bubble|thought balloon|eye in speech bubble",
    "(?:kiss|couple with heart)(?:: .*)?",
    "family(?:: .*)?",
    # hands and bodies
    "raised back of hand|hand with fingers splayed|(?:raised|waving|palm down|palm up) hand|"
    "(?:left|right)wards (?:pushing )?hand",
    "(?:backhand )?index pointing .*",
    "thumbs (?:up|down)",
    "(?:raised|oncoming|left-facing|right-facing) fist",
    "pinched fingers|pinching hand",
    "love-you gesture|sign of the horns",
    "open hands|palms up together",
    "flexed biceps|mechanical arm",
    "leg|mechanical leg",
    "ear(?: with hearing aid)?",
    "eyes?",
    "mouth|biting lip",
    "busts? in silhouette",
    # people; man, woman and person are one in `_family`
    "boy|girl|child",
    "(?:man|woman|person)(?:: .*)?",
    "old (?:man|woman)|older person",
    "prince|princess|person with crown",
    r"santa claus|mrs\. claus|mx claus",
    "(?:man|woman|person) dancing|ballet dancer",
    "pregnant (?:man|woman|person)",
    "breast-feeding|(?:man|woman|person) feeding baby",
    "(?:man|woman|person) in (?:motorized|manual) wheelchair.*|(?:motorized|manual) wheelchair|wheelchair symbol",
    "(?:(?:man|woman|person) with )?white cane.*",
    "person taking bath|bathtub",
    "person in bed|bed",
    "(?:man|woman|person) (?:mountain )?biking",
    r".*\bholding hands",
    # animals and plants
    "(?:guide |service )?dog(?: face)?|poodle",
    "tiger(?: face)?|leopard",
    "(horse|pig|mouse|rabbit|dragon)(?: face)?",
    "cow(?: face)?|ox|water buffalo",
    "ram|ewe|goat",
    "(?:two-hump )?camel",
    "chicken|rooster",
    "hatching chick|(?:front-facing )?baby chick",
    "(?:spouting )?whale",
    "(?:polar )?bear",
    "(?:black )?bird",
    "(?:tropical )?fish",
    "dolphin|orca",
    "rose|wilted flower",
    "cherry blossom|white flower|blossom",
    "shamrock|four leaf clover",
    "empty nest|nest with eggs",
    "(?:maple|fallen) leaf|leaf fluttering in wind",
    "(?:brown )?mushroom",
    "evergreen tree|christmas tree|deciduous tree",
    "seedling|potted plant|herb",
    # food
    "(?:red|green) apple",
    "lemon|lime",
    "(?:hot|bell) pepper",
    "(?:clinking )?beer mugs?",
    "wine glass|clinking glasses",
    "cocktail glass|tropical drink",
    "fork and knife(?: with plate)?",
    "(?:soft )?ice cream|shaved ice",
    "birthday cake|shortcake|cupcake",
    # places and travel
    "globe .*",
    "(?:snow-capped )?mountain|mount fuji",
    "houses?|house with garden|derelict house",
    "(?:japanese )?post office",
    "(?:japanese )?castle",
    "(?:love )?hotel",
    "(?:convenience|department) store",
    "sunrise.*|sunset|cityscape.*",
    "camping|(?:circus )?tent",
    "high-speed train|bullet train",
    "train|metro|light rail|station|tram|tram car|railway car|monorail|mountain railway|suspension railway",
    "mountain cableway|aerial tramway",
    "(?:oncoming )?(?:bus|trolleybus|minibus)",
    "delivery truck|articulated lorry|pickup truck",
    "(?:oncoming )?(?:police car|taxi|automobile)|sport utility vehicle",
    "motorcycle|motor scooter",
    "speedboat|motor boat|passenger ship|ferry|ship",
    "(?:small )?airplane.*",
    "(?:horizontal|vertical) traffic light",
    "hourglass (?:not )?done",
    r"\w+(?:.o.clock|-thirty)",
    "watch|alarm clock|stopwatch|timer clock|mantelpiece clock",
    "(?:.+ )?moon(?: face)?",
    "sun(?: with face)?",
    "(?:glowing )?star",
    "shooting star|comet",
    "cloud(?: with .*)?|fog|sun behind .*cloud",
    "(?:closed )?umbrella.*|beach with umbrella",
    "snowman(?: without snow)?",
    # activities
    ".* medal",
    "admission tickets|ticket",
    "baseball|softball",
    "(?:american|rugby) football",
    "(?:field|ice) hockey",
    # things
    "(?:sun)?glasses",
    "(?:lab )?coat",
    "one-piece swimsuit|bikini",
    "briefs|shorts",
    "seat|chair",
    "purse|handbag|clutch bag",
    "thong sandal|(?:woman.s|man.s) (?:sandal|shoe|boot)|(?:running|flat|high-heeled) shoe|hiking boot",
    "(?:woman.s|top) hat|billed cap",
    "military helmet|rescue worker.s helmet",
    "muted speaker|speaker .* volume",
    "loudspeaker|megaphone",
    "bell(?: with slash)?",
    "musical (?:score|notes?)",
    "(?:studio )?microphone",
    "(?:long )?drum",
    "mobile phone.*|vibration mode|no mobile phones",
    "telephone(?: receiver)?",
    "(?:low )?battery",
    "(?:optical|computer) disk|dvd",
    "(?:movie|video) camera",
    "camera(?: with flash)?",
    "magnifying glass tilted .*",
    "(?:closed|open|green|blue|orange) book|books|(?:spiral )?notebook.*|ledger",
    "page .*",
    "(?:rolled-up )?newspaper",
    ".* banknote|money with wings",
    "(?:incoming )?envelope(?: with arrow)?|e-mail|love letter",
    "(?:out|in)box tray",
    "(?:closed|open) mailbox with .* flag",
    "pencil|(?:fountain )?pen|black nib|memo",
    "(?:open )?file folder",
    "(?:tear-off |spiral )?calendar|spiral notepad",
    "card (?:index(?: dividers)?|file box)",
    "chart .*|bar chart",
    "(?:round )?pushpin",
    "paperclip|linked paperclips",
    "(?:straight|triangular) ruler",
    "(?:un)?locked|locked with .*",
    "(?:old )?key",
    "hammer|pick|axe|hammer and (?:pick|wrench)|wrench",
    "dagger|crossed swords",
    "broken chain|chains|link",
    # signs
    "(?:men.s|women.s) room|restroom|water closet",
    "(?:non-)?potable water",
    r"(?:up|down)(?:-\w+)? arrow|(?:left|right)(?:-right)? arrow(?: curving .*)?",
    "(?:back|end|on!|soon|top) arrow",
    "(?:counter)?clockwise .*arrows.*|repeat(?: single)? button",
    "(?:latin|orthodox) cross",
    "star of david|dotted six-pointed star",
    "(?:play|fast-forward|next track|play or pause|reverse|fast reverse|last track|(?:fast )?up|(?:fast )?down) button|"
    "(?:up|down)wards button|red triangle pointed .*",
    "(?:pause|stop|record|eject) button",
    "(?:dim|bright) button",
    "japanese .*free of charge. button",
    "japanese .(?:no )?vacancy. button",
    "(?:fe)?male sign|transgender symbol",
    "(?:(?:red|white) |exclamation )?question mark|(?:double|red|white) exclamation mark",
    "check mark.*|check box with check",
    "cross mark.*|multiply",
    "(?:double )?curly loop",
    "eight-.*|sparkle",
    "keycap: .*",
    "input .*",
    r"(?:a|ab|b|o) button \(blood type\)",
    f"(?:{COLOURS}|hollow red) circle|radio button",
    f"(?:{COLOURS})(?: (?:large|medium|medium-small|small))? square(?: button)?",
    "(?:large|small) (?:orange|blue) diamond|diamond with a dot",
    "(?:black|white) flag",
)


def main(folder: Path, out: Path) -> None:
    """Write the file."""
    base = _members(folder / NAMES[0], ["meta/groups.json", *(f"{k}/data.json" for k in LANGUAGES.values())])
    meta = base["meta/groups.json"]
    rows = [e for e in base["en/data.json"] if e.get("group") is not None]
    rows = [e for e in rows if not {meta["groups"][str(e["group"])], meta["subgroups"][str(e["subgroup"])]} & set(LEFT_OUT)]
    rows.sort(key=lambda e: e["order"])
    concepts = _concepts(rows)
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


def _concepts(rows: list[dict[str, Any]]) -> list[str]:
    """Name the family of near variants of each emoji: the English name of its first member."""
    first: dict[str, str] = {}
    return [first.setdefault(_family(e), e["label"]) for e in rows]


def _family(entry: dict[str, Any]) -> str:
    label = entry["label"].lower()
    for pattern in ALIKE:
        if match := re.fullmatch(pattern, label):
            return pattern + (match[1] or "" if match.re.groups else "")
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
