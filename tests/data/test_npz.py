"""A user's .npz file: what it may hold, and one line for everything else."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuplet import InputError
from tuplet.cli import main
from tuplet.cli.source import opened
from tuplet.data import from_arrays, from_npz

rng = np.random.default_rng(0)
A, B, Y = rng.normal(size=(60, 3)), rng.normal(size=(60, 2, 4)), np.arange(60) % 3


def saved(folder, **arrays):
    np.savez_compressed(folder / "my.npz", **arrays)
    return folder / "my.npz"


def test_file_is_the_source_of_its_arrays(tmp_path):
    missing = A.copy()
    missing[:5] = np.nan
    group = np.repeat(np.arange(20), 3)
    got = opened(str(saved(tmp_path, a=missing, b=B, label=Y.astype(float), group=group)))
    assert got.fingerprint == from_arrays({"a": missing, "b": B}, targets={"label": Y}, group=group).fingerprint
    assert got.present["a"].sum() == 55
    assert from_npz(saved(tmp_path, a=A, b=B, target=A[:, 0])).targets["target"].kind == "real"
    assert sorted(from_npz(saved(tmp_path, a=A, b=B, **{"target.mood": Y.astype(str), "label": Y})).targets) == [
        "label",
        "mood",
    ]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": A, "label": Y}, r"1 modality \(a\)"),
        ({"a": A, "b": B[:-1], "label": Y}, "59 rows"),
        ({"a": A, "b": B, "label": Y[:-1]}, "59|60"),
        ({"a": A, "b": B.astype(object), "label": Y}, "Python objects"),
        ({"a": A, "b": np.where(B > 2, np.nan, B), "label": Y}, "NaN inside"),
        ({"a": A, "b": B, "label": Y * 0}, "class"),
    ],
)
def test_bad_content_is_named(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        from_npz(saved(tmp_path, **arrays))


def test_names_and_roots(tmp_path):
    for name, root, message in (
        ("nothing", None, "source is 'nothing'"),
        ("digits", tmp_path, "leave --root out"),
        ("mosei", None, "mosei reads real data: say where they lie with --root"),
        ("digits?sed=1", None, "digits has no option 'sed'"),
        ("digits?path=x", None, "digits has no option 'path'"),
        ("digits?seed=a", None, "seed is 'a', expected a number >= 0"),
        (str(tmp_path / "no.npz"), None, "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            opened(name, root)
    assert opened("digits?seed=3").split.seed == 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_end_in_one_line(tmp_path, data):
    content = bytearray(saved(tmp_path, a=A, b=B, label=Y).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "my.npz").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    message = "read"
    try:
        from_npz(tmp_path / "my.npz")
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) == 1


def test_shapes_that_may_mean_several_things_are_guessed_aloud_or_asked_about(tmp_path):
    file = saved(tmp_path, a=A, wave=rng.normal(size=(60, 2, 50)), steps=rng.normal(size=(60, 50, 1)), label=Y)
    source = from_npz(file)
    assert {k: m.kind for k, m in source.modalities.items()} == {"a": None, "steps": "sequence", "wave": "signal"}
    assert [note.split()[0] for note in source.provenance.notes] == ["wave", "steps"]
    said = opened(f"{file}?wave=sequence")
    assert said.modalities["wave"].kind == "sequence"
    assert len(said.provenance.notes) == 1
    square = saved(tmp_path, a=A, b=rng.normal(size=(60, 5, 5)), label=Y)
    with pytest.raises(InputError, match=r"--kind b=KIND, in Python .*, with KIND one of vector, sequence"):
        from_npz(square)
    assert opened(f"{square}?b=vector").modalities["b"].kind == "vector"
    for text, message in (("b=photo", "is 'photo', expected 'vector'"), ("c=vector", "is 'c', expected 'a' or 'b'")):
        with pytest.raises(InputError, match=message):
            opened(f"{square}?{text}")


def test_a_column_of_whole_numbers_is_no_silent_modality(tmp_path):
    (note,) = from_npz(saved(tmp_path, a=A, subject=Y, label=Y)).provenance.notes
    assert "--group subject" in note
    assert "one part of the split" in note
    assert not from_npz(saved(tmp_path, a=A, b=A[:, 0], label=Y)).provenance.notes


def test_bad_files_leave_no_folder(tmp_path, capsys):
    square = saved(tmp_path, a=A, b=rng.normal(size=(60, 5, 5)), label=Y)
    out = ["--out", str(tmp_path / "out")]
    for command in (["audit", str(square), *out], ["sweep", str(square), "--pair", "a", "b", *out]):
        assert main(command) == 2
    assert main(["audit", str(saved(tmp_path, a=A, b=A, label=Y)), "--target", "x", *out]) == 2
    assert not (tmp_path / "out").exists()
    (tmp_path / "d.npz").mkdir()
    assert main(["audit", str(tmp_path / "d.npz")]) == 2
    assert main(["audit", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("is a directory") == 2


def test_data_commands_read_the_same_files(tmp_path, capsys):
    file = saved(tmp_path, a=A, b=rng.normal(size=(60, 5, 5)), subject=Y, label=Y)
    assert main(["data", "info", str(file)]) == 2
    assert main(["data", "info", f"{file}?b=vector"]) == 0
    assert "note: subject" in capsys.readouterr().out
    assert main(["data", "show", f"{file}?b=vector", "--out", str(tmp_path / "my.html")]) == 0
    assert (tmp_path / "my.html").exists()


def test_what_zipfile_raises_for_damage_is_one_line(tmp_path):
    """A member before the start of the file, a version and a method that nobody knows, a header that is cut short."""
    content = saved(tmp_path, a=A, b=B, label=Y).read_bytes()
    entry, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    for at, new in ((entry + 42, b"\xff" * 4), (entry + 6, b"\xff"), (entry + 10, b"\x63"), (end + 16, b"\xff\x0f")):
        (tmp_path / "bad.npz").write_bytes(content[:at] + new + content[at + len(new) :])
        with pytest.raises(InputError, match="is no readable") as error:
            from_npz(tmp_path / "bad.npz")
        assert "\n" not in str(error.value)


def test_a_file_larger_than_half_of_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = saved(tmp_path, a=A, b=B, label=Y)
    monkeypatch.setattr("tuplet.data._npz.free_memory", lambda: 1000)
    monkeypatch.setattr(type(file), "read_bytes", lambda self: pytest.fail("the file was read"))
    with pytest.raises(InputError, match="more than half of the free memory"):
        from_npz(file)
