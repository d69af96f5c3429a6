import copy

import pytest
import torch

from tuplet import AlignmentModel, Embeddings, InputError
from tuplet.data import from_arrays
from tuplet.nets import Named
from tuplet.objectives.supervised import UnimodalTask

ODD = ["a.b", "a", "b", "values", "keys", "items", "type", "forward", "training", "_modules", "_keys", "%", "%25", "%values",
       "a%2Eb", ".", "..", "触覚", "left/hand", " ", "__init__", "T_destination", "layers.0.weight", "add_module"]  # fmt: skip


def test_any_text_names_a_module_and_no_two_names_meet():
    towers = Named({name: torch.nn.Linear(1, 1) for name in ODD})
    assert list(towers) == ODD == towers.keys()
    assert len(towers) == len(ODD)
    assert len(towers.state_dict()) == 2 * len(ODD)
    assert len({id(m) for m in towers.values()}) == len(list(towers.children())) == len(ODD)
    other = Named({name: torch.nn.Linear(1, 1) for name in ODD})
    other.load_state_dict(towers.state_dict())
    for name, module in towers.items():
        assert name in towers
        assert torch.equal(module.weight, other[name].weight)
        assert towers.get_submodule(next(k for k, m in towers.named_modules() if m is module)) is module
    assert "c" not in towers
    assert copy.deepcopy(towers)["keys"] is not towers["keys"]


def test_ordinary_names_keep_their_keys_and_members_can_be_replaced():
    old = torch.nn.ModuleDict({"force": torch.nn.Linear(2, 1), "left_hand": torch.nn.Linear(2, 1)})
    new = Named(dict(old.items()))
    assert list(new.state_dict()) == list(old.state_dict())
    new["force"] = torch.nn.Identity()
    assert list(new) == ["force", "left_hand"]
    assert list(new.state_dict()) == ["left_hand.weight", "left_hand.bias"]


def test_bad_names_and_members_are_one_line():
    for name in ("", 3, None, "a\n", "\x00", "\ud800"):
        with pytest.raises(InputError, match="expected text"):
            Named({name: torch.nn.Identity()})
    with pytest.raises(InputError, match="expected a torch"):
        Named({"a": len})


def test_a_model_of_odd_names_computes_what_a_model_of_plain_names_does():
    plain = [f"m{i:02}" for i in range(len(ODD))]
    rename = dict(zip(sorted(ODD), plain, strict=True))
    rows = {name: torch.randn(20, 3).numpy() for name in ODD}
    odd = AlignmentModel.for_source(from_arrays(rows), dim=4)
    other = AlignmentModel({rename[k]: m for k, m in odd.encoders.items()}, {rename[k]: m for k, m in odd.projections.items()})
    assert sorted(odd.encoders) == sorted(ODD)
    here = odd(from_arrays(rows).train[:4])
    there = other(from_arrays({rename[k]: v for k, v in rows.items()}).train[:4])
    for name in ODD:
        assert torch.equal(here.z[name], there.z[rename[name]])
        assert bool(here.z[name].any())
    heads = UnimodalTask({"a.b": 4, "values": 4}, 2)
    emb = Embeddings.of({k: torch.randn(3, 4) for k in ("a.b", "values")}, target={"label": torch.tensor([0, 1, 0])})
    assert sorted(heads(emb).terms) == ["a.b", "values"]
