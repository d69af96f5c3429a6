"""The map of layers: CKA of every layer with every other one, and ids that must agree."""

import numpy as np
import pytest
import torch
from torch import nn

from tuplet import AlignmentModel, Batch, InputError, plot
from tuplet.diagnose import cka, layer_cka


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.deep = nn.Linear(5, 9), nn.Sequential(nn.Linear(9, 6), nn.Dropout(0.5), nn.Tanh())

    def forward(self, x, scale=1.0):
        h = self.wide(x)
        return self.deep(scale * h), h


def nets():
    torch.manual_seed(0)
    return Pair(), nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Unflatten(1, (7, 1)), nn.Conv1d(7, 3, 1)), torch.randn(60, 5)


@torch.no_grad()
def test_one_batch_is_cka_of_every_pair_of_layers():
    a, b, x = nets()
    a.train()
    found = layer_cka(a, b, [(torch.arange(60), x)])
    assert found.a == ("wide", "deep.0", "deep.1", "deep.2")
    assert found.b == ("0", "1", "2", "3")
    assert a.deep[1].training
    h = a.eval().wide(x)
    left = [h, a.deep[0](h), a.deep[0](h), a.deep(h)]
    right = [b[0](x), b[:2](x), b[:3](x), b(x)]
    for i, z in enumerate(left):
        for j, w in enumerate(right):
            assert np.isclose(found.values[i, j], float(cka(z.double(), w.double().flatten(1))), atol=1e-6), (i, j)
    assert found.to_frame().loc["deep.2", "3"] == found.values[3, 3]
    assert "deep.2" in found._repr_html_()
    axis = plot.layers(found).axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == list(found.a)
    assert np.array_equal(axis.images[0].get_array(), found.values)


@torch.no_grad()
def test_batches_are_averaged_by_their_rows():
    a, b, x = nets()
    parts = [(range(i, j), x[i:j]) for i, j in ((0, 40), (40, 60))]
    found = layer_cka(a, b, parts, layers=["wide", "0"])
    assert (found.a, found.b, found.n) == (("wide",), ("0",), 60)
    h = [0.0, 0.0, 0.0]
    for _, some in parts:
        n = len(some)
        k, m = ((z.double() @ z.double().T).fill_diagonal_(0) for z in (a.wide(some), b[0](some)))
        for i, (p, q) in enumerate(((k, m), (k, k), (m, m))):
            one = (p * q).sum() + p.sum() * q.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * (p @ q).sum()
            h[i] += n * one / (n * (n - 3))  # HSIC of Song et al. (2012), equation 5
    assert np.isclose(found.values[0, 0], h[0] / (h[1] * h[2]) ** 0.5)
    named = layer_cka(a, b, [(ids, {"x": some, "scale": 2.0}) for ids, some in parts], parts, layers=["wide", "0"])
    assert torch.equal(named.values, found.values)
    still = layer_cka(a, nn.Sequential(nn.Flatten()), parts, [(ids, some * 0) for ids, some in parts])
    assert still.values.isnan().all()


def test_a_model_of_two_modalities_is_read_from_its_batches():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    model = AlignmentModel.mlp({"a": (3,), "b": (3,)}, dim=4)
    batch = Batch({"a": x, "b": x}, dict.fromkeys("ab", torch.ones(30, dtype=torch.bool)), torch.arange(30))
    found = layer_cka(model, model, [batch])
    assert np.allclose(found.values.diagonal(), 1)
    assert any("encoders" in name for name in found.a)


def test_ids_are_checked():
    a, b, x = nets()
    rows = [(range(30), x[:30])]
    for given, others, said in (
        (rows, [(range(1, 31), x[:30])], "differ from row 0"),
        (rows, [(range(29), x[:29])], "differ from row 29"),
        (rows, [], "different numbers of batches"),
        (rows * 2, None, "ids repeat"),
        ([([0] * 30, x[:30])], None, "ids repeat"),
        ([(range(3), x[:3])], None, "at least 4"),
        ([(range(31), x[:30])], None, "gives a row per id"),
        ([x], None, "expected (ids, x)"),
        ([], None, "rows is empty"),
    ):
        with pytest.raises(InputError) as error:
            layer_cka(a, b, given, others)
        assert said in str(error.value), said
    with pytest.raises(InputError, match="name some in layers"):
        layer_cka(a, b, rows, layers=["nothing"])
