"""LeRobotDataset: both layouts say the same, windows stay in their episode, and what is absent is told in one line."""

import json
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.fixtures import lerobot as fixture
from tuplet import AlignmentModel, InputError
from tuplet.catalog import READERS
from tuplet.data import Table, write_table
from tuplet.datasets import _lerobot_cameras, lerobot
from tuplet.nets import tokeniser

READER = READERS["lerobot"]
SIDE = 8
FRAMES = [(e, t) for e, n in enumerate(fixture.LENGTHS) for t in range(n)]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    found = {v: tmp_path_factory.mktemp("lerobot") / v for v in ("v2.1", "v3.0")}
    for version, root in found.items():
        fixture.write(root, version)
    return found


def test_both_layouts_and_the_converted_file_give_the_same_frames(roots, tmp_path):
    out = READER.convert(roots["v3.0"], tmp_path / "a.safetensors", side=SIDE)
    for root in (*roots.values(), out):
        content = Table.open(root).columns if root == out else READER.read(root, side=SIDE).columns
        assert [tuple(v) for v in np.asarray(content["input.state"])[:, :2].astype(int)] == FRAMES
        assert np.asarray(content["input.force"])[:, 0].tolist() == [10 * e + t for e, t in FRAMES]
        assert content["input.tactile"].shape == (len(FRAMES), 4)
        assert content["input.tactile"][13].tolist() == [0, 1, 2, 2]
        colours = np.asarray(content["input.images_wrist"][[0, 5, 38]]).mean(axis=(2, 3))
        assert colours.tolist() == [[20 * e, 20 * t, 60] for e, t in (FRAMES[i] for i in (0, 5, 38))]
        s = READER.load(root, side=SIDE)
        assert sorted(s.modalities) == ["action", "force", "images_wrist", "state", "tactile", "task"]
        assert s.modalities["state"].shape == (3,)
        names = [s.targets["task"].names[c] for c in s.values["task"].tolist()]
        assert names == [fixture.TASKS[e % 2] for e, _ in FRAMES]
        assert s.values["next_reward"].flatten().tolist() == [float(t == fixture.LENGTHS[e] - 1) for e, t in FRAMES]
        assert {k: v.kind for k, v in s.targets.items()} == {"next_reward": "real", "next_success": "class", "task": "class"}
        assert s.values["next_success"].tolist() == [int(t > 1) for _, t in FRAMES]
        assert s.group.unique(return_inverse=True)[1].tolist() == [e for e, _ in FRAMES]
    told = READER.verify(roots["v2.1"])
    assert told[0] == "39 frames in 6 episodes, 10 per second"
    assert "state: (3,), values 0 .. 8" in told
    words = tokeniser("words", length=6, vocabulary=50)
    ids = READER.load(out, side=SIDE, tokenise=words).read("task", torch.tensor([0, 4]))
    assert torch.equal(ids, words(list(fixture.TASKS)).float())
    assert torch.isfinite(AlignmentModel.for_source(s, dim=4)(s.train[:]).z["state"]).all()


def test_windows_stay_in_their_episode_and_take_the_last_picture(roots):
    s = READER.load(roots["v3.0"], window=4, stride=2, side=SIDE)
    want = [(e, t) for e, n in enumerate(fixture.LENGTHS) for t in range(0, n - 3, 2)]
    assert s.modalities["state"].shape == (4, 3)
    assert s.modalities["state"].rate == 10
    assert s.preprocessing["state"].scale.mean.shape == (3,)  # every number has a scale of its own
    rows = torch.arange(len(want))
    state = s.preprocessing["state"].scale.undo(s.read("state", rows).numpy())
    assert [tuple(v) for v in state[:, 0, :2].round().astype(int)] == want
    assert [tuple(v) for v in state[:, 3, :2].round().astype(int)] == [(e, t + 3) for e, t in want]
    pictures = (s.read("images_wrist", rows).mean(dim=(2, 3)) * 255).round().int().tolist()
    assert pictures == [[20 * e, 20 * (t + 3), 60] for e, t in want]
    assert s.values["next_reward"].flatten().tolist() == [float(t + 3 == fixture.LENGTHS[e] - 1) for e, t in want]
    parts = [set(s.group[torch.from_numpy(getattr(s.split, p))].tolist()) for p in ("train", "val", "test")]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_cameras_are_left_out_with_a_note_or_read_where_their_episode_begins(tmp_path, monkeypatch):
    asked = []

    def decoded(file, times, half):
        asked.extend((file.relative_to(tmp_path).as_posix(), round(t, 3)) for t in times)
        assert half == 0.05
        return [np.full((8, 12, 3), round(10 * t), np.uint8) for t in times]

    for version in ("v2.1", "v3.0"):
        monkeypatch.setattr(lerobot, "find_spec", lambda name: None)
        root = tmp_path / version
        fixture.write(root, version, camera=True)
        s = READER.load(root, side=SIDE)
        assert "images_top" not in s.modalities
        assert "observation.images.top: left out" in s.provenance.notes[-1]
        assert "pip install 'tuplet[video]'" in s.provenance.notes[-1]
        monkeypatch.setattr(lerobot, "find_spec", lambda name: name)
        with pytest.raises(InputError, match=r"mp4 does not exist; copy the videos"):
            READER.load(root, side=SIDE)
        monkeypatch.setattr(_lerobot_cameras, "decoded", decoded)
        monkeypatch.setattr(Path, "is_file", lambda self, real=Path.is_file: self.suffix == ".mp4" or real(self))
        s = READER.load(root, side=SIDE)
        rows = torch.tensor([FRAMES.index((4, 6)), FRAMES.index((4, 2)), FRAMES.index((5, 1))])
        asked.clear()
        shown = (s.read("images_top", rows)[:, 0, 0, 0] * 255).round().int().tolist()
        place = f"{version}/videos/" + (f"{fixture.CAMERA}/chunk-001" if version == "v3.0" else f"chunk-001/{fixture.CAMERA}")
        if version == "v3.0":  # episode 4 follows the eight frames of episode 5 in one video
            assert asked == [(f"{place}/file-000.mp4", t) for t in (0.1, 1.0, 1.4)]
            assert shown == [14, 10, 1]
        else:
            assert asked == [(f"{place}/episode_00000{e}.mp4", t) for e, t in ((4, 0.2), (4, 0.6), (5, 0.1))]
            assert shown == [6, 2, 1]
        monkeypatch.undo()


class Film:
    """Stands for a video of PyAV: eight frames, every 0.1 s, a key frame every third; frame k is grey k."""

    streams = SimpleNamespace(video=[SimpleNamespace(time_base=Fraction(1, 1000))])
    at = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def seek(self, ticks, *, stream):
        self.at = 3 * (int(ticks * stream.time_base * 10) // 3)

    def decode(self, stream):
        for k in range(self.at, 8):
            yield SimpleNamespace(time=k / 10, to_ndarray=lambda format, k=k: np.full((2, 2, 3), k, np.uint8))


def test_a_frame_is_the_one_that_is_shown_at_its_time(monkeypatch):
    fake = SimpleNamespace(open=lambda file, **how: Film(), FFmpegError=OSError)
    monkeypatch.setitem(sys.modules, "av", fake)
    times = [0.0, 0.1001, 0.2999, 0.3, 0.5, 0.7]  # as float32 has them
    found = [int(p[0, 0, 0]) for p in _lerobot_cameras.decoded(Path("a.mp4"), times, 0.05)]
    assert found == [0, 1, 3, 3, 5, 7]
    with pytest.raises(InputError, match=r"a\.mp4 has no readable frame near second 0\.9 \(StopIteration\)"):
        _lerobot_cameras.decoded(Path("a.mp4"), [0.9], 0.05)


def test_faults_are_one_line(tmp_path, monkeypatch):
    def refused(match, break_it):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        fixture.write(root, "v2.1")
        break_it(root)
        with pytest.raises(InputError, match=match) as told:
            READER.verify(root)
        assert "\n" not in str(told.value)

    def changed(root, **more):
        file = root / "meta/info.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | more))

    def cut(root):
        file = root / "data/chunk-000/episode_000001.parquet"
        pq.write_table(pq.read_table(file).slice(1), file)

    refused("has no features", lambda root: changed(root, features=3))
    refused("tells of 99 frames, but data has 39", lambda root: changed(root, total_frames=99))
    refused("whose frames are not 0, 1, 2", cut)
    refused("no such column in data", lambda root: changed(root, features={"observation.x": {"dtype": "float32"}}))
    refused("has no task 3", lambda root: (root / "meta/tasks.jsonl").write_text('{"task_index": 7, "task": "a"}\n'))
    refused("is no list of", lambda root: (root / "meta/tasks.jsonl").write_text("[]\n"))
    refused("cannot be read", lambda root: (root / "data/chunk-000/episode_000001.parquet").write_bytes(b"PAR1"))
    refused("tuplet\\[tables\\]", lambda root: monkeypatch.setitem(sys.modules, "pyarrow", None))


def test_a_damaged_converted_file_is_refused(roots, tmp_path):
    table = Table.open(READER.convert(roots["v2.1"], tmp_path / "a.safetensors", side=SIDE))
    for columns, about in (
        ({}, {"rate": "many"}),
        ({}, {"classes.task": "[]"}),
        ({"value.next_reward": np.zeros(39)}, {}),
        ({"target.task": None}, {}),
    ):
        kept = {k: v for k, v in (dict(table.columns) | columns).items() if v is not None}
        out = write_table(tmp_path / "b.safetensors", kept, about=table.about | about)
        with pytest.raises(InputError, match=r"damaged.*convert it again"):
            READER.load(out, side=SIDE)
