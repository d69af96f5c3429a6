"""Writes the objectives' pages and the API pages from docstrings and traits: python docs/generate.py [folder].

Sections come from the docstring's own: Args, Notes, Source, Example. Sentences of the notes are sorted by how they begin
(``When to use:``, ``Missing modalities``, ``Cost``) and by whether they name another objective.
"""

import inspect
import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from types import ModuleType

from figures import has_pages
from markup import markdown

from tuplet import objectives
from tuplet.catalog import READERS, SOURCES
from tuplet.objectives import Objective, Sum
from tuplet.types import Traits

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
MISSING = {
    "pairs": "the modalities or pairs that are present take part",
    "patterns": "by pattern: the same loss over the modalities that a row has",
    "complete": "only complete rows count",
}
SHORT = {"pairs": "pairs present", "patterns": "by pattern", "complete": "complete rows"}
OTHERS = r"CLIP|SimCLR|`(?:{})`"
ROOMS: dict[str, tuple[str, ...]] = {"types": ("Batch", "Embeddings", "InputError", "Loss", "Traits")}
ROOMS |= dict.fromkeys(
    [
        "objectives",
        "train",
        "evaluate",
        "audit",
        "information",
        "diagnose",
        "data",
        "model",
        "nets",
        "functional",
        "study",
        "methods",
        "store",
        "joining",
        "sklearn",
        "plot",
    ],
    (),
)
"""Rooms with a page of their exported names; those of a room without a list are named here."""
SCORE = (
    "The score of every query a on the unit sphere (D = 3, equal-area map) against one candidate pair, b and c, at default "
    "settings. Darker is a better match; orange encloses the best 5 % of the score's range. Hollow dots are the opposites of "
    "b and c: where both are as dark as the solid ones, the score does not see the sign."
)
TRAINING = (
    "Eight tuples of free points on the unit sphere, before and after 600 steps of Adam on this loss alone, at default "
    "settings with one seed. Blue circles, orange squares and green triangles are the modalities a, b and c; lines join a "
    "tuple; hollow points lie on the far side. A tuple whose points coincide is aligned. A picture, not a measurement."
)
SEEN = {  # what the two pictures show of this objective; a new one has the captions alone
    "Gram": "All queries in the plane of b and c match best, opposites included. After training, the three points of a tuple "
    "lie in one plane with the centre, but not together.",
    "OneVsAll": "All queries in the plane of b and c match best, opposites included. Minimality pulls against that.",
    "Pairwise": "The best query lies halfway between b and c, the worst opposite.",
    "Structure": "On its own it aligns nothing. Its inputs here are the points themselves: each modality's geometry moves "
    "towards that of the consensus, and where matches lie is left to the objective that it is added to.",
    "Supervised": "Lines are coloured by label. Each modality separates the labels; nothing brings modalities together.",
    "Symile": "The best query is the elementwise product of b and c, so it depends on the axes. After training, the points of "
    "a tuple do not coincide.",
    "UnimodalTask": "Lines are coloured by label. Each modality separates the labels on its own; nothing brings them together.",
    "Triangle": "The best queries are b and c themselves, where the triangle has no area. After training, the points of a "
    "tuple do not coincide.",
}


def kinds() -> dict[str, type[Objective]]:
    """Return the exported objectives, without the sum and the class they inherit from."""
    found = {name: getattr(objectives, name) for name in objectives.__all__}
    found = {k: v for k, v in found.items() if isinstance(v, type) and issubclass(v, Objective)}
    return {k: found[k] for k in sorted(found, key=str.lower) if found[k] not in (Objective, Sum)}


def sections(kind: type) -> dict[str, str]:
    """Split a docstring into its head and its named sections."""
    parts = re.split(r"^(Args|Raises|Notes|Source|Example):\n", inspect.getdoc(kind) or "", flags=re.M)
    return {"head": parts[0].strip()} | {
        k: textwrap.dedent(v).strip("\n") for k, v in zip(parts[1::2], parts[2::2], strict=True)
    }


def sentences(notes: str, name: str) -> dict[str, str]:
    """Sort the sentences of the notes by subject."""
    flat = re.sub(r"\s*\n\s*", " ", notes).strip()
    others = OTHERS.format("|".join(k for k in kinds() if k != name))
    found: dict[str, list[str]] = {"when": [], "missing": [], "cost": [], "relation": [], "rest": []}
    for one in re.split(r"(?<=[.)])\s+(?=[A-Z\"`])", flat):
        if one.startswith("When to use: "):
            subject, one = "when", capital(one.removeprefix("When to use: "))
        elif one.startswith("Missing modalities"):
            subject, one = "missing", capital(one.removeprefix("Missing modalities: "))
        elif one.startswith("Cost: "):
            subject, one = "cost", one.removeprefix("Cost: ")
        else:
            subject = "relation" if re.search(others, one) else "rest"
        found[subject].append(one)
    return {k: " ".join(v) for k, v in found.items()}


def options(args: str, kind: type) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of every option; where a docstring says "as in", what is said there."""
    parameters = inspect.signature(kind).parameters
    rows = []
    for name, text in meanings(args).items():
        value = parameters[name].default
        shared = re.fullmatch(r"as in `(\w+)`\.", text)
        if shared:
            text = meanings(sections(getattr(objectives, shared[1]))["Args"])[name]
        rows.append((name, "required" if value is inspect.Parameter.empty else f"`{value!r}`", text))
    return rows


def meanings(args: str) -> dict[str, str]:
    """Return name -> meaning; several names may share one."""
    found = re.findall(r"^(\w+(?:, \w+)*): (.*?)(?=^\w+(?:, \w+)*: |\Z)", args, flags=re.M | re.S)
    return {name: re.sub(r"\s*\n\s*", " ", text).strip() for names, text in found for name in names.split(", ")}


def page(name: str, kind: type[Objective]) -> str:
    """Write one objective's page."""
    doc, traits = sections(kind), kind.traits
    said = sentences(doc.get("Notes", ""), name)
    names = kinds()

    def mark(text: str) -> str:
        return markdown(text, lambda other: f"{other.lower()}.md" if other in names and other != name else None)

    head, _, formula = doc["head"].partition("\n")
    table = options(doc.get("Args", ""), kind)
    theirs = [f"`{k}`" for k, _, text in table if re.search(r"paper|author|equation|printed|program|Symile's", text)]
    figure = next(k.__name__ for k in kind.__mro__ if "score" in vars(k))
    pictures = [("score", figure, SCORE), ("training", name, TRAINING)]
    out = [f"# {name}\n", mark(head) + "\n", mark(formula.strip("\n")) + "\n"]
    if said["when"]:
        out += ["## When to use it\n", mark(said["when"]) + "\n"]
    out += ["## At a glance\n", "| | |\n| --- | --- |", *(f"| {a} | {b} |" for a, b in facts(name, kind)), ""]
    drawn = name in has_pages()
    out += ["## Picture\n"] * drawn
    for sort, of, caption in pictures if drawn else ():
        file = f"{of.lower()}-{sort}.svg"
        if sort == "training" or (DOCS / "figures" / file).exists():
            again = "" if of == name else f" The score is that of [`{of}`]({of.lower()}.md)."
            out += [f"![{of}: {sort}](../figures/{file}){{ width=640 }}\n", f"*{caption}*{again}\n"]
    if name in SEEN:
        out += [SEEN[name] + "\n"]
    out += [
        "## Options\n",
        f"```python\n{signature(name, kind)}\n```\n",
        "| option | default | meaning |\n| --- | --- | --- |",
    ]
    out += [f"| `{k}` | {default} | {cell(mark(text))} |" for k, default, text in table]
    if raised := doc.get("Raises"):
        out += ["", "Raises " + mark(re.sub(r"\s*\n\s*", " ", raised)).replace("InputError:", "`InputError`", 1)]
    absent = said["missing"] or capital(MISSING[traits.missing]) + "."
    out += ["", "## Missing modalities\n", mark(absent) + " See [missing modalities](../missing.md).\n"]
    out += [
        "## Cost\n",
        mark(f"Leading term: ``{traits.cost}``." + (f" {capital(said['cost'])}" if said["cost"] else "")) + "\n",
    ]
    if said["relation"]:
        out += ["## Relation to the others\n", mark(said["relation"]) + "\n"]
    if said["rest"] or theirs:
        out += ["## What the paper leaves open, and other notes\n"]
        out += [mark(said["rest"]) + "\n"] * bool(said["rest"])
        listed = f"Options whose meaning above says what the paper or its program does: {', '.join(theirs)}.\n"
        out += [listed] * bool(theirs)
    out += ["## Source\n", mark(re.sub(r"\s*\n\s*", " ", doc["Source"])) + "\n"]
    out += ["## Example\n", "The doctests run it.\n", f"```python\n{doc['Example']}\n```\n"]
    return "\n".join(out)


def capital(text: str) -> str:
    """Begin a sentence."""
    return text[:1].upper() + text[1:]


def cell(text: str) -> str:
    """Keep bars inside a table's cell."""
    return text.replace("|", r"\|")


def signature(name: str, kind: type) -> str:
    """Write a call with every default."""
    parts, starred = [], False
    for p in inspect.signature(kind).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts, starred = [*parts, "*"], True
        parts.append(p.name if p.default is p.empty else f"{p.name}={p.default!r}")
    return f"tuplet.objectives.{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def score_of(kind: type[Objective]) -> str:
    """Return what the retrieval score is, in a few words."""
    score = getattr(kind, "score", None)
    if score is None:
        return "none"
    line = (inspect.getdoc(score) or "").splitlines()[0]
    return cell(markdown(line.removeprefix("Return ").split(", ``(")[0].split("; ")[0].rstrip(".")))


def sizes(traits: Traits) -> str:
    """Return the range of M."""
    low, high = traits.modalities
    return f"{low}" if low == high else f"{low} or more" if high is None else f"{low} to {high}"


def facts(name: str, kind: type[Objective]) -> list[tuple[str, str]]:
    """Return what the traits say."""
    t = kind.traits
    return [
        ("modalities", sizes(t)),
        ("blind to sign", "**yes**: watch the positive cosine" if t.sign_blind else "no"),
        ("rows with a missing modality", MISSING[t.missing]),
        ("mean of per-row losses", "yes" if t.rowwise else "no"),
        ("treats modalities alike", "yes" if t.symmetric else "no"),
        ("cost", f"`{t.cost}`"),
        ("retrieval score", score_of(kind)),
        ("needs from training", ", ".join(t.needs) or "nothing"),
        ("code", f"[`{kind.__module__}`](../api/objectives.md#{kind.__module__}.{name})"),
    ]


def comparison() -> str:
    """Write the page that sets all objectives side by side."""
    text = (DOCS / "templates" / "objectives.md").read_text()
    head = ["objective", "M", "blind to sign", "missing", "row-wise", "symmetric", "cost", "retrieval score", "needs"]
    rows = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for name, kind in kinds().items():
        t, yes = kind.traits, {True: "yes", False: "no"}
        cells = [
            f"[`{name}`]({name.lower()}.md)",
            sizes(t),
            yes[t.sign_blind],
            SHORT[t.missing],
            yes[t.rowwise],
            yes[t.symmetric],
        ]
        rows.append("| " + " | ".join([*cells, f"`{t.cost}`", score_of(kind), ", ".join(t.needs) or "-"]) + " |")
    return text.replace("{table}", "\n".join(rows))


def code(room: str) -> str:
    """Write the page of a room's exported names."""
    package = import_module(f"tuplet.{room}")
    names = ROOMS[room] or package.__all__
    parts = [
        f"::: {getattr(getattr(package, name), '__module__', f'tuplet.{room}')}.{name}\n"
        for name in names
        if callable(getattr(package, name))
    ]
    parts += [f"::: tuplet.{room}.{name}\n" for name in names if isinstance(getattr(package, name), ModuleType)]
    return f"# tuplet.{room}\n\n" + "\n".join(parts)


def catalog() -> str:
    """Write the page of the data sets' functions."""
    loads = {name: load.__module__ for name, load in SOURCES.items()}
    loads |= {name: f"{reader.load.__module__}" for name, reader in READERS.items()}
    return "# Data sets and simulators\n\n" + "\n".join(f"## {name}\n\n::: {loads[name]}.load\n" for name in sorted(loads))


def pages() -> dict[str, str]:
    """Return every generated page: its path from the project's root, and its text."""
    found = {f"docs/objectives/{name.lower()}.md": page(name, kind) for name, kind in kinds().items()}
    found |= {"docs/objectives/index.md": comparison(), "docs/api/catalog.md": catalog()}
    return found | {f"docs/api/{room}.md": code(room) for room in ROOMS}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for path, text in pages().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
