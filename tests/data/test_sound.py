"""Sounds that a list or a column names by their paths."""

import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.io import wavfile

from tests.fixtures.registries import packed_sound as pack
from tests.fixtures.towers import sound_folder
from tuplet import AlignmentModel, InputError, features
from tuplet.cli import main
from tuplet.data import read
from tuplet.data._sound import read_sounds
from tuplet.nets import pretrained

RATE = 16000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUPLET_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for i in range(30):
        wavfile.write(f"{i}.wav", RATE, (9000 * rng.normal(size=200 + 5 * i).clip(-3, 3)).astype(np.int16))
    return tmp_path


def table(n=30, gone=(4,)):
    rng = np.random.default_rng(1)
    lines = [f"{'' if i in gone else f'{i}.wav'},{','.join(f'{v:.3f}' for v in rng.normal(size=3))}" for i in range(n)]
    return "\n".join(["sound,imu.a,imu.b,imu.c", *lines])


def test_samples_of_every_kind_are_from_minus_one_to_one(tmp_path):
    wave = np.array([-1.0, -0.5, 0.0, 0.25, 0.5])
    kinds = {"u1": wave * 128 + 128, "i2": wave * 2**15, "i4": wave * 2**31, "f4": wave, "f8": wave}
    for kind, values in kinds.items():
        wavfile.write(tmp_path / f"{kind}.wav", RATE, values.astype(kind))
    files = [tmp_path / f"{k}.wav" for k in kinds]
    out, rate, said = read_sounds("x", [*files, None, files[1].read_bytes()])
    assert rate == RATE
    assert said == "0.000313 s"
    np.testing.assert_allclose(out[[0, 1, 2, 3, 4, 6], 0], np.tile(wave, (6, 1)))
    assert not out[5].any()
    wavfile.write(tmp_path / "two.wav", RATE, np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32))
    assert read_sounds("x", [tmp_path / "two.wav"])[0].tolist() == [[[1, 3, 5], [2, 4, 6]]]
    with pytest.raises(InputError, match="of different channels"):
        read_sounds("x", [tmp_path / "two.wav", files[0]])


def tag_of(content):
    """Return the length of what taggers put before a sound."""
    return 10 + content[9] + 128 * content[8] if content[:3] == b"ID3" else 0


def test_packed_sounds_are_what_was_packed(tmp_path, monkeypatch):
    steps = np.arange(4000) / RATE
    wave = np.stack([9000 * np.sin(2 * np.pi * f * steps) for f in (440, 700)]).astype(np.int16)
    kinds = ((".flac", "flac", None), (".ogg", "libopus", "ogg"), (".mp3", "mp3", None), (".m4a", "aac", "ipod"))
    for ending, codec, form in kinds:
        for channels in (1, 2):
            file = tmp_path / f"{channels}{ending}"
            pack(file, wave[:channels], RATE, codec, form)
            out, rate, _ = read_sounds("x", [file])
            assert (rate, out.shape[1]) == (48000 if ending == ".ogg" else RATE, channels), ending  # Opus has one rate
            out = out[:, :, :: int(rate) // RATE]
            late = np.argmax(np.correlate(out[0, 0], wave[0, :4000] / 2.0**15, "valid"))  # some begin with a pause
            near = {".flac": 1e-6, ".ogg": 0.1, ".mp3": 0.05, ".m4a": 0.1}[ending]
            np.testing.assert_allclose(out[0, :, late + 500 : late + 3500], wave[:channels, 500:3500] / 2.0**15, atol=near)
            assert np.array_equal(read_sounds("x", [file.read_bytes()])[0][:, :, :: int(rate) // RATE], out)
            tagged = b"ID3\4\0\0" + bytes((0, 0, 1, 5)) + bytes(133) + file.read_bytes()  # 1 * 128 + 5 bytes
            if ending != ".m4a":
                assert np.array_equal(read_sounds("x", [tagged])[0][:, :, :: int(rate) // RATE], out), ending
            bare = file.read_bytes()[tag_of(file.read_bytes()) :]
            assert bare[:3] != b"ID3"
            assert read({"s": [bare] * 10, "x": np.arange(10.0)}).modalities["s"].kind == "signal", ending
    listed = read({"s": [tmp_path / "1.flac", tmp_path / "1.flac"] * 5, "x": np.arange(10.0)})
    assert listed.modalities["s"].shape == (1, 4000)
    whole = (tmp_path / "1.flac").read_bytes()
    for name, content, message in (
        ("cut.flac", whole[:40], "has no readable sound"),
        ("torn.mp3", (tmp_path / "1.mp3").read_bytes()[:900], r"torn\.mp3 ends after 0\.\d\d of 0\.\d\d seconds; copy it"),
        ("empty.ogg", b"", r"empty\.ogg is an empty file"),
        ("list.mp3", b"ID3#EXTM3U\n#EXTINF:1,\n1.flac\n", "has no readable sound"),  # never what it names
        ("list.ogg", b"#EXTM3U\n#EXTINF:1,\n1.flac\n", "is no readable sound file"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read_sounds("x", [tmp_path / name])
        assert "\n" not in str(caught.value)
    source = read({"s": [whole] * 9 + [b"caf\xc3\xa9"], "x": np.arange(10.0)})
    assert "read as text: 9 of 10 values are" in " ".join(source.provenance.notes)
    with pytest.raises(
        InputError, match=r"10 of 10 sounds do not exist, such as 'gone\.flac'; write the paths as seen from here"
    ):
        read({"s": ["gone.flac"] * 10, "x": np.arange(10.0)})
    pack(tmp_path / "long.flac", np.zeros((2, 12_000_000), np.int16), RATE, "flac")
    assert (tmp_path / "long.flac").stat().st_size < 200_000
    monkeypatch.setattr("tuplet.io.memory.free_memory", lambda: 10**8)
    with pytest.raises(InputError, match=r"long\.flac needs .* GB, more than half of the free memory .* cut it"):
        read_sounds("x", [tmp_path / "long.flac"])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"packed sounds need PyAV; run pip install 'tuplet\[video\]'"):
        read_sounds("x", [tmp_path / "1.ogg"])


def test_columns_and_lists_of_paths_become_padded_signals(folder):
    (folder / "my.csv").write_text(table())
    source = read("my.csv")
    sound = source.modalities["sound"]
    assert (sound.shape, sound.kind, sound.rate) == ((1, 345), "signal", RATE)
    assert torch.equal(source.present["sound"], torch.arange(30) != 4)
    assert "16000 samples a second, 0.0125 to 0.0216 s" in " ".join(source.provenance.notes)
    _, raw = wavfile.read("7.wav")
    rows = source.preprocessing["sound"].scale.undo(source.read("sound", torch.tensor([7])).numpy())[0, 0]
    np.testing.assert_allclose(rows[: len(raw)], raw / 2**15, atol=1e-6)
    np.testing.assert_allclose(rows[len(raw) :], 0, atol=1e-6)
    listed = read({"sound": [None if i == 4 else f"{i}.wav" for i in range(30)], "x": np.arange(30.0)})
    assert torch.equal(listed.read("sound", torch.arange(30)), source.read("sound", torch.arange(30)))
    held = [{"bytes": (folder / f"{i}.wav").read_bytes(), "path": "gone"} for i in range(30)]
    assert read(pa.table({"sound": held, "x": np.arange(30.0)})).modalities["sound"].rate == RATE
    model = AlignmentModel.for_source(source, dim=8)
    short = model.encode({"sound": np.stack([raw / 2**15, np.full(len(raw), np.nan)])[:, None]})["sound"]
    full = np.zeros((1, 1, 345))
    full[0, 0, : len(raw)] = raw / 2**15
    np.testing.assert_allclose(short[:1], model.encode({"sound": full})["sound"], atol=1e-6)
    assert not short[1].any()


def test_a_tower_reads_each_sound_over_its_own_length(folder):
    (folder / "my.csv").write_text(table())
    tower = pretrained(sound_folder("ears"))
    source = features("my.csv", {"sound": tower})
    _, raw = wavfile.read("7.wav")
    wanted, _ = source.preprocessing["sound"].apply(tower.encode((raw / 2**15).astype(np.float32)[None]))
    np.testing.assert_allclose(source.read("sound", torch.tensor([7])), wanted, atol=1e-5)
    assert source.modalities["sound"].rate is None
    tower.rate = 8000
    with pytest.raises(InputError, match=r"sound has 16000 samples a second, but .* reads 8000; resample"):
        features("my.csv", {"sound": tower}, cache=False)


def test_faults_name_the_file(folder, capsys):
    (folder / "my.csv").write_text(table())
    assert main(["train", "my.csv", "--epochs", "1", "--start", "random", "--out", "run"]) == 0
    assert main(["embed", "run", "my.csv", "--out", "a.npz"]) == 0
    (folder / "few.csv").write_text(table(8))  # shorter sounds than the longest of the training
    assert main(["embed", "run", "few.csv", "--out", "b.npz"]) == 0
    one, two = (dict(np.load(f"{k}.npz")) for k in "ab")
    take = np.isin(one["id"], np.arange(8))
    np.testing.assert_allclose(one["vector"][take], two["vector"], atol=1e-5)
    capsys.readouterr()
    for i in range(8):
        _, raw = wavfile.read(f"{i}.wav")
        wavfile.write(f"{i}.wav", 8000, raw)
    assert main(["embed", "run", "few.csv", "--out", "c.npz"]) == 2
    assert "trained on 16000" in capsys.readouterr().err
    for content, match in (
        (None, "0.wav has 8000 and 8.wav 16000 samples a second; resample"),
        (np.zeros(0, np.int16), "8.wav has 0 samples"),
        (np.array([np.nan, 1], np.float32), "8.wav has NaN"),
        (b"RIFF....", "8.wav is no readable sound file"),
    ):
        if isinstance(content, bytes):
            (folder / "8.wav").write_bytes(content)
        elif content is not None:
            wavfile.write("8.wav", 8000, content)
        with pytest.raises(InputError, match=match) as caught:
            read("my.csv")
        assert "\n" not in str(caught.value)
    (folder / "8.wav").unlink()
    with pytest.raises(InputError, match=r"1 of 29 sounds do not exist, such as '8\.wav'"):
        read("my.csv")


def test_a_wave_that_ends_early_is_refused_but_not_one_that_was_streamed(tmp_path):
    file = tmp_path / "half.wav"
    wavfile.write(file, RATE, np.arange(400, dtype=np.int16))
    content = file.read_bytes()
    file.write_bytes(content[:-300])
    with pytest.raises(InputError, match=r"half\.wav is no readable sound file .*Reached EOF prematurely"):
        read_sounds("x", [file])
    start = content.index(b"data") + 4
    streamed = content[:4] + b"\xff" * 4 + content[8:start] + b"\xff" * 4 + content[start + 4 :]
    assert np.array_equal(read_sounds("x", [streamed])[0], read_sounds("x", [content])[0])
