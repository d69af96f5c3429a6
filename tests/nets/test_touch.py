"""Touch, language and vision: modulation, decoupling, adapters and towers against the authors' programs."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.starter import together
from tuplet import Batch, Embeddings, InputError, fit
from tuplet.evaluate import retrieve
from tuplet.functional import sensor_loss
from tuplet.functional.sensor import reversal_ramp, reverse_gradient, sensor_confusion
from tuplet.methods import any_touch, tlv_core, tlv_link, vit_lens
from tuplet.nets import BridgingAdapter, MaskedTower, SensorModulator, TowerEncoder, clip, tokeniser, universal_share
from tuplet.objectives import Curriculum, Pairwise, SensorDecoupling, SensorMatching, SoftTargets
from tuplet.objectives.curriculum import teacher_share
from tuplet.train._validate import validation_loss

FOLDER = Path(__file__).parents[1] / "reference" / "tactile"
LARGE = {
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 49408},
    "projection_dim": 768,
}


def stored(kind, count):
    """File name -> its arrays, as tensors."""
    files = sorted(FOLDER.glob(f"{kind}_*s0.npz"))
    assert len(files) == count, f"{kind}: {len(files)} files"
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            yield file.name, {k: torch.from_numpy(np.asarray(data[k])) for k in data.files}


def same(found, wanted, name, *, atol=1e-12):
    found = found.detach() if isinstance(found, torch.Tensor) else found
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-9, atol=atol, err_msg=name)


def test_decoupling_and_its_gradients():
    for name, d in stored("decoupling", 5):
        f, c, ids = d["features"].requires_grad_(), d["centroids"].requires_grad_(), d["sensor_ids"].long()
        tau = float(d["tau"])
        for seen, key in ((f, "plain"), (reverse_gradient(f, 1.0), "grl1"), (reverse_gradient(f, 0.5), "grl0p5")):
            if f"{key}_grad_features" not in d:
                continue
            loss = sensor_loss(seen, c, ids, tau=tau)
            same(loss, d["loss"], name)
            gradients = torch.autograd.grad(loss, (f, c))
            same(gradients[0], d[f"{key}_grad_features"], f"{name} {key}")
            same(gradients[1], d[f"{key}_grad_centroids"], f"{name} {key}")
        if "uniform_loss_features" not in d:
            continue
        same(sensor_confusion(f, c, tau=tau), d["uniform_loss_features"], name)
        objective = SensorDecoupling(f.shape[1], len(c), mode="uniform", tau=tau).double()
        objective.centroids.data = c.detach().clone()
        emb = Embeddings.of({"touch": f, "text": f}, aux={"sensor": ids})
        loss = objective(emb)
        same(loss.terms["sensor"], d["uniform_loss_centroids"], name)
        loss.total.backward()
        same(f.grad, d["uniform_grad_features"], name)
        same(objective.centroids.grad, d["uniform_grad_centroids"], name)
    with np.load(FOLDER / "grl_ramp.npz") as ramp:
        same([reversal_ramp(p) for p in ramp["p"]], ramp["lambda_dann"], "ramp")


def test_the_bounded_loss_is_smallest_where_no_sensor_is_named():
    torch.manual_seed(0)
    f, c = torch.randn(30, 6, requires_grad=True), torch.randn(4, 6)
    optimiser = torch.optim.Adam([f], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        sensor_confusion(f, c, tau=0.5).backward()
        optimiser.step()
    assert float(sensor_confusion(f.detach(), c, tau=0.5)) == pytest.approx(np.log(4), abs=2e-3)


def test_modulation_and_its_policies():
    for name, d in stored("sam", 3):
        tokens, ids = d["tokens"].requires_grad_(), d["sensor_ids"].long()
        module = SensorModulator(tokens.shape[2], len(d["router_weight"])).double()
        module.router.weight.data = d["router_weight"]
        out = module(tokens, ids)
        same(out, d["out"], name)
        gradients = torch.autograd.grad((out * d["R"]).sum(), (tokens, module.router.weight))
        same(gradients[0], d["grad_tokens"], name)
        same(gradients[1], d["grad_router"], name)
        same(sensor_loss(out.mean(dim=1), d["centroids"], ids), d["token_sensor_loss"], name)
        assert torch.equal(module(tokens), tokens)  # skip
        for policy in ("argmax", "expected"):
            module.without_id = policy
            same(module(tokens, torch.full_like(ids, -1)), d[f"policy_{policy}_out"], name)


def test_adapters_and_all_their_gradients():
    for name, d in stored("uba", 2):
        levels, rank = int(name.split("_L")[1][0]), int(name.split("_r")[1][0])
        names = ("touch", "language", "vision")
        bridge = BridgingAdapter(
            {m: d[f"h_{m}_0"].shape[2] for m in names}, rank=rank, levels=levels, bias="nobias" not in name
        ).double()

        def place(key, bridge=bridge):
            first, *rest, kind = key.split("_")
            module = bridge.shared[int(rest[0])] if first == "shared" else getattr(bridge, rest[0])[first][int(rest[1])]
            return getattr(module, kind)

        for key in (k for k in d if k.startswith("param_")):
            place(key.removeprefix("param_")).data = d[key]
        inputs = {(m, k): d[f"h_{m}_{k}"].requires_grad_() for m in names for k in range(levels)}
        total = torch.zeros((), dtype=torch.float64)
        for (m, k), h in inputs.items():
            out = bridge(h, m, k)
            same(out, d[f"out_{m}_{k}"], name)
            total = total + (out * d[f"R_{m}_{k}"]).sum()
        total.backward()
        for (m, k), h in inputs.items():
            same(h.grad, d[f"grad_h_{m}_{k}"], name)
        checked = [k for k in d if k.startswith("grad_") and not k.startswith("grad_h_")]
        assert len(checked) >= levels * 7
        for key in checked:
            same(place(key.removeprefix("grad_")).grad, d[key], f"{name} {key}")


def test_totals_of_alignment_and_decoupling():
    for name, d in stored("total", 6):
        x = {k: d[f"x_{k}"].requires_grad_() for k in ("touch", "language", "vision")}
        features, k = d["features"].requires_grad_(), len(d["centroids"]) if "centroids" in d else 1
        emb = Embeddings.of(x, h=x | {"touch": features}, aux={"sensor": d["sensor_ids"].long()})
        tau = float(torch.exp(-d["log_logit_scale"]))
        same(Pairwise(tau=tau)(emb).total, d["align_mean"], name)
        if k == 1:
            continue
        for mode, key in (("reverse", "grad_features_reverse"), ("none", "grad_features_noreverse")):
            decoupling = SensorDecoupling(features.shape[1], k, mode=mode, tau=float(d["tau"])).double()
            decoupling.centroids.data = d["centroids"]
            objective = Pairwise(tau=tau) + float(d["alpha"]) * decoupling
            loss = objective(emb).total
            same(loss, d["total"], name)
            found = torch.autograd.grad(loss, (features, *x.values(), decoupling.centroids), retain_graph=True)
            same(found[0], d[key], f"{name} {mode}")
            for value, part in zip(found[1:4], x, strict=True):
                same(value, d[f"grad_x_{part}"], f"{name} {part}")
            same(found[4], d["grad_centroids"], name)


def test_the_fading_teacher():
    with np.load(FOLDER / "tlvlink_schedule.npz") as d:
        cases = sorted({k.split("/")[0] for k in d.files})
        assert len(cases) >= 15
        for case in cases:
            total, span, start, end = (float(x) for x in d[f"{case}/params"])
            after, decay = case.split("_")[:2]
            found = [
                teacher_share(float(s), total, start=start, end=end, span=span, decay=decay, after=after)
                for s in d[f"{case}/step"]
            ]
            same(found, d[f"{case}/beta"], case)
    for name, d in stored("tlvlink_loss", 1):
        z = {k: d[f"z_{k}"].requires_grad_() for k in ("touch", "vision", "sentence", "phrase")}
        objective = Curriculum(texts=("sentence", "phrase"), tau=float(torch.exp(-d["log_logit_scale"])))
        for k, beta in enumerate(d["betas"]):
            objective.beta = float(beta)
            loss = objective(Embeddings.of(z)).total
            same(loss, d["losses"][k], name, atol=1e-9)
            for key, g in zip(z, torch.autograd.grad(loss, z.values()), strict=True):
                along = (g * z[key]).sum(dim=1, keepdim=True) * z[key]  # ours scales rows to length 1 first
                theirs = d[f"grad_z_{key}"][k]
                theirs = theirs - (theirs * z[key]).sum(dim=1, keepdim=True) * z[key]
                same(g - along, theirs.detach(), f"{name} {key}", atol=1e-9)


def test_the_sum_of_two_pairs():
    for name, d in stored("vitlens", 1):
        z = {"touch": d["z_touch"], "text": d["z_language"], "vision": d["z_vision"]}
        objective = Pairwise(
            pairs=[("touch", "vision"), ("text", "touch")], reduction="sum", tau=float(torch.exp(-d["log_logit_scale"]))
        )
        same(objective(Embeddings.of(z)).total, d["loss"], name)


def test_soft_targets_and_what_counts_as_found():
    """The touch-text pair learns how alike texts are; what is alike above a threshold counts as found."""
    for name, d in stored("tvl_soft", 1):
        tau, third = float(torch.exp(-d["log_logit_scale"])), 1 / 3
        z = {"touch": d["z_touch"], "text": d["z_language"], "vision": d["z_vision"]}
        z = {k: v.requires_grad_() for k, v in z.items()}
        emb, soft = Embeddings.of(z), SoftTargets(tau=tau)
        same(soft(emb).total, d["soft_pair_loss"], name)
        for detach, key in ((False, "published"), (True, "detached_targets")):
            (found,) = torch.autograd.grad(SoftTargets(tau=tau, detach=detach)(emb).total, z["text"])
            same(found, d[f"soft_pair_grad_language_{key}"], f"{name} {key}")
        hard = Pairwise(pairs=[("text", "vision"), ("touch", "vision")], reduction="sum", tau=tau)
        loss = (third * (hard + soft))(emb).total
        same(loss, d["soft/loss"], name)
        for key, found in zip(z, torch.autograd.grad(loss, z.values()), strict=True):
            same(found, d[f"soft/grad_z_{key.replace('text', 'language')}"], f"{name} {key}")
        half = Pairwise(pairs=[("touch", "vision")], reduction="sum", tau=tau)
        same((third * (half + soft))(emb).total, d["soft_no_vision_text/loss"], name)
        alike = (z["text"] @ z["text"].T).detach() > 0.636
        for a, b, key in (("touch", "text", "tactile_text"), ("text", "vision", "text_vision")):
            both = [retrieve(emb, one, two, relevance=alike, cutoffs=(1, 5)) for one, two in (((a,), (b,)), ((b,), (a,)))]
            for k in (1, 5):
                found = 100 * (both[0].values[f"R@{k}"] + both[1].values[f"R@{k}"]) / 2
                assert found == pytest.approx(float(d[f"soft/acc{k}_{key}"]), abs=1e-4)
        absent = Embeddings.of(z, present={"text": torch.arange(6) < 4})
        same(soft(absent).total, soft(Embeddings.of({k: v[:4] for k, v in z.items()})).total.detach(), "absent rows")
        late = Embeddings.of(z, present={"text": torch.arange(6) > 1})  # relevance is of all rows, the pool of those present
        few = retrieve(Embeddings.of({k: v[2:] for k, v in z.items()}), ("touch",), ("text",), relevance=alike[2:, 2:])
        assert retrieve(late, ("touch",), ("text",), relevance=alike).values == few.values
        shares = [soft(replace(absent, rows=slice(i, i + 2))).total.detach() for i in (0, 2, 4)]  # of three processes
        same(soft(absent).total, sum(shares) / 3, "shares")
        for wrong in (alike[:2], alike.float(), ~alike):
            with pytest.raises(InputError, match="true diagonal"):
                retrieve(emb, ("touch",), ("text",), relevance=wrong)


def test_counts_of_trained_parameters():
    def made(build, **options):
        with torch.device("meta"):
            towers = {"text": clip(LARGE, "text"), "touch": clip(LARGE), "vision": clip(LARGE)}
            model, objective, _ = build(towers, **options)
        trained = sum(p.numel() for p in [*model.parameters(), *objective.parameters()] if p.requires_grad)
        return trained, trained / sum(p.numel() for p in [*model.parameters(), *objective.parameters()])

    for build, options, count, share in (
        (tlv_core, {"sensors": 5}, 2_220_545, 0.303),
        (tlv_core, {"sensors": 1}, 2_210_305, 0.301),
        (tlv_link, {}, 9_078_785, 1.230),
        (vit_lens, {}, 51_253_249, 7.006),
    ):
        trained, found = made(build, **options)
        assert trained == count
        assert 100 * found == pytest.approx(share, abs=6e-4)


def tiny():
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2}
    words = {"vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": 2}
    base = {
        "vision_config": small | {"image_size": 8, "patch_size": 4},
        "text_config": small | words,
        "projection_dim": 4,
    }
    return {"text": clip(base, "text"), "touch": clip(base), "vision": clip(base)}


def batch(size=6):
    g = torch.Generator().manual_seed(0)
    pictures = {k: torch.randn(size, 3, 8, 8, generator=g) for k in ("touch", "vision")}
    inputs = {**pictures, "text": torch.randint(3, 20, (size, 6), generator=g)}
    present = dict.fromkeys(inputs, torch.ones(size, dtype=torch.bool))
    return Batch(inputs, present, torch.arange(size), aux={"sensor": torch.arange(size) % 2})


def test_only_what_is_trained_moves_and_the_adapter_lives_once():
    torch.manual_seed(0)
    model, objective, _ = tlv_core(tiny(), sensors=2, rank=2, levels=2)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    off = {k: TowerEncoder(model.encoders[k].tower, k)(batch().inputs[k]).h for k in model.encoders if k != "touch"}
    assert all(torch.equal(model(batch()).h[k], h) for k, h in off.items())  # zero_up begins at CLIP
    assert sum(k.startswith("bridges.") for k in before) == sum(".shared." in k or ".down." in k or ".up." in k for k in before)
    optimiser = torch.optim.AdamW([p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad], lr=1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        objective(model(batch())).total.backward()
        optimiser.step()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {k for k in before if k.startswith("bridges.") or "modulator" in k}
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


def test_bad_input_is_one_line():
    towers, other = tiny(), SimpleNamespace(levels=3, width=8)
    for call, said in (
        (lambda: SensorModulator(8, 1), "expected 2 or more"),
        (lambda: SensorModulator(8, 2)(torch.ones(2, 3, 8), torch.tensor([0, 5])), "ids from 0 to 1"),
        (lambda: tlv_core(towers, sensors=2, levels=4), "has 3 blocks; set levels=3"),
        (lambda: tlv_core({"text": towers["text"]}, sensors=2), "expected ['text', 'touch', 'vision']"),
        (lambda: towers["text"](torch.ones(1, 9, dtype=torch.int64)), "at most 6"),
        (lambda: towers["text"](torch.full((1, 3), 20)), "go from 20 to 20, expected 0 to 19"),
        (lambda: towers["touch"](torch.ones(1, 3, 9, 9)), "expected (B, 3, 8, 8)"),
        (
            lambda: TowerEncoder(other, "touch", bridge=BridgingAdapter({"touch": 8}, rank=2, levels=1), blocks="last"),
            "blocks is",
        ),
        (lambda: clip("nowhere"), "no config.json"),
        (lambda: tokeniser("nowhere"), "is no file or folder"),
        (lambda: tokeniser("words", length=4)(["one two three four"]), "has 6 tokens, expected at most 4"),
        (lambda: sensor_loss(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([0, 2])), "expected 0 to 1"),
        (
            lambda: SensorDecoupling(8, 2)(Embeddings.of({"touch": torch.eye(3), "text": torch.eye(3)})),
            "aux has no 'sensor'",
        ),
    ):
        with pytest.raises(InputError, match=r".") as error:
            call()
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_pairs_with_absent_modalities():
    for name, d in stored("anytouch_stage2", 1):
        tau = float(torch.exp(-d["log_logit_scale"]))
        cases = sorted({k.split("/")[0] for k in d if k.endswith("/vision_flag")})
        assert len(cases) >= 6
        for case in cases:
            present = {"vision": d[f"{case}/vision_flag"].bool(), "text": d[f"{case}/text_flag"].bool()}
            x = {"touch": d["x_touch"], "text": d["x_language"], "vision": d["x_vision"]}
            emb = Embeddings.of({k: torch.nn.functional.normalize(v, dim=1) for k, v in x.items()}, present=present)
            vl, vt, lt = (float(v) for v in d[f"{case}/alphas_vl_vt_lt"])
            terms = [
                Pairwise(pairs=[pair], tau=tau)(emb).total * times
                for pair, times in ((("text", "vision"), 1), (("touch", "vision"), 1), (("text", "touch"), 2))
            ]
            same(torch.stack(terms), d[f"{case}/terms_vl_vt_lt"], f"{name} {case}")
            if not bool(d[f"{case}/is_none"]):
                same(vl * terms[0] + vt * terms[1] + lt * terms[2], d[f"{case}/loss"], f"{name} {case}")
        for case, weight in (("match0p1", 0.1), ("match1", 1.0)):
            objective = SensorMatching(16).double()
            objective.head.weight.data, objective.head.bias.data = d["match_head_weight"], d["match_head_bias"]
            anchor, positive, negative = (d[f"match_{k}"] for k in ("touch", "positive", "negative"))
            anchor, positive, negative = (torch.nn.functional.normalize(v, dim=1) for v in (anchor, positive, negative))
            loss = objective.losses(anchor, positive, 1.0).mean() + objective.losses(anchor, negative, 0.0).mean()
            same(weight * loss, d[f"{case}/loss"], f"{name} {case}")
    with np.load(FOLDER / "anytouch_universal_schedule.npz") as d:
        for stage in ("stage1", "stage2"):
            start, end, epochs, steps = (float(v) for v in d[f"{stage}/params_start_end_epochs_iters"])
            done = (d[f"{stage}/iteration"] / steps + d[f"{stage}/epoch"]) / epochs
            same([universal_share(x, start=start, end=end) for x in done], d[f"{stage}/p"], stage)


def test_partners_are_of_the_same_object_and_another_sensor():
    thing, sensor = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 0, 1])
    allowed = (thing[:, None] == thing) & (sensor[:, None] != sensor)
    partner, valid = SensorMatching._next(allowed)
    assert valid.tolist() == [True, True, False, False, False]
    assert partner[:2].tolist() == [1, 0]


def test_reconstruction_counts_masked_patches_only():
    torch.manual_seed(0)
    encoder = MaskedTower(tiny()["touch"], "touch", 2, width=8, layers=1, heads=2, ratio=0.5)
    x = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    assert torch.equal(encoder._cut(x)[1, 1].reshape(3, 4, 4), x[1, :, :4, 4:])
    with torch.no_grad():
        for p in encoder.pixels.parameters():
            p.zero_()
    assert float(encoder.errors(torch.full((2, 3, 8, 8), 2.0), None).mean().detach()) == pytest.approx(4.0)
    assert not encoder.eval()(x).aux["reconstruction.touch"].any()


def test_any_touch_takes_a_step():
    torch.manual_seed(0)
    model, objective, _ = any_touch(tiny(), sensors=2, rank=2, decoder=(8, 1, 2))
    rows = batch(8)
    rows.aux["object"] = torch.arange(8) // 2
    loss = objective(model(rows))
    loss.total.backward()
    assert all(torch.isfinite(v) for v in loss.terms.values())
    assert len(loss.terms) == 6
    assert all(p.grad is None for p in model.encoders["text"].parameters())
    tokens = model.encoders["touch"].sensors
    x, sensor = torch.zeros(4000, 1, 8), torch.zeros(4000, dtype=torch.int64)
    for done, share in ((0.0, 0.0), (0.5, 0.375), (1.0, 0.75)):
        model.advance(done)
        universal = (tokens.train()(x, sensor)[:, 1] == tokens.table[-1, 0]).all(dim=1)
        assert float(universal.float().mean()) == pytest.approx(share, abs=0.04)
        assert not (tokens.eval()(x, sensor)[:, 1] == tokens.table[-1, 0]).all(dim=1).any()


class Touches:
    """Rows of pictures and words, as `fit` reads them."""

    group, part, fingerprint, targets = None, "train", "touches", {}

    def __init__(self, size=24):
        self.whole = batch(size)
        self.present = self.whole.present

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, rows):
        where = torch.arange(len(self))[rows]
        return self.whole.map(lambda x: x[where])


def trained(out=None, **options):
    torch.manual_seed(0)
    model, objective, config = tlv_core(tiny(), sensors=2, rank=2, levels=2)
    rows = Touches()
    config = replace(config, epochs=2, batch_size=8, lr=1e-2, out=out, **options)
    fit(model, objective, train=rows, val=rows, config=config)
    return {k: v.clone() for k, v in [*model.state_dict().items(), *objective.state_dict().items()]}


def test_cached_steps_and_resumed_runs_end_the_same(tmp_path):
    whole = trained()
    assert any(k.endswith("centroids") for k in whole)
    for name, value in trained(step="cached", chunk=3).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-4, atol=1e-5, msg=name)

    seen = []

    def stop(*given, **options):
        seen.append(given)
        if len(seen) == 2:
            raise RuntimeError("killed in the second epoch")
        return validation_loss(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuplet.train._session.validation_loss", stop)
        with pytest.raises(RuntimeError, match="second epoch"):
            trained(tmp_path)
    resumed = trained(tmp_path)
    assert all(torch.equal(v, whole[k]) for k, v in resumed.items())


@pytest.mark.whole
@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"strategy": "fsdp", "step": "cached", "chunk": 3}])  # shared adapters are sharded once
def test_two_processes_equal_one(tmp_path, how):
    together(2, partial(trained, tmp_path, devices=2, **how))
    two, one = trained(tmp_path, **how), trained()  # the first finds a finished run
    for name, value in two.items():
        torch.testing.assert_close(value, one[name], rtol=1e-4, atol=1e-5, msg=name)
