"""Measure the house: lines, rooms, long functions, circles of imports, shadowed names, docstrings.

``python tools/house.py`` prints what tests/test_house.py holds.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1] / "src" / "tuplet"
CALLED = {"datasets": ("load",), "simulators": ("load", "simulate")}
"""Rooms whose files users reach through the catalog -> what they call there."""
INTERNAL = ("cli", "demo", "io", "report")
"""Rooms that users never import: their files need no mark."""
Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Named(NamedTuple):
    """A function or class and its file."""

    file: str
    node: Def


def docstring(node: Def | ast.Module) -> ast.Expr | None:
    """Find the docstring's statement."""
    first = node.body[0] if node.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return first if is_text else None  # type: ignore[return-value]


def lines(node: ast.AST | None) -> int:
    """Count the lines of a node."""
    return node.end_lineno - node.lineno + 1 if node is not None else 0  # type: ignore[attr-defined]


def listed(tree: ast.Module) -> set[str]:
    """Read the names in a module's ``__all__``."""
    lists = [n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
    return {e.value for n in lists for e in ast.walk(n.value) if isinstance(e, ast.Constant)}


class House:
    """Everything that is measured of a package's source tree."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def text(self) -> dict[str, str]:
        """Text per file."""
        return {p.relative_to(self.root).as_posix(): p.read_text() for p in sorted(self.root.rglob("*.py"))}

    @cached_property
    def tree(self) -> dict[str, ast.Module]:
        """Syntax tree per file."""
        return {name: ast.parse(text) for name, text in self.text.items()}

    @cached_property
    def length(self) -> dict[str, int]:
        """Lines per file."""
        return {name: len(text.splitlines()) for name, text in self.text.items()}

    @property
    def total(self) -> int:
        """Lines of all files."""
        return sum(self.length.values())

    @property
    def median(self) -> float:
        """Lines of the middle file."""
        return statistics.median(self.length.values())

    @cached_property
    def rooms(self) -> Counter[str]:
        """Lines of every room (a top-level folder, or file)."""
        found: Counter[str] = Counter()
        for name, n in self.length.items():
            found[name.split("/")[0].removesuffix(".py")] += n
        return found

    @cached_property
    def exports(self) -> dict[str, set[str]]:
        """Exported names per package; a module in the list exports its own public names."""
        found = {}
        for name, tree in self.tree.items():
            if name.endswith("__init__.py"):
                folder = name.removesuffix("__init__.py")
                starred = [n.module for n in tree.body if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
                files = [f"{folder}{(module or '').rpartition('.')[2]}.py" for module in starred]
                found[folder] = {x for f in (name, *files) for x in listed(self.tree[f])}
        return found

    def is_exported(self, file: str, name: str) -> bool:
        """Tell whether a top-level name of a file is exported by the file's package."""
        folder, _, stem = file.rpartition("/")
        if name in CALLED.get(folder, ()) or (not folder and name in listed(self.tree[file])):
            return True
        names = self.exports.get(folder + "/" if folder else "", set())
        whole = self.is_module(folder, stem.removesuffix(".py")) and stem.removesuffix(".py") in names
        return name in names or (whole and not name.startswith("_"))

    def is_module(self, folder: str, name: str) -> bool:
        """Tell whether a package hands on this module itself, not a function or class of its name."""
        init = self.tree.get(f"{folder}/__init__.py", ast.Module([], []))
        own = [n for n in init.body if isinstance(n, ast.ImportFrom) and n.module == f"tuplet.{folder.replace('/', '.')}"]
        return any(alias.name == name for n in own for alias in n.names)

    @cached_property
    def definitions(self) -> list[tuple[Named, bool]]:
        """Every function and class, and whether it is exported."""

        def walk(file: str, body: list[ast.stmt], top: bool) -> Iterator[tuple[Named, bool]]:
            for node in body:
                if isinstance(node, Def):
                    yield Named(file, node), top and self.is_exported(file, node.name)
                    yield from walk(file, node.body, False)
                elif hasattr(node, "body"):
                    yield from walk(file, [*node.body, *getattr(node, "orelse", [])], top)

        return [x for file, tree in self.tree.items() for x in walk(file, tree.body, True)]

    def long_functions(self, limit: int = 80) -> dict[str, int]:
        """Functions with more lines than the limit, docstring aside."""
        sizes = {
            f"{d.file}::{d.node.name}": lines(d.node) - lines(docstring(d.node))
            for d, _ in self.definitions
            if not isinstance(d.node, ast.ClassDef)
        }
        return {name: n for name, n in sizes.items() if n > limit}

    def wordy(self) -> list[str]:
        """Docstrings of more than one line on names that are neither exported nor public methods of exported classes."""
        classes = [d.node for d, out in self.definitions if out and isinstance(d.node, ast.ClassDef)]
        methods = {n for c in classes for n in c.body if isinstance(n, Def) and not n.name.startswith("_")}
        return [
            f"{d.file}::{d.node.name}"
            for d, out in self.definitions
            if not out and d.node not in methods and lines(docstring(d.node)) > 1
        ]

    def shadows(self) -> list[str]:
        """Exported functions and classes that equal a module or package of their room."""
        return sorted(
            f"{folder}{name}"
            for folder, names in self.exports.items()
            for name in names
            if folder and not self.is_module(folder.rstrip("/"), name)
            if f"{folder}{name}.py" in self.tree or f"{folder}{name}/__init__.py" in self.tree
        )

    def unmarked(self) -> list[str]:
        """Files of exporting rooms that export nothing and lack a leading underscore."""
        found = []
        for file, tree in self.tree.items():
            folder, _, stem = file.rpartition("/")
            if not self.exports.get(folder + "/") or stem.startswith("_") or folder in INTERNAL:
                continue
            defined = {n.name for n in tree.body if isinstance(n, Def)}
            for n in tree.body:
                targets = n.targets if isinstance(n, ast.Assign) else [n.target] if isinstance(n, ast.AnnAssign) else []
                defined |= {t.id for t in targets if isinstance(t, ast.Name)}
            if not any(self.is_exported(file, name) for name in defined):
                found.append(file)
        return found

    @cached_property
    def statements(self) -> dict[str, list[ast.Import | ast.ImportFrom]]:
        """Import statements per file, those inside functions included."""
        return {f: [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)] for f, tree in self.tree.items()}

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """File -> files of the package that it imports, those under TYPE_CHECKING included."""

        def resolve(module: str, names: list[str]) -> Iterator[str]:
            base = module.removeprefix("tuplet").strip(".").replace(".", "/")
            for name in names:
                for path in (f"{base}/{name}.py", f"{base}/{name}/__init__.py", f"{base}.py", f"{base}/__init__.py"):
                    if path.strip("/") in self.tree:
                        yield path.strip("/")
                        break

        found: dict[str, set[str]] = {}
        for file, nodes in self.statements.items():
            seen = found.setdefault(file, set())
            for node in nodes:
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tuplet":
                    seen.update(resolve(node.module or "", [a.name for a in node.names]))
                elif isinstance(node, ast.Import):
                    for a in node.names:
                        if a.name.split(".")[0] == "tuplet":
                            seen.update(resolve(a.name.rpartition(".")[0], [a.name.rpartition(".")[2]]))
            seen.discard(file)
        return found

    def circles(self) -> list[list[str]]:
        """Groups of files that import each other (strongly connected, more than one file)."""
        order: list[str] = []
        done: set[str] = set()

        def visit(start: str, graph: dict[str, set[str]], out: list[str]) -> None:
            stack: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(graph[start])))]
            done.add(start)
            while stack:
                node, rest = stack[-1]
                following = next((n for n in rest if n not in done), None)
                if following is None:
                    out.append(node)
                    stack.pop()
                else:
                    done.add(following)
                    stack.append((following, iter(sorted(graph[following]))))

        for file in self.imports:
            if file not in done:
                visit(file, self.imports, order)
        reverse: dict[str, set[str]] = {f: set() for f in self.imports}
        for file, targets in self.imports.items():
            for target in targets:
                reverse[target].add(file)
        done.clear()
        found = []
        for file in reversed(order):
            if file not in done:
                group: list[str] = []
                visit(file, reverse, group)
                if len(group) > 1:
                    found.append(sorted(group))
        return found


def main() -> None:
    """Print the measures."""
    house = House(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    words = sum(lines(docstring(d.node)) for d, _ in house.definitions)
    print(f"{house.total:,} lines in {len(house.text)} files, {words:,} of them docstrings; median file {house.median:g} lines")
    print("rooms:", ", ".join(f"{r} {n:,} ({100 * n / house.total:.0f} %)" for r, n in house.rooms.most_common()))
    longest = sorted(house.length, key=house.length.__getitem__)[-3:]
    print("longest files:", ", ".join(f"{f} {house.length[f]}" for f in reversed(longest)))
    for title, found in (
        ("functions above 80 lines, docstring aside", [f"{k} {n}" for k, n in house.long_functions().items()]),
        ("circles of files", [" <-> ".join(c) for c in house.circles()]),
        ("exported names that equal a module", house.shadows()),
        ("files that export nothing and lack an underscore", house.unmarked()),
        ("docstrings of several lines on names nobody exports", house.wordy()),
    ):
        shown = found if len(found) <= 40 or "-v" in sys.argv else [*found[:40], "..."]
        print(f"{title}: {len(found)}", *(f"  {x}" for x in shown), sep="\n")


if __name__ == "__main__":
    main()
