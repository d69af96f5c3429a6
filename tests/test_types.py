"""Embeddings.of: what it fills in, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tuplet import Embeddings, InputError
from tuplet.objectives._patterns import without_gaps
from tuplet.types import in_range, positive


def test_missing_rows_are_zero_whatever_they_held():
    z = {"b": torch.ones(3, 2), "a": torch.full((3, 2), torch.nan)}
    emb = Embeddings.of(z, present={"a": torch.zeros(3, dtype=torch.bool)})
    assert emb.modalities == ("a", "b")
    assert not emb.z["a"].any()
    assert emb.present["b"].all()
    assert emb.rows == slice(0, 3)
    assert emb.h["b"] is emb.z["b"]


def test_missing_rows_get_no_gradient():
    a = torch.ones(3, 2, requires_grad=True)
    mask = torch.tensor([True, False, True])
    Embeddings.of({"a": a}, present={"a": mask}).z["a"].sum().backward()
    assert torch.equal(a.grad, mask[:, None].float().expand(3, 2))


ones = torch.ones(3, 2)


@pytest.mark.parametrize(
    ("z", "options", "message"),
    [
        ({}, {}, "z is empty"),
        ({"a": ones, "b": torch.ones(4, 2)}, {}, r"z\['b'\] has 4 rows, expected 3 to match z\['a'\]"),
        ({"a": ones, "b": torch.ones(3, 5)}, {}, r"z\['b'\] has D = 5, expected 2"),
        ({"a": ones, "b": ones.double()}, {}, r"z\['b'\] has dtype torch.float64, expected torch.float32"),
        ({"a": ones, "b": ones.to("meta")}, {}, r"z\['b'\] is on meta, expected cpu"),
        ({"a": torch.ones(3)}, {}, r"z\['a'\] has shape \(3,\), expected \(B, D\)"),
        ({"a": torch.ones(3, 2, dtype=torch.int64)}, {}, "expected a floating dtype"),
        ({"a": ones * torch.nan}, {}, r"z\['a'\] has NaN or infinite values in 3 of 3 rows"),
        ({"a": ones / 0}, {}, "NaN or infinite"),
        ({"a": ones}, {"present": {"b": torch.ones(3, dtype=torch.bool)}}, "present names"),
        (
            {"a": ones},
            {"present": {"a": torch.ones(2, dtype=torch.bool)}},
            r"present\['a'\] has shape \(2,\)",
        ),
        ({"a": ones}, {"present": {"a": torch.full((3,), 2.0)}}, "expected bool"),
        ({"a": [["x"]]}, {}, r"z\['a'\] is no array of numbers"),
        ({"a": ones}, {"group": torch.ones(2)}, "group has shape"),
        ({"a": ones, "b": ones}, {"h": {"a": ones}}, "h has modalities"),
        ({"a": ones}, {"target": {"y": torch.ones(2)}}, r"target\['y'\]"),
    ],
)
def test_bad_input_is_named(z, options, message):
    with pytest.raises(InputError, match=message):
        Embeddings.of(z, **options)


def test_arrays_lists_and_strings_are_taken():
    rng = np.random.default_rng(0)
    z = {k: rng.normal(size=(4, 3)).astype("f4") for k in "ab"}
    group = np.array(["s2", "s1", "s2", "s1"], dtype=object)
    emb = Embeddings.of(z, present={"a": [1, 0, 1, 1]}, group=group, target={"y": [0, 1, 2, 3]})
    assert emb.present["a"].tolist() == [True, False, True, True]
    assert emb.z["a"][1].tolist() == [0, 0, 0]
    assert emb.group.tolist() == [1, 0, 1, 0]
    assert emb.target["y"].tolist() == [0, 1, 2, 3]
    assert torch.equal(emb.z["b"], torch.from_numpy(z["b"]))
    assert Embeddings.of(z, group=[5, 5, 7, 7]).group.tolist() == [5, 5, 7, 7]


def test_what_is_no_number_is_refused_by_name():
    for check in (lambda v: in_range("tau", v, 0), lambda v: positive("tau", v)):
        for number in (1, 0.5, np.float32(0.1), np.int64(3), np.array(0.3), torch.tensor(0.2), torch.tensor(2)):
            check(number)
        lists = (([1], r"\[1\]"), (np.ones(2), r"array\(\[1., 1.\]\)"), (torch.ones(2), r"tensor\(\[1., 1.\]\)"))
        words = (("0.1", "'0.1'"), (np.str_("1"), r"np.str_\('1'\)"), (None, "None"), (float("nan"), "nan"), (-1, "-1"))
        for wrong, word in (*lists, *words, (np.complex64(1), r".*"), (np.datetime64("2020"), r".*"), (np.array(None), r".*")):
            with pytest.raises(InputError, match=rf"^tau is {word}, expected a number (>=|>) 0$"):
                check(wrong)
    positive("tau", 1e-30)
    in_range("share", 0, 0, 1)
    for refused in (lambda: positive("tau", 0), lambda: in_range("share", 1, 0, 1)):
        with pytest.raises(InputError, match=r"expected a number (> 0|in \[0, 1\))"):
            refused()


def test_what_is_said_of_all_rows_is_believed_where_one_cannot_look(monkeypatch):
    emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)})
    assert not without_gaps(emb.known(complete=True))
    away = replace(emb, index=emb.index.to("meta"))
    assert (without_gaps(away), without_gaps(away.known(complete=True))) == (False, True)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert (without_gaps(emb), without_gaps(emb.known(complete=True))) == (False, True)


def test_what_is_known_of_all_rows_is_forgotten_with_them():
    emb = Embeddings.of({"a": torch.eye(3), "b": torch.eye(3)})
    known = emb.known(complete=True)
    assert (emb.complete, known.complete, known.known(complete=False).complete) == (False, True, False)
    assert known.present is emb.present
    assert not replace(known, present={k: ~v for k, v in known.present.items()}).complete
