import copy

import pytest
import torch
from torch import nn

from tests.train.toys import model, source
from tuplet import AlignmentModel, InputError, TrainConfig, fit
from tuplet.nets import MLP, Projection
from tuplet.objectives import Pairwise
from tuplet.train._frozen import train_unfrozen


class Seen(nn.Module):
    """Notes the modes in which it is called."""

    def __init__(self):
        super().__init__()
        self.modes = set()

    def forward(self, x):
        self.modes.add(self.training)
        return x


def backbone(width):
    inner = nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(0.5), Seen())
    return nn.Sequential(nn.Flatten(), nn.Sequential(inner, nn.Linear(width, 8)), nn.Dropout(0.5))


def train(encoders, step="plain", **options):
    s = source(missing=True)
    projections = options.pop("projections", None) or {k: Projection(8, 8) for k in encoders}
    m = AlignmentModel(encoders, projections)
    config = TrainConfig(epochs=2, batch_size=12, step=step, chunk=5, weight_decay=0.5)
    return fit(m, Pairwise(), train=s.train, val=s.val, config=config, **options)


def bits(module):
    return copy.deepcopy(module.state_dict())


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("step", ["plain", "cached"])
def test_a_frozen_tower_is_used_as_it_is(step):
    tower = backbone(4).requires_grad_(False)
    before, plain = bits(tower), {"b": MLP(5, 8), "c": MLP(3, 8)}
    run = train({"a": tower, **plain}, step=step)
    assert same(before, bits(tower))
    assert tower[1][0][2].modes == {False}
    assert not any(m.training for m in run.model.modules())


def test_frozen_parts_of_a_tower_stay_and_the_rest_trains():
    trunk = backbone(4).requires_grad_(False)
    tail = Seen()
    tower = nn.Sequential(trunk, nn.Linear(8, 8), nn.BatchNorm1d(8), tail)
    before = bits(tower)
    train({"a": tower, "b": MLP(5, 8), "c": MLP(3, 8)})
    after = bits(tower)
    moved = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert moved == {"1", "2"}
    assert tail.modes == {True, False}  # training, and validation
    assert trunk[1][0][2].modes == {False}


def test_a_tower_of_two_modalities_is_frozen_for_both():
    shared = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), Seen(), nn.Linear(4, 8)).requires_grad_(False)
    before = bits(shared)
    towers = {"a": shared, "b": nn.Sequential(nn.Linear(5, 4), shared), "c": nn.Sequential(nn.Linear(3, 4), shared)}
    train(towers)
    assert same(before, bits(shared))
    assert shared[2].modes == {False}


def test_a_frozen_projection_is_frozen_too():
    head = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 8)).requires_grad_(False)
    before = bits(head)
    train(
        {"a": MLP(4, 8), "b": MLP(5, 8), "c": MLP(3, 8)},
        projections={"a": head, "b": Projection(8, 8), "c": Projection(8, 8)},
    )
    assert same(before, bits(head))


@pytest.mark.parametrize("mode", [True, False])
def test_a_tower_without_parameters_keeps_its_mode(mode):
    tower = nn.Sequential(nn.BatchNorm1d(4, affine=False), Seen()).train(mode)
    before = bits(tower)
    train(
        {"a": tower, "b": MLP(5, 8), "c": MLP(3, 8)},
        projections={"a": nn.Linear(4, 8)} | {k: Projection(8, 8) for k in "bc"},
    )
    assert same(before, bits(tower)) is not mode
    assert tower[1].modes == ({True, False} if mode else {False})


def test_training_is_the_same_whether_features_are_computed_before_or_in_fit():
    """A frozen tower in front of a head is the head on ready features, to the last bit."""
    trunk = backbone(4).requires_grad_(False).eval()

    class Ready(nn.Module):
        def forward(self, x):
            return trunk(x)

    head = Projection(8, 8)
    results = []
    for tower in (nn.Sequential(Ready(), copy.deepcopy(head)), nn.Sequential(trunk.train(), copy.deepcopy(head))):
        trunk.eval() if isinstance(tower[0], Ready) else trunk.train()
        torch.manual_seed(0)
        run = train({"a": tower, "b": MLP(5, 8), "c": MLP(3, 8)})
        results.append(bits(run.model.encoders["a"][1]))
    assert same(*results)


def test_a_model_that_is_frozen_whole_is_refused_and_batch_norm_counts_for_cached_steps_only_if_it_moves():
    with pytest.raises(InputError, match="nothing would train"):
        fit(model().requires_grad_(False), Pairwise(), train=source().train)
    for norm in (nn.BatchNorm1d(4, track_running_stats=False).requires_grad_(False), nn.BatchNorm1d(4)):
        with pytest.raises(InputError, match="BatchNorm"):
            train({"a": nn.Sequential(norm, nn.Linear(4, 8)), "b": MLP(5, 8), "c": MLP(3, 8)}, step="cached")


def test_modes_of_a_compiled_tower():
    tower = torch.compile(backbone(4).requires_grad_(False), backend="eager")
    net = AlignmentModel({"a": tower, "b": MLP(5, 8)}, {k: Projection(8, 8) for k in "ab"})
    train_unfrozen(net)
    assert not any(m.training for m in tower.modules())
    assert net.encoders["b"].training
