"""`tuplet export`: a file per tower gives the vectors of the model for raw rows, or is refused and nothing is written."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

from tuplet import AlignmentModel, InputError
from tuplet.cli import main
from tuplet.data import from_arrays, read
from tuplet.data.preprocessing import Weights
from tuplet.model import export, portable
from tuplet.model._scaled import Scaled, sample


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.INFO)  # compilers write thousands of lines, which pytest keeps
    yield
    logging.disable(logging.NOTSET)


def source(n=40):
    rng = np.random.default_rng(0)
    return read(
        {
            "force": np.hstack([3 * rng.normal(size=(n, 3)) + 1e3, np.full((n, 1), 1e30)]),
            "history": rng.normal(size=(n, 32, 3)),
            "walk": [rng.normal(3, 1, size=(k % 3 + 2, 2)) for k in range(n)],
            "photo": rng.integers(0, 256, size=(n, 16, 16, 3), dtype=np.uint8),
            "pulse": rng.normal(size=(n, 1, 200)),
            "note": ["red cup", "blue ball"] * (n // 2),
            "rna": scipy.sparse.csr_array(rng.poisson(1.0, (n, 9))),
        }
    )


@torch.no_grad()
def test_a_tower_with_its_scaling_does_what_the_model_does():
    for start in ("random", "gcca"):
        model = AlignmentModel.for_source(source(), dim=8, start=start).eval()
        for name in model.encoders:
            raw, rows = sample(model, name, 9)
            assert rows.dtype == np.float32
            z = Scaled(model, name)(torch.from_numpy(rows)).numpy()
            assert np.abs(z - model.encode({name: raw})[name]).max() < 1e-5, name
    rows = [[2.0, 1, 3, 0, 0], [1, 3, 2, 0, 0], [4, 0, 2, 0, 0], [0, 0, 2, 3, 1]]
    steps = np.repeat(np.array(rows)[..., None], 2, axis=2).astype("f4")
    walk = from_arrays({"walk": np.tile(steps, (10, 1, 1)), "b": np.arange(40.0)[:, None]}, kinds={"walk": "padded"})
    model = AlignmentModel.for_source(walk, dim=8).eval()
    assert model.preprocessing["walk"].scale.mean == 2  # some ends equal the mean, one has silence inside
    z = Scaled(model, "walk")(torch.from_numpy(steps)).numpy()
    assert np.abs(z - model.encode({"walk": steps})["walk"]).max() < 1e-5


@pytest.mark.whole
def test_files_hold_the_tower(tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from tuplet import TrainConfig, fit, load
    from tuplet.objectives import Pairwise

    some = source().select(["walk", "note"])
    fit(None, Pairwise(), train=some.train, config=TrainConfig(epochs=1, out=tmp_path / "run"))
    model = load(tmp_path / "run")
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "towers"), "--modalities", "walk"]) == 0
    assert "walk      n x 4 x 2  padded" in capsys.readouterr().out
    raw, rows = sample(model, "walk", 5)
    session = onnxruntime.InferenceSession(tmp_path / "towers" / "walk.onnx")
    assert np.abs(session.run(["vectors"], {"rows": rows})[0] - model.encode({"walk": raw})["walk"]).max() < 1e-5
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "towers")]) == 2
    assert "--force" in capsys.readouterr().err
    options = ("--modalities", "note", "--format", "torch", "--force")
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "towers"), *options]) == 0
    assert "hashed text" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "towers").iterdir()) == [".lock", "note.pt2", "towers.json"]
    assert json.loads((tmp_path / "towers" / "towers.json").read_text())["note"]["input"] == [1024]


class Aux(nn.Linear):
    takes_aux = True


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if float(x.sum()) > 0 else x  # no compiler can know


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    some = source().select(["force", "note"])

    def made(encoder=None):
        model = AlignmentModel.for_source(some, dim=8)
        if encoder is not None:
            model.encoders["force"] = encoder
        return model

    unscaled, behind = made(), made()
    unscaled.preprocessing = {}
    tower = Weights("/weights/clip", "00")
    behind.preprocessing["force"] = dataclasses.replace(behind.preprocessing["force"], tower=tower)
    for model, options, said in (
        (made(), {"modalities": ["sound"]}, "modalities names ['sound']"),
        (made(), {"format": "pickle"}, "expected"),
        (unscaled, {}, "does not know how its rows were scaled; leave it out with --modalities note"),
        (made(Aux(4, 8)), {}, "force cannot be exported: its encoder reads the sensor"),
        (behind, {}, "its rows pass the frozen tower /weights/clip first"),
        (made(Branching(4, 8)), {}, "force cannot be exported ("),
    ):
        with pytest.raises(InputError) as error:
            export(model, tmp_path / "out", **({"format": "torch"} | options))
        assert said in str(error.value)
    monkeypatch.setattr(portable, "NEAR", -1.0)
    with pytest.raises(InputError, match="differs from the model by"):
        export(made(), tmp_path / "out", format="torch", modalities=["force"])
    assert not (tmp_path / "out").exists()
