"""The outputs that the original authors' programs gave on fixed inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tuplet import Embeddings
from tuplet.functional.scores import paired_volume, simplex_volume, span_projection, triangle_area
from tuplet.objectives import Bottleneck, Gram, OneVsAll, Pairwise, Symile, Triangle

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "objectives"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="reference outputs are not beside the project")


def files(prefix):
    return pytest.mark.parametrize("path", sorted(FOLDER.glob(f"{prefix}_*.npz")), ids=lambda p: p.stem)


def read(path):
    data = {k: torch.from_numpy(np.asarray(v)) for k, v in np.load(path, allow_pickle=False).items()}
    m = sum(k[0] == "z" and k[1:].isdigit() for k in data)
    return data, [data[f"z{i}"].clone().requires_grad_() for i in range(m)]


def named(z):
    return Embeddings.of({f"m{i}": v for i, v in enumerate(z)})


def check(objective, z, loss, gradients, *, rtol=1e-9, atol=1e-12, grad_rtol=1e-9, grad_atol=1e-12):
    total = objective(named(z)).total
    torch.testing.assert_close(total, loss.to(total), rtol=rtol, atol=atol)
    total.backward()
    for v, g in zip(z, gradients, strict=True):
        torch.testing.assert_close(v.grad, g.to(v.grad), rtol=grad_rtol, atol=grad_atol)


@files("clip_M2")
def test_clip(path):
    data, z = read(path)
    check(Pairwise(tau=float(1 / data["logit_scale"])), z, data["loss"], [data["grad_z0"], data["grad_z1"]])


@files("clip_sum")
def test_pairwise_sum(path):
    data, z = read(path)
    objective = Pairwise(tau=float(1 / data["logit_scale"]), reduction="sum")
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(3)])
    within = (z[1] * z[2]).sum(1)[:, None]  # the authors add the queries' own cosine, which no rank depends on
    cosines = 2 * objective.score({"m1": z[1], "m2": z[2]}, {"m0": z[0]}) + within
    torch.testing.assert_close(cosines.float(), data["retrieval_scores_f32"], rtol=1e-5, atol=1e-6)


@files("clip_mean")
def test_pairwise_mean(path):
    data, z = read(path)
    check(Pairwise(tau=float(1 / data["logit_scale"])), z, data["loss"], [data[f"grad_z{i}"] for i in range(3)])


@files("symile_n")
def test_symile_n(path):
    data, z = read(path)
    m, perms = len(z), data["perms"].long()
    if m == 2:  # one direction per anchor with a shuffled partner, which puts matches among the negatives
        ours = Symile(tau=float(1 / data["logit_scale"]))(named(z)).total
        assert ours == Pairwise(tau=float(1 / data["logit_scale"]))(named(z)).total
        return
    objective = Symile(permutations=perms, tau=float(1 / data["logit_scale"]))
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(m)])
    mip = objective.score({f"m{i}": v for i, v in enumerate(z) if i}, {"m0": z[0]})
    torch.testing.assert_close(mip, data["mip_scores"].to(mip), rtol=1e-9, atol=1e-12)


@files("symile_nsq")
def test_symile_n_squared(path):
    data, z = read(path)
    objective = Symile(negatives="n_squared", tau=float(1 / data["logit_scale"]))
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(len(z))])


@files("gram")
def test_gram(path):
    data, z = read(path)
    volumes = simplex_volume(z[0], z[1:])
    torch.testing.assert_close(volumes, data["volume"].to(volumes), rtol=0, atol=2e-6)
    torch.testing.assert_close(paired_volume(z), data["volume"].to(volumes).diagonal(), rtol=0, atol=2e-6)
    (data["weight"] * volumes).sum().backward()
    for i, v in enumerate(z):
        torch.testing.assert_close(v.grad, data[f"grad_wsum_z{i}"].to(v), rtol=1e-3, atol=1e-5)
        v.grad = None
    # OVA-IB's score through the authors' volumes: score^2 = 1 - volume^2 / det(Gram of the tuple)
    tuples = torch.stack(z[1:], dim=1)
    expected = 1 - data["volume"].double() ** 2 / torch.linalg.det(tuples @ tuples.mT)
    torch.testing.assert_close(span_projection(z[0], z[1:]) ** 2, expected.to(volumes), rtol=0, atol=2e-6)
    if len(z) > 2:
        gradients = [data[f"grad_fullgrad_z{i}"] for i in range(len(z))]
        check(Gram(anchor="m0"), z, data["loss"], gradients, rtol=1e-5, grad_rtol=1e-3, grad_atol=1e-5)


@files("triangle")
def test_triangle(path):
    data, z = read(path)
    torch.testing.assert_close(triangle_area(z[0], z[1:]), data["area"].to(z[0]), rtol=1e-9, atol=1e-12)
    check(Triangle(anchor="m0"), z, data["loss"], [data[f"grad_fullgrad_z{i}"] for i in range(3)])


@files("ib_M2")
def test_bottleneck(path):
    data, z = read(path)
    objective = Bottleneck(beta=float(data["beta"]), tau=float(data["temperature"]), direction="forward")
    log_size = np.log(len(z[0]))  # the authors subtract it
    gradients = [data["grad_z0"], data["grad_z1"]]
    check(objective, z, data["loss"] + log_size, gradients, atol=1e-7, grad_rtol=1e-6, grad_atol=1e-9)
    terms = objective(named(z)).terms
    torch.testing.assert_close(terms["bottleneck"] / objective.beta, data["loss_alignment"].to(z[0]), rtol=0, atol=1e-7)
    # two modalities: OVA-IB's minimality is twice this regulariser
    minimality = OneVsAll(beta=1.0)(named(z)).terms["minimality"]
    torch.testing.assert_close(minimality, 2 * data["loss_alignment"].to(z[0]), rtol=0, atol=1e-7)
