"""`tuplet.cost` counts what a step on real data does, without doing it."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tuplet
from tuplet import Embeddings, InputError, Loss
from tuplet.objectives import Gram, OneVsAll, Pairwise, Symile, costs
from tuplet.objectives.published import PUBLISHED

RATES = (1e10, 1e9, 1e10, 1e-5)
LOOPS = ("transport",)  # repeats until it converges: counted once


def unit_rows(m, b, d):
    g = torch.Generator().manual_seed(0)
    z = {f"m{k}": torch.nn.functional.normalize(torch.randn(b, d, generator=g), dim=1).requires_grad_() for k in range(m)}
    return Embeddings.of(z, aux={f"{kind}.{k}": v for kind in ("input", "view0", "view1") for k, v in z.items()})


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - set(LOOPS)))
def test_flops_are_those_of_a_step_on_data(name):
    objective = PUBLISHED[name].built(("m0", "m1", "m2"), 16, settings=PUBLISHED[name].paper)
    emb = unit_rows(3, 40, 16)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the others' flops are not registered
        objective(emb).total.backward()
    told = tuplet.cost(objective, batch=40, dim=16, rates=RATES)
    assert told.flops == counter.get_total_flops() > 0
    assert told.memory > 2 * 3 * 40 * 16 * 4  # embeddings and their gradients


def test_blocks_bound_the_memory_and_seconds_are_the_weighted_sum():
    whole, blocks = (tuplet.cost(Gram(block_size=b), batch=2048, dim=32, rates=RATES) for b in (None, 128))
    assert blocks.memory < whole.memory / 3
    assert blocks.flops > whole.flops  # computed again in backward
    far, near = whole.bytes - whole.cached, whole.cached
    assert whole.seconds == pytest.approx(whole.flops / 1e10 + far / 1e9 + near / 1e10 + whole.operations * 1e-5)
    assert min(far, near) > 0


def test_an_objective_is_left_as_it_is_and_names_may_be_given():
    objective = Pairwise(tau=tuplet.objectives.Temperature(0.1)) + 0.5 * Symile(generator=torch.Generator().manual_seed(0))
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    told = tuplet.cost(objective, modalities=("sound", "touch", "vision"), batch=16, dim=4, rates=RATES)
    assert told == tuplet.cost(objective, modalities=3, batch=16, dim=4, rates=RATES)
    assert all(torch.equal(v, before[k]) for k, v in objective.state_dict().items())
    assert tuplet.cost(OneVsAll(), batch=16, dim=4).seconds > 0  # at the rates of this machine


def test_what_needs_data_is_one_line():
    def sorts(emb):
        raise NotImplementedError("no data\nhere")

    with pytest.raises(InputError, match=r"^objective cannot be run on tensors without data \(no data\); time it"):
        tuplet.cost(sorts)
    with pytest.raises(InputError, match="z has 2 modalities"):
        tuplet.cost(PUBLISHED["triangle"].make((), 4), modalities=2, rates=RATES)
    with pytest.raises(InputError, match="batch is 0"):
        tuplet.cost(Pairwise(), batch=0)


def test_bytes_and_operations_are_those_of_the_kernels():
    def squares(emb):
        total = emb.z["m0"].square().sum()
        return Loss(total, {"squares": total})

    told = tuplet.cost(squares, modalities=1, batch=64, dim=8, rates=RATES)
    read = 64 * 8 * 4
    # square 2, sum 1; backward: of an expanded number, which is read as one, power 2, two products 2 each
    assert 8 * read < told.bytes < 10 * read
    assert 4 <= told.operations <= 8
    assert told.cached == told.bytes  # all of it is small
    large = tuplet.cost(squares, modalities=1, batch=2**16, dim=64, rates=RATES)
    assert 0 < large.cached < 0.1 * large.bytes
    names = ("flops", "bytes", "cached", "operation")
    assert len(costs._rates(1)) == len(names)
    flops, far, near, each = costs._rates(1)
    assert near > far / 3  # memory is not faster than a cache; a swap shows where they differ
    assert flops > 1e9
    assert 1e-7 < each < 1e-2
