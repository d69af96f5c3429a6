"""Diagnostics against the authors' outputs and closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.contract.cases import embeddings
from tuplet import Embeddings, InputError
from tuplet.diagnose import alignment, centroid_gap, effective_rank, positive_cosine, uniformity

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "reference" / "objectives"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="reference outputs are not beside the project")
def test_alignment_and_uniformity_equal_the_authors_program():
    files = sorted(FOLDER.glob("align_uniform_M3*.npz"))
    assert files
    for path in files:
        data = np.load(path)
        z = [torch.from_numpy(data[f"z{i}"]) for i in range(3)]
        for key, t in (("uniform_t2", 2.0), ("uniform_t05", 0.5)):
            np.testing.assert_allclose([float(uniformity(v, t=t)) for v in z], data[key], rtol=1e-9)
        pairs = [(0, 1), (0, 2), (1, 2)]
        for key, alpha in (("align_alpha2", 2.0), ("align_alpha1", 1.0)):
            seen = [float(alignment(z[a], z[b], alpha=alpha)) for a, b in pairs]
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
