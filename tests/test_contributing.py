"""CONTRIBUTING.md says what to write and where; here a copy of the package gets exactly that, and keeps its promises."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_house import ALLOWED

TRAINING = """
from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.data import SOURCES
from tuplet.evaluate import evaluate
from tuplet.objectives import Centroid, Pairwise
from tuplet.study.suite import load_suite


def test_the_new_objective_trains_on_the_spiral():
    source = SOURCES["spiral"]()
    model = AlignmentModel.for_source(source, dim=8)
    objective = Pairwise() + 0.5 * Centroid()
    run = fit(model, objective, train=source.train, val=source.val, config=TrainConfig(epochs=2, batch_size=32))
    assert "centroid.spread" in run.history[0]
    found = {r.metric: r for r in evaluate(run.model, objective, source)}
    assert found["probe/linear"].value > found["probe/linear"].chance
    assert {e.name for e in load_suite("tuplet.suites.spiral:spiral").entries} == {"none", "pairwise", "gram"}
"""
ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def code(kind):
    (found,) = re.findall(rf"```python {kind}\n(.*?)```", TEXT, re.DOTALL)
    return found


def insert(file, before, line):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, line + before, 1))


def adds(house, file, *pieces):
    """Write or change one file as told, and note that it was touched."""
    path = house / file
    if isinstance(pieces[0], str):
        path.write_text((path.read_text() if path.exists() else "") + pieces[0])
    else:
        for before, text in pieces:
            insert(path, before, text)
    with (house / "touched").open("a") as touched:
        touched.write(file + "\n")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Copy the project and add an objective, a data set and a suite as told."""
    house = tmp_path_factory.mktemp("house")
    for part in ("src", "tests", "tools", "pyproject.toml", "README.md"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, house / part)
    adds(house, "src/tuplet/objectives/centroid.py", code("objective"))
    adds(
        house,
        "src/tuplet/objectives/published.py",
        ("from tuplet.objectives.cmc", "from tuplet.objectives.centroid import Centroid\n"),
        ('    "CoMM",\n', '    "Centroid",\n'),
        ('    "gram": _row(', code("line")),
    )
    adds(house, "tests/oracles/objectives.py", "\n\n" + code("oracle"))
    adds(house, "src/tuplet/simulators/spiral.py", code("source"))
    adds(
        house,
        "src/tuplet/catalog.py",
        ("SOURCES: dict", "from tuplet.simulators import spiral\n\n"),
        ('    "digits": digits.load,\n', '    "spiral": spiral.load,\n'),
    )
    adds(house, "src/tuplet/suites/spiral.py", code("suite"))
    (entry,) = re.findall(r'`("spiral": "tuplet.suites[^`]+)`', TEXT)
    adds(house, "src/tuplet/suites/__init__.py", ('    "ova-ib":', f"    {entry}\n"))
    return house


def test_three_files_for_an_objective_two_for_a_data_set_two_for_a_suite(house):
    assert len(set((house / "touched").read_text().split())) == 3 + 2 + 2


def test_the_order_of_rooms_is_that_of_the_import_table():
    (said,) = re.findall(r"holds the whole table\): (.*?)\.\s+Files", TEXT, re.DOTALL)
    places = {name: k for k, part in enumerate(said.split("; then")) for name in re.findall(r"`(\w+)`", part)}
    assert set(places) == {name for name in ALLOWED if not name.startswith("__")}
    for name, place in places.items():
        assert all(places[other] < place for other in ALLOWED[name] & set(places)), name


@pytest.mark.whole
def test_the_objective_inherits_the_contract_trains_on_the_new_data_and_the_house_accepts_all(house):
    (house / "tests" / "test_spiral.py").write_text(TRAINING)
    tests = [
        "tests/test_spiral.py",
        "tests/contract/test_objectives.py",
        "tests/test_house.py",
        "tests/test_readme.py",
        "tests/train/test_recipe.py",
    ]
    files = [
        f"src/tuplet/{x}.py" for x in ("objectives/centroid", "objectives/published", "simulators/spiral", "suites/__init__")
    ]
    chosen = "centroid or spiral or published or house or table or short_name"
    command = [sys.executable, "-m", "pytest", "-q", *tests, *files, "-k", chosen]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(house / "src"), str(house)])}
    done = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 30
