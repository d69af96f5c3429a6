"""Pictures of rows: every kind of modality, true units, the same bytes each time, clear errors."""

import numpy as np
import pytest

from tests.study import toy
from tuplet.catalog import READERS, SOURCES
from tuplet.cli import main
from tuplet.data import Modality, Source, from_arrays, from_columns, hide, show
from tuplet.data._panels import _outline, panels
from tuplet.data.table import write_table
from tuplet.study._report import write_report
from tuplet.study._samples import about, keep_samples, kept_samples, picture, samples, write_samples
from tuplet.study.record import Record, write_cell
from tuplet.suites.missing import missing
from tuplet.suites.scaling_report import scaling_beside
from tuplet.types import InputError

ROWS = 30


def anything(**options):
    """Return a source with a modality of every kind and a hidden one."""
    r = np.random.default_rng(0)
    shapes = {
        "arrows": (2, 8, 8),
        "bars": (5,),
        "colours": (3, 8, 8),
        "depth": (1, 8, 8),
        "film": (12, 8, 8),
        "flat": (8, 8),
        "force": (20, 6),
        "long": (64,),
        "pose": (7,),
        "signal": (1, 50),
        "two_leads": (2, 50),
        "words": (20, 9),
    }
    present = {"bars": np.arange(ROWS) > 15}
    units = {"arrows": "pixels", "force": "N and N m", "pose": "m and unit quaternion", "colours": "0 to 1"}
    return from_arrays(
        {k: r.normal(size=(ROWS, *v)) for k, v in shapes.items()},
        targets={"label": np.arange(ROWS) % 3, "x": r.normal(size=(ROWS, 2)), "y": r.normal(size=(ROWS, 9))},
        units=units | {"x": "m"},
        rates={"signal": 10.0, "film": 5.0},
        kinds={"two_leads": "signal"},
        present=present,
        name="anything",
        **options,
    )


def texts(figure):
    found = [t.get_text() for axes in figure.axes for t in axes.texts]
    return found + [f(axes) for axes in figure.axes for f in (lambda a: a.get_xlabel(), lambda a: a.get_ylabel())]


def test_every_kind_is_drawn_with_names_units_and_time():
    said = texts(show(anything(), rows=[0, 1, 5]))
    assert "force, 20 x 6: N and N m" in said
    assert "signal, 1 x 50" in said
    assert {"N", "N m", "m", "unit quaternion", "s", "missing"} <= set(said)
    assert any(t.startswith("row 1\nlabel: ") and "x: " in t and "y: " not in t for t in said)


def test_the_same_rows_give_the_same_bytes():
    few = ["arrows", "force", "film"]
    assert picture(anything().select(few), format="png", rows=1) == picture(anything().select(few), format="png", rows=1)
    first = picture(anything().select(few), rows=1)
    assert first == picture(anything().select(few), rows=1)
    assert b"<dc:date>" not in first


def test_values_are_in_the_unit_they_had():
    r = np.random.default_rng(1)
    x, y = 100 + 7 * r.normal(size=(ROWS, 3)), r.integers(0, 255, size=(ROWS, 4, 4), dtype=np.uint8)
    for source in (from_arrays({"x": x, "y": y}), from_columns({"x": x, "y": y}, checksum="")):
        axes = next(a for a in show(source, rows=[2]).axes if a.patches)
        seen = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(seen, x[source.split.train[2]], rtol=1e-6)


def test_classes_take_turns_and_rows_are_spread():
    source = anything()
    heads = [t.split("\n")[1] for t in texts(show(source, rows=3)) if t.startswith("row ")]
    assert sorted(heads) == ["label: 0", "label: 1", "label: 2"]
    plain = from_arrays({"a": np.eye(100), "b": np.eye(100)})
    rows = [int(t.split()[1]) for t in texts(show(plain, rows=3)) if t.startswith("row ")]
    assert rows == sorted(set(rows))
    assert rows[0] < 20 < rows[1] < 40 < rows[2]


def test_thinning_keeps_the_extremes_and_the_order_of_time():
    y = np.random.default_rng(2).normal(size=10_007)
    at, kept = _outline(np.arange(10_007.0), y)
    assert len(kept) < 1000
    assert (np.diff(at) >= 0).all()
    assert (kept.max(), kept.min(), kept[-1]) == (y.max(), y.min(), y[-1])
    np.testing.assert_array_equal(kept, y[at.astype(int)])


def test_only_units_that_are_known_are_split():
    whole = [p.label for p, _ in panels(Modality((20, 6), unit="tanh of N and N m"), np.zeros((1, 20, 6)))]
    assert whole == ["tanh of N and N m"]
    assert [p.label for p, _ in panels(Modality((6,), unit="m/s^2 and rad/s"), np.zeros((1, 6)))] == ["m/s²", "rad/s"]


@pytest.mark.parametrize("shape", [(1,), (3,), (400,), (1, 1), (1, 30), (30, 2), (5, 5), (4, 6, 6), (1, 6, 6), (2, 3, 4, 5)])
def test_any_shape_is_drawn(shape):
    values = np.zeros((2, *shape))  # constant: no range to scale by
    assert panels(Modality(shape), values)
    source = from_arrays({"a": np.zeros((ROWS, *shape)), "b": np.zeros((ROWS, 2))})
    assert picture(source, format="png", rows=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": 0}, "rows is 0"),
        ({"rows": 9}, "rows is 9"),
        ({"rows": [5000]}, "5000"),
        ({"part": "all"}, "part is 'all'"),
        ({"shapes": {"pixels": (2, 2)}}, "expected 240 numbers"),
        ({"shapes": {"nothing": (2, 2)}}, "shapes names"),
    ],
)
def test_bad_input_is_named(options, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        show(SOURCES["digits"](), **options)


@pytest.mark.parametrize("name", ["push", "peg", "tap", "arm", "physiology", "digits"])
def test_shipped_sources_are_drawn_with_their_axes(name):
    small = {
        "push": {"episodes": 6, "size": 8},
        "peg": {"episodes": 4, "size": 8, "steps": 12},
        "tap": {"episodes": 40, "instances": 1, "size": 8, "seed": 1},
        "arm": {"episodes": 5, "size": 8, "stride": 40},
        "physiology": {"episodes": 3, "windows": 2},
        "digits": {},
    }
    source = SOURCES[name](**small[name])
    said = texts(show(source, rows=2))
    assert all(any(t.startswith(f"{k}, ") for t in said) for k in source.modalities)
    assert name == "digits" or {"s", "ms"} & set(said), "time has no unit"


@pytest.mark.parametrize("name", ["push", "peg", "tap", "arm", "physiology", "touch"])
def test_simulated_sources_say_what_is_not_claimed(name):
    words = " ".join(about(SOURCES[name]))
    assert all(w in words for w in ("Physical: ", "Modelled: ", "Not claimed: "))


def test_pages_are_self_contained_and_endings_checked(tmp_path):
    source = anything()
    few, words = source.select(["film", "bars"]), ["A <b>made-up</b> source."]
    text = write_samples(few, tmp_path / "a" / "rows.html", rows=1, words=words).read_text()
    assert "&lt;b&gt;made-up" in text
    assert "src=" not in text
    with pytest.raises(InputError, match=r"ending of out is '\.gif'"):
        write_samples(source, tmp_path / "rows.gif")


def test_tasks_that_share_a_source_share_a_picture(undrawn):
    suite = missing()
    found = samples(suite.tasks, rows=1)
    assert len(found) == 1
    assert set(found[0].tasks) == {t.name for t in suite.tasks}
    hidden = hide(SOURCES["digits"](), 0.5)
    assert isinstance(hidden, Source)
    assert show(hidden, rows=1).axes


def test_a_run_keeps_its_pictures_and_the_report_shows_them(tmp_path):
    out = tmp_path / "toy"
    keep_samples(toy.suite().tasks, out)
    at = {"label": "GRAM", "M": 2, "B": 64, "D": 256}
    point = Record("scaling", "M2.B64", "gram", "default", 0, at, "ms", 1.0, items=(0.9, 1.0, 1.2))
    write_cell(tmp_path / "scaling" / "cells" / "M2.B64.s0.jsonl", [point])
    page = write_report(toy.suite(), [], out, scaling=scaling_beside(out)).read_text()
    assert "<strong>toy</strong>: toy task" in page
    assert "../scaling/report.html" in page
    (out / "samples.json").write_text("{")
    with pytest.raises(InputError, match=r"samples.json is damaged"):
        kept_samples(out)


def test_every_reader_has_words_of_its_own():
    for reader in READERS.values():
        assert about(reader.load)


def test_the_command_draws_a_users_own_columns(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(ROWS, 5))
    file = write_table(tmp_path / "mine.safetensors", {"input.a": x, "input.b": x[:, :2]}, about={"unit.a": "volt"})
    out = tmp_path / "mine.html"
    assert main(["data", "show", str(file), "--out", str(out), "--rows", "1"]) == 0
    assert "a, 5: volt" in out.read_text()
    np.savez(tmp_path / "my.npz", a=x, b=x[:, :2], label=np.arange(ROWS) % 2)
    for name in (str(tmp_path / "my.npz"), "digits?seed=1"):
        assert main(["data", "show", name, "--out", str(out), "--rows", "1"]) == 0
        assert main(["data", "info", name]) == 0
    assert main(["data", "show", "nothing"]) == 2
    assert main(["data", "show", "wesad"]) == 2
    assert "say where they lie with --root" in capsys.readouterr().err
