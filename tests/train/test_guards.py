"""What keeps a run honest: other rows, bad gradients, damage and several processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.train.toys import model, source
from tuplet import InputError, Loss, TrainConfig, fit
from tuplet.objectives import Pairwise, Sum
from tuplet.train import checkpoint

SMALL = {"epochs": 2, "batch_size": 12}


def test_a_run_with_fewer_rows_is_not_resumed(tmp_path):
    class Few:
        def __init__(self, count):
            self.count = count

        def __len__(self):
            return self.count

        def __getitem__(self, rows):
            return source().train[rows]

    config = TrainConfig(**SMALL, out=tmp_path)
    fit(model(), Pairwise(), train=Few(36), config=config)
    with pytest.raises(InputError, match="rows = 36"):
        fit(model(), Pairwise(), train=Few(24), config=config)


def test_a_function_in_a_sum_is_named_alike_in_every_process():
    assert " at 0x" not in checkpoint.describe(Sum((1.0, Pairwise()), (0.5, lambda emb: Loss(emb.z["a"].sum(), {}))))


def test_a_gradient_that_is_not_finite_never_reaches_the_checkpoint(tmp_path):
    calls = []

    def objective(emb):
        calls.append(1)
        x = emb.z["a"].square().sum()
        # The branch not taken has an infinite slope, which times zero is NaN: a finite loss, a NaN gradient.
        return Loss(x if len(calls) < 3 else torch.where(x > -1, x, torch.sqrt(x * 0)), {})

    with pytest.raises(InputError, match="gradient has norm nan at step 2"):
        fit(model(), objective, train=source().train, config=TrainConfig(**SMALL, out=tmp_path, checkpoint_every=1))
    tensors, state = checkpoint.read(tmp_path / checkpoint.NAME)
    assert state["step"] == 2
    assert all(bool(torch.isfinite(v).all()) for v in tensors.values())


def test_one_changed_byte_is_noticed(tmp_path):
    config = TrainConfig(**SMALL, out=tmp_path)
    fit(model(), Pairwise(), train=source().train, config=config)
    file = tmp_path / checkpoint.NAME
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(InputError, match="checksum differs"):
        fit(model(), Pairwise(), train=source().train, config=config)


@pytest.mark.parametrize(
    "setting",
    [{"optimizer": "sgd"}, {"precision": "fp8"}, {"step": "x"}, {"epochs": 1.5}, {"lr": float("inf")}, {"seed": 0.5}],
)
def test_a_setting_nobody_offers_is_named(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        TrainConfig(**setting)


def test_other_bad_input_is_named(tmp_path):
    rows, config = source().train, TrainConfig(**SMALL)
    with pytest.raises(InputError, match="returned Tensor"):
        fit(model(), lambda emb: emb.z["a"].sum(), train=rows, config=config)
    with pytest.raises(InputError, match="without gradient"):
        fit(model(), lambda emb: Loss(torch.tensor(1.0), {}), train=rows, config=config)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        fit(model(), Pairwise(), train=rows, config=TrainConfig(**SMALL, out=tmp_path / "file"))


@pytest.mark.slow
@pytest.mark.parametrize("step", ["plain", "cached"])
def test_fit_on_two_processes_equals_one(tmp_path, step):
    free = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")}
    weights = []
    for devices in (1, 2):
        out = tmp_path / str(devices)
        command = [sys.executable, "-m", "tests.train.several", str(devices), step, str(out)]
        subprocess.run(command, check=True, timeout=120, env=free, cwd=Path(__file__).parents[2])
        tensors, state = checkpoint.read(out / checkpoint.NAME)
        weights.append({k: v for k, v in tensors.items() if k.startswith(("model.", "objective."))})
        assert [entry["step"] for entry in state["history"]] == [3, 6]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-4, atol=1e-5, msg=name)
