"""Modes against closed forms, thin-body theory and numerical integration; sounds against the equation of motion."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import lfilter

from tuplet.simulators.modal import Material, Modes, beam, bowl, cup, plate, ring

STEEL = Material(7850, 200e9, 0.3, 1e-3)


def bar(count=8):
    return beam(STEEL, length=0.25, area=0.03 * 0.01, inertia=(0.01 * 0.03**3 / 12, 0.03 * 0.01**3 / 12), count=count)


def sphere_point(theta, phi, a):
    return a * np.array([math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), 1 - math.cos(theta)])


def test_beam_has_the_closed_forms_frequencies():
    roots = [brentq(lambda x: math.cos(x) - 1 / math.cosh(x), (n + 0.4) * math.pi, (n + 0.6) * math.pi) for n in range(1, 9)]
    assert roots[0] == pytest.approx(4.730041, abs=1e-6)
    want = [r**2 / (2 * math.pi * 0.25**2) * math.sqrt(200e9 * side**2 / 12 / 7850) for r in roots for side in (0.03, 0.01)]
    np.testing.assert_allclose(bar().frequency, np.sort(want), rtol=1e-9)


def test_beam_shapes_are_orthonormal_and_keep_the_middle_of_mass():
    modes = bar(4)
    z, w = np.polynomial.legendre.leggauss(80)
    moved = np.stack([modes.shape(np.array([0, 0, 0.125 * s])) for s in z])  # (points, modes, 3)
    np.testing.assert_allclose(np.einsum("p,pki,pli->kl", w / 2 * modes.mass, moved, moved), np.eye(8), atol=1e-9)
    np.testing.assert_allclose(np.einsum("p,pki->ki", w, moved), 0, atol=1e-9)
    np.testing.assert_allclose(np.einsum("p,p,pki->ki", w, z, moved), 0, atol=1e-9)


def test_first_mode_of_a_beam_stands_still_at_its_nodes():
    slow = int(np.flatnonzero(np.isclose(bar().frequency, bar().frequency.min()))[0])
    still, free = (bar().shape(np.array([0, 0, x * 0.25]))[slow] for x in (0.5 - 0.22416, 0.5))
    assert np.abs(still).max() < 1e-3 * np.abs(free).max()


def test_plate_has_published_frequencies():
    # free square plates, Poisson's ratio 0.3: Leissa 1973, table C15 upper bounds by beam functions
    unit = math.sqrt(200e9 * 4e-3**2 / 12 / (1 - 0.09) / 7850) / (2 * math.pi * 0.15**2)
    found = plate(STEEL, sides=(0.15, 0.15), thickness=4e-3).frequency[:5] / unit
    leissa = np.array([13.489, 19.789, 24.432, 35.024, 35.024])
    assert (found < leissa).all()
    np.testing.assert_allclose(found, leissa, rtol=0.011)


def test_narrow_plate_is_a_beam():
    thin = Material(7850, 200e9, 0.0, 1e-3)
    strip = plate(thin, sides=(0.3, 0.01), thickness=2e-3).frequency[:3]
    rod = beam(thin, length=0.3, area=0.01 * 2e-3, inertia=(0.01 * 2e-3**3 / 12,) * 2).frequency[:6:2]
    np.testing.assert_allclose(strip, rod, rtol=2e-3)


def test_plate_shapes_are_orthonormal_and_the_sides_may_be_swapped():
    modes = plate(STEEL, sides=(0.2, 0.12), thickness=3e-3)
    x, w = np.polynomial.legendre.leggauss(16)
    moved = np.stack([[modes.shape(np.array([0.1 * a, 0.06 * b, 0]))[:6, 2] for b in x] for a in x])
    gram = np.einsum("a,b,abk,abl->kl", w, w, moved, moved) * modes.mass / 4
    np.testing.assert_allclose(gram, np.eye(6), atol=1e-9)
    turned = plate(STEEL, sides=(0.12, 0.2), thickness=3e-3)
    np.testing.assert_allclose(turned.frequency, modes.frequency, rtol=1e-9)


def test_tall_cup_is_a_ring():
    n = np.arange(2, 10)
    rigidity = 200e9 * 2e-3**2 / 12 / (1 - 0.09) / 7850
    want = n * (n**2 - 1) / np.sqrt(n**2 + 1) * math.sqrt(rigidity) / 0.05**2 / (2 * math.pi)
    tall = cup(STEEL, radius=0.05, height=50.0, thickness=2e-3)
    np.testing.assert_allclose(tall.frequency[::2], want, rtol=1e-5)


def test_bowl_has_rayleighs_intervals():
    f = bowl(STEEL, radius=0.07, thickness=2e-3).frequency[::2]
    np.testing.assert_allclose(f[1:3] / f[0], [2.8102, 5.4316], atol=2e-4)


@pytest.mark.parametrize("body", ["cup", "bowl"])
def test_shells_bend_without_stretching(body):
    a, h = 0.05, 0.08
    if body == "cup":
        modes = cup(STEEL, radius=a, height=h, thickness=2e-3)
        surface = lambda u, v: np.array([a * math.cos(v), a * math.sin(v), u * h])  # noqa: E731
    else:
        modes = bowl(STEEL, radius=a, thickness=2e-3)
        surface = lambda u, v: sphere_point(u * math.pi / 2, v, a)  # noqa: E731
    e = 1e-5
    for u, v in ((0.3, 0.4), (0.7, -2.0), (0.95, 3.0)):
        du = (surface(u + e, v) - surface(u - e, v)) / (2 * e)
        dv = (surface(u, v + e) - surface(u, v - e)) / (2 * e)
        mu = (modes.shape(surface(u + e, v)) - modes.shape(surface(u - e, v))) / (2 * e)
        mv = (modes.shape(surface(u, v + e)) - modes.shape(surface(u, v - e))) / (2 * e)
        size = np.abs(modes.shape(surface(u, v))).max() * a
        for strain in (mu @ du, mv @ dv, mu @ dv + mv @ du):  # change of the surface's metric
            assert np.abs(strain).max() < 1e-6 * size


@pytest.mark.parametrize("body", ["cup", "bowl"])
def test_shells_have_unit_modal_mass(body):
    a, h, t = 0.05, 0.08, 2e-3
    u, w = np.polynomial.legendre.leggauss(24)
    u, w = (u + 1) / 2, w / 2
    turn = np.arange(40) * 2 * math.pi / 40
    if body == "cup":
        modes = cup(STEEL, radius=a, height=h, thickness=t)
        points = [[np.array([a * math.cos(v), a * math.sin(v), z * h]) for v in turn] for z in u]
        area = w * h * a * 2 * math.pi / 40
    else:
        modes = bowl(STEEL, radius=a, thickness=t)
        points = [[sphere_point(z * math.pi / 2, v, a) for v in turn] for z in u]
        area = w * math.pi / 2 * a * a * np.sin(u * math.pi / 2) * 2 * math.pi / 40
    moved = np.array([[modes.shape(p) for p in row] for row in points])
    gram = np.einsum("u,uvki,uvli->kl", area * t * STEEL.density, moved, moved)
    np.testing.assert_allclose(gram, np.eye(16), atol=1e-6)


def test_split_separates_pairs_about_the_same_mean():
    round_, split = (bowl(STEEL, radius=0.07, thickness=2e-3, split=s).frequency for s in (0.0, 0.01))
    np.testing.assert_allclose(split[1::2] / split[::2], 1.005 / 0.995)
    np.testing.assert_allclose((split[::2] + split[1::2]) / 2, round_[::2])


def test_sound_has_the_beams_frequency_and_decays_as_its_damping_says():
    modes = bar().below(1000)
    assert len(modes.frequency) == 1
    rate, decay = 16000, np.array([9.0])
    t = np.arange(rate) / rate
    heard = ring(modes, gain=np.array([0.3]), decay=decay, force=np.ones(4), step=1e-5, times=t)
    peak = np.abs(np.fft.rfft(heard * np.hanning(rate))).argmax()  # 1 Hz a point
    assert abs(peak - modes.frequency[0]) <= 0.6
    blocks = np.log(np.sqrt((heard.reshape(20, 800) ** 2).mean(axis=1)))
    assert np.polyfit(np.arange(20) * 0.05, blocks, 1)[0] == pytest.approx(-9.0, rel=1e-3)


def test_sound_solves_the_equation_of_motion():
    rng = np.random.default_rng(0)
    modes = Modes(np.array([300.0, 777.0, 2100.0]), lambda point: np.zeros((3, 3)), mass=2.0)
    gain, decay = rng.normal(size=3), np.array([4.0, 20.0, 50.0])
    step, n = 1e-5, 3000
    force = np.concatenate([rng.uniform(0, 50, 200), np.zeros(n - 200)])
    want = np.zeros(n)
    for k in range(3):  # the oscillator's impulse response as a recursion, exact for impulses at the steps
        pole = np.exp((2j * math.pi * modes.frequency[k] - decay[k]) * step)
        at = lfilter([1.0], [1.0, -pole], force * step * gain[k])
        position = at.imag / (2 * math.pi * modes.frequency[k])
        want += at.real - decay[k] * position
    found = ring(modes, gain=gain, decay=decay, force=force[:200], step=step, times=np.arange(n) * step)
    np.testing.assert_allclose(found, want / math.sqrt(2.0), atol=1e-9 * np.abs(want).max())


def test_sound_is_silent_before_linear_in_force_and_moves_with_it():
    modes, gain, decay = bar(3), np.array([0.1, -0.2, 0.3, 0.1, 0.2, 0.4]), np.full(6, 30.0)
    force = np.array([1.0, 3.0, 2.0])
    times = np.linspace(-0.01, 0.05, 500)

    def heard(force, times):
        return ring(modes, gain=gain, decay=decay, force=force, step=2e-5, times=times)

    first = heard(force, times)
    assert not first[times < 0].any()
    assert first[times > 1e-4].any()
    np.testing.assert_allclose(heard(2 * force, times), 2 * first)
    later = heard(np.concatenate([np.zeros(5), force]), times + 5 * 2e-5)
    np.testing.assert_allclose(later[times > 0], first[times > 0], atol=1e-9)
