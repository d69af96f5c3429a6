"""The sound of a struck body: its free vibrations in closed form, and how a force makes them ring.

Every body is a set of damped oscillators, one per mode of vibration. Thin-body theory gives the modes: beams, plates and
shells of uniform thickness that hang free (a cup's base stands still).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Material:
    """What a body is made of.

    Attributes:
        density: kg/m^3.
        young: Young's modulus, Pa.
        poisson: Poisson's ratio.
        loss: loss factor; a mode of ``f`` hertz decays by ``pi f loss`` nepers a second.
    """

    density: float
    young: float
    poisson: float
    loss: float


@dataclass(frozen=True, slots=True)
class Modes:
    """How a body can vibrate, ``K`` modes.

    Attributes:
        frequency: ``(K,)``, hertz, rising.
        shape: maps a point ``(3,)`` of the body, metres, to displacements ``(K, 3)`` of modes of unit modal mass, kg^-1/2.
        mass: of the body, kilograms.
    """

    frequency: Vector
    shape: Callable[[Vector], Vector]
    mass: float

    def below(self, limit: float) -> Modes:
        """Return the modes below a frequency in hertz."""
        n, whole = int((self.frequency < limit).sum()), self.shape
        return replace(self, frequency=self.frequency[:n], shape=lambda point: whole(point)[:n])


def beam(material: Material, *, length: float, area: float, inertia: tuple[float, float], count: int = 12) -> Modes:
    r"""Return the bending of a free bar along z, in the directions x and y.

    .. math:: f_n = \frac{(\beta_n L)^2}{2 \pi L^2} \sqrt{\frac{E I}{\rho A}}, \quad \cos \beta L \cosh \beta L = 1

    Args:
        material: what it is made of.
        length: L, metres; the bar reaches from ``-L/2`` to ``L/2``.
        area: A of the cross-section, m^2.
        inertia: I of the cross-section for bending along x and along y, m^4.
        count: modes in each direction.

    Returns:
        The `Modes`.

    Notes:
        Shear and rotary inertia are left out, so that high modes of thick bars come out too high.

    Source:
        Euler-Bernoulli theory; Rayleigh, The Theory of Sound, 1877, chapter VIII.

    Example:
        >>> steel = Material(density=7850, young=200e9, poisson=0.29, loss=1e-3)
        >>> bar = beam(steel, length=0.2, area=3e-2 * 8e-3, inertia=(3e-2 * 8e-3**3 / 12, 8e-3 * 3e-2**3 / 12))
        >>> round(float(bar.frequency[0]))
        1038
    """
    root: Vector = np.asarray((np.arange(1, count + 1) + 0.5) * math.pi, dtype=np.float64)
    for _ in range(6):  # Newton's steps on cos x - 1 / cosh x
        root -= (np.cos(root) - 1 / np.cosh(root)) / (np.tanh(root) / np.cosh(root) - np.sin(root))
    stiffness = np.sqrt(material.young * np.asarray(inertia) / (material.density * area))
    frequency: Vector = (root**2 / (2 * math.pi * length**2) * stiffness[:, None]).ravel()
    order, half = np.argsort(frequency), root / 2
    even = np.arange(count) % 2 == 0
    mass = material.density * area * length

    def shape(point: Vector) -> Vector:
        x = 2 * half * np.clip(point[2] / length, -0.5, 0.5)
        swing = np.where(
            even,
            np.cos(x) / np.cos(half) + np.cosh(x) / np.cosh(half),
            np.sin(x) / np.sin(half) + np.sinh(x) / np.sinh(half),
        )
        moved = np.zeros((2, count, 3))
        moved[0, :, 0] = moved[1, :, 1] = swing / math.sqrt(mass)
        picked: Vector = moved.reshape(-1, 3)[order]
        return picked

    return Modes(frequency[order], shape, mass)


def plate(material: Material, *, sides: tuple[float, float], thickness: float, order: int = 12) -> Modes:
    r"""Return the bending of a free rectangular plate in the plane of x and y.

    .. math:: f = \frac{\lambda^2}{2 \pi a^2} \sqrt{\frac{D}{\rho h}}, \quad D = \frac{E h^3}{12 (1 - \nu^2)}

    Args:
        material: what it is made of.
        sides: a along x and b along y, metres, the middle at 0.
        thickness: h, metres.
        order: Legendre polynomials along each side.

    Returns:
        The `Modes`: the lowest quarter of what the polynomials span, which is where they are accurate.

    Notes:
        By the method of Ritz, one symmetric eigenproblem of ``order**2``.

    Source:
        Ritz 1909; values of lambda to compare with: Leissa, The free vibration of rectangular plates, 1973.

    Example:
        >>> glass = Material(density=2500, young=70e9, poisson=0.3, loss=1e-3)
        >>> square = plate(glass, sides=(0.2, 0.2), thickness=5e-3)
        >>> bending = 70e9 * 5e-3**3 / 12 / (1 - 0.3**2)
        >>> unit = math.sqrt(bending / 2500 / 5e-3) / (2 * math.pi * 0.2**2)
        >>> (square.frequency[:2] / unit).round(2).tolist()  # Leissa: 13.489, 19.789
        [13.47, 19.6]
    """
    nodes, weights = np.polynomial.legendre.leggauss(order + 2)
    polynomials = [np.polynomial.legendre.Legendre.basis(i) * math.sqrt(i + 0.5) for i in range(order)]
    value = np.stack([p(nodes) for p in polynomials])
    slope = np.stack([p.deriv(1)(nodes) for p in polynomials])
    bend = np.stack([p.deriv(2)(nodes) for p in polynomials])
    eye, tilted, mixed, bent = (
        np.eye(order),
        (slope * weights) @ slope.T,
        (bend * weights) @ value.T,
        (bend * weights) @ bend.T,
    )
    x, y = (4 / side**2 for side in sides)
    nu = material.poisson
    stiffness = (
        x * x * np.kron(bent, eye)
        + y * y * np.kron(eye, bent)
        + nu * x * y * (np.kron(mixed, mixed.T) + np.kron(mixed.T, mixed))
        + 2 * (1 - nu) * x * y * np.kron(tilted, tilted)
    )
    square, weight = np.linalg.eigh(stiffness)
    keep = slice(3, 3 + order**2 // 4)  # the first three are rigid
    rigidity = material.young * thickness**2 / (12 * (1 - nu**2) * material.density)
    mass = material.density * thickness * sides[0] * sides[1]
    weight = weight[:, keep] * math.sqrt(4 / mass)

    def shape(point: Vector) -> Vector:
        at = [np.array([p(float(np.clip(2 * point[i] / sides[i], -1, 1))) for p in polynomials]) for i in (0, 1)]
        moved = np.zeros((weight.shape[1], 3))
        moved[:, 2] = np.kron(at[0], at[1]) @ weight
        return moved

    return Modes(np.sqrt(square[keep] * rigidity) / (2 * math.pi), shape, mass)


def cup(material: Material, *, radius: float, height: float, thickness: float, split: float = 0.0) -> Modes:
    r"""Return the ringing of a cup's wall, whose base stands still: it bends without stretching, more towards the rim.

    .. math:: \omega_n^2 = \frac{D}{\rho h a^4} \frac{n^2 (n^2 - 1)^2}{n^2 + 1}
        \frac{1 + 6 (1 - \nu) a^2 / (n H)^2}{1 + 3 a^2 / (n^2 (n^2 + 1) H^2)}

    Args:
        material: what it is made of.
        radius: a of the wall's middle surface, metres.
        height: H, metres, from the base at z = 0 to the rim.
        thickness: h of the wall and the base, metres.
        split: relative distance between the two modes of each n, which are one where the wall is perfectly round.

    Returns:
        The `Modes`, n = 2 to 9, two of each.

    Source:
        Rayleigh 1881; Love, A Treatise on the Mathematical Theory of Elasticity, 1927, section 335.

    Example:
        >>> glass = Material(density=2500, young=70e9, poisson=0.23, loss=1e-3)
        >>> cup(glass, radius=0.04, height=0.09, thickness=3e-3).frequency[[0, 2]].round().tolist()
        [1373.0, 3719.0]
    """
    n = np.arange(2, 10)
    rigidity = material.young * thickness**2 / (12 * (1 - material.poisson**2) * material.density)
    ratio = (radius / height) ** 2
    rise = (1 + 6 * (1 - material.poisson) * ratio / n**2) / (1 + 3 * ratio / (n**2 * (n**2 + 1)))
    frequency = np.sqrt(rigidity / radius**4 * n**2 * (n**2 - 1) ** 2 / (n**2 + 1) * rise) / (2 * math.pi)
    wall = material.density * thickness * 2 * math.pi * radius * height
    modal = wall / 2 * ((1 + 1 / n**2) / 3 + ratio / n**4)

    def profile(point: Vector) -> Vector:
        up = float(np.clip(point[2] / height, 0, 1))
        return np.stack([up + 0.0 * n, -up / n, -radius / height / n**2]) / np.sqrt(modal)

    def axes(point: Vector, angle: float) -> Vector:
        return np.array([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1.0]])

    mass = wall + material.density * thickness * math.pi * radius**2
    return _pairs(frequency, n, profile, axes, mass, split)


def bowl(material: Material, *, radius: float, thickness: float, split: float = 0.0) -> Modes:
    r"""Return the ringing of half a spherical shell, which bends without stretching.

    .. math:: \omega_n^2 = \frac{4 D (1 - \nu) (n^3 - n)^2}{\rho h a^4}
        \frac{\int t^{2n} \sin^{-3}\theta \, d\theta}{\int t^{2n} (2 \sin^2\theta + (n + \cos\theta)^2) \sin\theta \, d\theta},
        \quad t = \tan(\theta / 2)

    Args:
        material: what it is made of.
        radius: a of the middle surface, metres; its centre is at z = a, the lowest point at 0.
        thickness: h, metres.
        split: relative distance between the two modes of each n.

    Returns:
        The `Modes`, n = 2 to 9, two of each.

    Source:
        Rayleigh, On the infinitesimal bending of surfaces of revolution, 1881.

    Example:
        >>> steel = Material(density=7850, young=200e9, poisson=0.29, loss=1e-3)
        >>> f = bowl(steel, radius=0.08, thickness=2e-3).frequency[::2]
        >>> (f[:3] / f[0]).round(3).tolist()  # Rayleigh: 1, 2.8102, 5.4316
        [1.0, 2.81, 5.432]
    """
    n = np.arange(2, 10)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    theta = (nodes + 1) * math.pi / 4
    weights = weights * math.pi / 4
    power = np.tan(theta / 2) ** (2 * n[:, None])
    bending = (power / np.sin(theta) ** 3) @ weights
    moving = (power * (2 * np.sin(theta) ** 2 + (n[:, None] + np.cos(theta)) ** 2) * np.sin(theta)) @ weights
    rigidity = material.young * thickness**2 / (12 * (1 + material.poisson) * material.density)
    frequency = np.sqrt(4 * rigidity * (n**3 - n) ** 2 / radius**4 * bending / moving) / (2 * math.pi)
    modal = material.density * thickness * radius**2 * math.pi * moving

    def tilt(point: Vector) -> float:
        return math.atan2(math.hypot(point[0], point[1]), radius - point[2])

    def profile(point: Vector) -> Vector:
        angle = min(tilt(point), math.pi / 2)
        parts = np.stack([n + math.cos(angle), -math.sin(angle) + 0.0 * n, -math.sin(angle) + 0.0 * n])
        found: Vector = parts * math.tan(angle / 2) ** n / np.sqrt(modal)
        return found

    def axes(point: Vector, angle: float) -> Vector:
        s, c = math.sin(tilt(point)), math.cos(tilt(point))
        along, across = math.cos(angle), math.sin(angle)
        return np.array([[s * along, s * across, -c], [-across, along, 0], [c * along, c * across, s]])

    return _pairs(frequency, n, profile, axes, material.density * thickness * 2 * math.pi * radius**2, split)


def _pairs(frequency: Vector, n: NDArray[Any], profile: Any, axes: Any, mass: float, split: float) -> Modes:
    """Join the two modes of each n around an axis; axes: outwards, along the circle, along the meridian."""
    both = (frequency[:, None] * (1 + split * np.array([-0.5, 0.5]))).ravel()
    order = np.argsort(both, kind="stable")

    def shape(point: Vector) -> Vector:
        angle = math.atan2(point[1], point[0])
        turn = n[:, None] * angle - np.array([0, math.pi / 2])  # cosine, sine
        out, around, along = profile(point)[:, :, None]
        local = np.stack([out * np.cos(turn), around * np.sin(turn), along * np.cos(turn)], axis=-1)
        moved: Vector = (local.reshape(-1, 3) @ axes(point, angle))[order]
        return moved

    return Modes(both[order], shape, mass)


def ring(
    modes: Modes,
    *,
    gain: Vector,
    decay: Vector,
    force: Vector,
    step: float,
    times: Vector,
) -> Vector:
    r"""Return how a body sounds after a force of any course in time.

    .. math:: v(t) = \sum_k \mathrm{Re}\, \frac{g_k (i \omega_k - d_k)}{i \omega_k \sqrt m}
        \sum_{t_j \le t} F_j \Delta t \, e^{(i \omega_k - d_k)(t - t_j)}

    Args:
        modes: of the body.
        gain: ``(K,)``, displacement of each mode along the force where it acts, kg^-1/2: ``modes.shape(point) @ direction``.
        decay: ``(K,)``, nepers a second.
        force: ``(n,)``, newtons, at times 0, step, 2 step ...
        step: seconds.
        times: ``(T,)``, seconds, where the sound is wanted; zero before 0.

    Returns:
        ``(T,)``, m/s: the modes' velocities, each the root mean square over the body. Taken as the sound pressure, it lets
        all modes radiate alike.

    Notes:
        Exact for impulses at the given times, whatever the sampling rate. Cost ``K (n + T)``.

    Source:
        van den Doel, Pai, The sounds of physical shapes, Presence 7(4), 1998 (the model, not this form of the sum).

    Example:
        >>> tone = Modes(np.array([100.0]), lambda point: np.ones((1, 3)), mass=1.0)
        >>> t = np.array([0.0, 0.01])
        >>> heard = ring(tone, gain=np.ones(1), decay=np.array([5.0]), force=np.ones(1), step=1.0, times=t)
        >>> heard.round(4).tolist()  # one period later exp(-5 / 100) is left
        [1.0, 0.9512]
    """
    omega = 2 * math.pi * modes.frequency
    rate = 1j * omega - decay
    at = np.arange(len(force)) * step
    pushed = np.cumsum(force * step * np.exp(-rate[:, None] * at), axis=1)
    last = np.searchsorted(at, times, side="right") - 1
    heard = np.zeros(len(times))
    for k in range(len(rate)):
        wave = pushed[k, np.maximum(last, 0)] * np.exp(rate[k] * np.maximum(times, 0))
        heard += np.real(gain[k] * rate[k] / (1j * omega[k]) * wave) * (last >= 0)
    found: Vector = heard / math.sqrt(modes.mass)
    return found
