"""A refused audit or sweep leaves no file, and the corrected command runs in the same folder."""

import json
from functools import partial

import numpy as np
import pytest

from tests.audit.malformed import files as files_of_malformed
from tests.hostile import checked, loose
from tuplet import InputError
from tuplet.audit import _figures, audit, run
from tuplet.audit._question import asked, limits
from tuplet.cli import main
from tuplet.data import from_arrays
from tuplet.diagnose.similarity import similarity
from tuplet.report.ink import svg


@pytest.fixture(autouse=True)
def short(monkeypatch, unlearned):
    """Draw few times and no figure: what intervals, nulls and reports are does not matter here."""
    monkeypatch.setattr(_figures, "svg", lambda figure: "<svg></svg>")
    for name in ("permutations", "bootstrap"):
        monkeypatch.setitem(audit.__kwdefaults__, name, 3)
    monkeypatch.setattr(run, "similarity", partial(similarity, shuffles=3))


def write(folder, n=60, **more):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = {k: rng.normal(size=(n, 2)) + y[:, None] for k in ("a", "b")}
    np.savez(folder / "my.npz", **x, label=y, **more)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != "my.npz")


AUDIT = [
    "--seeds 1",
    "--seeds 0",
    "--seeds -2",
    "--steps 0",
    "--steps -5",
    "--pairs a",
    "--pairs a c",
    "--pairs a a",
    "--target mood",
]
SWEEP = [
    "--seeds 0", "--steps 0", "--steps -1", "--epochs 0", "--batch-size 0", "--batch-size -3", "--lr 0", "--lr nan",
    "--lambdas -1", "--lambdas nan", "--lambdas inf", "--objective unknown", "--target mood", "--threshold 0",
]  # fmt: skip


def test_a_refused_command_leaves_no_file_and_the_corrected_one_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # both commands write to runs/ when not told otherwise
    write(tmp_path)
    for command, options in (("audit my.npz", AUDIT), ("sweep my.npz --pair a b", SWEEP)):
        for option in options:
            assert main([*command.split(), *option.split()]) == 2, option
            (line,) = capsys.readouterr().err.strip().splitlines()
            assert option.split()[0].strip("-").replace("-", "_").replace("lambdas", "strengths") in line, line
            assert files(tmp_path) == [], option
    for command in ("audit my.npz --seeds 2 --steps 2", "sweep my.npz --pair a b --lambdas 1 --seeds 1 --steps 2"):
        assert main(command.split()) == 0
    for pair in ("a a", "a c"):
        assert main(["sweep", "my.npz", "--pair", *pair.split(), "--out", "fresh"]) == 2
    assert not (tmp_path / "fresh").exists()


@pytest.mark.whole
def test_a_verdict_out_of_reach_is_said_first(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = "No verdict is possible: 48 rows outside the test part hold both modalities, and a verdict needs 50 (about 63 rows"
    folds = (
        "The validation rows come from 2 groups, and a verdict by them alone needs 10. So 5 folds over 8 groups (2 more kept"
    )
    for n, begins in ((300, folds), (60, few)):
        write(tmp_path, n=n, group=np.arange(n) // (n // 10))
        assert main(["audit", "my.npz", "--seeds", "2", "--steps", "2", "--out", str(n)]) == 0
        assert (shown := " ".join(capsys.readouterr().out.split())).startswith(begins)
        assert ("5 folds over 8 groups (240 rows)" in shown) == ("held-out" in shown) == (n == 300)
        assert json.loads((tmp_path / f"{n}" / "audit.json").read_text())["settings"]["folds"] == (5 if n == 300 else 1)
    write(tmp_path, n=60, group=np.arange(60) // 15)
    assert main(["audit", "my.npz", "--out", "four"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "come from 3 groups (1 more kept for the test), expected 4 or more" in line
    assert "Give rows of 5 groups or more in all" in line
    assert not (tmp_path / "four").exists()


def test_limits_count_rows_and_groups_per_pair():
    rng = np.random.default_rng(0)
    x = {k: rng.normal(size=(600, 2)) for k in "abc"}
    x["c"][:550] = np.nan
    source = from_arrays(x, targets={"label": np.arange(600) % 2})
    (said,) = limits(source, asked(source))
    assert said.startswith("No verdict is possible on a + c, b + c: ")
    here = sum(int(rows.present["c"].sum()) for rows in (source.train, source.val))
    assert f": {here} rows outside the test part hold both modalities, and a verdict needs 50 (about 63 rows" in said
    (said,) = limits(source, asked(source, pairs=[("b", "c")], folds=1))
    assert said.startswith("No verdict is possible: ")
    assert limits(source, asked(source, pairs=[("b", "a")])) == []
    grouped = from_arrays({k: x[k] for k in "ab"}, targets={"label": np.arange(600) % 2}, group=np.arange(600) // 6)
    assert limits(grouped, asked(grouped)) == []
    with pytest.raises(InputError, match="at least one above 0"):
        asked(source, strengths=(0.0,))


@pytest.mark.whole
def test_fresh_starts_a_folder_anew_once_the_arguments_are_right(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    for command, option in (
        ("audit my.npz --seeds 2 --steps 2", "--steps 3"),
        ("sweep my.npz --pair a b --lambdas 1 --seeds 1 --steps 2", "--batch-size 20"),
    ):
        assert main(command.split()) == 0
        before = files(tmp_path)
        assert main([*command.split(), *option.split()]) == 2
        assert main([*command.split(), "--steps", "0", "--fresh"]) == 2
        assert files(tmp_path) == before
        assert main([*command.split(), *option.split(), "--fresh"]) == 0


def test_a_malformed_audit_file_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    command = ["audit", "my.npz", "--seeds", "2", "--steps", "2", "--out", "out"]
    assert main(command) == 0
    good = (tmp_path / "out" / "audit.json").read_text()
    content = json.loads(good)
    (pid, tried, near) = (next(k for k in content["pieces"] if k.startswith(w)) for w in ("pid", "pilot", "similarity"))

    def with_(piece, **more):
        return json.dumps(content | {"pieces": content["pieces"] | {piece: content["pieces"][piece] | more}})

    forms = ["", "null", "[]", "{", "[" * 5000, "\udcff", good.replace('"schema": 1', '"schema": 2'), "{}"]
    forms += [json.dumps(content | {k: v}) for k in ("settings", "pieces", "schema") for v in (None, [], "x", 3.5)]
    forms += [
        json.dumps(content | {"pieces": content["pieces"] | {k: v}})
        for k in (pid, tried, near)
        for v in (None, [], {}, {"a": 1}, 4)
    ]
    forms += [with_(pid, **{k: v}) for k, v in (("redundancy", "x"), ("redundancy", 5.0), ("units", "bit"), ("interval", {}))]
    forms += [with_(pid, **{k: v}) for k, v in (("significant", []), ("significant", {"redundancy": 1}), ("warnings", "no"))]
    forms += [with_(tried, **{k: v}) for k, v in (("gain", [0.0]), ("covariance", [[0.0]]), ("scores", {"a": [[1.0]]}))]
    forms += [with_(tried, **{k: v}) for k, v in (("strengths", [0.0, 1.0]), ("seeds", ["0", "1"]), ("rows", -1))]
    forms += [with_(near, **{k: v}) for k, v in (("cka", 0.5), ("mutual_knn", {"value": "x"}))]
    forms += [good.replace('"gain": [0.0', '"gain": [NaN', 1), good.replace('"rows": ', '"rows": 1e999, "rows": ', 1)]
    for form in forms:
        (tmp_path / "out" / "audit.json").write_bytes(form.encode("utf-8", "surrogateescape"))
        capsys.readouterr()
        assert main(command) == 2, form[:200]
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith("tuplet: "), form[:200]
    (tmp_path / "out" / "audit.json").write_text(good)
    with checked() as seen:
        assert main(command) == 0
    free = {"pieces": ("settings/*", "pieces/*"), "estimator": ("null/*",)}
    free["covariance"] = ("folds", "bar", "freedom", "scores/*", "fitted/*")
    free["mutual_knn"] = ("cka/chance", *(k for k in content["pieces"][near] if k not in ("mutual_knn", "cka")))
    found = {k: loose(*one, free[k]) for one in seen for k in free if k in one[1]}
    assert found.keys() == free.keys()
    assert not any(found.values()), found


@pytest.mark.whole
def test_malformed_files_come_out_right_or_as_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, refused = {}, 0
    for i, (name, arrays) in enumerate(files_of_malformed().items()):
        monkeypatch.setattr(_figures, "svg", svg if "names" in name else lambda figure: "<svg></svg>")
        np.savez(f"f{i}.npz", **arrays)
        pair = sorted(k for k in arrays if k not in ("label", "target", "group"))[:2]
        commands = [["audit", f"f{i}.npz", "--seeds", "2", "--steps", "1", "--out", f"a{i}"]]
        if i % 8 == 0 and not any(k.startswith("-") for k in pair):  # both read files in the same way
            commands.append(["sweep", f"f{i}.npz", "--lambdas", "1", "--seeds", "1", "--steps", "1", "--pair", *(pair * 2)[:2]])
        for command in commands:
            code = main(command)
            out, err = capsys.readouterr()
            said = [line for line in err.strip().splitlines() if line.startswith("tuplet: ")]
            if code not in (0, 2) or len(said) != (code == 2) or "nan" in out.replace("nano", ""):
                wrong[name, command[0]] = err[-300:]
            left = [str(p) for p in tmp_path.rglob("audit.json") if p.parent.name == f"a{i}"]
            if code == 2 and left:
                wrong[name, command[0]] = left
            refused += code == 2
    assert not wrong
    assert refused > 20
    names = {"runs"} | {f"{c}{i}{e}" for i in range(99) for c, e in (("f", ".npz"), ("a", ""))}
    assert {p.name for p in tmp_path.iterdir()} <= names
