"""No function of diagnose answers bad rows with a traceback of its own, a warning or a silent NaN."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from tests.hostile import GOOD, ROWS, N, faults
from tuplet import InputError, diagnose
from tuplet.types import Embeddings


@pytest.mark.slow  # hands in wrong types on purpose, which a run with types checked refuses itself
def test_hostile_input_is_refused_in_one_line_or_measured():
    found, good = [], torch.tensor(GOOD)
    for turn, (kind, x) in enumerate(ROWS.items()):
        for k, name in enumerate(("cka", "cknna", "cycle_knn", "lcs_knn", "mutual_knn", "svcca", "alignment")):
            measure = partial(getattr(diagnose, name), **({} if name == "alignment" else {"shuffles": 3}))
            for sides in ((x, GOOD) if (turn + k) % 2 else (GOOD, x), (x, x)):
                found += faults(f"{name}({kind})", lambda f=measure, s=sides: f(*s))
        for name in ("uniformity", "effective_rank"):
            measure = getattr(diagnose, name)
            found += faults(f"{name}({kind})", lambda f=measure, x=x: f(x))
        found += faults(f"Moments({kind})", lambda x=x: diagnose.Moments().update(x, GOOD))
    none = np.zeros(N, bool)
    embeddings = {
        "solo": Embeddings.of({"a": good}),
        "absent": Embeddings.of({"a": good, "b": good}, present={"b": none}),
        "all absent": Embeddings.of({"a": good, "b": good}, present={"a": none, "b": none}),
        "one row": Embeddings.of({"a": good, "b": good}, present={"b": np.arange(N) == 2}),
    }
    for kind, x in ROWS.items():
        try:
            embeddings[kind] = Embeddings.of({"a": x, "b": good.to(torch.as_tensor(x).dtype)})
        except (InputError, TypeError, ValueError, RuntimeError):
            continue  # not embeddings at all
    assert {"zeros", "1e300", "denormal", "constant", "ties"} <= set(embeddings)
    names = ("conflict", "centroid_gap", "modality_auc", "paired_distance", "positive_cosine", "positive_quantile")
    for kind, emb in embeddings.items():
        found += faults(f"mixture({kind})", lambda e=emb: {k: m.summary() for k, m in diagnose.mixture(e).items()})
        for name in (*names, "relative_gap", "panel"):
            function = getattr(diagnose, name)
            found += faults(f"{name}({kind})", lambda f=function, e=emb: f(e), undefined=("mu",))
    z = good.clone().requires_grad_()
    square = (z * z).sum()
    for kind, terms, leaves in (
        ("nothing", {}, {}),
        ("no leaf", {"a": square}, {}),
        ("no scalar", {"a": z}, {"z": z}),
        ("no gradient", {"a": square}, {"z": good}),
    ):
        found += faults(f"forces({kind})", lambda t=terms, s=leaves: diagnose.forces(t, s))
    assert not found, found


def test_options_out_of_range_are_refused_and_the_edges_are_right():
    x = torch.tensor(GOOD)
    emb = Embeddings.of({"a": x, "b": x})
    accepted = []
    for value in (-1.0, math.nan):
        for call in (
            lambda v: diagnose.alignment(x, x, alpha=v),
            lambda v: diagnose.uniformity(x, t=v),
            lambda v: diagnose.positive_quantile(emb, q=v),
        ):
            try:
                accepted.append(call(value))
            except InputError:
                continue
    assert not accepted
    assert diagnose.effective_rank(torch.zeros(4, 3)) == 0
    assert round(diagnose.effective_rank(1e-310 * torch.eye(3, dtype=torch.float64)), 6) == 3
