"""The first line of a summary says no more than paired intervals do."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tuplet import AlignmentModel, InputError
from tuplet.data import from_arrays
from tuplet.evaluate import Result, baselines, evaluate, linear_baseline, mean_cosine, summary
from tuplet.evaluate._pairing import doubt


def row(metric, hits, n=200, *, higher=True):
    """One result whose items are ``hits`` ones among n, always the same rows."""
    items = tuple(float(i < hits) for i in range(n))
    return Result(metric, hits / n, "mean" if "retrieval" in metric else "", higher, 0.1, n, items)


def first(ours, **theirs):
    """The sentences before the evidence, in one line."""
    return " ".join(summary(ours, theirs).split("\n- ")[0].split("\n\n")[0].split())


def test_gains_losses_and_nothing():
    both = [row("retrieval/cosine/mAP", 150), row("probe/linear", 100)]
    won = first(both, inputs=[row("probe/linear", 50)], linear=[row("retrieval/cosine/mAP", 40)])
    assert won == "The model beats the linear closed form in retrieval by cosine (mAP); and plain inputs in the linear probe."
    every = {"retrieval/cosine/mAP": 40, "probe/linear": 50}
    rest = [row(k, v) for k, v in every.items()]
    assert first(both, inputs=rest[1:], random=rest, linear=rest) == (
        "The model beats random encoders and the linear closed form in retrieval by cosine (mAP); and plain inputs, random "
        "encoders and the linear closed form in the linear probe."
    )
    text = summary(both, {"inputs": rest[1:], "random": rest, "linear": rest})
    assert "plain inputs cannot be compared" in " ".join(text.split("- the linear probe")[0].split())
    assert "cannot be compared" not in text.split("- the linear probe")[1]
    mixed = first(both, inputs=[row("probe/linear", 180)], linear=[row("retrieval/cosine/mAP", 40)])
    assert mixed.startswith("The model beats the linear closed form in retrieval by cosine (mAP). Better than the model")
    assert "in the linear probe: plain inputs (0.900 against 0.500)" in mixed
    lost = first(both, linear=[row("retrieval/cosine/mAP", 180)], random=[row("retrieval/cosine/mAP", 10)])
    assert lost.startswith("Nothing is gained for certain")
    assert "the linear closed form (0.900 against 0.750)" in lost
    assert "random" not in lost.split("Better")[1]


def test_ties_single_rows_and_absent_rows_claim_nothing():
    same = [row("retrieval/cosine/mAP", 150)]
    assert first(same, linear=same).startswith("Nothing is gained for certain")
    assert "not told apart from the linear closed form (0.750)" in " ".join(summary(same, {"linear": same}).split())
    assert "separate only" not in summary(same, {"linear": same})  # equal rows leave no gap to measure
    text = summary(same, {"linear": [row("retrieval/cosine/mAP", 147)], "random": [row("retrieval/cosine/mAP", 140)]})
    assert text.count("not told apart: 200 test rows separate only gaps above about 0.02") == 1  # 3 rows apart; 10 are clear
    assert "gap: between" not in text  # the table has none
    one, other = (replace(same[0], value=0.5, items=x, pool=2) for x in ((1.0, 0.0), (0.0, 1.0)))
    assert "2 test rows separate no two of them: they are too few" in " ".join(summary([one], {"linear": [other]}).split())
    near = first(same, linear=[row("retrieval/cosine/mAP", 149)])  # one row more than the other
    assert near.startswith("Nothing is gained for certain")
    bare = Result("retrieval/cosine/mAP", 0.9, "mean")  # no rows to pair by
    assert first([bare], linear=[Result("retrieval/cosine/mAP", 0.1, "mean")]).startswith("Nothing is gained for certain")
    assert first(same, linear=[], inputs=[]) == "No baseline could be compared with this model."


def test_lower_is_better_for_errors():
    ours = [row("probe/linear", 20, higher=False)]
    assert first(ours, inputs=[row("probe/linear", 90, higher=False)]).startswith("The model beats plain inputs in")
    assert "Better than the model" in first([row("probe/linear", 90, higher=False)], inputs=ours)


def test_says_that_the_closed_form_retrieves_better_than_random_encoders():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(400, 4))
    x, y = (factors @ rng.normal(size=(4, w)) + 0.1 * rng.normal(size=(400, w)) for w in (6, 9))
    source = from_arrays({"a": x, "b": y}, targets={"label": factors[:, 0] > 0})
    rows = baselines(source)
    assert list(rows) == ["inputs", "random", "linear"]
    assert not [r for r in rows["inputs"] if r.metric.startswith("retrieval")]  # 6 and 9 numbers have no cosine
    torch.manual_seed(1)
    text = summary(evaluate(AlignmentModel.for_source(source), None, source), rows)
    assert text.startswith("Nothing is gained for certain")
    assert "the linear closed form (1.000 against" in " ".join(text.split("\n- ")[0].split())
    assert "Retrieval is near chance" not in text  # the closed form shows that rows belong together
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "beats" not in summary(evaluate(linear_baseline(source), None, source), rows).splitlines()[0]


def test_inputs_of_one_size_retrieve_and_rows_that_cannot_be_are_empty():
    x = np.random.default_rng(0).normal(size=(50, 4))
    even = np.arange(50) % 2 == 0
    found = {r.metric: r for r in baselines(from_arrays({"a": x, "b": x}))["inputs"] if r.detail == "mean"}
    assert found["retrieval/cosine/R@1"].value == 1
    assert baselines(from_arrays({"a": x, "b": np.ones((50, 3))}))["linear"] == []
    assert baselines(from_arrays({"a": x, "b": x[:, :3]}))["inputs"] == []
    with pytest.raises(InputError, match="target is 'nope'"):
        baselines(from_arrays({"a": x, "b": x}, targets={"even": even}), target="nope")


def test_shuffled_rows_are_doubted_and_paired_ones_are_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5))
    paired = from_arrays({"a": x, "b": x @ rng.normal(size=(5, 8))})
    shuffled = from_arrays({"a": x, "b": rng.permutation(x @ rng.normal(size=(5, 8)))})
    model, wrong = linear_baseline(paired, dim=4), linear_baseline(shuffled, dim=4)
    assert doubt(model, len, paired.val) == ""
    said = doubt(wrong, len, shuffled.val)
    assert said.startswith("Retrieval on validation rows is near chance (mAP 0.")
    assert "does row i mean the same thing" in said
    assert "Check the pairing first" in summary(evaluate(wrong, None, shuffled))
    assert "Check the pairing first" not in summary(evaluate(model, None, paired))
    own = SimpleNamespace(score=lambda q, c: -mean_cosine(q, c))  # a wrong score of its own beside a cosine that finds
    assert doubt(model, own, paired.val) == ""
