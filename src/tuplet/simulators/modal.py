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
    """What a body is made of."""

    density: float
    young: float
    poisson: float
    loss: float


@dataclass(frozen=True, slots=True)
class Modes:
    """How a body can vibrate, ``K`` modes."""

    frequency: Vector
    shape: Callable[[Vector], Vector]
    mass: float

    def below(self, limit: float) -> Modes:
        """Return the modes below a frequency in hertz."""
        n, whole = int((self.frequency < limit).sum()), self.shape
        return replace(self, frequency=self.frequency[:n], shape=lambda point: whole(point)[:n])


def beam(material: Material, *, length: float, area: float, inertia: tuple[float, float], count: int = 12) -> Modes:
    r"""Return the bending of a free bar along z, in the directions x and y."""
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
            even, np.cos(x) / np.cos(half) + np.cosh(x) / np.cosh(half), np.sin(x) / np.sin(half) + np.sinh(x) / np.sinh(half)
        )
        moved = np.zeros((2, count, 3))
        moved[0, :, 0] = moved[1, :, 1] = swing / math.sqrt(mass)
        return np.asarray(moved.reshape(-1, 3)[order])

    return Modes(frequency[order], shape, mass)


def plate(material: Material, *, sides: tuple[float, float], thickness: float, order: int = 12) -> Modes:
    r"""Return the bending of a free rectangular plate in the plane of x and y."""
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
    r"""Return the ringing of a cup's wall, whose base stands still: it bends without stretching, more towards the rim."""
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
    r"""Return the ringing of half a spherical shell, which bends without stretching."""
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
        return np.asarray(parts * math.tan(angle / 2) ** n / np.sqrt(modal))

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
        return np.asarray((local.reshape(-1, 3) @ axes(point, angle))[order])

    return Modes(both[order], shape, mass)


def ring(modes: Modes, *, gain: Vector, decay: Vector, force: Vector, step: float, times: Vector) -> Vector:
    r"""Return how a body sounds after a force of any course in time."""
    omega = 2 * math.pi * modes.frequency
    rate = 1j * omega - decay
    at = np.arange(len(force)) * step
    pushed = np.cumsum(force * step * np.exp(-rate[:, None] * at), axis=1)
    last = np.searchsorted(at, times, side="right") - 1
    heard = np.zeros(len(times))
    for k in range(len(rate)):
        wave = pushed[k, np.maximum(last, 0)] * np.exp(rate[k] * np.maximum(times, 0))
        heard += np.real(gain[k] * rate[k] / (1j * omega[k]) * wave) * (last >= 0)
    return np.asarray(heard / math.sqrt(modes.mass))
