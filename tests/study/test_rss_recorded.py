"""The touch comparison on real data, from small trees in the layouts of the published sets and a tiny CLIP."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures import touch_sets
from tests.fixtures.clip_folder import clip_folder
from tuplet import AlignmentModel, InputError
from tuplet.cli import main
from tuplet.suites.rss import planned, read_rss, run_rss
from tuplet.suites.rss_measure import Probed, Seen, search
from tuplet.suites.rss_reading import Reading, kinds, tables
from tuplet.suites.rss_recorded import paper_plan, recorded


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Five sets and a CLIP of twelve levels."""
    root = tmp_path_factory.mktemp("there")
    for name in ("touch_and_go", "tacquad", "objectfolder_touch", "feel"):
        touch_sets.WRITERS[name](root / name)
    (root / "cifar-10-batches-py").mkdir()
    touch_sets.cifar(root / "cifar-10-batches-py")
    clip_folder(root / "clip", levels=12, side=8, length=77)
    return root


@pytest.fixture(scope="module")
def world(there):
    return recorded(there, there / "clip")


def test_sets_sensors_heads_and_prompts_are_the_papers(there, world):
    assert list(world.corpora) == ["touch_and_go", "tacquad"]
    assert world.main == "tacquad"
    assert replace(world, sets=("ssvtp", "octopi")).main == "ssvtp"
    assert (world.side, world.length) == (8, 77)
    found = kinds(world)
    assert found["intra"] == [("touch_and_go", "touch_and_go"), ("touch_and_go", "feel")]
    assert found["cross"] == [("touch_and_go", "objectfolder_touch")]
    assert found["multi"] == [("tacquad", k) for k in ("touch_and_go", "objectfolder_touch", "feel")]
    trained = world.corpus("tacquad", 0)
    assert trained.targets["sensor"].names == ("GelSight Mini", "DIGIT", "DuraGel")
    assert sorted(set(trained.values["sensor"].tolist())) == [0, 1, 2]
    assert world.corpus("touch_and_go", 0).values["sensor"].unique().tolist() == [0]
    probes = world.probes(0)
    assert [(p.name, p.targets) for p in probes] == [
        ("touch_and_go", ("material", "hardness")),
        ("touch_and_go", ("roughness",)),
        ("objectfolder_touch", ("material",)),
        ("feel", ("grasp",)),
    ]
    assert [(p.head.lr, p.head.weight_decay) for p in probes[2:]] == [(1e-3, 0.01), (1e-3, 0.05)]
    plan = paper_plan(world)
    assert (plan.head.lr, plan.head.weight_decay, plan.batches, plan.lrs) == (2e-4, 0.05, (8, 16, 32, 128), (2e-4,))
    assert plan.accelerator == "auto"
    assert set(plan.variants("tlv_core")) >= {"alpha 0.01", "alpha 1", "4 levels", "10 levels", "rank 8", "rank 128", "batch 8"}
    assert len(world.prompts("material")) == 20
    told = {k: world.prompts(k)[0].tolist()[0] for k in ("hardness", "roughness")}
    letters = [ord(c) - 33 for c in "hard"]
    assert str(letters)[1:-1] in str(told["hardness"])  # a vocabulary of letters: the class is spelt out, the hard first
    clip_folder(there / "low", side=8)
    with pytest.raises(InputError, match="has 2 levels"):
        recorded(there, there / "low")


def test_what_is_found_through_another_sensor_is_the_item(world):
    shared = world.across(0)
    source = shared.source
    whole = replace(source, split=replace(source.split, test=source.split.train))
    seen = Seen(AlignmentModel.mlp({"text": (2,), "touch": (2,)}, dim=2), whole, known=())
    group = source.group[torch.from_numpy(source.split.train)]
    of_item = torch.nn.functional.one_hot(group, int(group.max()) + 1).float()
    for modality in ("text", "touch", "vision"):
        seen._kept[modality, modality] = {"test": of_item}
    found = {(k.metric, k.detail): k for k in search(seen, Probed("tacquad", whole, (), relevance="group"))}
    assert found["search/R@1", "touch > text"].value == 1.0  # any frame of the item counts
    assert found["invariance", "same contact, other sensor"].value == 1.0
    by = seen.sensor["train"] == 0
    seen._kept["touch", "touch"] = {"test": torch.where(by[:, None], of_item.roll(1, dims=1), of_item)}
    wrong = {(k.metric, k.detail): k for k in search(seen, Probed("tacquad", whole, (), relevance="group"))}
    assert wrong["invariance", "same contact, other sensor"].value < 0.7


@pytest.mark.whole
def test_a_command_runs_resumes_and_is_reported(there, world, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, line in (
        (["rss", "--root", str(there)], "give --root DIR, where the data sets lie, and --tower DIR"),
        (["rss", "--root", str(there), "--tower", "nowhere"], "has no config.json"),
        (["rss", "--root", "nowhere", "--tower", str(there / "clip")], "root nowhere has none of"),
        (["rss-sim", "--tower", "x"], "tower is 'x', but rss-sim has no such choice"),
        (["quickstart", "--tower", "x"], "tower is 'x', but quickstart has no such choice"),
    ):
        assert main(["bench", *words]) == 2
        assert line in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
    command = ["bench", "rss", "--root", str(there), "--tower", str(there / "clip"), "--only", "clip", "--seeds", "1"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "intra (other set): touch_and_go → feel" in shown
    assert "touch tower on cifar-10" in shown
    assert "probe on another sensor" not in shown  # items lie in one part each: not measured, so not shown
    assert "a pair of one sensor and two sets" in (tmp_path / "runs/rss/report.html").read_text(encoding="utf-8")
    assert main(["report", "runs/rss"]) == 0
    assert capsys.readouterr().out == shown
    assert planned(tmp_path / "runs/rss") == paper_plan(world)


@pytest.mark.whole
def test_training_on_several_sensors_is_measured(world, tmp_path):
    world = replace(world, sets=("tacquad", "touch_and_go"))
    paper = paper_plan(world)
    plan = replace(
        paper, head=replace(paper.head, epochs=2), methods=("clip", "tlv_core"), epochs=1, ablations=("4 levels",), batches=()
    )
    records = run_rss(tmp_path, plan=plan, seeds=1)
    assert run_rss(tmp_path, plan=plan, seeds=1) == records
    trained = {(r.task, r.variant): r for r in records if r.entry == "tlv_core" and r.metric == "trainable"}
    assert set(trained) == {("touch_and_go", "default"), ("tacquad", "default"), ("tacquad", "4 levels")}
    adapters = 3 * 12 * (2 * 8 * 32 + 32 + 8) + 12 * (32 * 32 + 32)
    assert trained["touch_and_go", "default"].pool == adapters + 1  # rank 32 at 12 levels, and the temperature
    assert trained["tacquad", "default"].pool == adapters + 1 + 2 * 3 * 8  # scaling by, and centroids of, three sensors
    assert {r.settings["lr"] for r in records if r.entry == "tlv_core"} == {2e-4}
    made = tables(Reading(read_rss(tmp_path, plan), plan.world))
    assert "4 levels" in [line[0] for line in made["Ablations of TLV-CoRe: trained on tacquad, %"].lines]
