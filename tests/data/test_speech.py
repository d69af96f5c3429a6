"""Speech in one form, whatever its level, line and surroundings; the synthetic voice where it is installed."""

import numpy as np
import pytest

from tests.fixtures.spoken_digits import tone, write_wav
from tuplet import InputError
from tuplet.simulators import espeak
from tuplet.simulators.espeak import Utterance, speak
from tuplet.simulators.sound import clip_features, read_wav

has_voice = pytest.mark.skipif(espeak.library() is None, reason="eSpeak NG is not installed")


def test_level_and_silence_around_a_clip_do_not_matter():
    wave = tone(3, 1)
    made = clip_features(wave, rate=8000)
    assert made.shape == (48, 32)
    assert np.allclose(clip_features(0.01 * wave, rate=8000), made, atol=1e-3)
    assert np.allclose(clip_features(np.pad(wave, (800, 1600)), rate=8000), made, atol=1e-3)


def test_the_rate_of_samples_matters_little_and_pitch_much():
    low, same, high = (clip_features(tone(d, 1, rate=r), rate=r) for d, r in ((2, 8000), (2, 22050), (9, 8000)))
    assert np.abs(low - same).mean() < 0.3
    assert np.abs(low - high).mean() > 3 * np.abs(low - same).mean()
    assert low.mean(axis=0)[:16].argmax() < high.mean(axis=0).argmax()


def test_wav_files_come_back(tmp_path):
    wave = tone(4, 0)
    write_wav(tmp_path / "a.wav", wave)
    got, rate = read_wav(tmp_path / "a.wav")
    assert rate == 8000
    assert np.allclose(got, 0.4 * wave, atol=1e-4)
    write_wav(tmp_path / "b.wav", np.stack([wave, -wave], axis=1), channels=2)
    assert np.abs(read_wav(tmp_path / "b.wav")[0]).max() < 1e-4


def test_bad_files_are_named(tmp_path):
    write_wav(tmp_path / "a.wav", tone(4, 0))
    whole = (tmp_path / "a.wav").read_bytes()
    for name, content in (("cut", whole[:-1000]), ("none", b""), ("text", b"RIFF" + b"x" * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_wav(tmp_path / name)
    write_wav(tmp_path / "fast.wav", tone(4, 0), rate=400_000)
    with pytest.raises(InputError, match="400000 Hz"):
        read_wav(tmp_path / "fast.wav")
    with pytest.raises(InputError, match="silent"):
        clip_features(np.zeros(4000), rate=8000)


@has_voice
def test_the_same_list_is_the_same_sound_and_words_differ():
    said = [Utterance(w, v) for v in ("en-us+f4", "en-gb-scotland+m3") for w in ("one", "seven")]
    first, second = list(speak(said)), list(speak(said))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    made = [clip_features(wave, rate=espeak.RATE) for wave in first]
    assert np.abs(made[0] - made[1]).mean() > 0.3


@has_voice
def test_an_unknown_voice_is_named():
    with pytest.raises(InputError, match="nobody"):
        list(speak([Utterance("one", "nobody+f9")]))


def test_no_voice_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(espeak, "library", lambda: None)
    with pytest.raises(InputError, match="pip install espeakng-loader"):
        list(speak([Utterance("one", "en")]))
    (tmp_path / "libespeak-ng.so").write_bytes(b"no library")
    monkeypatch.setattr(espeak, "library", lambda: (str(tmp_path / "libespeak-ng.so"), ""))
    with pytest.raises(InputError, match=r"failed|does not start"):
        list(speak([Utterance("one", "en")]))
