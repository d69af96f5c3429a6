"""Names, state and folders that other people chose."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tuplet import InputError
from tuplet.io import AnyOf, Between, fresh, parse_state, read_state, safe_name, write_atomic
from tuplet.io.names import LONGEST
from tuplet.io.pace import Pace
from tuplet.io.state import DEPTH

NAMES = [
    *(
        "",
        ".",
        "..",
        "...",
        "/",
        "//",
        "\\",
        "~",
        "a/b",
        "a\\b",
        "a_b",
        "a b",
        "../../x",
        "/etc",
        "C:\\x",
        "con",
        "CON",
        "con.txt",
    ),
    *(
        "nul",
        "aux.h",
        "com1",
        "lpt9",
        ".hidden",
        "x.",
        "x..",
        "x",
        "X",
        "x ",
        " x",
        "x\0",
        "x\n",
        "-x",
        "--out",
        "ß",
        "SS",
        "ss",
    ),
    *(
        "é",
        "e\u0301",
        "触覚",
        "\ud800",
        "\udcff",
        "[/x]",
        "$\\frac{$",
        "<b>",
        "a" * 80,
        "a" * 81,
        "a" * 10**5,
        "İ",
        "i",
        "\u0131",
        "K",
        "\u212a",
    ),
]


def test_safe_names_are_distinct_and_safe_everywhere():
    names = [*NAMES, *map(safe_name, NAMES)]  # a name that looks like a safe one has one of its own
    found = {name: safe_name(name) for name in names}
    plain = {name for name in found if found[name] == name}
    assert {"x", "a_b", "ss", "i", "a" * 80} <= plain
    assert len({v.casefold() for v in found.values()}) == len(found)
    for name in found.values():
        assert re.fullmatch(r"[a-z0-9_~-][a-z0-9._~-]*", name), name
        assert len(name) <= LONGEST
        assert not name.startswith(("-", "~", "."))
        assert not name.endswith(".")
        assert name.partition(".")[0] not in {"con", "nul", "aux", "com1", "lpt9"}


SCHEMA = {
    "schema": Between(int, 1, 1),
    "seed": int,
    "name": str,
    "kind?": {"keep", "redo"},
    "pairs?": [(str, str, Between(float, 0))],
    "numbers?": {...: float},
    "plan?": AnyOf(None, [str], {"deep": int}),
    "free?": object,
}
GOOD = {"schema": 1, "seed": 3, "name": "a"}


def test_state_is_read_as_it_was_written(tmp_path):
    full = GOOD | {
        "kind": "keep",
        "pairs": [["a", "b", 1], ["a", "c", 0.5]],
        "numbers": {"x": 1.5, "触": 2},
        "free": [None, {}],
    }
    for content in (GOOD, full, full | {"plan": None}, full | {"plan": ["x"]}, full | {"plan": {"deep": 3}}):
        (tmp_path / "s.json").write_text(json.dumps(content), encoding="utf-8")
        assert read_state(tmp_path / "s.json", SCHEMA) == content


def wrong():
    """Content and a word of the error that it must give."""
    good = json.dumps(GOOD)

    def put(**changed):
        return json.dumps(GOOD | changed)

    return [
        ("", "no JSON"),
        ("{", "no JSON"),
        (good + good, "no JSON"),
        ("null", "the content is null, expected a dict"),
        ("[]", "the content is a list of 0, expected a dict"),
        ("3", "the content is 3"),
        ("[" * 10**5, f"more than {DEPTH} deep"),
        ("[" * 100 + "]" * 100, f"more than {DEPTH} deep"),
        ('{"a":' * 10**5, f"more than {DEPTH} deep"),
        (put(free=json.loads("[" * 40 + "]" * 40)), f"more than {DEPTH} deep"),
        ('{"schema": 1, "seed": 3}', "name is missing, expected a text"),
        (put(extra=1), "extra is there"),
        (put(**{"ex\ntra": 1}), "ex\\ntra is there"),
        (put(schema=2), "upgrade tuplet"),
        (put(schema=0), "schema is 0"),
        (put(schema="1"), "schema is '1'"),
        (put(seed="x"), "seed is 'x', expected a whole number"),
        (put(seed=None), "seed is null"),
        (put(seed=True), "seed is true"),
        (put(seed=1.0), "seed is 1.0"),
        (put(seed=2**70), "64 bits"),
        (put(seed=0).replace("0", "9" * 5000), "no JSON"),
        (put(seed=float("nan")), "NaN is there"),
        (put(free=float("-inf")), "-Infinity is there"),
        (put(free=[0]).replace("[0]", "[1e999]"), "1e999 is there"),
        (put(name=[]), "name is a list of 0, expected a text"),
        (put(name="\ud800"), "surrogate"),
        (put(name="a\0b"), "NUL"),
        (put(**{"\udcff": 1}), "surrogate"),
        (good[:-1] + ', "seed": 4}', "the key 'seed' is there twice"),
        (put(kind="refuse"), "kind is 'refuse', expected one of keep, redo"),
        (put(kind=["keep"]), "kind is a list"),
        (put(pairs={}), "pairs is a dict of 0, expected a list"),
        (put(pairs=[["a", "b"]]), "pairs[0] is a list of 2, expected a list of 3"),
        (put(pairs=[["a", "b", 1], ["a", "b", -1]]), "pairs[1][2] is -1, expected a number >= 0"),
        (put(numbers={"x": "1"}), "numbers.x is '1', expected a number"),
        (put(plan=3), "plan is 3, expected null or a list or a dict"),
        (put(plan={"deep": "x"}), "plan.deep is 'x', expected a whole number"),
        (b"\xff\xfe{}", "not UTF-8"),
        (good.encode("utf-16"), "not UTF-8"),
    ]


def test_damaged_state_is_one_line_that_names_the_key(tmp_path):
    path = tmp_path / "s.json"
    for content, word in wrong():
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(InputError) as caught:
            read_state(path, SCHEMA, fix="remove it")
        text = str(caught.value)
        assert word in text, (content[:80], text)
        assert text.startswith(str(path))
        assert text.isprintable()
        assert len(text) < len(str(path)) + 200
        assert text.endswith(("remove it", "upgrade tuplet"))
    for place, word in ((tmp_path, "no file"), (tmp_path / "none", "not there"), (path / "x", "cannot be read")):
        with pytest.raises(InputError, match=word):
            read_state(place, SCHEMA)
    with pytest.raises(InputError, match="at most 10"):
        read_state(path, SCHEMA, largest=10)
    with pytest.raises(InputError, match="line 3: seed is missing"):
        parse_state("{}", {"seed": int}, where="line 3")


def tree(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.name != ".lock"}


def test_fresh_removes_only_what_tuplet_wrote(tmp_path):
    out = tmp_path / "out"
    fresh(out)  # nothing there: nothing to do
    assert not out.exists()
    written = [
        "suite.json",
        "cells/digits/gram.default.s0.jsonl",
        "cells/a/b.error.json",
        "report.html",
        ".cell.77.part",
        ".cell.77.0a1b2c3d.part",
    ]

    def build(*more):
        for name in (*written, *more):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text("{}")

    build()
    fresh(out)
    assert tree(out) == set()
    fresh(out)
    for foreign in (
        "thesis.tex",
        "cells/notes.txt",
        "cells/digits/x.csv",
        "deep/report.html",
        "audit/cells/a.json",
        ".gitignore",
    ):
        build(foreign)
        before = tree(out)
        with pytest.raises(InputError, match=re.escape(f"holds {foreign}, which tuplet did not write")):
            fresh(out)
        assert tree(out) == before
        (out / foreign).unlink()
    for folder in ("deep", "audit/cells", "audit"):
        (out / folder).rmdir()
    build()
    target = tmp_path / "mine"
    target.mkdir()
    (target / "run.json").write_text("mine")
    (out / "cells" / "link").symlink_to(target)
    with pytest.raises(InputError, match="holds cells/link"):
        fresh(out)
    (out / "cells" / "link").unlink()
    (out / "suite.json").unlink()
    with pytest.raises(InputError, match="is no run folder"):
        fresh(out)
    with pytest.raises(InputError, match="is a file"):
        fresh(target / "run.json")
    assert (target / "run.json").read_text() == "mine"


def test_the_time_left_is_said_once_it_is_known():
    for calls, said in (
        (((0.4, 3, 9),), ""),  # so early it was read from an earlier call
        (((0.6, 1, 9),), ", about 5 s left"),
        (((10, 1, 11),), ", about 2 min left"),
        (((720, 1, 11),), ", about 2.0 h left"),
        (((534, 1, 11),), ", about 89 min left"),
        (((10, 11, 11),), ""),
    ):
        seconds = iter([0.0, *(second for second, _, _ in calls)])
        pace = Pace(lambda s=seconds: next(s))
        assert [pace.left(done, total) for _, done, total in calls][-1] == said


def test_threads_may_write_one_file(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: write_atomic(tmp_path / "a", bytes([k]) * 1000), range(40)))
    assert len(set((tmp_path / "a").read_bytes())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
