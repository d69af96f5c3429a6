"""An audit end to end on tiny data: kept pieces, reports, the command, and training by its plan."""

import html
import json
import re
import shlex
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tuplet import InputError
from tuplet.audit import Pilot, _report, audit, pilot, run
from tuplet.audit._advised import advised, confirmed
from tuplet.audit._keep import DECOMPOSED, TRIED, Kept
from tuplet.audit._report import summary, write_report
from tuplet.audit._words import answer
from tuplet.audit.pilots import Pilots
from tuplet.catalog import SOURCES
from tuplet.cli import main
from tuplet.data import from_arrays
from tuplet.information import PID, _posteriors, clustered, discrete
from tuplet.study.record import read_cell
from tuplet.train import _session

TINY = {"seeds": (0, 1), "strengths": (1.0,), "steps": 4, "permutations": 20, "bootstrap": 20}


def three(n=180):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    x = {k: 2.0 * y[:, None] + rng.normal(size=(n, 3)) for k in ("sight", "sound", "touch")}
    return from_arrays(x, targets={"label": y}, name="three")


@pytest.fixture(scope="module", autouse=True)
def _unlearned():
    """Networks learn for a moment: no test here reads how well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_posteriors, "STEPS", 5)
        yield


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("audit")
    return audit(three(), out=out, **TINY), out


def test_every_pair_and_every_rest_is_there(found):
    made, _ = found
    assert [p.pair for p in made.pairs] == [("sight", "sound"), ("sight", "touch"), ("sound", "touch")]
    assert sorted(made.rest) == ["sight", "sound", "touch"]
    for p in made.pairs:
        assert p.pid.redundancy + p.pid.unique1 == pytest.approx(p.pid.information1, abs=1e-3)
        assert p.similarity["mutual_knn"]["low"] <= p.similarity["mutual_knn"]["high"]
        assert len(p.advice.evidence) >= 3
    assert set(made.plan) <= {p.pair for p in made.pairs}


@pytest.mark.whole
def test_a_stopped_audit_continues_and_ends_the_same(found, tmp_path):
    made, out = found
    content = json.loads((out / "audit.json").read_text())
    kept = {k: v for k, v in content["pieces"].items() if "touch" not in k}
    (tmp_path / "audit.json").write_text(json.dumps(content | {"pieces": kept}))
    first = audit(three(), out=tmp_path, pairs=[("sight", "sound")], **TINY)
    assert first.pairs == made.pairs[:1]
    again = audit(three(), out=tmp_path, **TINY)
    assert again.pairs == made.pairs
    assert again.rest == made.rest
    assert made.pairs[0].pid.to("nats").interval["redundancy"] == pytest.approx(
        np.log(2) * np.array(made.pairs[0].pid.interval["redundancy"])
    )
    with pytest.raises(InputError, match="holds an audit with steps = 4, this one has steps = 5"):
        audit(three(), out=out, **TINY | {"steps": 5})
    (tmp_path / "audit.json").write_text("{")
    with pytest.raises(InputError, match=r"audit.json is no JSON .*--fresh"):
        audit(three(), out=tmp_path, **TINY)


def test_a_sweep_reads_what_an_audit_advised_on_the_same_data_and_says_whether_it_agrees(found):
    made, out = found
    source = three()
    for p in made.pairs:
        assert advised(out, source, p.pair[::-1], "label") == (p.advice, 4)
    other = three(150)
    assert advised(out, other, ("sight", "sound"), "label") is None
    assert advised(out / "nothing", source, ("sight", "sound"), "label") is None
    advice = made.pairs[0].advice
    sure = replace(advice, strength=0.0, curve=replace(advice.curve, helps=0.8, hurts=0.96, same=0.8))
    said = {
        (verdict, asked, word): confirmed(replace(sure, verdict=verdict), word, out)
        for verdict, asked in (("helps", "perhaps"), ("hurts", "no"), ("no difference", "no difference"))
        for word in ("yes", "no", "it depends", "no clear difference", "unknown")
    }
    agreed = {("perhaps", "yes"), ("no", "no"), ("no difference", "no clear difference")}
    assert {k[1:] for k, v in said.items() if v.endswith("This sweep confirms it.")} == agreed
    open_ = {k[1:] for k, v in said.items() if "neither confirms nor contradicts" in v}
    assert open_ == {(a, w) for a in ("perhaps", "no", "no difference") for w in ("no clear difference", "unknown")} - agreed
    assert "said: no (probability of a loss 0.96). This sweep contradicts it." in said["hurts", "no", "yes"]
    assert confirmed(replace(advice, verdict="unpaired"), "yes", out).endswith("There is nothing to confirm.")


def test_what_is_restored_is_what_was_kept(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 2))
    pid = clustered(x, x + 1.0, (x[:, 0] > 0).astype(int), permutations=20, bootstrap=20)
    tried = pilot(three(), ("sight", "sound"), strengths=(1.0,), seeds=(0, 1), steps=2)
    kept = Kept(tmp_path, {})
    for name, made, schema, kind in (("pid", pid, DECOMPOSED, PID), ("pilot", tried, TRIED, Pilot)):
        assert kept.get(name, lambda made=made: made, schema, kind) == made
        assert Kept(tmp_path, {}).get(name, lambda: None, schema, kind) == made


def test_report_needs_nothing_from_elsewhere(found, tmp_path):
    made, _ = found
    text = write_report(made, tmp_path).read_text()
    assert text.count("<svg") == 8
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*//', text)
    for p in made.pairs:
        assert answer(p) in html.unescape(text)
    assert len(summary(made).splitlines()) <= 20


def test_summary_of_many_pairs_stays_short(found):
    made, _ = found
    many = type(made)(made.source, made.data, made.target, made.rows, made.pairs * 7, made.rest, 0.0, made.settings)
    lines = summary(many).splitlines()
    assert len(lines) <= 20
    assert "10 more in the report" in "\n".join(lines)


def test_terminal_table_and_page_give_one_answer_and_the_table_fits_80_columns(found, tmp_path, undrawn):
    made, _ = found
    long = [replace(p, pair=("x" * 40, "y" * 40)) for p in made.pairs]
    for pairs in (made.pairs, long):
        kept = replace(made, pairs=tuple(pairs))
        text = html.unescape(write_report(kept, tmp_path).read_text())
        lines = summary(kept).splitlines()
        table = lines[2 : 3 + len(pairs)]
        assert max(map(len, table)) <= 80
        for p, line in zip(pairs, sorted(table[1:]), strict=True):
            assert f"  {p.advice.word}  " in line
            assert f"<h2>{' + '.join(p.pair)}: {p.advice.word}</h2>" in text
            assert p.advice.word.capitalize() in lines[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "mood"}, "target is 'mood'"),
        ({"pairs": [("sight", "smell")]}, "pairs has"),
        ({"pairs": [("sight", "sight")]}, "pairs has"),
        ({"seeds": (0,)}, "seeds has 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        audit(three(), **TINY | options)
    x = np.zeros((9, 2)) + np.arange(9)[:, None]
    with pytest.raises(InputError, match="no target"):
        audit(from_arrays({"a": x, "b": x}))


def test_digits_have_fifteen_pairs():
    source = SOURCES["digits"]()
    assert len(source.modalities) * (len(source.modalities) - 1) // 2 == 15


def test_command_audits_a_users_file(tmp_path, capsys, undrawn, unlearned):
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    np.savez(tmp_path / "my.npz", a=y[:, None] + rng.normal(size=(60, 2)), b=rng.normal(size=(60, 3)), label=y)
    command = ["audit", str(tmp_path / "my.npz"), "--steps", "3", "--seeds", "2", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "a + b" in shown
    assert "report.html" in shown
    assert len(shown.splitlines()) <= 20
    assert "\nWhether to align a and b is unknown." in shown  # after a line that says what is out of reach
    assert "bits about label in both" in shown
    assert "always the most frequent class 50 %" in shown
    (check,) = (line for line in shown.splitlines() if line.startswith("Check on test rows: "))
    words = shlex.split(check.removeprefix("Check on test rows: tuplet "))
    assert main([*words, "--out", str(tmp_path / "sweep"), "--audit", str(tmp_path / "out")]) == 0
    assert f"The audit in {tmp_path / 'out'} said: unknown. There is nothing to confirm.\n" in capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "other"), "--audit", str(tmp_path / "sweep")]) == 2
    assert "holds no finished audit of a and b" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    cells = [c for c in (tmp_path / "sweep" / "cells").iterdir() if c.name.startswith("0.s")]
    assert {read_cell(c)[0].budget["steps"] for c in cells} == {3}
    assert {read_cell(c)[0].budget["lr"] for c in cells} == {3e-3}
    assert len(cells) == 2
    capsys.readouterr()
    assert main(["audit", "nothing"]) == 2
    assert main(["audit", "digits", "--pairs", "fourier", "--out", str(tmp_path)]) == 2
    assert "two by two" in capsys.readouterr().err


def test_a_real_target_is_not_told_in_points_of_accuracy(tmp_path):
    x = np.random.default_rng(0).normal(size=(120, 3))
    source = from_arrays({"a": x, "b": x + 1}, targets={"label": x.sum(axis=1)})
    text = summary(audit(source, seeds=(0, 1), strengths=(1.0,), steps=3, permutations=20, bootstrap=20))
    assert "hundredths of R2" in text
    assert "a constant prediction 0" in text
    assert "points" not in text
    assert "accuracy" not in text


def test_auto_without_the_target_names_the_fix(tmp_path, capsys):
    text = RECIPE.replace('"label": y', '"act": y')
    (tmp_path / "recipe.py").write_text(text)
    assert main(["train", str(tmp_path / "recipe.py"), "--align", "auto", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "['act']" in error
    assert "Recipe(..., target=...)" in error


RECIPE = """
import numpy as np, torch
from tuplet import Recipe
from tuplet.data import from_arrays
from tuplet.model import AlignmentModel
from tuplet.objectives import Pairwise
from tuplet.train import TrainConfig

def recipe():
    y = np.arange(100) % 2
    x = y[:, None] + np.random.default_rng(0).normal(size=(100, 3))
    source = from_arrays({"a": x, "b": x[:, ::-1].copy()}, targets={"label": y})
    torch.manual_seed(0)
    model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=8)
    return Recipe(source, model, Pairwise(), TrainConfig(epochs=2, batch_size=20))
"""


@pytest.mark.parametrize("plan", [[], [("a", "b", 0.3)]])
def test_training_follows_the_plan_and_is_evaluated_with_it(tmp_path, capsys, monkeypatch, plan, unlearned):
    (tmp_path / "recipe.py").write_text(RECIPE)
    asked = []
    monkeypatch.setattr(import_module("tuplet.cli.train"), "planned", lambda recipe, out: asked.append(out) or plan)
    command = ["train", str(tmp_path / "recipe.py"), "--align", "auto", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert main(command) == 0
    assert asked == [tmp_path / "run" / "audit"]  # a run that has begun keeps its plan
    assert json.loads((tmp_path / "run" / "run.json").read_text())["plan"] == [list(p) for p in plan]
    terms = json.loads((tmp_path / "run" / "train.jsonl").read_text().splitlines()[-1])
    assert any("contrast" in k for k in terms) == bool(plan)
    assert main(["evaluate", str(tmp_path / "run"), "--recipe", str(tmp_path / "recipe.py")]) == 0
    assert main([*command, "--devices", "2"]) == 2
    assert "one process" in capsys.readouterr().err


def test_a_run_stopped_in_its_audit_and_in_its_training_ends_as_the_whole_one(tmp_path, monkeypatch, unlearned):
    room = import_module("tuplet.cli.train")
    (tmp_path / "recipe.py").write_text(RECIPE)
    monkeypatch.setattr(_report, "write_report", lambda found, out: out)
    score = {"value": 0.5, "chance": 0.1, "low": 0.0, "high": 0.1}
    scores = dict.fromkeys("ab", ((0.5, 0.5), (0.9, 0.9)))
    tried = Pilot((0.0, 0.3), (0, 1), "accuracy", scores, (0.0, 40.0), ((0.0, 0.0), (0.0, 1.0)), 80, {"a": 1.0, "b": 1.0}, 0.5)
    pieces = {"decompose": discrete(np.ones((2, 2, 2))), "pilot": tried, "_compared": {"mutual_knn": score, "cka": score}}
    done, stops = [], []

    def counted(where, name, make):
        def once(*given, **options):
            done.append(name)
            if stops and done[-len(stops[0]) :] == stops[0]:
                stops.pop(0)
                raise KeyboardInterrupt
            return make(*given, **options)

        monkeypatch.setattr(where, name, once)

    for name, piece in pieces.items():
        counted(Pilots if name == "pilot" else run, name, lambda *given, piece=piece, **options: piece)
    for where, name in ((room, "planned"), (_session, "validation_loss")):
        counted(where, name, getattr(where, name))
    command = ["train", str(tmp_path / "recipe.py"), "--align", "auto", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert done == ["planned", *pieces, *["validation_loss"] * 2]
    done.clear()
    stops += [["_compared"], ["validation_loss"] * 2]
    assert [main([*command, str(tmp_path / "halves")]) for _ in range(3)] == [130, 130, 0]
    assert done == ["planned", *pieces, "planned", "_compared", *["validation_loss"] * 3]
    notes = [json.loads((tmp_path / k / "run.json").read_text()) for k in ("whole", "halves")]
    assert notes[0] == notes[1]
    assert len(notes[0]["plan"]) == 1
    whole, halves = (load_file(tmp_path / k / "model.safetensors") for k in ("whole", "halves"))
    torch.testing.assert_close(halves, whole, rtol=0, atol=0)
