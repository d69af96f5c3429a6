"""`tuplet train --method`: touch, vision and text on towers, from the user's file to vectors."""

from pathlib import Path

import numpy as np
import pytest

import tuplet
from tests.fixtures import touch_sets
from tests.fixtures.clip_folder import clip_folder
from tuplet.cli import main
from tuplet.cli.search import desk_of
from tuplet.model import read_weights

WORDS = np.array(["rough wood", "soft cloth", "hard glass", "even metal"])


def arrays(n=40, side=16):
    rng = np.random.default_rng(0)
    pictures = {k: rng.integers(0, 256, size=(n, 3, side, side), dtype=np.uint8) for k in ("touch", "vision")}
    return {**pictures, "text": WORDS[np.arange(n) % 4], "sensor": np.array(["digit", "mini"])[np.arange(n) // 2 % 2]}


def saved(name, **changes):
    found = {k: v for k, v in (arrays() | {"label": np.arange(40) % 2} | changes).items() if v is not None}
    np.savez(name, **found)
    return name


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, unlearned):
    monkeypatch.chdir(tmp_path)


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:the gradient of")  # of towers with random weights
def test_methods_train_and_embed(capsys):
    file, raw = saved("my.npz", group=np.arange(40) // 4), arrays()
    clip_folder("clip")
    for method, more in (
        ("tlv_core", ["--tower", "clip"]),
        ("any_touch", []),
        ("vit_lens", []),
    ):
        command = ["train", file, "--method", method, "--epochs", "1", "--batch-size", "8", "--out", method, *more]
        assert main(command) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert ("Towers: tiny ones with random weights" in said) == (not more)
        assert "Sensors: 2" in said
        assert main(["embed", method, file, "--batch-size", "2", "--out", f"{method}.npz"]) == 0, capsys.readouterr().err
        model = tuplet.load(method)
        wanted = model.encode({k: raw[k] for k in model.encoders}, aux={"sensor": (raw["sensor"] == "mini").astype(int)})
        with np.load(f"{method}.npz") as found:
            assert set(found["part"]) == {"train", "val", "test"}
            for k, z in wanted.items():
                np.testing.assert_allclose(found["vector"][found["modality"] == k], z, atol=1e-5, err_msg=f"{method} {k}")
        desk = desk_of(Path(f"{method}.npz"), None, Path(method))
        row = desk.reading(Path(file), 2, ["text"])  # of the second sensor
        assert all(np.allclose(row[k], wanted[k][2], atol=1e-5) for k in row)
        assert "touch" in row
    assert not any("tower" in k for k in read_weights(Path("tlv_core")))
    assert main(["evaluate", "tlv_core"]) == 0
    assert "linear probe" in capsys.readouterr().out


def test_simulated_touch_and_other_forms_of_a_file(capsys):
    """One sensor, ids with unknown ones, pictures from 0 to 1: each trains."""
    small = ["--method", "tlv_core", "--epochs", "1", "--batch-size", "8"]
    pictures = {k: (v / 255).astype(np.float32) for k, v in arrays().items() if k in ("touch", "vision")}
    for k, (data, sensors) in enumerate(
        (
            ("touch?contacts=96&size=16&calibration=approximate", "Sensors: 4"),
            (saved("one.npz", sensor=None), "Sensors: one"),
            (saved("ids.npz", sensor=np.arange(40) % 4 - 1, **pictures), "Sensors: 3"),
        )
    ):
        assert main(["train", data, *small, "--out", f"run{k}"]) == 0, capsys.readouterr().err
        assert sensors in capsys.readouterr().out
        assert main(["embed", f"run{k}", data, "--out", f"{k}.npz"]) == 0, capsys.readouterr().err


def test_published_sets(capsys):
    """Texts become ids; a set that stores ids keeps them; what a set lacks is absent."""
    for name, write, method in (
        ("ssvtp", touch_sets.ssvtp, "vit_lens"),
        ("touch_and_go", touch_sets.touch_and_go, "tlv_core"),
        ("octopi", touch_sets.octopi, "any_touch"),
    ):
        Path(name).mkdir()
        write(Path(name))
        options = ["--root", name, "--method", method, "--epochs", "1", "--batch-size", "4", "--out", f"run/{name}"]
        assert main(["train", name, *options]) == 0, capsys.readouterr().err
        assert "text 77 (vector" in capsys.readouterr().out
        assert main(["embed", f"run/{name}", name, "--out", f"{name}.npz"]) == 0, capsys.readouterr().err
        with np.load(f"{name}.npz") as found:
            assert set(found["modality"]) == {"text", "touch"} | ({"vision"} if name != "octopi" else set())


def test_bad_input_is_one_line(capsys):
    file = saved("my.npz")
    clip_folder("clip")
    touch = arrays()["touch"]
    method = ["--method", "tlv_core", "--epochs", "1"]
    assert main(["train", file, *method, "--batch-size", "8", "--out", "run"]) == 0
    capsys.readouterr()
    Path("pickled").mkdir()
    Path("pickled", "config.json").write_text(Path("clip", "config.json").read_text())
    Path("pickled", "vocab.json").write_text(Path("clip", "vocab.json").read_text())
    Path("pickled", "merges.txt").write_text("#version: 0.2\n")
    Path("pickled", "pytorch_model.bin").write_bytes(b"\x80")
    for command, said in (
        (["train", file, "--tower", "clip"], "a bare PATH is for --method"),
        (["train", file, *method, "--tau", "0.1"], "decides that itself; leave it out"),
        (["train", file, *method, "--tower", "nowhere"], "config.json is not there; give --tower the folder of a CLIPModel"),
        (["train", file, *method, "--tower", "pickled"], "pickled weights (pytorch_model.bin), which can run code"),
        (["train", "digits", *method], "digits has no 'text'"),
        (["train", saved("no.npz", vision=None), *method], "expected 'vision' too"),
        (
            ["train", saved("small.npz", touch=touch[..., :8, :8]), *method, "--tower", "clip"],
            "(3, 16, 16); resize the pictures",
        ),
        (["train", saved("wide.npz", touch=touch.astype("f4")), *method], "from 0 to 255, expected 0 to 1, or bytes"),
        (["train", saved("long.npz", text=np.array(["a " * 90] * 40)), *method], "has 92 tokens, expected at most 77"),
        (["train", file, *method, "--out", "run", "--tower", "clip"], "holds a run with tower = None"),
        (["embed", "run", saved("other.npz", sensor=np.array(["taxim"] * 40))], "has the sensors ['taxim']"),
    ):
        out = [] if "--out" in command else ["--out", "new.npz" if command[0] == "embed" else "new"]
        assert main([*command, *out]) == 2, command
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("tuplet:") for line in lines) == 1
        assert said in lines[-1], lines[-1]
        assert not Path("new").exists()
