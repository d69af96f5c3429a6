"""Every vector of a space as a row of a table: its numbers by brute force, and the command."""

import numpy as np
import pytest
import torch
from pyarrow import parquet

from tuplet import Embeddings
from tuplet.cli import main
from tuplet.evaluate._points import points


def test_numbers_are_those_of_plain_loops(monkeypatch):
    monkeypatch.setattr("tuplet.evaluate._points.BLOCK", 100)  # several blocks
    g = torch.Generator().manual_seed(0)
    z = {k: torch.randn(12, 3, generator=g).double() for k in "abc"}
    z["a"][4:6], z["c"][7] = z["a"][3], z["c"][1]  # ties
    here = {k: torch.rand(12, generator=g) < 0.8 for k in "ab"}
    emb = Embeddings.of(z, present=here)
    found = points(emb, k=3, how="pca")
    every = [(m, i) for m in "abc" for i in range(12) if emb.present[m][i]]
    assert list(zip(found.modality, found.item, strict=True)) == every
    unit = {k: v / v.norm(dim=1, keepdim=True) for k, v in z.items()}
    counts = dict.fromkeys(every, 0)
    for n, (m, i) in enumerate(every):
        cosines = [float(unit[m][i] @ unit[o][j]) for o, j in every]
        rest = sorted((-c for p, c in enumerate(cosines) if p != n))
        np.testing.assert_allclose(found.cosine[n], -np.array(rest[:3]))
        np.testing.assert_allclose([cosines[p] for p in found.near[n]], found.cosine[n])
        assert n not in found.near[n]
        matches, places = [], []
        for o in "abc".replace(m, ""):
            pool = [(cosines[p], q) for p, q in enumerate(every) if q[0] == o]
            edge = sorted(c for c, _ in pool)[-3]
            above, level = (sum(f(c - edge) for c, _ in pool) for f in (lambda d: d > 1e-12, lambda d: abs(d) < 1e-12))
            for c, q in pool:
                counts[q] += 1.0 if c > edge + 1e-12 else (3 - above) / level if c > edge - 1e-12 else 0.0
            for c, q in pool:
                if q == (o, i):
                    matches.append(c)
                    places.append(1 + sum(d > c + 1e-12 for d, _ in pool) + (sum(abs(d - c) < 1e-12 for d, _ in pool) - 1) / 2)
        if matches:
            assert (found.match[n], found.rank[n]) == pytest.approx((np.mean(matches), np.mean(places)))
        else:
            assert np.isnan([found.match[n], found.rank[n]]).all()
    np.testing.assert_allclose(found.found, [counts[q] for q in every])


def test_the_command_writes_a_table_and_names_what_it_lacks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(40, 4))
    np.savez("their.npz", audio=x, video=x + 0.1, label=np.array(["dog", "cat"] * 20))
    assert main(["explore", "their.npz", "--table-only", "--items", "30"]) == 0
    assert "60 vectors of 30 items -> explore.parquet" in capsys.readouterr().out
    table = parquet.read_table("explore.parquet")
    assert set(table.column_names) >= {"id", "modality", "x", "y", "match", "place", "found", "label", "neighbors"}
    assert table["neighbors"][0].as_py().keys() == {"ids", "distances"}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["explore", "their.npz"]) == 2
    assert "pip install 'tuplet[explore]'" in capsys.readouterr().err
    program = tmp_path / "embedding-atlas"
    program.write_text('#!/bin/sh\necho "$@" > asked\n', encoding="utf-8")
    program.chmod(0o755)
    assert main(["explore", "their.npz", "--map", "pca"]) == 0
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("explore.parquet --x x --y y --neighbors neighbors --text label --host 127.0.0.1 --port 5055")
