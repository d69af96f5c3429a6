"""The rules of the house, held against the tree: who imports whom, how long files are, what docstrings say."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tuplet
from tools.house import House

SOURCE = Path(tuplet.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
HOUSE = House()
# room -> the rooms that it may import; every room may import itself, types, errors and frames
ALLOWED = {
    "errors": set(),
    "frames": set(),
    "processes": set(),
    "types": set(),
    "io": set(),
    "functional": set(),
    "nets": set(),
    "objectives": {"functional", "nets"},
    "information": {"functional"},
    "diagnose": {"functional"},
    "data": {"io", "processes"},
    "model": {"nets", "functional", "data", "io"},
    "datasets": {"data", "io"},
    "simulators": {"data", "datasets", "io", "processes"},
    "catalog": {"data", "datasets", "simulators"},
    "report": {"io", "data"},
    "train": {"io", "plot", "processes", "model", "nets", "objectives", "data", "functional", "diagnose"},
    "store": {"io", "model", "nets", "data", "functional", "objectives"},
    "plot": {"diagnose", "functional", "report"},
    "evaluate": {"io", "model", "nets", "data", "functional", "diagnose"},
    "generate": {"io"},
}
ALLOWED["methods"] = {"model", "nets", "objectives", "train"}
ALLOWED["joining"] = {"data", "evaluate", "functional", "model", "nets", "objectives", "store", "train"}
ALLOWED["study"] = {"io", "processes", "report", "evaluate", "train", "data", "model", "objectives"}
ALLOWED["audit"] = ALLOWED["train"] - {"processes"} | {"report", "information", "evaluate", "train"}
ALLOWED["suites"] = set(ALLOWED) - {"audit", "suites"}
ALLOWED["demo"] = {"audit", "data", "datasets", "evaluate", "io", "model", "objectives", "report", "train"}
ALLOWED["sklearn"] = {"data", "evaluate", "model", "objectives", "train"}
ALLOWED["cli"] = {*ALLOWED, "__init__"}
ALLOWED["__main__"] = {"cli"}
ALLOWED["__init__"] = {
    "data",
    "diagnose",
    "evaluate",
    "functional",
    "information",
    "joining",
    "model",
    "objectives",
    "store",
    "train",
}


def room(path):
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    for node in HOUSE.statements[path.relative_to(SOURCE).as_posix()]:
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "tuplet":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tuplet."))


def test_imports_point_one_way():
    unknown = {room(path) for path in FILES} - set(ALLOWED)
    assert not unknown, f"the import table lacks {sorted(unknown)}"
    wrong = {}
    for path in FILES:
        extra = set(imports(path)) & set(ALLOWED) - ALLOWED[room(path)] - {room(path), "types", "errors", "frames"}
        if extra:
            wrong[path.relative_to(SOURCE).as_posix()] = sorted(extra)
    assert not wrong, f"these files import rooms that they may not: {wrong}"


def test_only_one_file_imports_the_training_runtime():
    users = [p.relative_to(SOURCE).as_posix() for p in FILES if "lightning_fabric" in p.read_text()]
    assert users == ["train/_runtime.py"]


def test_objectives_do_not_know_processes():
    for path in [*SOURCE.glob("objectives/*.py"), *SOURCE.glob("functional/*.py")]:
        assert "distributed" not in path.read_text(), path


def test_rooms_and_files_stay_small():
    assert max(HOUSE.length.values()) <= 350, max(HOUSE.length, key=HOUSE.length.get)
    assert HOUSE.median < 120
    room, size = HOUSE.rooms.most_common(1)[0]
    assert size < 0.15 * HOUSE.total, room
    assert HOUSE.total <= 56_550


def test_no_file_is_part_of_a_circle():
    assert not HOUSE.circles()


def test_names_and_marks_of_files():
    assert not HOUSE.shadows()
    assert not HOUSE.unmarked()
    assert len(HOUSE.long_functions()) <= 4


def public_objects():
    for d, exported in HOUSE.definitions:
        if exported:
            yield f"{d.file}:{d.node.name}", getattr(importlib.import_module(module_of(d.file)), d.node.name)


def module_of(file):
    return "tuplet." + file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def faults(value):
    """What the docstring of a public function or class leaves unsaid."""
    doc = inspect.getdoc(value) or ""
    if not doc or not doc.splitlines()[0].endswith((".", "?", ":", "`")):
        yield "one line that says what it is"
    if inspect.isfunction(value):
        wants = list(inspect.signature(value).parameters)
        said = re.findall(r"^    (\w+(?:, \w+)*):", doc.partition("Args:")[2], flags=re.M)  # several may share a line
        yield from (f"Args: {p}" for p in wants if p not in ", ".join(said).split(", "))
        if inspect.signature(value).return_annotation not in ("None", None):
            yield from ["Returns:"] * ("Returns:" not in doc and "Yields:" not in doc)
        yield from ["Example:"] * ("Example:" not in doc)
    elif "objectives" in value.__module__ and value.__name__ != "Objective":
        yield from (part for part in ("Source:", "Example:") if part not in doc)


def test_docstrings_are_full_where_users_look_and_one_line_elsewhere():
    values = list(public_objects())
    assert len(values) > 200
    lacking = {name: found for name, value in values if (found := list(faults(value)))}
    assert not lacking, f"these docstrings lack: {lacking}"
    assert not HOUSE.wordy()


def test_formulas_name_their_source():
    for name, value in public_objects():
        if name.startswith("functional") and inspect.isfunction(value):
            assert "Source:" in inspect.getdoc(value), name


def test_nothing_loads_pickles():
    for path in FILES:
        text = path.read_text()
        assert "allow_pickle=True" not in text, path
        assert "import pickle" not in text, path
        assert "torch.load(" not in text or "weights_only=True" in text, path


@pytest.mark.slow
def test_importing_tuplet_is_light():
    heavy = ["sklearn", "scipy", "matplotlib", "lightning_fabric", "jinja2", "rich", "tyro"]
    code = f"import sys, tuplet; print([m for m in {heavy!r} if m in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == "[]"
