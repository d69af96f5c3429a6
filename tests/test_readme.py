"""What README.md shows runs, and says of objectives what they say of themselves."""

import re
from pathlib import Path

from tuplet import objectives
from tuplet.cli import main
from tuplet.objectives import Objective

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text()


ROOT = Path(__file__).resolve().parents[1]


def test_ten_lines_and_four_commands_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert {r.metric for r in names["results"]} >= {"probe/linear", "retrieval/own/R@1"}
    train, embed = re.findall(r"^tuplet ((?:train|embed) [^#\n]*my.npz[^#\n]*)", TEXT, re.M)
    assert main([*train.split(), "--epochs", "2"]) == 0
    assert main(embed.split()) == 0
    assert (tmp_path / "emb.npz").stat().st_size > 1000
    (search,) = re.findall(r"^tuplet (search [^#\n]*)", TEXT, re.M)
    assert main(search.split()) == 0


def test_the_first_page_is_short():
    lines = TEXT.splitlines()
    assert len(lines) <= 130
    assert "## Your own data" in lines[:60]
    assert "tuplet embed" in "\n".join(lines[:60])
    assert (ROOT / "docs" / "demo.png").stat().st_size < 150_000
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_table_of_objectives_is_that_of_their_traits():
    rows = {
        m[1]: m
        for m in re.findall(
            r"^\| ([^|]+) \| \[`(\w+)`\]\(src/[\w/.]+\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|]+)` \|$", TEXT, re.M
        )
    }
    exported = {k: getattr(objectives, k) for k in objectives.__all__}
    kinds = {k for k, v in exported.items() if isinstance(v, type) and issubclass(v, Objective)}
    assert len(rows) > 10
    assert set(rows) <= kinds
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, re.M)
    assert max(t.count("\n") for t in tables) <= len(rows) + 2  # its head
    for name, (_, _, sizes, blind, missing, cost) in rows.items():
        traits = getattr(objectives, name).traits
        low, high = traits.modalities
        assert sizes == (str(low) if low == high else f"{low} or more")
        assert blind == ("yes" if traits.sign_blind else "no")
        assert missing == {"pairs": "pairs present", "patterns": "by pattern", "complete": "complete rows"}[traits.missing]
        assert cost == traits.cost


def test_commands_exist(capsys):
    for command in set(re.findall(r"^tuplet (\w+)", TEXT, re.M)):
        assert main([command, "--help"]) == 0
        assert "usage" in capsys.readouterr().out.lower()
