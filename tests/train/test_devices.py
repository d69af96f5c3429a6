"""Compiled steps equal plain ones; what a device or a compiler cannot do is one line."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.train.test_fit import weights, without_time
from tests.train.toys import model, source
from tuplet import InputError, TrainConfig, fit
from tuplet.objectives import Gram, Pairwise, Structure, Temperature
from tuplet.train import _runtime as runtime
from tuplet.train import _tally as tally

CONFIG = partial(TrainConfig, epochs=2, batch_size=12)


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # PyTorch's own look at leaves
def test_compiled_steps_equal_plain_ones(monkeypatch):
    seen = []
    backend = partial(torch.compile, backend="aot_eager")  # the default one takes minutes to write its code
    monkeypatch.setattr(torch, "compile", lambda what: seen.append(what) or backend(what))
    s = source(missing=True)

    def run(**settings):
        return fit(model(), Pairwise(tau=Temperature(0.2)), train=s.train, val=s.val, config=CONFIG(**settings))

    plain, compiled = run(), run(compile=True)
    assert len(seen) == 2
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-4, atol=1e-6, msg=name)
    for one, two in zip(without_time(plain.history), without_time(compiled.history), strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5, nan_ok=True)


def test_what_no_compiler_takes_is_one_line(monkeypatch):
    def breaks(graph, inputs):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=breaks))
    with pytest.raises(InputError, match=r"compile is True, but torch.compile fails .*no compiler here.*set compile=False"):
        fit(model(), Pairwise(), train=source().train, config=CONFIG(compile=True))


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_a_compiled_step_on_complete_rows_has_one_loss_not_one_per_set(monkeypatch):
    def every_set(*_):
        raise AssertionError("all rows are complete")

    backend = partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", backend)
    plain = fit(model(), Gram(), train=source().train, config=CONFIG())
    monkeypatch.setattr("tuplet.objectives._patterns._over_every_set", every_set)
    compiled = fit(model(), Gram(), train=source().train, config=CONFIG(compile=True))
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-4, atol=1e-6, msg=name)


class NoFloat64(TorchDispatchMode):
    """Stands for Apple's MPS, which has no numbers of 64 bits."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **kwargs or {})
        if any(isinstance(t, torch.Tensor) and t.dtype == torch.float64 and t.numel() for t in tree_leaves(out)):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return out


def test_without_float64_most_train_and_the_others_say_why(monkeypatch):
    told = SimpleNamespace(type="mps")
    explain, init = runtime.Runtime.explain, tally.Tally.__init__

    def pretending(self, device):
        init(self, device)
        self.dtype = torch.float32

    monkeypatch.setattr(tally.Tally, "__init__", pretending)
    monkeypatch.setattr(runtime.Runtime, "explain", lambda self, *a: explain(SimpleNamespace(device=told), *a))
    s = source()
    with monkeypatch.context() as patch:
        patch.setattr("tuplet.train._monitor.panel", lambda emb: {})  # on the CPU in any case
        with NoFloat64():
            fit(model(), Pairwise(tau=0.1), train=s.train, val=s.val, config=CONFIG())
            with pytest.raises(InputError, match=r"^Apple's MPS cannot take this step .*float64.*set accelerator='cpu'"):
                fit(model(), Structure(), train=s.train, config=CONFIG())


def test_half_precision_is_refused_where_the_device_has_none(monkeypatch):
    monkeypatch.setattr(runtime.Runtime, "device", SimpleNamespace(type="mps"))
    with pytest.raises(InputError, match=r"precision is 'bf16', but Apple's MPS trains in float32"):
        fit(model(), Pairwise(), train=source().train, config=CONFIG(precision="bf16"))
