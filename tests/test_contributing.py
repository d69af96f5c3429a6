"""CONTRIBUTING.md says what to write and where; here a copy of the package gets exactly that, and keeps its promises."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_house import ALLOWED

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def code(kind):
    (found,) = re.findall(rf"```python {kind}\n(.*?)```", TEXT, re.DOTALL)
    return found


def line(begins):
    (found,) = re.findall(rf"^{begins}.*\n".replace("|", r"\|"), TEXT, re.M)
    return found


def insert(file, before, line):
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, line + before, 1))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Copy the project and add the objective and the data set as told."""
    house = tmp_path_factory.mktemp("house")
    for part in ("src", "tests", "pyproject.toml", "README.md", "docs/gallery.py"):
        (house / part).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, house / part)
    package = house / "src" / "tuplet"
    (package / "objectives" / "centroid.py").write_text(code("objective"))
    (package / "data" / "sources" / "spiral.py").write_text(code("source"))
    exports = package / "objectives" / "__init__.py"
    insert(exports, "from tuplet.objectives.compose", "from tuplet.objectives.centroid import Centroid\n")
    insert(exports, '    "Gram",\n', '    "Centroid",\n')
    sources = package / "data" / "__init__.py"
    sources.write_text(re.sub(r"\bdigits\b(?=[,\n])", "digits, spiral", sources.read_text(), count=1))  # the import
    insert(sources, '    "digits": digits.load,\n', '    "spiral": spiral.load,\n')
    cases = house / "tests" / "contract" / "cases.py"
    (case,) = re.findall(r'`("centroid": [^`]+)`', TEXT)
    insert(cases, '    "gram": Case(', f"    {case},\n")
    insert(cases, "    CoMM,\n    Cone", "    Centroid,\n")
    oracle = "\n\ndef centroid(z):\n    s = np.stack(z)\n    return float(((s - s.mean(0)) ** 2).sum(2).mean())\n"
    with (house / "tests" / "oracles" / "objectives.py").open("a") as file:
        file.write(oracle)
    insert(house / "README.md", "| CoMM |", line("| centroid"))
    for name, before in (
        ("train/recipe.py", '    "gram": lambda'),
        ("suites/entries.py", '        Entry("gram"'),
    ):
        insert(package / name, "    CMC,\n", "    Centroid,\n")
        insert(package / name, before, line(r"        Entry\(" if "Entry" in before else '    "centroid"'))
    insert(
        house / "docs" / "gallery.py", '    "digits": Entry(', f"    {re.findall(r'`(.spiral.: Entry.*)`', TEXT)[0]}\n"
    )
    return house


def run(house, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(house / "src"), str(house)])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=house, env=environment, capture_output=True, text=True, check=False
    )


def test_the_order_of_rooms_is_that_of_the_import_table():
    (said,) = re.findall(r"holds the whole table\): (.*?)\. Files", TEXT, re.DOTALL)
    places = {name: k for k, part in enumerate(said.split("; then")) for name in re.findall(r"`(\w+)`", part)}
    assert set(places) == {name for name in ALLOWED if not name.startswith("__")}
    for name, place in places.items():
        assert all(places[other] < place for other in ALLOWED[name] & set(places)), name


@pytest.mark.slow
def test_the_objective_inherits_the_contract_and_the_house_accepts_both(house):
    tests = ["tests/contract", "tests/test_house.py", "src/tuplet/objectives/centroid.py", "src/tuplet/simulators"]
    lists = ["tests/test_readme.py", "tests/train/test_recipe.py", "tests/test_docs.py", "src/tuplet/suites"]
    chosen = "centroid or spiral or house or table or short_name or in_the_gallery or entries or missing.missing"
    done = run(house, "-m", "pytest", "-q", *tests, *lists, "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 40


@pytest.mark.slow
def test_the_new_objective_trains_on_the_new_data(house):
    program = """
from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.data import SOURCES
from tuplet.evaluate import evaluate
from tuplet.objectives import Centroid, Pairwise
source = SOURCES["spiral"]()
model = AlignmentModel.mlp({k: m.shape for k, m in source.modalities.items()}, dim=8)
objective = Pairwise() + 0.5 * Centroid()
run = fit(model, objective, train=source.train, val=source.val, config=TrainConfig(epochs=2, batch_size=32))
found = {r.metric: r for r in evaluate(run.model, objective, source)}
print(sorted(run.history[0]), found["probe/linear"].value > found["probe/linear"].chance)
"""
    done = run(house, "-c", program)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "centroid.spread" in done.stdout
    assert "True" in done.stdout
