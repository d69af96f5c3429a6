"""The signals against what they were asked to be, read back by plain signal processing."""

import numpy as np
import pytest

from tuplet import InputError
from tuplet.simulators.episodes import episode_rows
from tuplet.simulators.physiology import CHEST, RISE, STATES, WRIST, Physiology, State, recording

CALM = State(rate=66, breath=15, coupling=0.1, delay=0.25, pulse=1.0)


def r_peaks(ecg):
    """Times of maxima above half the height, in seconds."""
    inner = ecg[1:-1]
    top = (inner > ecg[:-2]) & (inner >= ecg[2:]) & (inner > 0.6 * ecg.max())
    places = np.flatnonzero(top) + 1
    apart = np.append(True, np.diff(places) > 0.3 * CHEST)
    return places[apart] / CHEST


def feet(bvp):
    """Times at which a pulse starts: its steepest rise, less the time that the shape takes to get there."""
    slope = np.diff(bvp)
    inner = slope[1:-1]
    top = (inner > slope[:-2]) & (inner >= slope[2:]) & (inner > 0.5 * slope.max())
    steepest = (np.flatnonzero(top) + 1.5) / WRIST
    return steepest - RISE * (1 - np.sqrt(0.5))


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_the_pulse_follows_every_beat_by_the_delay(state):
    s = recording(np.random.default_rng(0), state, seconds=60, noise=0.0)
    peaks, starts = r_peaks(s["ecg"]), feet(s["bvp"])
    lag = starts[None] - peaks[:, None]
    nearest = lag[np.arange(len(peaks)), np.abs(lag - state.delay).argmin(axis=1)]
    inside = peaks + state.delay + RISE < 60
    np.testing.assert_allclose(nearest[inside], state.delay, atol=1.5 / WRIST)
    true = s["beats"][(s["beats"] > 0.02) & (s["beats"] < 59.98)]
    np.testing.assert_allclose(peaks, true, atol=1.5 / CHEST)
    assert abs(len(starts) - len(peaks)) <= 1


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_rates_are_as_asked(state):
    beats, breaths = [], []
    for seed in range(5):
        s = recording(np.random.default_rng(seed), state, seconds=120, noise=0.0)
        beats.append(len(r_peaks(s["ecg"])) / 2)
        x = s["respiration"]
        breaths.append(((x[:-1] < 0) & (x[1:] >= 0)).sum() / 2)
    assert np.mean(beats) == pytest.approx(state.rate, rel=0.03)
    assert np.mean(breaths) == pytest.approx(state.breath, rel=0.06)


def spectrum_at(signal, rate, frequency):
    """Amplitude of one frequency."""
    t = np.arange(len(signal)) / rate
    return 2 * abs(np.mean((signal - signal.mean()) * np.hanning(len(signal)) * 2 * np.exp(-2j * np.pi * frequency * t)))


@pytest.mark.parametrize("breath", [12.0, 18.0])
def test_heart_rate_varies_at_the_breath_and_only_as_coupled(breath):
    grid = np.arange(0, 240, 0.25)
    found = {}
    for coupling in (0.0, 0.05, 0.1):
        total = np.zeros(50)
        breaths = np.zeros(50)
        for seed in range(3):
            state = State(rate=70, breath=breath, coupling=coupling, delay=0.25, pulse=1.0)
            s = recording(np.random.default_rng(seed), state, seconds=240)
            beats = s["beats"]
            rate = np.interp(grid, (beats[1:] + beats[:-1]) / 2, 60 / np.diff(beats))
            frequencies = np.linspace(0.12, 0.45, 50)
            total += [spectrum_at(rate, 4, f) for f in frequencies]
            breaths += [spectrum_at(s["respiration"][::70], CHEST / 70, f) for f in frequencies]
        found[coupling] = total / 3
        if coupling:
            assert abs(frequencies[total.argmax()] - frequencies[breaths.argmax()]) < 0.02
            assert abs(frequencies[total.argmax()] - breath / 60) < 0.04
    assert found[0.1].max() == pytest.approx(2 * found[0.05].max(), rel=0.25)
    assert found[0.0].max() < 0.3 * found[0.05].max()


def test_the_breath_moves_baseline_and_heights():
    s = recording(np.random.default_rng(1), CALM, seconds=120, noise=0.0)
    between = np.quantile(s["ecg"].reshape(-1, CHEST // 2), 0.3, axis=1)
    breath = s["respiration"].reshape(-1, CHEST // 2).mean(axis=1)
    assert np.corrcoef(between, breath)[0, 1] > 0.7
    peaks = r_peaks(s["ecg"])[1:-2]
    at = s["respiration"][(peaks * CHEST).astype(int)]
    tops = [s["bvp"][int((p + CALM.delay) * WRIST) : int((p + CALM.delay + 2 * RISE) * WRIST)].max() for p in peaks]
    assert np.corrcoef(tops, at)[0, 1] > 0.9
    assert s["bvp"].max() > 1.1


def test_a_recording_has_no_seams_and_ends_like_its_middle():
    scene = Physiology(windows=4, noise=0.0)
    c = scene.episode(np.random.default_rng(0))
    whole = c["input.respiration"][:4].reshape(-1)
    assert np.abs(np.diff(whole)).max() < 0.01
    s = recording(np.random.default_rng(2), CALM, seconds=30, noise=0.0)
    assert s["bvp"][:64].max() > 0.5
    assert s["bvp"][-64:].max() > 0.5


def pulse_match(ecg, bvp):
    """Mean of the pulse's slope where the beats say that it should rise, in deviations of the slope."""
    slope = np.diff(bvp)
    places = ((r_peaks(ecg) + 0.235 + RISE / 3) * WRIST).astype(int)
    places = places[places < len(slope)]
    return (slope[places].mean() - slope.mean()) / slope.std()


def test_shuffled_windows_do_not_match():
    c = episode_rows(Physiology(windows=5), episodes=4)
    ecg, bvp, state = c["input.ecg"][:, 0], c["input.bvp"][:, 0], c["target.state"]
    true = np.array([pulse_match(e, b) for e, b in zip(ecg, bvp, strict=True)])
    assert true.min() > 0.8
    order = np.arange(len(ecg)).reshape(-1, 5)
    shuffled = np.roll(order, 1, axis=1).ravel()  # another window of the same person in the same state
    assert (state[shuffled] == state).all()
    wrong = np.array([pulse_match(e, b) for e, b in zip(ecg, bvp[shuffled], strict=True)])
    assert wrong.mean() < 0.25 * true.mean()


def test_people_differ_as_much_as_asked_and_episodes_repeat():
    same = episode_rows(Physiology(windows=1, spread=0.0), episodes=4)
    assert len(set(same["delay"].round(4).tolist())) == 3
    apart = episode_rows(Physiology(windows=1), episodes=4)
    assert len(set(apart["delay"].round(4).tolist())) == 12
    again = episode_rows(Physiology(windows=1), episodes=2)
    for name in again:
        np.testing.assert_array_equal(again[name], apart[name][:6])
    assert apart["group"].tolist() == np.repeat(np.arange(4), 3).tolist()
    other = episode_rows(Physiology(windows=1), episodes=2, seed=1)
    assert (other["input.ecg"] != again["input.ecg"]).mean() > 0.99


@pytest.mark.parametrize(
    ("options", "name"), [({"windows": 0}, "windows"), ({"spread": -1}, "spread"), ({"noise": -1}, "noise")]
)
def test_settings_out_of_range_are_named(options, name):
    with pytest.raises(InputError, match=f"{name} is"):
        Physiology(**options)
