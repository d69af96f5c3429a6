"""The outputs that the original authors' programs gave on fixed inputs."""

from dataclasses import replace

import numpy as np
import torch

from tests.reference import each_case, leaves
from tuplet import Embeddings
from tuplet.functional.scores import paired_volume, simplex_volume, span_projection, triangle_area
from tuplet.objectives import CMC, Bottleneck, Gram, OneVsAll, Pairwise, Symile, Triangle
from tuplet.objectives.comm import comm


def named(z):
    return Embeddings.of({f"m{i}": v for i, v in enumerate(z)})


def check(objective, z, loss, gradients, *, rtol=1e-9, atol=1e-12, grad_rtol=1e-9, grad_atol=1e-12):
    total = objective(named(z)).total
    torch.testing.assert_close(total, loss.to(total), rtol=rtol, atol=atol)
    total.backward()
    for v, g in zip(z, gradients, strict=True):
        torch.testing.assert_close(v.grad, g.to(v.grad), rtol=grad_rtol, atol=grad_atol)


@each_case("clip")
def test_clip(case, data):
    z = leaves(data)
    check(Pairwise(tau=float(1 / data["logit_scale"])), z, data["loss"], [data["grad_z0"], data["grad_z1"]])


@each_case("clip_sum")
def test_pairwise_sum(case, data):
    z = leaves(data)
    objective = Pairwise(tau=float(1 / data["logit_scale"]), reduction="sum")
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(3)])
    within = (z[1] * z[2]).sum(1)[:, None]  # the authors add the queries' own cosine, which no rank depends on
    cosines = 2 * objective.score({"m1": z[1], "m2": z[2]}, {"m0": z[0]}) + within
    torch.testing.assert_close(cosines.float(), data["retrieval_scores_f32"], rtol=1e-5, atol=1e-6)


@each_case("clip_mean")
def test_pairwise_mean(case, data):
    z = leaves(data)
    check(Pairwise(tau=float(1 / data["logit_scale"])), z, data["loss"], [data[f"grad_z{i}"] for i in range(3)])


@each_case("symile_n")
def test_symile_n(case, data):
    z = leaves(data)
    m, perms = len(z), data["perms"].long()
    if m == 2:  # one direction per anchor with a shuffled partner, which puts matches among the negatives
        ours = Symile(tau=float(1 / data["logit_scale"]))(named(z)).total
        assert ours == Pairwise(tau=float(1 / data["logit_scale"]))(named(z)).total
        return
    objective = Symile(permutations=perms, tau=float(1 / data["logit_scale"]))
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(m)])
    mip = objective.score({f"m{i}": v for i, v in enumerate(z) if i}, {"m0": z[0]})
    torch.testing.assert_close(mip, data["mip_scores"].to(mip), rtol=1e-9, atol=1e-12)


@each_case("symile_nsq")
def test_symile_n_squared(case, data):
    z = leaves(data)
    objective = Symile(negatives="n_squared", tau=float(1 / data["logit_scale"]))
    check(objective, z, data["loss"], [data[f"grad_z{i}"] for i in range(len(z))])


@each_case("gram")
def test_gram(case, data):
    z = leaves(data)
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


@each_case("triangle")
def test_triangle(case, data):
    z = leaves(data)
    torch.testing.assert_close(triangle_area(z[0], z[1:]), data["area"].to(z[0]), rtol=1e-9, atol=1e-12)
    check(Triangle(anchor="m0"), z, data["loss"], [data[f"grad_fullgrad_z{i}"] for i in range(3)])


@each_case("ib")
def test_bottleneck(case, data):
    z = leaves(data)
    objective = Bottleneck(beta=float(data["beta"]), tau=float(data["temperature"]), direction="forward")
    log_size = np.log(len(z[0]))  # the authors subtract it
    gradients = [data["grad_z0"], data["grad_z1"]]
    check(objective, z, data["loss"] + log_size, gradients, atol=1e-7, grad_rtol=1e-6, grad_atol=1e-9)
    terms = objective(named(z)).terms
    torch.testing.assert_close(terms["bottleneck"] / objective.beta, data["loss_alignment"].to(z[0]), rtol=0, atol=1e-7)
    # two modalities: OVA-IB's minimality is twice this regulariser
    minimality = OneVsAll(beta=1.0)(named(z)).terms["minimality"]
    torch.testing.assert_close(minimality, 2 * data["loss_alignment"].to(z[0]), rtol=0, atol=1e-7)


@each_case("cmc_ntxent")
def test_cmc(case, data):
    z = leaves(data)
    longer = [(2 * v).detach().requires_grad_() for v in z]  # the authors' gradient goes through their normalisation
    gradients = [data[f"grad_z{i}"] / 2 for i in range(len(z))]
    check(CMC(tau=float(data["temperature"])), longer, data["loss"], gradients)


@each_case("comm")
def test_comm(case, data):
    a, b = leaves(data, "a"), leaves(data, "b")
    terms = comm(a, b, tau=0.1, rows=slice(0, len(a[0])))
    torch.testing.assert_close(terms, data["loss_terms"].to(terms), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(terms.mean(), data["loss"].to(terms), rtol=1e-9, atol=1e-12)
    terms.mean().backward()
    for side, name in ((a, "a"), (b, "b")):
        for i, v in enumerate(side):
            torch.testing.assert_close(v.grad, data[f"grad_{name}{i}"].to(v), rtol=1e-9, atol=1e-12)


@each_case("thirdparty_gram")
def test_gram_over_all_anchors(case, data):
    z = leaves(data)
    objective = Gram(anchors="all", tau=float(1 / data["logit_scale"]), label_smoothing=0.0)
    gradients = [data[f"grad_z{i}"] for i in range(3)]
    check(objective, z, data["loss"], gradients, rtol=1e-5, grad_rtol=1e-3, grad_atol=1e-5)


@each_case("thirdparty_triangle")
def test_triangle_over_all_anchors(case, data):
    """That program takes the inner product b_i . c_j of different rows where the triangle has b_j . c_j.

    With its slip, written out, the stored loss and gradients come back; without it, ours.
    """
    z = leaves(data)
    tau = float(1 / data["logit_scale"])

    def averaged(slip):
        losses = []
        for k in range(3):
            q, (b, c) = z[k], [z[i] for i in range(3) if i != k]
            qq, qb, qc = (q * q).sum(1)[:, None], q @ b.mT, q @ c.mT
            uu, vv = qq + (b * b).sum(1) - 2 * qb, qq + (c * c).sum(1) - 2 * qc
            bc = b @ c.mT if slip else (b * c).sum(1)[None]
            logits = -(uu * vv - (qq - qb - qc + bc) ** 2).clamp_min(0) / 2 / tau
            target = torch.arange(len(q))
            losses.append(
                (torch.nn.functional.cross_entropy(logits, target) + torch.nn.functional.cross_entropy(logits.mT, target)) / 2
            )
        return torch.stack(losses).mean()

    torch.testing.assert_close(averaged(slip=True), data["loss"].to(z[0]), rtol=1e-9, atol=1e-12)
    expected = torch.autograd.grad(averaged(slip=False), z)
    check(Triangle(anchors="all", tau=tau, label_smoothing=0.0), z, averaged(slip=False), expected, grad_rtol=1e-8)


@each_case("dist2")
def test_two_processes(case, data):
    """The authors' programs on two processes: which of them give the gradient of the whole batch, and by what factor."""
    z = leaves(data)
    n, kind = int(data["per_rank"]), case.split("_")[0]
    if kind == "comm":
        a, b = leaves(data, "a"), leaves(data, "b")
        names = [f"{side}{i}" for side in "ab" for i in range(len(a))]
        parts = [comm(a, b, tau=0.1, rows=slice(r * n, (r + 1) * n)).mean() for r in range(2)]
        inputs = a + b
    else:
        objective = {"clip": Pairwise(tau=0.07), "gram": Gram(anchor="m0"), "triangle": Triangle(anchor="m0")}[kind]
        parts = [objective(replace(named(z), rows=slice(r * n, (r + 1) * n))).total for r in range(2)]
        names, inputs = [f"z{i}" for i in range(len(z))], z
    whole = sum(parts) / 2
    precise = kind in ("clip", "comm", "triangle")
    torch.testing.assert_close(whole, data["loss_rank"].mean().to(whole), rtol=1e-9 if precise else 1e-5, atol=1e-12)
    gradients = torch.autograd.grad(whole, inputs)
    ratio = {"clip_local0_grad0": 1.0, "clip_local0_grad1": 2.0, "clip_local1_grad1": 2.0, "comm": 2.0}
    factor = next((v for k, v in ratio.items() if case.startswith(f"{k}_")), None)
    for name, ours in zip(names, gradients, strict=True):
        theirs = data[f"grad_{name}"].to(ours)
        if factor is not None:
            torch.testing.assert_close(factor * ours, theirs, rtol=1e-9, atol=1e-12)
        else:  # gathered without gradient: not the direction of the whole loss
            cosine = (ours * theirs).sum() / ours.norm() / theirs.norm()
            assert cosine < 1 - 1e-4
