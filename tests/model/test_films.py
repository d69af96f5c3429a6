"""Films become vectors: the right frames, the right sound, a file each, and what cannot be read stands nowhere."""

import json
import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fixtures.towers import siglip_folder, sound_folder, text_folder
from tuplet import InputError, features
from tuplet.cli import main
from tuplet.data._film import sound, spread
from tuplet.datasets import captions
from tuplet.model import film_features
from tuplet.model.films import _decoded

av = pytest.importorskip("av")


def film(file, frames, *, rate=10, tone=0.0, size=16, begin=0):
    """Write a film whose frame k has the grey value 5 k, ``begin + k`` steps after 0, and a tone in both channels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = size
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, rate)
        track = out.add_stream("aac", rate=22_050, layout="stereo") if tone else None
        for k in range(frames):
            shown = av.VideoFrame.from_ndarray(np.full((size, size, 3), 5 * k, np.uint8), format="rgb24")
            shown.pts, shown.time_base = begin + k, Fraction(1, rate)
            out.mux(stream.encode(shown))
        out.mux(stream.encode(None))
        if track is not None:
            t = np.arange(22_050 * frames // rate) / 22_050
            wave = np.repeat(0.5 * np.sin(2 * np.pi * tone * t)[None], 2, 0).astype(np.float32)
            for start in range(0, len(t), 1024):
                piece = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[:, start : start + 1024]), "fltp", "stereo")
                piece.sample_rate, piece.pts = 22_050, start
                out.mux(track.encode(piece))
            out.mux(track.encode(None))
    return file


def test_frames_lie_in_the_middle_of_equal_parts(tmp_path):
    mp4 = [(frames, count, 0, "mp4") for frames, count in ((40, 8), (40, 1), (3, 8), (1, 2))]
    for frames, count, begin, kind in (*mp4, (40, 8, 50, "mp4"), (40, 8, 50, "mkv"), (40, 8, 0, "mkv")):
        found = spread(film(tmp_path / f"{frames}.{kind}", frames, begin=begin), count)
        assert found.shape == (count, 3, 16, 16)
        seen = found.astype(float).mean(axis=(1, 2, 3)) / 5
        middles = (np.arange(count) + 0.5) / count * frames - 0.5
        assert np.abs(seen - middles).max() <= 1.2, (frames, count)  # half a frame, and what mpeg4 loses


def test_sound_is_one_channel_at_the_rate_that_is_asked_for(tmp_path):
    wave = sound(film(tmp_path / "a.mp4", 20, tone=440.0), 16_000)
    assert abs(len(wave) / 16_000 - 2) < 0.15
    assert abs(np.abs(np.fft.rfft(wave)).argmax() * 16_000 / len(wave) - 440) < 2
    assert abs(np.sqrt((wave[1000:-3000] ** 2).mean()) - 0.5 / np.sqrt(2)) < 0.02
    assert not len(sound(film(tmp_path / "b.mp4", 5), 16_000))
    tower, longer = SimpleNamespace(takes="sound", rate=8000), film(tmp_path / "c.mp4", 35, tone=440.0)
    assert [len(_decoded(longer, tower, 1, seconds)) for seconds in (0.9, 2.0)] == [3, 2]  # a rest of a second is heard


def test_films_go_through_towers_once_and_unreadable_ones_leave_both_sides(tmp_path, capsys):
    films, out = tmp_path / "films", tmp_path / "set"
    for k, name in enumerate(("one.mp4", "deep/two.mkv", "three.v2.mp4", "four.mp4", "five.mp4")):
        film(films / name, 12 + k, tone=300.0 if k % 2 == 0 else 0.0)
    (films / "broken.mp4").write_bytes((films / "one.mp4").read_bytes()[:200])
    towers = {"vision": siglip_folder(tmp_path / "siglip"), "audio": sound_folder(tmp_path / "wav2vec2")}

    def stop(done, total, line):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film_features(films, out, towers, frames=4, seconds=0.5, report=stop)
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.npy")}
    assert 0 < len(before) < 8
    given = ["--tower", *(f"{k}={v}" for k, v in towers.items()), "--out", str(out), "--frames", "4", "--seconds", "0.5"]
    assert main(["data", "films", str(films), *given]) == 0
    said = capsys.readouterr().out
    assert "vision: 5 of 6 films have vectors" in said
    assert "audio: 3 of 6" in said
    assert "without sound: 2, such as five" not in said  # five, the fifth, has a tone
    assert "unreadable: 1, such as broken" in said
    assert all(p.stat().st_mtime_ns == then for p, then in before.items())
    vision, audio = (np.load(out / k / "deep/two.npy") if k == "vision" else np.load(out / k / "one.npy") for k in towers)
    assert vision.shape[0] == 4
    assert audio.shape[0] == 2  # 1.2 s: two pieces of half a second, and a rest too short to hear
    again = film_features(films, tmp_path / "again", {"vision": towers["vision"]}, frames=4)
    assert np.array_equal(np.load(tmp_path / "again/vision/three.v2.npy"), np.load(out / "vision/three.v2.npy"))
    assert again.count == 6
    assert set(again.unreadable) == {"broken"}
    items = [{"video_id": k, "desc": f"about {k}"} for k in ("one", "deep/two", "three.v2", "four", "five", "broken")]
    (out / "descs.json").write_text(json.dumps(items))
    source = captions.load(out)
    assert set(source.modalities) == {"text", "vision", "audio"}
    assert len(source.present["text"]) == 5  # the caption of the broken film is no query
    assert source.present["audio"].sum() == 3
    heard = features(source, {"text": text_folder(tmp_path / "bert")})  # the captions, which the source holds hashed
    assert heard.modalities["text"].shape == (8,)
    with pytest.raises(InputError, match=r"made with another frames \(4\); choose another"):
        film_features(films, out, towers, frames=8, seconds=0.5)
    with pytest.raises(InputError, match="made with another tower"):
        film_features(films, out, {"vision": towers["audio"]}, frames=4, seconds=0.5)


def test_bad_films_are_one_line(tmp_path, monkeypatch):
    film(tmp_path / "a.mp4", 2)
    film(tmp_path / "a.mkv", 2)
    towers = {"vision": siglip_folder(tmp_path / "siglip")}
    for call, message in (
        (lambda: film_features(tmp_path, tmp_path / "out", towers), "several films called a"),
        (lambda: film_features(tmp_path, tmp_path / "out", {"": "x"}), "names no modality"),
        (lambda: film_features(tmp_path, tmp_path / "out", towers, frames=0), "frames is 0"),
        (lambda: film_features(tmp_path, tmp_path / "out", towers, seconds=0), "seconds is 0"),
        (lambda: film_features(tmp_path / "siglip", tmp_path / "out", towers), "holds no film"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert not (tmp_path / "out").exists()
    (tmp_path / "a.mkv").unlink()
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")  # FFmpeg would open what it names
    with pytest.raises(InputError, match=r"list\.mp4 has no readable frame"):
        spread(tmp_path / "list.mp4", 1)
    (tmp_path / "list.mp4").unlink()

    def refuse(self, raw, **options):
        raise InputError("rows have another size")

    monkeypatch.setattr("tuplet.nets.Pretrained.encode", refuse)
    with pytest.raises(InputError, match=r"a\.mp4: rows have another size"):  # the tower's fault, not the film's
        film_features(tmp_path, tmp_path / "out", towers)
    monkeypatch.setitem(sys.modules, "av", None)
    for call in (lambda: spread(tmp_path / "a.mp4", 1), lambda: film_features(tmp_path, tmp_path / "other", towers)):
        with pytest.raises(InputError, match=r"films and packed sounds need PyAV; run pip install 'tuplet\[video\]'"):
            call()
    assert not (tmp_path / "other").exists()
