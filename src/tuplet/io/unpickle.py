"""Read Python pickles as data: numbers, text, plain containers and NumPy arrays, and never run what a file names.

A pickle is a program for a small stack machine, and Python's own machine lets that program import and call anything. The
machine here knows the same instructions but has nothing to call: a fixed table turns the few names that NumPy writes
into arrays, and any other name ends the reading. Arrays are read-only views of the mapped file, so a file larger than
memory can be read.
"""

from __future__ import annotations

import codecs
import mmap
import struct
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

from tuplet.io.pickled import NAMES, Name, Pending, hashable, resolved
from tuplet.types import InputError

STEPS = 5_000_000
"""Default for the largest number of instructions; one object costs one or two, an array about twenty."""
SMALL = 1024  # bytes; longer Python-2 strings and byte strings stay views, as they are the content of arrays


def read_pickle(path: Path) -> Any:
    r"""Read one pickle file."""
    return unpickle(mapped(path), name=str(path))


def mapped(path: Path) -> memoryview:
    """Map a file into memory, read-only."""
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give an existing file that is not empty") from None


def unpickle(data: bytes | memoryview, *, name: str, steps: int = STEPS) -> Any:
    r"""Read a pickle that lies in memory."""
    try:
        return _Machine(memoryview(data), name, steps).run()
    except InputError:
        raise
    except (struct.error, ValueError, TypeError, AttributeError, LookupError, OverflowError, MemoryError) as error:
        raise InputError(f"{name} is not a readable pickle ({type(error).__name__}); copy the file again") from None


class _Machine:
    def __init__(self, data: memoryview, name: str, steps: int) -> None:
        self.data, self.name, self.steps = data.cast("B"), name, steps
        self.at = 0
        self.room = steps + 4 * len(self.data)  # what may be copied: a file may mention one long list many times
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(self.steps):
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                return resolved(self.stack.pop())
            action = ACTIONS.get(code)
            if action is None:
                raise InputError(
                    f"{self.name} has the instruction {code:#04x}, which builds objects or is none, expected NumPy "
                    f"arrays and plain containers only"
                )
            action(self)
        raise InputError(f"{self.name} has more than {self.steps} instructions, expected arrays rather than many objects")

    def take(self, n: int) -> memoryview:
        if n < 0 or n > len(self.data) - self.at:
            raise InputError(f"{self.name} ends {n - len(self.data) + self.at} bytes too early, or is no pickle; copy it again")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        size = 256
        while True:
            piece = bytes(self.data[self.at : self.at + size])
            if (end := piece.find(b"\n")) >= 0:
                self.at += end + 1
                return piece[:end]
            if len(piece) < size:
                raise InputError(f"{self.name} ends inside a line, or is no pickle; copy it again")
            size *= 4

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return resolved(self.stack.pop())

    def popped(self) -> list[Any]:
        start = self.marks.pop()
        items = [resolved(v) for v in self.stack[start:]]
        del self.stack[start:]
        return items

    def named(self, module: str, attribute: str) -> None:
        module = {"__builtin__": "builtins"}.get(module, module).replace("numpy._core", "numpy.core")
        if f"{module}.{attribute}" not in NAMES:
            asked = f"{module}.{attribute}"[:80].encode("unicode_escape").decode()
            raise InputError(
                f"{self.name} asks for {asked}, expected NumPy arrays and plain containers only; it was not "
                f"run, and a file that needs it cannot be read safely"
            )
        self.push(NAMES[f"{module}.{attribute}"])

    def apply(self) -> None:
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, Name) or name.apply is None or not isinstance(arguments, tuple):
            raise InputError(f"{self.name} calls something that is not callable data; it was not run")
        self.charge(arguments)
        self.push(name.apply(*arguments))

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if not isinstance(target, Pending):
            raise InputError(f"{self.name} gives a state to something that is no array; it was not used")
        self.charge(state)
        target.build(state)

    def charge(self, arguments: tuple[Any, ...]) -> None:
        self.room -= sum(len(a) for a in arguments if isinstance(a, Sized))
        if self.room < 0:
            raise InputError(f"{self.name} makes much more data than it holds; it was not read")


def _integer(m: _Machine) -> None:
    text = m.line()
    m.push(text == b"01" if text in (b"00", b"01") else int(text.rstrip(b"L")))


def _long(m: _Machine, n: int) -> None:
    m.push(int.from_bytes(m.take(n), "little", signed=True))


def _old_string(m: _Machine, raw: bytes | memoryview) -> None:
    m.push(str(raw, "latin-1") if len(raw) < SMALL else raw)


def _quoted(m: _Machine) -> None:
    text = m.line().strip()
    if len(text) < 2 or text[0] != text[-1] or text[:1] not in (b"'", b'"'):
        raise ValueError("string")
    _old_string(m, codecs.escape_decode(text[1:-1])[0])


def _bytes(m: _Machine, n: int) -> None:
    raw = m.take(n)
    m.push(bytes(raw) if n < SMALL else raw)


def _text(m: _Machine, n: int) -> None:
    m.push(str(m.take(n), "utf-8", "surrogatepass"))


def _tuple(m: _Machine, n: int) -> None:
    m.push(tuple([m.pop() for _ in range(n)][::-1]))


def _top(m: _Machine, kind: type) -> Any:
    """Return what lies on the stack, which must be of one type."""
    if not isinstance(m.stack[-1], kind):
        raise TypeError(kind.__name__)
    return m.stack[-1]


def _extend(m: _Machine, items: list[Any]) -> None:
    _top(m, list).extend(items)


def _update(m: _Machine, items: list[Any]) -> None:
    _top(m, dict).update(_pairs(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {hashable(k): v for k, v in zip(items[::2], items[1::2], strict=True)}


def _add(m: _Machine, items: list[Any]) -> None:
    _top(m, set).update(hashable(v) for v in items)


def _put(m: _Machine, key: int) -> None:
    m.memo[key] = m.stack[-1]


ACTIONS: dict[int, Callable[[_Machine], object]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.popped(),
    ord("2"): lambda m: m.push(m.stack[-1]),
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): _integer,
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    ord("L"): _integer,
    0x8A: lambda m: _long(m, m.number("<B")),
    0x8B: lambda m: _long(m, m.number("<i")),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("G"): lambda m: m.push(m.number(">d")),
    ord("S"): _quoted,
    ord("T"): lambda m: _old_string(m, m.take(m.number("<i"))),
    ord("U"): lambda m: _old_string(m, m.take(m.number("<B"))),
    ord("B"): lambda m: _bytes(m, m.number("<I")),
    ord("C"): lambda m: _bytes(m, m.number("<B")),
    0x8E: lambda m: _bytes(m, m.number("<Q")),
    0x96: lambda m: _bytes(m, m.number("<Q")),  # BYTEARRAY8, what protocol 5 writes writable arrays as
    ord("V"): lambda m: m.push(m.line().decode("raw-unicode-escape")),
    ord("X"): lambda m: _text(m, m.number("<I")),
    0x8C: lambda m: _text(m, m.number("<B")),
    0x8D: lambda m: _text(m, m.number("<Q")),
    ord("]"): lambda m: m.push([]),
    ord("a"): lambda m: _extend(m, [m.pop()]),
    ord("e"): lambda m: _extend(m, m.popped()),
    ord("l"): lambda m: m.push(m.popped()),
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.popped())),
    0x85: lambda m: _tuple(m, 1),
    0x86: lambda m: _tuple(m, 2),
    0x87: lambda m: _tuple(m, 3),
    ord("}"): lambda m: m.push({}),
    ord("s"): lambda m: _update(m, [m.pop(), m.pop()][::-1]),
    ord("u"): lambda m: _update(m, m.popped()),
    ord("d"): lambda m: m.push(_pairs(m.popped())),
    0x8F: lambda m: m.push(set()),
    0x90: lambda m: _add(m, m.popped()),
    0x91: lambda m: m.push(frozenset(hashable(v) for v in m.popped())),
    ord("p"): lambda m: _put(m, int(m.line())),
    ord("q"): lambda m: _put(m, m.number("<B")),
    ord("r"): lambda m: _put(m, m.number("<I")),
    0x94: lambda m: _put(m, len(m.memo)),
    ord("g"): lambda m: m.push(m.memo[int(m.line())]),
    ord("h"): lambda m: m.push(m.memo[m.number("<B")]),
    ord("j"): lambda m: m.push(m.memo[m.number("<I")]),
    ord("c"): lambda m: m.named(m.line().decode(), m.line().decode()),
    0x93: lambda m: m.named(*[str(m.pop()), str(m.pop())][::-1]),  # the attribute is on top of its module
    ord("R"): lambda m: m.apply(),
    ord("b"): lambda m: m.build(),
}
"""The instructions that make data; all others, which make objects of any class, are refused."""
