"""Many small models trained side by side are, one by one, what `strategic` trains."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch.nn.functional import normalize

from tuplet import Embeddings, InputError, TrainConfig
from tuplet.data import from_arrays
from tuplet.functional._measures import hits, shares_of_r2
from tuplet.objectives import Pairwise
from tuplet.simulators import blocks, redundancy
from tuplet.suites.strategic import encoder
from tuplet.train import strategic
from tuplet.train._many import Contrast, Many, Member


def real(n=120):
    x = np.random.default_rng(0).normal(size=(n, 4))
    return from_arrays({"a": x, "b": x[:, ::-1] ** 2}, targets={"label": x[:, :2].sum(1) + 0.1})


def missing(n=200):
    x = np.random.default_rng(1).normal(size=(n, 4))
    a, b = x.copy(), x[:, ::-1] ** 3
    a[::5], b[::3] = np.nan, np.nan
    return from_arrays({"a": a, "b": b}, targets={"label": np.arange(n) % 3})


def grouped(n=200):
    """Rows of a group are one row, three times."""
    x = np.repeat(np.random.default_rng(2).normal(size=(n // 4, 4)), 4, axis=0)
    return from_arrays({"a": x, "b": x[:, ::-1] ** 3}, targets={"label": x[:, 0] > 0}, group=np.arange(n) // 4)


def recurrent(n=80):
    x = np.random.default_rng(3).normal(size=(n, 6, 3))
    return from_arrays({"a": x, "b": x.mean(1)}, targets={"label": x[:, 0, 0] > 0}, kinds={"a": "padded"})


SOURCES = {
    "pictures": lambda: blocks.load(rows=200, views=("image", "sequence")),
    "vectors": lambda: blocks.load(rows=200),
    "real": real,
    "missing": missing,
    "grouped": grouped,
    "recurrent": recurrent,
}


@pytest.mark.parametrize("name", SOURCES)
def test_side_by_side_is_one_after_the_other(name):
    source = SOURCES[name]()
    config = TrainConfig(lr=3e-3, epochs=2, batch_size=32, weight_decay=1e-2)
    pair = tuple(source.modalities)
    members = [Member(pair, strength, seed) for strength in (0.0, 0.7, 2.0) for seed in (0, 3)]
    many = Many(source, members)
    many.fit(source.train[:], config)
    val = source.val[:]
    for member in (members[0], members[3], members[4]):
        run = strategic(source, strength=member.strength, config=config, seed=member.seed)
        for k in pair:
            out, h = many.read(member, k, val.inputs[k])
            here = val.present[k]
            torch.testing.assert_close(h[here], run.embeddings["val"].h[k][here], rtol=1e-3, atol=1e-3)
            y = val.target["label"]
            found = shares_of_r2(out[here], y[here]) if y.is_floating_point() else hits(out[here], y[here])
            assert float(found.mean()) == pytest.approx(run.scores["val"][k], abs=1e-3)


def test_plain_networks_of_the_paper_are_trained_likewise():
    source = redundancy.load(4, rows=1000)
    config = TrainConfig(epochs=2, batch_size=100, lr=2e-2, weight_decay=1e-2)
    members = [Member(("x1", "x2"), 0.5, 0), Member(("x1", "x2"), 2.0, 1)]
    many = Many(source, members, encoders=encoder, projector="none")
    told = []
    many.fit(source.train[:], config, told.append)
    assert told == [1, 2]
    for m in members:
        run = strategic(source, strength=m.strength, encoders=encoder, projector="none", config=config, seed=m.seed)
        assert many.size == sum(p.numel() for x in (run.model, run.task) for p in x.parameters())
        for k, h in run.embeddings["test"].h.items():
            torch.testing.assert_close(many.read(m, k, source.test[:].inputs[k])[1], h, rtol=1e-3, atol=1e-4)


def test_without_alignment_a_modality_is_trained_once_whoever_its_partner():
    x = np.random.default_rng(0).normal(size=(60, 4))
    source = from_arrays(dict.fromkeys("abc", x), targets={"label": x[:, 0] > 0})
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    members = [Member(pair, strength, seed) for pair in pairs for strength in (0.0, 1.0) for seed in (0, 1)]
    many = Many(source, [*members, Member(("a",), 0.0, 0)])
    assert {k: len(copies) for k, copies in many.copies.items()} == {"a": 2 + 4, "b": 2 + 4, "c": 2 + 4}
    assert many.place(Member(("a",), 0.0, 0), "a") == many.place(members[0], "a") != many.place(members[2], "a")


def test_what_does_not_converge_or_fit_is_refused():
    source = redundancy.load(4, rows=200)
    with pytest.raises(InputError, match=r"tau is 0.01"):
        Many(source, [Member(("x1", "x2"), 1.0)], tau=0.01)
    many = Many(source, [Member(("x1", "x2"), 1.0)])
    with pytest.raises(InputError, match=r"not finite with lr = 1e\+30; lower lr"):
        many.fit(source.train[:], TrainConfig(lr=1e30, epochs=2, batch_size=50))


@pytest.mark.parametrize("what", ["whole", "missing", "grouped"])
def test_contrast_has_the_value_and_gradient_of_pairwise(what):
    g = torch.Generator().manual_seed(0)
    a, b = (normalize(torch.randn(3, 20, 5, generator=g, dtype=torch.float64), dim=2).requires_grad_() for _ in "ab")
    here = torch.ones(3, 20, dtype=torch.bool)
    if what == "missing":
        here[1, ::3], here[2] = False, False
    kin = torch.arange(60).view(3, 20) // 3 if what == "grouped" else None
    found = Contrast.apply(a, b, here, kin, 0.07)
    weights = torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64)
    seen = torch.autograd.grad((weights * found).sum(), (a, b))
    for s, w in enumerate(weights):
        x, y = a.detach()[s].requires_grad_(), b.detach()[s].requires_grad_()
        emb = Embeddings.of({"a": x, "b": y}, present=dict.fromkeys("ab", here[s]), group=None if kin is None else kin[s])
        loss = w * Pairwise(tau=0.07)(emb).total
        torch.testing.assert_close(w * found[s], loss)
        for mine, other in zip(seen, torch.autograd.grad(loss, (x, y)), strict=True):
            torch.testing.assert_close(mine[s], other)


def test_shares_of_r2_average_to_r2_over_all_dimensions():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(30, 2)) * [1.0, 3.0] + [0.0, 50.0]
    out = y + rng.normal(size=y.shape)
    expected = r2_score(y, out, multioutput="variance_weighted")
    assert float(shares_of_r2(torch.tensor(out), torch.tensor(y)).mean()) == pytest.approx(expected)
