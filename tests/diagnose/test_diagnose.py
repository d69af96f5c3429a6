"""Diagnostics against the authors' outputs and closed forms."""

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.contract.cases import embeddings
from tests.reference import each_case, leaves
from tuplet import Embeddings, InputError
from tuplet.diagnose import (
    alignment,
    centroid_gap,
    effective_rank,
    modality_auc,
    paired_distance,
    positive_cosine,
    positive_quantile,
    relative_gap,
    uniformity,
)


@each_case("align_uniform")
def test_alignment_and_uniformity_equal_the_authors_program(case, data):
    z = [v.detach() for v in leaves(data)]
    for key, t in (("uniform_t2", 2.0), ("uniform_t05", 0.5)):
        np.testing.assert_allclose([float(uniformity(v, t=t)) for v in z], data[key], rtol=1e-9)
    for key, alpha in (("align_alpha2", 2.0), ("align_alpha1", 1.0)):
        seen = [float(alignment(a, b, alpha=alpha)) for a, b in combinations(z, 2)]
        np.testing.assert_allclose(seen, data[key], rtol=1e-9)


def test_positive_cosine_sees_the_sign_that_volumes_do_not():
    emb = embeddings(3, noise=0.1)
    flipped = Embeddings.of({k: -v if k == "m0" else v for k, v in emb.z.items()})
    assert positive_cosine(emb).mean() > 0.9
    assert positive_cosine(flipped).mean() < -0.2
    mask = torch.zeros(6, dtype=torch.bool)
    assert len(positive_cosine(Embeddings.of(emb.z, present={"m0": mask}))) == 6
    with pytest.raises(InputError, match="no positive pair"):
        positive_cosine(Embeddings.of(emb.z, present=dict.fromkeys(emb.z, mask)))


def test_gap_and_rank_in_closed_form():
    e = torch.eye(4)
    assert centroid_gap(Embeddings.of({"a": e[:1].repeat(3, 1), "b": e[1:2].repeat(3, 1)})) == pytest.approx(2**0.5)
    assert effective_rank(e[:1].repeat(5, 1)) == pytest.approx(1)
    assert effective_rank(torch.randn(400, 4, generator=torch.Generator().manual_seed(0))) == pytest.approx(4, abs=0.02)
    assert torch.isfinite(uniformity(torch.nn.functional.normalize(torch.randn(50, 9), dim=1), t=1e4))


@each_case("metrics")
def test_gaps_equal_the_authors_program(case, data):
    emb = Embeddings.of({k: data[k] for k in ("z0", "z1")})
    assert centroid_gap(emb) == pytest.approx(float(data["gap"]), rel=1e-6)
    assert paired_distance(emb) == pytest.approx(float(data["true_pair_euclid"]), rel=1e-6)
    assert float(positive_cosine(emb).mean()) == pytest.approx(float(data["true_pair_cos"]), rel=1e-6)


def test_relative_gap_equals_loops_and_leaves_out_the_diagonal():
    emb = embeddings(3, size=9, noise=1.0)
    values = []
    for a, b in (("m0", "m1"), ("m0", "m2"), ("m1", "m2")):
        x, y = emb.z[a].numpy(), emb.z[b].numpy()
        matched = np.mean([(1 - x[i] @ y[i]) / 2 for i in range(9)])
        within = [np.mean([(1 - v[i] @ v[j]) / 2 for i in range(9) for j in range(9) if i != j]) for v in (x, y)]
        values.append(matched / (matched + np.mean(within)))
    assert relative_gap(emb) == pytest.approx(np.mean(values))
    mask = torch.arange(9) < 6
    some = Embeddings.of(emb.z, present={"m0": mask})
    cut = Embeddings.of({k: v[:6] for k, v in emb.z.items() if k != "m2"})
    assert relative_gap(Embeddings.of({k: some.z[k] for k in ("m0", "m1")}, present={"m0": mask})) == pytest.approx(
        relative_gap(cut)
    )


def test_low_quantile_is_that_of_the_worst_matches():
    z = torch.eye(2).repeat(50, 1)
    flipped = z.clone()
    flipped[:10] *= -1
    emb = Embeddings.of({"a": z, "b": flipped})
    assert positive_quantile(emb) == -1
    assert positive_quantile(emb, q=0.5) == 1


def test_a_plane_tells_modalities_apart_or_not():
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(400, 8, generator=g) for _ in range(2))
    assert modality_auc(Embeddings.of({"a": x, "b": y})) == pytest.approx(0.5, abs=0.05)
    shifted = y + 4 * torch.eye(8)[0]
    assert modality_auc(Embeddings.of({"a": x, "b": shifted})) > 0.95
    assert modality_auc(Embeddings.of({"b": x, "a": shifted})) > 0.95
    same = torch.randn(10, 3, generator=g)
    assert modality_auc(Embeddings.of({"a": same, "b": same})) == 0.5
    with pytest.raises(InputError, match="present in 4 rows"):
        modality_auc(Embeddings.of({"a": same[:3], "b": same[:3]}))
