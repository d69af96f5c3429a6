"""`tuplet index`, `tuplet search` and `tuplet serve`: words, pictures, sounds and stored rows find what they should."""

import io
import json
import socket
import sys
import wave

import numpy as np
import pytest

from tests.fixtures.registries import packed_sound
from tuplet import AlignmentModel, Embeddings, InputError, load, store
from tuplet.cli import main
from tuplet.cli.search import desk_of
from tuplet.cli.serve import _listening
from tuplet.data import from_arrays, read
from tuplet.data._inputs import arrays_of
from tuplet.store._ask import Desk, Raw, pixels

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
    photos = model.encode({"photo": np.load(made / "my.npz")["photo"][4:5]})
    opened = store.open_store(emb)
    stored = {k: np.array(v[7]) for k, v in opened.vectors().items()}
    index = store.index(emb)
    weights = np.array([[0.0, 1.0], [np.nan, np.nan]])  # the second row has no weight: it is no part of the query
    np.savez(made / "gap.npz", note=np.array(["red thing", "green thing"]), weight=weights)
    for options, query, where in (
        (("--text", "green thing"), words, None),
        (
            ("--text", "note=green thing", "--picture", photo, "--where", "label=green thing", "label=mauve"),
            words | photos,
            {"label": "green thing"},
        ),
        (("--picture", photo, "--modalities", "weight"), photos, None),
        (("--rows", made / "my.npz", "--row", 4, "--modalities", "note", "weight"), photos, None),
        (("--rows", made / "gap.npz", "--row", 1), words, None),
        (("--like", "item 7"), stored, None),
        (("--like", "item 7", "--modalities", "weight"), {k: stored[k] for k in ("note", "photo")}, None),
    ):
        capsys.readouterr()
        assert ran("search", emb, *options, "-k", 4, "--json") == 0
        seen = json.loads(capsys.readouterr().out)
        into = [k for k in ("note", "weight") if "--modalities" in options and k in options] or None
        found = index.search(query, 4, where=where, modalities=into, without=7 if "--like" in options else None)
        assert 7 not in found.rows or "--like" not in options
        assert [i["row"] for i in seen["found"]] == found.rows[0].tolist()
        assert [i["id"] for i in seen["found"]] == found.ids[0].tolist()
        assert np.allclose([i["score"] for i in seen["found"]], found.scores[0])
        assert (seen["pool"], seen["recall"]) == (found.pool, 1)
        if "--text" in options:
            assert {i["label"] for i in seen["found"]} == {"green thing"}
    assert ran("search", emb, "--text", "green thing", "-k", 2, "--out", made / "sheet.html") == 0
    text = capsys.readouterr().out
    assert "green thing" in text
    assert "90 items searched with note, all of them scored; ranked by the mean cosine" in text
    assert "(the model was trained for another score: --objective cone)" in text
    assert ran("search", emb, "--text", "green thing", "-k", 2, "--objective", "cone") == 0
    assert "--objective" not in capsys.readouterr().out
    assert (made / "sheet.html").read_text().count("data:image/png") == 2
    assert ran("search", emb, "--like", "item 7", "-k", 2, "--json", "--out", made / "sheet.html") == 0
    assert len(json.loads(capsys.readouterr().out)["found"]) == 2


def test_a_picture_is_read_as_the_model_was_trained(made):
    stored = np.load(made / "my.npz")["photo"]
    weight = np.arange(90.0)[:, None]
    for photo in (stored, np.moveaxis(stored, 1, -1), stored / 255, stored[:, :1]):
        model = AlignmentModel.for_source(from_arrays({"photo": photo, "weight": weight}, kinds={"photo": "image"}))
        expected = photo[4:5] if photo.shape[1] > 1 else stored[4:5].mean(axis=1, keepdims=True)
        assert np.allclose(pixels(model, "photo", made / "4.png"), expected)

    (made / "kept.csv").write_text(f"photo,path\n{made}/4.png,{made}/5.png\n")
    arrays = arrays_of(made / "kept.csv", {"path"}, {"photo": ("photo",)})
    assert arrays["photo"].shape == (1, 3, 8, 8)
    assert arrays["path"].tolist() == [f"{made}/5.png"]  # a column to keep is no modality


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
    np.savez(tmp_path / "other.npz", smell=np.zeros((3, 2)))
    for arguments, message in (
        ((emb,), "the query is empty"),
        ((emb, "--text", " "), "text is empty"),
        ((emb, "--text", "x", "--model", other), "another model"),
        ((nameless, "--text", "x"), "--model"),
        ((emb, "--picture", tmp_path / "no.png"), "no readable picture"),
        ((emb, "--picture", tmp_path / "gone.png"), "not there"),
        ((emb, "--picture", made / "large.png"), "resize it"),
        ((emb, "--like", "item 99"), "no id"),
        ((emb, "--rows", made / "my.npz", "--row", 90), "row is 90, but"),
        ((emb, "--row", 3), "give --rows FILE"),
        ((emb, "--rows", made / "my.npz", "--text", "x"), "the row of rows has note, which text"),
        ((emb, "--rows", made / "my.npz", "--row", -1), "row is -1, but"),
        ((emb, "--rows", tmp_path / "other.npz"), "but the model reads note, photo, weight"),
        ((emb, "--rows", tmp_path / "gone.npz"), "gone.npz"),
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


def recording(samples, rate=800, channels=1):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return out.getvalue()


def test_a_sound_is_read_as_the_model_was_trained(tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.integers(-20_000, 20_000, (30, 160))
    for i, one in enumerate(samples):
        (tmp_path / f"{i}.wav").write_bytes(recording(one))
    names = [tmp_path / f"{i}.wav" for i in range(30)]
    model = AlignmentModel.for_source(read({"noise": names, "weight": rng.normal(size=(30, 2))}), dim=8)
    z = model.encode({"noise": (samples / 2**15)[:, None].astype("f4")})["noise"]
    made = store.write(tmp_path / "emb.npz", Embeddings.of({"noise": z, "weight": rng.normal(size=(30, 8)).astype("f4")}))
    desk = Desk(store.index(made))
    desk.__dict__["model"] = model
    for given in (names[3], names[3].read_bytes()):
        found = desk.ask([Raw("sound", given)], modalities=["noise"], k=2)["found"]
        assert found[0]["row"] == 3
        assert np.isclose(found[0]["score"], 1)
    assert desk.ask([Raw("sound", recording(samples[4, :100]))], modalities=["noise"], k=30)  # a shorter one
    packed_sound(tmp_path / "long.flac", np.zeros((1, 601 * 8000), np.int16), 8000, "flac")
    for content, message in (
        (recording(samples[4], rate=900), "900 samples a second"),
        (recording(np.tile(samples[4], 2)), "at most 1 x 160"),
        (recording(samples[4], channels=2), "2 x 80"),
        (b"no sound", "no readable sound"),
        (b" ", "sound is empty"),
        ((tmp_path / "long.flac").read_bytes(), "is longer than 600 s; cut it"),
    ):
        with pytest.raises(InputError, match=message):
            desk.ask([Raw("sound", content)])
    with pytest.raises(InputError, match="no modalities of picture; search with like"):
        desk.ask([Raw("picture", b"x")])


def test_rows_of_what_the_index_lacks_are_told(tmp_path):
    rng = np.random.default_rng(0)
    rows = {"a": rng.normal(size=(30, 3)), "b": rng.normal(size=(30, 2))}
    model = AlignmentModel.for_source(read(rows), dim=8)
    stored = store.write(tmp_path / "emb.npz", Embeddings.of({k: model.encode({k: rows[k]})[k] for k in "b"}))
    desk = Desk(store.index(stored))
    desk.__dict__["model"] = model
    np.savez(tmp_path / "a.npz", a=rows["a"])
    with pytest.raises(InputError, match=r"a\.npz, which has a, but the index holds b; give rows of these"):
        desk.reading(tmp_path / "a.npz", 0, [])
    np.savez(tmp_path / "both.npz", **rows)
    assert set(desk.reading(tmp_path / "both.npz", 4, [])) == {"b"}


@pytest.fixture
def client(made):
    service = pytest.importorskip("tuplet.store._service")
    from fastapi.testclient import TestClient

    desk = desk_of(made / "emb.safetensors", None, None)
    return TestClient(service.application(desk, largest=20_000, hosts=("localhost",)), base_url="http://localhost")


def form(fields, files=()):
    parts = [(k, (None, str(v))) for k, values in fields.items() for v in (values if isinstance(values, list) else [values])]
    return parts + [(k, v if isinstance(v, tuple) else ("file", v)) for k, v in dict(files).items()]


def test_the_service_gives_the_answers_of_the_command(made, client, capsys):
    photo = made / "4.png"
    for arguments, fields, files in (
        (("--text", "green thing"), {"text": "green thing"}, {}),
        (("--text", "note=red thing", "--picture", photo), {"text.note": "red thing"}, {"picture.photo": photo.read_bytes()}),
        (
            ("--like", "item 7", "--modalities", "weight", "note", "-k", 3),
            {"like": "item 7", "modalities": ["weight", "note"], "k": 3},
            {},
        ),
        (
            ("--picture", photo, "--where", "label=red thing", "label=mauve"),
            {"where": ["label=red thing", "label=mauve"]},
            {"picture": photo.read_bytes()},
        ),
    ):
        capsys.readouterr()
        assert ran("search", made / "emb.safetensors", *arguments, "--json") == 0
        expected = json.loads(capsys.readouterr().out)
        replies = [client.post("/search", files=form(fields, files))]
        replies += [] if files else [client.get("/search", params=fields)]
        for reply in replies:
            answer = reply.json()
            assert answer.pop("said").startswith(f"{answer['pool']} items searched with {', '.join(expected['query'])}, all of")
            assert answer == expected
    about = client.get("/about").json()
    assert about["reads"] == {"note": {"kind": "text", "size": None}, "photo": {"kind": "picture", "size": [8, 8]}}
    assert about["filters"]["label"] == sorted(f"{w} thing" for w in WORDS)
    assert about["picture"] == "path"
    assert client.get("/picture/4").content.startswith(b"\x89PNG")
    page = client.get("/")
    assert "img-src 'self'" in page.headers["content-security-policy"]
    assert "http" not in page.text  # nothing from elsewhere


def test_bad_requests_are_one_line_and_open_no_file(made, client, monkeypatch, capsys):
    for fields, files, status, message in (
        ({"k": 3}, {}, 400, "query is empty"),
        ({"text": " "}, {}, 400, "text is empty"),
        ({"text": "x", "k": "0"}, {}, 400, "k is 0"),
        ({"text": "x", "k": "91"}, {}, 400, "at most 90"),
        ({"like": "item 1", "k": "90"}, {}, 400, "89 other items"),
        ({"text": "x", "k": "-1"}, {}, 400, "whole number"),
        ({"text": "x", "k": "1e3"}, {}, 400, "whole number"),
        ({"text": "x", "modalities": "smell"}, {}, 400, "smell"),
        ({"text.smell": "x"}, {}, 400, "not 'smell'; name one of note"),
        ({"sound.note": "x"}, {}, 400, "sound.note is a text"),
        ({"text": ["x", "y"]}, {}, 400, "twice"),
        ({"text": "x", "where": "colour=red"}, {}, 400, "colour"),
        ({"text": "x", "where": "red"}, {}, 400, "NAME=VALUE"),
        ({"like": "../../etc/passwd"}, {}, 400, "no id"),
        ({"picture": str(made / "4.png")}, {}, 400, "send the file itself"),
        ({"text": "x", "model": str(made / "run")}, {}, 400, "names 'model'"),
        ({"text": "x", "index": "/etc"}, {}, 400, "names 'index'"),
        ({}, {"picture": ("../../4.png", b"no picture")}, 400, "no readable picture"),
        ({}, {"picture": b""}, 400, "picture is empty"),
        ({}, {"picture": (made / "large.png").read_bytes()}, 400, "resize it"),
        ({}, {"text": b"words"}, 400, "text is a file"),
        ({}, {"picture": b"x" * 20_001}, 413, "more than 20000 bytes"),
        ({"text": ["x"] * 200}, {}, 400, "cannot be read"),
    ):
        reply = client.post("/search", files=form(fields, files))
        assert reply.status_code == status, (fields, files, reply.text)
        assert message in reply.json()["error"], reply.text
        assert "\n" not in reply.json()["error"]
    endless = client.post(
        "/search", content=(b"x" * 5000 for _ in range(100)), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert endless.status_code == 413
    assert client.post("/search", content=b"text=x").status_code == 415
    for path in ("/picture/90", "/picture/-1", "/picture/..%2f..%2fetc%2fpasswd", "/etc/passwd", "/../emb.safetensors"):
        assert client.get(path).status_code in (404, 422), path
    assert client.get("/", headers={"host": "elsewhere.org"}).status_code == 400
    monkeypatch.setattr(Desk, "ask", lambda *given, **how: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # which the test client passes on
        client.get("/search", params={"text": "x"})
    assert capsys.readouterr().err == "tuplet: /search: ZeroDivisionError: division by zero\n"


def test_serve_says_where_it_listens_and_what_it_needs(made, capsys, monkeypatch):
    uvicorn = pytest.importorskip("uvicorn")
    seen = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: seen.extend(sockets))
    assert ran("serve", made / "emb.safetensors", "--port", 0) == 0
    address, port = seen[0].getsockname()
    assert address == "127.0.0.1"
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith(f"http://127.0.0.1:{port} ")
    assert out[2] == f"curl -F text.note=note -F k=1 http://127.0.0.1:{port}/search"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for options, message in (
            (("--port", taken.getsockname()[1]), "choose another with --port"),
            (("--port", 70_000), "port is 70000"),
            (("--model", made / "nowhere"), "holds no model.safetensors"),
        ):
            assert ran("serve", made / "emb.safetensors", *options) == 2
            assert message in capsys.readouterr().err
    seen.pop().close()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert ran("serve", made / "emb.safetensors") == 2
    assert "needs uvicorn; run pip install 'tuplet[serve]'" in capsys.readouterr().err


def test_an_answer_does_not_wait_for_the_one_that_asked():
    with _listening("127.0.0.1", 0) as port, socket.create_connection(port.getsockname()), port.accept()[0] as answering:
        assert answering.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # else 40 ms per answer on a kept connection
