"""Whole towers with adapters and modulation against the authors' program: every output, and one step's gradients."""

import json
from pathlib import Path

import numpy as np
import torch

from tuplet import Batch
from tuplet.methods import tlv_core
from tuplet.nets import clip
from tuplet.objectives import SensorDecoupling, Temperature

FOLDER = Path(__file__).parents[1] / "reference" / "tactile"
PARTS = {"text": "text", "vision": "vision", "touch": "vision"}
THEIRS = {"text": "language", "vision": "vision", "touch": "touch"}


def stored(kind, seed, folder):
    with np.load(folder / f"tower_s{seed}_{kind}.npz", allow_pickle=False) as data:
        return {k: torch.from_numpy(np.asarray(data[k])) for k in data.files}


def same(found, wanted, name, *, atol=1e-9):
    np.testing.assert_allclose(found.detach(), wanted, rtol=1e-9, atol=atol, err_msg=name)


class Stored:
    """The tiny three-tower model of the reference, built by `tlv_core`, with the stored weights."""

    def __init__(self, seed=0, folder=FOLDER):
        self.config = json.loads((folder / f"tower_s{seed}_config.json").read_text())
        self.weights, self.out, self.grads = (stored(kind, seed, folder) for kind in ("weights", "outputs", "grads"))
        self.inputs = {
            "text": {"ids": self.out["input_ids"], "mask": self.out["attention_mask"]},
            "vision": self.out["vision_pixels"].double(),
            "touch": self.out["touch_pixels"].double(),
        }

    def build(self, *, levels=4, **options):
        c = self.config
        base = {f"{k}_config": c[k] for k in ("vision", "text")} | {"projection_dim": c["projection_dim"]}
        towers = {k: clip(base, part).double() for k, part in PARTS.items()}
        for k, tower in towers.items():
            body = {n.removeprefix(f"{k}_model."): v for n, v in self.weights.items() if n.startswith(f"{k}_model.")}
            assert not tower.body.load_state_dict(body, strict=False).missing_keys
            tower.projection.weight = torch.nn.Parameter(self.weights[f"{k.replace('vision', 'visual')}_projection.weight"])
        model, objective, _ = tlv_core(towers, sensors=c["n_sensors"], rank=c["rank"], levels=levels, **options)
        model, objective = model.double(), objective.double()
        for key, value in self.weights.items():
            if key.startswith("uba.") and (place := self.adapter(model, key)) is not None:
                place.data = value.double()
        if model.encoders["touch"].modulator is not None:
            model.encoders["touch"].modulator.router.weight.data = self.out["sam_router"].double()
        for part in objective.modules():
            if isinstance(part, SensorDecoupling):
                part.centroids.data = self.out["sam_centroids"].double()
            if isinstance(part, Temperature):  # 0.07 in float64
                low, high = part.bounds
                part.logit.data = torch.logit(torch.tensor(np.log(0.07 / low) / np.log(high / low)))
        return model, objective

    @staticmethod
    def adapter(model, key):
        """Find the parameter that a key of the reference names; None where the model has fewer levels."""
        _, first, *rest = key.split(".")
        bridge = dict(model.bridges.items()).get("bridge")
        level, side, kind = (rest[0], "shared", rest[1]) if first == "shared" else rest
        if bridge is None or int(level) >= bridge.levels:
            return None
        layers = bridge.shared if first == "shared" else getattr(bridge, side)[first.replace("language", "text")]
        return getattr(layers[int(level)], kind)

    def embed(self, model):
        n = len(self.inputs["touch"])
        present = dict.fromkeys(self.inputs, torch.ones(n, dtype=torch.bool))
        return model(Batch(self.inputs, present, torch.arange(n), aux={"sensor": self.out["sensor_ids"]}))


def executed(model, name, inputs):
    """List the blocks that an encoder runs, in order."""
    ran, layers = [], model.encoders[name].tower.body.encoder.layers
    hooks = [layer.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, layer in enumerate(layers)]
    h = model.encoders[name](inputs).h
    for hook in hooks:
        hook.remove()
    return ran, h


def check_outputs(reference):
    """Block l of text pairs with block n / 2 + l of vision and touch; the last run is the published loop's."""
    for run, options in (
        ("full", {"modulate": False}),
        ("last2", {"modulate": False, "levels": 2}),
        ("off", {"modulate": False, "levels": 0}),
        ("sam", {}),
        ("asrun", {"modulate": False, "blocks": "last"}),
    ):
        model, _ = reference.build(**options)
        emb = reference.embed(model)
        for k, theirs in THEIRS.items():
            same(emb.z[k], reference.out[f"{run}/{theirs}_embedding"], f"{run} {k}")
            if run != "asrun":
                same(emb.h[k], reference.out[f"{run}/{theirs}_pooled"], f"{run} {k}")
            if run in ("full", "asrun"):
                word = {"full": "correct", "asrun": "published"}[run]
                assert executed(model, k, reference.inputs[k])[0] == reference.config[f"executed_blocks_{word}"][theirs]
            if run == "full":
                wrong = reference.out[f"asrun/{theirs}_embedding"]
                assert float((emb.z[k].detach() - wrong).abs().max()) > 0.3
            for level, hidden in enumerate(model.encoders[k].tower(reference.inputs[k]).hidden if run == "off" else ()):
                same(hidden.float(), reference.out[f"off/{theirs}_layer_{level}"].float(), f"{k} {level}", atol=2e-6)


def check_gradients(reference):
    """Where the decoupling reads, and whether it is reversed, decides who is trained by it."""
    for run, site, mode in (
        ("tokens_sensor_only", "tokens", "none"),
        ("tokens_total_no_reverse", "tokens", "none"),
        ("pooled_sensor_only_reverse", "pooled", "reverse"),
        ("pooled_total_reverse", "pooled", "reverse"),
    ):
        model, objective = reference.build(site=site, mode=mode, alpha=0.1)
        (decoupling,) = (m for m in objective.modules() if isinstance(m, SensorDecoupling))
        loss = (objective if "total" in run else decoupling)(reference.embed(model)).total
        same(loss, reference.grads[f"{run}/loss"], run)
        loss.backward()
        checked = 0
        for key, wanted in reference.grads.items():
            name = key.removeprefix(f"{run}/grad/")
            if name == key:
                continue
            checked += 1
            if name == "logit_scale":  # theirs is the log of 1 / tau, ours the logit of a share
                (temperature,) = (m for m in objective.modules() if isinstance(m, Temperature))
                tau = temperature()
                (slope,) = torch.autograd.grad(tau, temperature.logit)
                found = temperature.logit.grad
                same(torch.zeros(()) if found is None else -found * tau / slope, wanted, f"{run} {name}")
                continue
            place = {"sam.centroids": decoupling.centroids, "sam.router": model.encoders["touch"].modulator.router.weight}
            parameter = place[name] if name in place else reference.adapter(model, name)
            same(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad, wanted, f"{run} {name}")
            if run == "tokens_sensor_only" and name.startswith("uba."):
                assert parameter.grad is None or not parameter.grad.any()
        assert checked == 59


def test_outputs_of_whole_towers():
    check_outputs(Stored())


def test_gradients_of_whole_towers():
    check_gradients(Stored())
