"""What README.md shows runs, and says of objectives what they say of themselves."""

import re
from pathlib import Path

import pytest

from tuplet import objectives
from tuplet.cli import main
from tuplet.objectives import Objective

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_code_runs(code, capsys):
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    if "loss" in names:
        assert names["scores"].shape == (64, 64)
        assert names["loss"].terms
    elif "pid" in names:
        assert f"# {capsys.readouterr().out.strip()}:" in code
    else:
        assert {r.metric for r in names["results"]} >= {"probe/linear", "retrieval/own/R@1"}


def test_the_table_of_objectives_is_that_of_their_traits():
    rows = {
        m[1]: m
        for m in re.findall(
            r"^\| ([^|]+) \| \[`(\w+)`\]\([\w/.]+\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|]+)` \|$", TEXT, re.M
        )
    }
    exported = {k: getattr(objectives, k) for k in objectives.__all__}
    kinds = {k for k, v in exported.items() if isinstance(v, type) and issubclass(v, Objective)}
    assert set(rows) == kinds - {"Objective", "Sum", "Supervised", "UnimodalTask"}  # those that align
    for name, (_, _, sizes, blind, missing, cost) in rows.items():
        traits = getattr(objectives, name).traits
        low, high = traits.modalities
        assert sizes == (str(low) if low == high else f"{low} or more")
        assert blind == ("yes" if traits.sign_blind else "no")
        assert (
            missing == {"pairs": "pairs present", "patterns": "by pattern", "complete": "complete rows"}[traits.missing]
        )
        assert cost == traits.cost


def test_commands_exist(capsys):
    for command in set(re.findall(r"^tuplet (\w+)", TEXT, re.M)):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
