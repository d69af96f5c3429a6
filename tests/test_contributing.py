"""CONTRIBUTING.md says that one file is enough; here that file is written and used."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from tests.contract.cases import embeddings
from tuplet import AlignmentModel, TrainConfig, fit
from tuplet.evaluate import evaluate
from tuplet.objectives import Pairwise

TEXT = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text()


def module(kind, folder):
    (code,) = re.findall(rf"```python {kind}\n(.*?)```", TEXT, re.DOTALL)
    file = folder / f"{kind}.py"
    file.write_text(code)
    spec = importlib.util.spec_from_file_location(kind, file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_an_objective_is_one_file(tmp_path):
    objective = module("objective", tmp_path).Centroid()
    emb = embeddings(3)
    z = torch.stack(list(emb.z.values()))
    assert float(objective(emb).total) == pytest.approx(float((z - z.mean(0)).square().sum(2).mean()))
    assert float((objective + 0.5 * Pairwise())(emb).terms["centroid.spread"]) == float(objective(emb).total)
    assert objective.score({"m0": emb.z["m0"]}, {"m1": emb.z["m1"], "m2": emb.z["m2"]}).shape == (6, 6)


def test_a_data_set_is_one_file(tmp_path):
    source = module("source", tmp_path).load()
    model = AlignmentModel.mlp({k: m.shape for k, m in source.modalities.items()}, dim=8)
    run = fit(model, Pairwise(), train=source.train, val=source.val, config=TrainConfig(epochs=2, batch_size=32))
    results = {r.metric: r for r in evaluate(run.model, run.objective, source, target="half")}
    assert results["probe/linear"].value > results["probe/linear"].chance
