"""`tuplet index` and `tuplet search`: words, pictures and stored rows find what they should; bad input is one line."""

import json

import numpy as np
import pytest

from tuplet import AlignmentModel, load, store
from tuplet.cli import main
from tuplet.cli.search import _pixels
from tuplet.data import from_arrays

WORDS = ("red", "green", "blue")


def ran(*arguments):
    return main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of pictures, words and weights, its embeddings, and the pictures as files."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("search")
    rng = np.random.default_rng(0)
    colour = np.arange(90) % 3
    pixels = rng.integers(0, 60, (90, 3, 8, 8)).astype(np.uint8)
    pixels[np.arange(90), colour] += 180
    files = [str(folder / f"{i}.png") for i in range(90)]
    for file, one in zip(files, pixels, strict=True):
        image.fromarray(np.moveaxis(one, 0, -1)).save(file)
    image.new("RGB", (9, 8)).save(folder / "large.png")
    note = np.array([f"{WORDS[c]} thing" for c in colour])
    weight = rng.normal(size=(90, 2)).astype("f4") + colour[:, None]
    ids = np.array([f"item {i}" for i in range(90)])
    np.savez(folder / "my.npz", photo=pixels, note=note, weight=weight, label=note, id=ids, path=np.array(files))
    options = ("--modalities", "photo", "note", "weight", "--epochs", 12, "--out", folder / "run")
    assert ran("train", folder / "my.npz", *options) == 0
    assert ran("embed", folder / "run", folder / "my.npz", "--keep", "path", "--out", folder / "emb.safetensors") == 0
    return folder


def test_words_pictures_and_rows_find_their_like(made, capsys):
    emb, photo = made / "emb.safetensors", made / "4.png"  # a green one
    model = load(made / "run")
    words = model.encode({"note": ["green thing"]})
    pixels = model.encode({"photo": np.load(made / "my.npz")["photo"][4:5]})
    opened = store.open_store(emb)
    stored = {k: np.array(v[7]) for k, v in opened.vectors().items()}
    index = store.index(emb)
    for options, query, where in (
        (("--text", "green thing"), words, None),
        (
            ("--text", "note=green thing", "--picture", photo, "--where", "label=green thing", "label=mauve"),
            words | pixels,
            {"label": "green thing"},
        ),
        (("--picture", photo, "--modalities", "weight"), pixels, None),
        (("--like", "item 7"), stored, None),
        (("--like", "item 7", "--modalities", "weight"), {k: stored[k] for k in ("note", "photo")}, None),
    ):
        capsys.readouterr()
        assert ran("search", emb, *options, "-k", 4, "--json") == 0
        seen = json.loads(capsys.readouterr().out)
        into = ("weight",) if "--modalities" in options else None
        found = index.search(query, 4, where=where, modalities=into)
        assert [i["row"] for i in seen["found"]] == found.rows[0].tolist()
        assert [i["id"] for i in seen["found"]] == found.ids[0].tolist()
        assert np.allclose([i["score"] for i in seen["found"]], found.scores[0])
        assert (seen["pool"], seen["recall"]) == (found.pool, 1)
        if "--text" in options:
            assert {i["label"] for i in seen["found"]} == {"green thing"}
    assert ran("search", emb, "--text", "green thing", "-k", 2, "--out", made / "sheet.html") == 0
    text = capsys.readouterr().out
    assert "green thing" in text
    assert "90 items searched by note, all of them scored" in text
    assert (made / "sheet.html").read_text().count("data:image/png") == 2


def test_a_picture_is_read_as_the_model_was_trained(made):
    pixels = np.load(made / "my.npz")["photo"]
    weight = np.arange(90.0)[:, None]
    for photo in (pixels, np.moveaxis(pixels, 1, -1), pixels / 255, pixels[:, :1]):
        model = AlignmentModel.for_source(from_arrays({"photo": photo, "weight": weight}, kinds={"photo": "image"}))
        expected = photo[4:5] if photo.shape[1] > 1 else pixels[4:5].mean(axis=1, keepdims=True)
        assert np.allclose(_pixels(model, "photo", str(made / "4.png")), expected)


def test_an_index_folder_gives_the_same_answers(made, capsys):
    emb, out = made / "emb.safetensors", made / "index"
    assert ran("index", emb, "--out", out, "--objective", "cone") == 0
    assert "90 items" in capsys.readouterr().out
    for options in (("--text", "blue thing"), ("--like", "item 3", "--modalities", "photo", "note")):
        answers = []
        for place, more in ((emb, ("--objective", "cone")), (out, ())):
            assert ran("search", place, *options, "--json", *more) == 0
            answers.append(json.loads(capsys.readouterr().out))
        assert answers[0] == answers[1]
        assert answers[0]["objective"] == "Cone"
    assert ran("index", emb, "--out", out) == 2
    assert "--force" in capsys.readouterr().err
    assert ran("index", emb, "--out", out, "--force") == 0
    assert repr(store.index(out)).startswith("Index(exact, Pairwise; 90 items")
    pytest.importorskip("faiss")
    assert ran("index", emb, "--out", made / "near", "--backend", "faiss") == 0
    assert "photo -> note, weight: 100% of the exact first 10" in capsys.readouterr().out
    assert len(list((made / "near").glob("*.faiss"))) == 3
    assert np.array_equal(
        store.index(made / "near").search({"note": np.ones(64)}).rows, store.index(emb).search({"note": np.ones(64)}).rows
    )
    for graph in (made / "near").glob("*.faiss"):
        graph.write_bytes(graph.read_bytes()[:100])
    assert ran("search", made / "near", "--text", "red thing") == 2
    assert "run `tuplet index` again" in capsys.readouterr().err


def test_bad_searches_are_one_line_and_write_nothing(made, capsys, tmp_path):
    emb = made / "emb.safetensors"
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"another")
    (tmp_path / "no.png").write_bytes(b"no picture")
    nameless = store.write(tmp_path / "nameless.npz", store.read(emb))
    content = emb.read_bytes()
    (tmp_path / "half.safetensors").write_bytes(content[: len(content) // 2])
    (tmp_path / "folder").mkdir()
    for arguments, message in (
        ((emb,), "the query is empty"),
        ((emb, "--text", " "), "text is empty"),
        ((emb, "--text", "x", "--model", other), "another model"),
        ((nameless, "--text", "x"), "--model"),
        ((emb, "--picture", tmp_path / "no.png"), "no readable picture"),
        ((emb, "--picture", tmp_path / "gone.png"), "not there"),
        ((emb, "--picture", made / "large.png"), "resize it"),
        ((emb, "--like", "item 99"), "no id"),
        ((emb, "--text", "x", "-k", 0), "k is 0"),
        ((emb, "--text", "x", "-k", 91), "at most 90"),
        ((emb, "--text", "x", "--where", "colour=red"), "colour"),
        ((emb, "--text", "x", "--where", "red"), "NAME=VALUE"),
        ((emb, "--text", "x", "--modalities", "smell"), "smell"),
        ((emb, "--text", "x", "--objective", "magic"), "magic"),
        ((emb, "--text", "x", "--objective", "comm"), "learned"),
        ((emb, "--text", "x", "--out", tmp_path / "page.txt"), ".html"),
        ((tmp_path / "half.safetensors", "--text", "x"), "cut off"),
        ((tmp_path / "folder", "--text", "x"), "index.json"),
        ((tmp_path / "nowhere", "--text", "x"), "not there"),
    ):
        capsys.readouterr()
        assert ran("search", *arguments) == 2, arguments
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert message in lines[0], lines
    before = sorted(p.name for p in tmp_path.iterdir())
    for arguments, message in (
        ((tmp_path / "half.safetensors",), "cut off"),
        ((emb, "--modalities", "smell"), "smell"),
        ((emb, "--objective", "comm"), "learned"),
    ):
        assert ran("index", *arguments, "--out", tmp_path / "new") == 2
        assert message in capsys.readouterr().err
    (tmp_path / "folder" / "thesis.tex").write_text("mine")
    assert ran("index", emb, "--out", tmp_path / "folder", "--force") == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == before
