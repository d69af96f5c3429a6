"""Presets: guesses name fields, widths fit the encoders, and a preset builds what it is for."""

from dataclasses import fields

import pytest
import torch

from tuplet import AlignmentModel, InputError
from tuplet.data import from_arrays
from tuplet.nets import Projection, SmallCNN
from tuplet.nets.choice import WIDTHS
from tuplet.objectives import OneVsAll, Pairwise
from tuplet.train import TrainConfig, fit
from tuplet.train._presets import PAPER, SMALL, UNI_OMA, Preset

ALL = {**PAPER, "small": SMALL, "uni_oma": UNI_OMA}


@pytest.mark.parametrize("name", ALL)
def test_guesses_are_fields_and_widths_are_the_encoders(name):
    preset = ALL[name]
    names = {f.name for f in fields(Preset)} - {"guessed"}
    assert set(preset.guessed) <= names
    assert WIDTHS["small" if preset is SMALL else "paper"] == preset.dim


def test_the_learning_rates_are_those_of_the_paper():
    stated = {k: p.lr for k, p in PAPER.items() if "lr" not in p.guessed}
    trajectories = dict.fromkeys(["vfd_trajectory", "vfpd_trajectory", "vfpdo_trajectory"], 1e-4)
    assert stated == {"mosei": 1e-5, "mujoco_push": 1e-3, "vfd_orientation": 1e-3} | trajectories
    assert {k for k, p in PAPER.items() if p.beta != 1} == {"wesad", "wesad_retrieval"}
    assert len(UNI_OMA.seeds) == 10


def test_a_preset_trains_a_model_of_pictures_and_forces():
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(120, 1, generator=g)
    views = {
        "depth": hidden[:, :, None, None] * torch.ones(1, 1, 8, 8) + 0.1 * torch.randn(120, 1, 8, 8, generator=g),
        "force": hidden[:, :, None] * torch.ones(1, 12, 3) + 0.1 * torch.randn(120, 12, 3, generator=g),
        "pose": hidden + 0.1 * torch.randn(120, 4, generator=g),
    }
    source = from_arrays({k: v.numpy() for k, v in views.items()})
    torch.manual_seed(0)
    model = AlignmentModel.for_source(source, dim=SMALL.dim)
    objective = OneVsAll(beta=SMALL.beta, tau=SMALL.tau)
    config = TrainConfig(epochs=SMALL.epochs, batch_size=SMALL.batch_size, lr=SMALL.lr, optimizer=SMALL.optimizer)
    run = fit(model, objective, train=source.train, config=config)
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_a_cached_step_refuses_batch_norm():
    x = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
    source = from_arrays({"a": x, "b": x})
    for norm in ("group", "batch"):
        made = {k: SmallCNN(3, 4, norm=norm) for k in "ab"}
        model = AlignmentModel(made, {k: Projection(4, 4) for k in "ab"})
        config = TrainConfig(epochs=1, batch_size=6, step="cached", chunk=4)
        if norm == "group":
            assert fit(model, Pairwise(), train=source.train, config=config).steps == 2
        else:
            with pytest.raises(InputError, match="the model has BatchNorm"):
                fit(model, Pairwise(), train=source.train, config=config)
