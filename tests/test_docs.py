"""The site: every objective has its page, pages are what docstrings say, links lead somewhere, examples print what is shown."""

import contextlib
import importlib
import io
import pkgutil
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from tuplet import objectives
from tuplet.catalog import SOURCES
from tuplet.cli import main
from tuplet.objectives import Objective, Sum

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MADE = {"gallery.md", "five.md"}
PAGES = sorted(p for p in DOCS.glob("*.md") if p.name not in MADE)  # written by hand
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.S)
NUMBER = r"-?\d+\.\d+"
NAMES = [
    k
    for k in objectives.__all__
    if isinstance(v := getattr(objectives, k), type) and issubclass(v, Objective) and v not in (Objective, Sum)
]


def generator(name):
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def generated():
    return generator("generate").pages()


def test_every_objective_has_its_page_and_every_exported_name_is_listed(generated):
    assert len(NAMES) > 10
    for name in NAMES:
        text = generated[f"docs/objectives/{name.lower()}.md"]
        for heading in ("Options", "Missing modalities", "Cost", "Source", "Example"):
            assert f"\n## {heading}\n" in text, name
        assert "$$" in text, name
        assert f"({name.lower()}.md)" in generated["docs/objectives/index.md"]
    assert "::: tuplet.data.reading.read\n" in generated["docs/api/data.md"]
    assert "::: tuplet.Embeddings" not in generated["docs/api/types.md"]
    assert "::: tuplet.types.Embeddings\n" in generated["docs/api/types.md"]


def test_the_gallery_draws_a_source_and_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--folder", str(tmp_path), "digits"])
    generator("gallery").main()
    text = (tmp_path / "gallery.md").read_text()
    assert all(f"## {name}\n" in text for name in SOURCES)
    assert "Physical:" in text
    assert "(gallery/digits.svg)" in text
    assert "(gallery/push.svg)" not in text  # not drawn here
    assert "<dc:date>" not in (tmp_path / "gallery" / "digits.svg").read_text()


@pytest.mark.filterwarnings("ignore:The inplace keyword", "ignore:The 'future.infer_string' option")  # mudata, new pandas
def test_five_kinds_of_files_are_read(tmp_path, monkeypatch, capsys):
    """What their page shows is computed by ``make docs``; here, that the files are what it says."""
    five = generator("five")
    monkeypatch.chdir(tmp_path)
    said = {}
    for name, (_, make, data, more) in five.CASES.items():
        make()
        assert main(["data", "info", *shlex.split(f"{data} {more}")]) == 0
        said[name] = re.findall(r"  modality (\w+): \(([\d, ]*)\)", capsys.readouterr().out)
    assert said["log"] == [("force", "3,"), ("imu", "6,"), ("sound", "12,")]
    assert {k for k, _ in said["cells"]} == {"protein", "rna"}
    assert said["robot"] == [("action", "8, 2"), ("force", "8, 3"), ("state", "8, 4")]
    assert ("picture", "3, 16, 16") in said["captions"]
    assert len(said["vectors"]) == 2


def test_pictures_of_the_readme_are_the_only_ones_kept():
    kept = [p for p in ROOT.rglob("*.svg") if "site" not in p.parts and ".venv" not in p.parts]
    made = {DOCS / "figures", DOCS / "gallery"}
    assert not [p for p in kept if p.parent not in made]


def test_links_lead_somewhere(generated):
    followed, made_by_docs = 0, [DOCS / name for name in ("figures", "gallery", "pictures")]
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
            if "://" not in target:
                path = (page.parent / target).resolve()
                made = str(path.relative_to(ROOT)) in generated or path.parent in made_by_docs
                assert made or path.exists() or path in {DOCS / m for m in MADE}, f"{page}: {target}"
                followed += 1
    assert followed > 40


def test_names_in_prose_and_docstrings_exist():
    texts = [p.read_text() for p in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "src").rglob("*.py")]]
    named = {name for text in texts for name in re.findall(r"`(tuplet(?:\.\w+)+)`", text)}
    assert len(named) > 60
    lost = []
    for name in sorted(named):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            lost.append(name)
    assert not lost


def test_promises_name_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "promises.md").read_text())
    assert len(named) > 30
    lost = [name for file, name in named if f"\ndef {name}(" not in (ROOT / file).read_text()]
    assert not lost


def test_the_navigation_names_every_page_once(generated):
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1]
    named = re.findall(r"([\w/]+\.md)$", nav, re.M)
    made = {
        *MADE,
        *(k.removeprefix("docs/") for k in generated if "/objectives/" not in k),
        "objectives/index.md",
    }
    assert sorted(named) == sorted({str(p.relative_to(DOCS)) for p in PAGES} | made)


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")  # pytorch-lightning with a new PyTorch
@pytest.mark.parametrize(
    "page",
    [
        "index",
        "start",
        "own_data",
        "fields",
        "missing",
        "scale",
        "logs",
        "data_formats",
        "information",
        "similarity",
        "cone",
        "touch",
        "search",
        "inspect",
        "generation",
        "loops",
    ],
)
def test_examples_print_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples may write
    found = FENCE.findall((DOCS / f"{page}.md").read_text())
    names, printed, ran = {}, "", 0
    for kind, body in found:
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(body, f"{page}.md", "exec"), names)
            printed, ran = out.getvalue(), ran + 1
        elif kind == "text":
            assert re.sub(NUMBER, "#", printed).split() == re.sub(NUMBER, "#", body).split(), printed
            numbers = [[float(x) for x in re.findall(NUMBER, t)] for t in (printed, body)]
            np.testing.assert_allclose(*numbers, rtol=0.05, atol=0.02)  # other machines round differently
    assert ran
