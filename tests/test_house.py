"""The rules of the house, held against the tree: who imports whom, how long files are, what docstrings say."""

import ast
import importlib
import inspect
import pkgutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import tuplet

SOURCE = Path(tuplet.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# room -> the rooms that it may import; every room may import itself, types and errors
ALLOWED = {
    "errors": set(),
    "processes": set(),
    "types": set(),
    "io": set(),
    "functional": set(),
    "objectives": {"functional", "nets"},
    "information": {"functional"},
    "diagnose": {"functional"},
    "nets": set(),
    "model": {"nets", "functional", "data", "io"},
    "data": {"io", "processes"},
    "train": {"io", "processes", "model", "nets", "objectives", "data", "functional", "diagnose"},
    "evaluate": {"io", "model", "nets", "data", "functional", "diagnose"},
    "bench": {
        "io",
        "processes",
        "information",
        "evaluate",
        "train",
        "data",
        "objectives",
        "model",
        "nets",
        "diagnose",
        "functional",
    },
    "audit": {
        "io",
        "report",
        "bench",
        "information",
        "evaluate",
        "train",
        "data",
        "objectives",
        "model",
        "nets",
        "diagnose",
        "functional",
    },
    "__main__": {"cli"},
    "report": {"io", "data"},
    "demo": {"audit", "data", "evaluate", "io", "model", "objectives", "report", "train"},
    "cli": {
        "demo",
        "processes",
        "__init__",
        "io",
        "audit",
        "bench",
        "train",
        "evaluate",
        "information",
        "diagnose",
        "data",
        "objectives",
        "model",
    },
    "__init__": {"data", "diagnose", "evaluate", "functional", "information", "model", "objectives", "train"},
}


def room(path):
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
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
        extra = set(imports(path)) & set(ALLOWED) - ALLOWED[room(path)] - {room(path), "types", "errors"}
        if extra:
            wrong[path.relative_to(SOURCE).as_posix()] = sorted(extra)
    assert not wrong, f"these files import rooms that they may not: {wrong}"


def test_only_one_file_imports_the_training_runtime():
    users = [p.relative_to(SOURCE).as_posix() for p in FILES if "lightning_fabric" in p.read_text()]
    assert users == ["train/runtime.py"]


def test_objectives_do_not_know_processes():
    for path in [*SOURCE.glob("objectives/*.py"), *SOURCE.glob("functional/*.py")]:
        assert "distributed" not in path.read_text(), path


def test_files_stay_short():
    lengths, code = {}, []
    for path in FILES:
        text = path.read_text()
        lengths[path] = len(text.splitlines())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = [n.body[0] for n in ast.walk(ast.parse(text)) if isinstance(n, documented) and ast.get_docstring(n)]
        code.append(lengths[path] - sum(d.end_lineno - d.lineno + 1 for d in docs))
    assert max(lengths.values()) <= 350, max(lengths, key=lengths.get)
    assert statistics.median(code) < 120  # docstrings, with their shapes and examples, do not count


def public_objects():
    for module in pkgutil.walk_packages([str(SOURCE)], "tuplet."):
        if module.name.startswith("tuplet.cli") or module.name.split(".")[-1].startswith("_"):
            continue
        loaded = importlib.import_module(module.name)
        for name, value in vars(loaded).items():
            here = getattr(value, "__module__", None) == module.name
            if here and not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
                yield f"{module.name}.{name}", value


def faults(value):
    """What the docstring of a public function or class leaves unsaid."""
    doc = inspect.getdoc(value) or ""
    if not doc or not doc.splitlines()[0].endswith((".", "?", ":", "`")):
        yield "one line that says what it is"
    if inspect.isfunction(value):
        wants = list(inspect.signature(value).parameters)
        yield from (f"Args: {p}" for p in wants if f"{p}:" not in doc.partition("Args:")[2])
        if inspect.signature(value).return_annotation not in ("None", None):
            yield from ["Returns:"] * ("Returns:" not in doc and "Yields:" not in doc)
        yield from ["Example:"] * ("Example:" not in doc)
    elif "objectives" in value.__module__ and value.__name__ != "Objective":
        yield from (part for part in ("Source:", "Example:") if part not in doc)


def test_public_docstrings_say_what_a_user_needs():
    values = list(public_objects())
    assert len(values) > 400
    lacking = {name: found for name, value in values if (found := list(faults(value)))}
    assert not lacking, f"these docstrings lack: {lacking}"


def test_formulas_name_their_source():
    for room_name in ("functional", "objectives"):
        for module in pkgutil.iter_modules([str(SOURCE / room_name)]):
            loaded = importlib.import_module(f"tuplet.{room_name}.{module.name}")
            for name, value in vars(loaded).items():
                if inspect.isfunction(value) and value.__module__ == loaded.__name__ and not name.startswith("_"):
                    assert "Source:" in inspect.getdoc(value), f"{loaded.__name__}.{name}"


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
