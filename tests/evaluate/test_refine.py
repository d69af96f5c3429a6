"""Refinements, hubs and metrics under ties, against recorded values."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tuplet import InputError
from tuplet.diagnose import hubs
from tuplet.evaluate import rank_metrics, refine

FOLDER = Path(__file__).parents[1] / "reference" / "retrieval"


def stored(kind):
    files = sorted(FOLDER.glob(f"{kind}_M*.npz"))
    assert len(files) == 3
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            yield file.name, {k: data[k] for k in data.files}


def same(found, wanted, name):
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-9, atol=1e-12, err_msg=name)


def test_refinements_are_those_recorded():
    for name, d in stored("generic"):
        s, bank = torch.from_numpy(d["score/mean_cosine"]), torch.from_numpy(d["bank_scores"])
        for beta in (5.0, 20.0):
            recorded = {
                "inverted_softmax": refine.dual_softmax(s, beta=beta, form="inverted"),
                "dual_softmax_product": refine.dual_softmax(s, beta=beta),
                "dsl_prior_times_sim": refine.dual_softmax(s, beta=beta, form="prior"),
                "qbnorm_k1": refine.query_bank(s, bank, beta=beta),
                "qbnorm_k3": refine.query_bank(s, bank, beta=beta, k=3),
                "bank_inverted_softmax": refine.query_bank(s, bank, beta=beta, rows="all"),
                "sinkhorn_log_1": refine.sinkhorn(s, beta=beta, rounds=1),
                "sinkhorn_log_100": refine.sinkhorn(s, beta=beta),
                "sinkhorn_log_converged": refine.sinkhorn(s, beta=beta, rounds=3000),
            }
            there = [k for k in recorded if f"beta{beta:.0f}/{k}" in d]
            assert len(there) >= 4
            for key in there:
                same(recorded[key], d[f"beta{beta:.0f}/{key}"], f"{name} {key}")
        for k in (5, 10):
            same(refine.csls(s, k=k), d[f"csls_{k}"], name)


def test_hubs_are_those_recorded():
    for name, d in stored("generic"):
        for kind, sign in (("mean_cosine", 1), ("volume", -1), ("conditional_volume", -1)):
            for k in (1, 5, 10):
                found = hubs(sign * torch.from_numpy(d[f"score/{kind}"]), k=k)
                assert (found.occurrence.numpy() == d[f"hub_{kind}/N_{k}"]).all(), name
                same(found.skew, d[f"hub_{kind}/skew_{k}"], name)
                assert found.largest == d[f"hub_{kind}/largest_hub_{k}"]
                assert found.never == (d[f"hub_{kind}/N_{k}"] == 0).mean()


def test_equal_scores_share_places():
    g = torch.Generator().manual_seed(0)
    for scores in (torch.randint(0, 3, (9, 6), generator=g).double(), torch.zeros(9, 6).double()):
        for k in (1, 3, 6):
            times = torch.zeros(6)
            for _ in range(300):
                order = torch.randperm(6, generator=g)  # the first of equals, in a random order
                first = order[scores[:, order].sort(dim=1, descending=True, stable=True).indices[:, :k]]
                times += torch.bincount(first.flatten(), minlength=6) / 300
            found = hubs(scores, k=k)
            assert torch.allclose(found.occurrence.float(), times, atol=0.4)
            assert (found.queries, found.places) == (9, k)
    assert torch.allclose(hubs(scores, k=3).occurrence, torch.full((6,), 4.5).double())
    assert hubs(scores, k=3).skew == 0


def test_metrics_under_three_tie_rules():
    for name, d in stored("ties"):
        for side, scores, relevant in (
            ("q2c", d["scores"], d["relevance"]),
            ("c2q", d["scores"].T, d["relevance"].T),
            ("constant_q2c", np.zeros_like(d["scores"]), d["relevance"]),
        ):
            for ties in ("expected", "optimistic", "pessimistic"):
                items, tied = rank_metrics(scores, relevant, ties=ties)
                for key, theirs in (
                    ("R@1", "R@1"),
                    ("R@5", "R@5"),
                    ("R@10", "R@10"),
                    ("mAP", "AP"),
                    ("nDCG@10", "nDCG@10"),
                ):
                    same(items[key], d[f"{side}/{ties}/per_query_{theirs}"], f"{name} {side} {ties} {key}")
                same(items["MnR"].mean(), d[f"{side}/{ties}/MnR"], name)
                same(np.median(items["MdR"]), d[f"{side}/{ties}/MdR"], name)
                assert tied == d[f"{side}/tied_queries"]


def test_a_hub_is_taken_down_and_bad_input_is_one_line():
    g = torch.Generator().manual_seed(0)
    truth = torch.eye(30) + 0.3 * torch.randn(30, 30, generator=g)
    truth[:, 3] += 1.5  # what everybody finds
    right = torch.arange(30)
    before = (truth.argmax(dim=1) == right).float().mean()
    for better in (refine.dual_softmax(truth, form="inverted"), refine.csls(truth, k=5), refine.sinkhorn(truth)):
        assert (better.argmax(dim=1) == right).float().mean() > before + 0.3
        assert hubs(better, k=1).largest < hubs(truth, k=1).largest
    for call, said in (
        (lambda: refine.dual_softmax(truth, beta=0.0), "beta is 0.0"),
        (lambda: refine.csls(truth, k=31), "expected 1 to 30"),
        (lambda: refine.query_bank(truth, truth[:, :3]), "the same candidates"),
        (lambda: refine.sinkhorn(truth * float("nan")), "NaN or infinite"),
        (lambda: hubs(truth[:, :2], k=3), "expected 1 to 2"),
    ):
        with pytest.raises(InputError, match=said):
            call()
