"""`tuplet inspect`: a space that somebody else trained is read in any layout, measured, judged and written."""

import json

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError, store
from tuplet.cli import main
from tuplet.diagnose import hubs
from tuplet.evaluate import foscttm, inspect, mean_cosine, retrieve
from tuplet.store.tables import save


def space(n=300, dim=16, *, noise=0.5, offset=0.0):
    """Two modalities with matches and an offset between them, and a third that knows nothing."""
    rng = np.random.default_rng(0)
    own = rng.normal(size=(n, dim))
    made = {"image": own + noise * rng.normal(size=(n, dim)) + offset, "text": own + noise * rng.normal(size=(n, dim)) - offset}
    return {k: v.astype("f4") for k, v in {**made, "noise": rng.normal(size=(n, dim))}.items()}


def two(**options):
    return Embeddings.of({k: v for k, v in space(**options).items() if k != "noise"})


def test_numbers_are_those_of_the_measures():
    z = space()
    present = {"text": np.arange(300) % 3 > 0}
    found = inspect(Embeddings.of(z, present=present), pool=150)
    assert found.items == {"image": 300, "noise": 300, "text": 200}
    assert (found.complete, found.pool) == (200, 150)
    assert len(found.directions) == 6 + 3
    drawn = {r.pool for r in found.directions.values()}
    assert drawn == {150}
    whole = Embeddings.of({k: v[present["text"]] for k, v in z.items()})
    found = inspect(whole)
    for (q, c), r in found.directions.items():
        assert r.values == retrieve(whole, q, c).values
    scores = mean_cosine({"image": whole.z["image"].double()}, {"text": whole.z["text"].double()})
    expected, seen = hubs(scores, k=10), found.hubs["image", "text"]
    assert torch.equal(expected.occurrence, seen.occurrence)
    assert (expected.skew, expected.largest, expected.queries, expected.places) == (seen.skew, seen.largest, 200, 10)
    cosine = scores.diagonal().mean()
    pair = found.pairs["image", "text"]
    assert np.isclose(pair["cosine"], cosine)
    assert np.isclose(pair["cosine_others"], (scores.sum() - scores.trace()) / (200 * 199))
    assert set(found.pairs) == {("image", "noise"), ("image", "text"), ("noise", "text")}


def test_foscttm_counts_what_is_nearer_than_the_match():
    emb = Embeddings.of({k: v + 2 for k, v in space(n=40, noise=1.5).items()})
    x, y = emb.z["image"].double(), emb.z["text"].double()
    far = torch.cdist(x, y)
    own = far.diagonal()
    expected = ((far < own[:, None]).sum() + (far < own[None, :]).sum()) / (2 * 40 * 39)
    assert 0 < expected < 0.5
    assert np.isclose(foscttm(emb, "image", "text"), float(expected))
    assert foscttm(emb, "image", "text", score=mean_cosine) == inspect(emb).pairs["image", "text"]["foscttm"]
    with pytest.raises(InputError, match="expected at least 2"):
        foscttm(Embeddings.of({"a": torch.eye(2)[:1], "b": torch.eye(2)[:1]}), "a", "b")


def test_the_verdict_says_what_is_wrong_and_what_to_do():
    good, weak = inspect(two()), inspect(two(noise=2.0))
    assert good.verdict.startswith("Usable for search: in the worst direction, ")
    assert not good.notes
    assert weak.verdict.startswith("Usable for search in part: in the worst direction")
    assert inspect(Embeddings.of(space())).verdict.startswith("Usable for search in part: ")
    assert "no more often than guessing" in inspect(Embeddings.of(space())).verdict
    shuffled = two()
    shuffled.z["text"][:] = shuffled.z["text"].flip(0)
    assert "in no direction" in inspect(shuffled).verdict
    assert inspect(two(n=30)).verdict.startswith("Unknown: 30 items")
    apart = inspect(two(offset=1.0))
    assert apart.centred > apart.directions[apart.worst].values["R@10"] + 0.02
    assert "which takes the worst direction from" in apart.notes[0]
    flipped = two()
    flipped.z["text"][:] = -flipped.z["text"]
    assert "point away from each other" in inspect(flipped).notes[0]
    copied = two()
    copied.z["text"][:40] = copied.z["text"][0]
    copied.z["image"][:3] = 0
    found = inspect(copied)
    assert found.copies == {"image": 2, "text": 39}
    assert found.zeros == {"image": 3, "text": 0}
    assert [note.split(":")[0] for note in found.notes[:2]] == ["image", "text"]
    crowded = two(dim=64)
    crowded.z["text"][7] = crowded.z["image"].mean(dim=0) * 50
    crowded.z["image"][:] += crowded.z["image"].mean(dim=0) * 10
    assert any("csls" in note and "image -> text" in note for note in inspect(crowded).notes)
    flat = two()
    flat.z["text"][:, 1:] *= 1e-4
    assert any(note.startswith("text has collapsed") for note in inspect(flat).notes)


def test_every_layout_gives_the_same_numbers(tmp_path, capsys):
    pd = pytest.importorskip("pandas")
    z = {k: v for k, v in space().items() if k != "noise"}
    ids = np.array([f"i{k}" for k in range(300)])
    emb = Embeddings.of(z)
    folder, arrays = tmp_path / "tables", tmp_path / "arrays"
    folder.mkdir()
    arrays.mkdir()
    moved = np.random.default_rng(1).permutation(300)
    pd.DataFrame({"id": ids, "vector": list(z["image"])}).to_parquet(folder / "image.parquet")
    pd.DataFrame({"id": ids[moved], "vector": list(z["text"][moved])}).to_parquet(folder / "text.parquet")
    more = {"path": ["no.png"] * 300, "year": np.arange(300.0), "label": [f"c{i % 3}" for i in range(300)]}
    pd.DataFrame({"id": ids, **{k: list(v) for k, v in z.items()}, **more}).to_parquet(tmp_path / "wide.parquet")
    flat = {f"{k}.{i}": v[:, i].astype("f8") for k, v in z.items() for i in range(16)}
    pd.DataFrame({"id": ids, **flat, "note": more["label"]}).to_csv(tmp_path / "flat.csv", index=False)
    np.savez(tmp_path / "plain.npz", **z)
    np.savez(tmp_path / "own.npz", image=z["image"], text=z["text"][moved], **{"image.id": ids, "text.id": ids[moved]})
    for k, v in z.items():
        np.save(arrays / f"{k}.npy", v)
    store.write(tmp_path / "own.safetensors", emb, ids=ids)
    store.write(tmp_path / "long.parquet", emb, ids=ids)
    assert main(["index", str(tmp_path / "plain.npz"), "--out", str(tmp_path / "index")]) == 0
    seen = []
    for name in (
        "tables",
        "arrays",
        "wide.parquet",
        "flat.csv",
        "plain.npz",
        "own.npz",
        "own.safetensors",
        "long.parquet",
        "index",
    ):
        capsys.readouterr()
        assert main(["inspect", str(tmp_path / name), "--json", str(tmp_path / "r.json")]) == 0, name
        note = json.loads((tmp_path / "r.json").read_text())
        seen.append([[v for v in entry.values() if isinstance(v, float)] for entry in note["scores"]["test"]])
        assert capsys.readouterr().out.startswith("Usable for search: ")
    assert np.allclose(seen, seen[0], atol=1e-5)
    opened = store.open_store(tmp_path / "wide.parquet")
    assert {k: v.dtype.kind for k, v in opened.columns.items()} == {"label": "U", "path": "U", "year": "f"}
    assert main(["search", str(tmp_path / "wide.parquet"), "--like", "i7", "-k", "1", "--modalities", "text"]) == 0
    assert "299 items searched with image" in capsys.readouterr().out
    first = note["scores"]["test"][0]
    assert {"main_score", "hf_subset", "languages", "recall_at_1", "ndcg_at_10"} <= set(first)
    assert first["hf_subset"] == "image-text"
    assert first["main_score"] == retrieve(emb, ("image",), ("text",)).values["nDCG@10"]
    assert {"dataset_revision", "task_name", "mteb_version", "evaluation_time", "kg_co2_emissions"} <= set(note)


def test_missing_ids_parts_and_pages(tmp_path, capsys):
    z = space()
    np.savez(tmp_path / "own.npz", a=z["image"][:290], b=z["text"][5:], a_id=np.arange(290), b_id=np.arange(5, 300))
    assert main(["inspect", str(tmp_path / "own.npz"), "--out", str(tmp_path / "r.html")]) == 0
    out = capsys.readouterr().out
    assert "Items: a 290, b 295, both 285; 285 were searched." in out
    assert "a -> b" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert "a → b" in (tmp_path / "r.html").read_text()
    part = np.array(["train", "test", "test"])[np.arange(300) % 3]
    label = np.array(["x", "y"])[np.arange(300) % 2]
    here = dict.fromkeys(sorted(z), np.ones(300, bool))
    save(store.Stored(np.arange(300), here, lambda: z, {"part": part, "label": label}, {}), tmp_path / "emb.safetensors")
    for options, said in (((), "200 of 300"), (("--part", "train"), "100 of 300"), (("--part", "all"), "300 were searched")):
        assert main(["inspect", str(tmp_path / "emb.safetensors"), *options]) == 0
        assert said in capsys.readouterr().out
    options = ("--relevance", "label", "--modalities", "image", "noise", "--objective", "cone", "--part", "all")
    assert main(["inspect", str(tmp_path / "emb.safetensors"), *options]) == 0
    assert "image -> noise  0.5" in capsys.readouterr().out


def test_what_is_no_space_is_one_line(tmp_path, capsys):
    z = space()
    wide = np.concatenate([z["text"]] * 2, axis=1)
    bad = z["image"].copy()
    bad[3, 2] = np.inf
    for name, arrays, options, said in (
        ("widths", {"a": z["image"], "b": wide}, (), "name those with --modalities"),
        ("sizes", {"a": z["image"], "b": z["text"][1:]}, (), "add an array a.id"),
        ("words", {"a": np.array(["x"])}, (), "no embeddings"),
        ("one", {"a": z["image"]}, (), "two modalities or more"),
        ("inf", {"a": bad, "b": z["text"]}, (), "1 vectors of 'a' have NaN or infinite"),
        ("names", {"a": bad, "b": z["text"]}, ("--modalities", "c"), "modalities names ['c']"),
        ("part", {"a": bad, "b": z["text"]}, ("--part", "test"), "expected one of ['all']"),
        ("pool", {"a": bad, "b": z["text"]}, ("--pool", "1"), "pool is 1"),
        ("html", {"a": bad, "b": z["text"]}, ("--out", "x.txt"), "ends with .html"),
        ("json", {"a": bad, "b": z["text"]}, ("--json", "x.txt"), "ends with .json"),
        (
            "apart",
            {"a": z["image"], "b": z["text"], "a.id": np.arange(300), "b.id": np.arange(300) + 300},
            (),
            "no id in common",
        ),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert main(["inspect", str(tmp_path / f"{name}.npz"), *options]) == 2, name
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert said in lines[0], lines
    parquet, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    twice = {"id": ["y", "x", "x"], "modality": ["text"] * 3, "vector": [[1.0, 0.0]] * 3}
    parquet.write_table(pa.table(twice), tmp_path / "twice.parquet")
    assert main(["inspect", str(tmp_path / "twice.parquet")]) == 2
    assert "'x' twice in modality 'text'" in capsys.readouterr().err
