"""UniAlign's retrieval on annotation files: every caption asks, every item answers once, and what the command refuses."""

import json

import numpy as np
import pytest

from tests.fixtures import towers
from tuplet import InputError
from tuplet.cli import main
from tuplet.study._cell import run_cell
from tuplet.study.suite import Cell, load_suite


def write(root, items=60):
    """Write items of two captions each, whose words decide the vectors of the videos."""
    root.mkdir()
    rng = np.random.default_rng(0)
    words = {w: rng.normal(size=8).astype("f4") for w in towers.WORDS[5:]}
    said = [rng.choice(list(words), 2, replace=False) for _ in range(items)]
    entries = [{"video_id": f"v{i}", "desc": [" ".join(w), " ".join(w[::-1])]} for i, w in enumerate(said)]
    (root / "train.json").write_text(json.dumps(entries[:40]))
    (root / "test.json").write_text(json.dumps(entries[40:]))
    np.savez(root / "video.npz", **{f"v{i}": words[a] + words[b] for i, (a, b) in enumerate(said) if i != 50})


def test_captions_ask_and_items_answer_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "set")
    tower = towers.text_folder(tmp_path / "tower")
    suite = load_suite(f"tuplet.suites.captioned:uni_align?root={tmp_path / 'set'}&tower={tower}")
    assert {e.name for e in suite.entries} >= {"linear", "pairwise", "gram", "uni_align", "uni_align_literal", "cone"}
    assert "triangle" not in {e.name for e in suite.entries}
    assert (suite.tasks[0].budget.lr, suite.tasks[0].budget.batch_size, suite.tasks[0].budget.epochs) == (2e-5, 512, 5)
    assert not any(e.trials for e in suite.entries)
    found = run_cell(suite, Cell("captions", "uni_align", "default", 0, {"tau": 0.07}))
    by = {(r.metric, r.detail): r for r in found}
    assert {(c.metric, c.detail) for c in suite.tasks[0].columns} <= set(by)
    asks, answers = (by["retrieval/cosine/R@1", way] for way in ("text→media", "media→text"))
    assert (asks.pool, len(asks.items)) == (19, 38)  # one of 20 items has no video
    assert (answers.pool, len(answers.items)) == (38, 19)
    assert asks.value > 3 * asks.chance
    assert asks.chance == pytest.approx(1 / 19)
    assert main(["bench", "uni-align", "--root", str(tmp_path / "set"), "--out", str(tmp_path / "out")]) == 2
    assert "needs tower; name it, as in --tower DIR" in capsys.readouterr().err
    assert main(["bench", "quickstart", "--tower", str(tower), "--out", str(tmp_path / "out")]) == 2
    assert "quickstart has no such choice" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "set/test.json").unlink()
    (tmp_path / "set/video.npz").unlink()
    with pytest.raises(InputError, match="no vectors"):
        load_suite(suite.factory)
