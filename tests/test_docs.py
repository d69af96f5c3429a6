"""The site: every objective has its page, pages are what docstrings say, links lead somewhere, examples print what is shown."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tuplet import objectives
from tuplet.catalog import SOURCES
from tuplet.objectives import Objective, Sum

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if "templates" not in p.parts)
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.S)
NUMBER = r"-?\d+\.\d+"
NAMES = [
    k
    for k in objectives.__all__
    if isinstance(v := getattr(objectives, k), type) and issubclass(v, Objective) and v not in (Objective, Sum)
]


def test_every_objective_has_its_page_and_pictures():
    nav = (ROOT / "mkdocs.yml").read_text().split("nav:")[1]
    assert len(NAMES) > 10
    for name in NAMES:
        assert f"- {name}: objectives/{name.lower()}.md\n" in nav
        text = (DOCS / "objectives" / f"{name.lower()}.md").read_text()
        for heading in ("Options", "Missing modalities", "Cost", "Source", "Example", "Picture"):
            assert f"\n## {heading}\n" in text, name
        assert "$$" in text, name
        assert f"figures/{name.lower()}-training.svg" in text


def test_pages_are_what_the_generator_makes(tmp_path):
    subprocess.run([sys.executable, DOCS / "generate.py", tmp_path], check=True)
    made = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    for path in made:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), (
            f"{path} is old; run `python docs/generate.py`"
        )
    assert {p.relative_to(ROOT) for p in DOCS.glob("objectives/*.md")} <= made, "a page of no objective"


def test_pictures_are_small_and_undated():
    for file in DOCS.glob("figures/*.svg"):
        assert file.stat().st_size < 150_000, file
        assert "<dc:date>" not in file.read_text(), file


def test_every_source_is_in_the_gallery():
    text = (DOCS / "gallery.py").read_text()
    missing = [name for name in SOURCES if f'    "{name}": Entry(' not in text]
    assert not missing, f"add {missing} to ENTRIES of docs/gallery.py"


def test_the_gallery_shows_what_the_sources_say(tmp_path):
    subprocess.run([sys.executable, DOCS / "gallery.py", "--folder", tmp_path, "digits"], check=True)
    assert (DOCS / "gallery.md").read_text() == (tmp_path / "gallery.md").read_text(), "run `make docs`"
    assert "Physical:" in (DOCS / "gallery.md").read_text()
    files = list(DOCS.glob("gallery/*.svg"))
    assert sum(file.stat().st_size for file in files) < 1_500_000
    assert all("<dc:date>" not in file.read_text() for file in files)


def test_links_lead_somewhere():
    followed = 0
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text):
            if "://" not in target:
                assert (page.parent / target).resolve().exists(), f"{page}: {target}"
                followed += 1
    assert followed > 100


def test_the_navigation_names_every_page_once():
    nav = (ROOT / "mkdocs.yml").read_text().split("nav:")[1]
    named = re.findall(r"([\w/]+\.md)$", nav, re.M)
    assert sorted(named) == sorted(str(p.relative_to(DOCS)) for p in PAGES)


@pytest.mark.parametrize(
    "page",
    ["index", "start", "own_data", "missing", "scale", "logs", "data_formats", "information", "similarity", "cone"],
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
