"""Peg: a gripper inserts a peg into a hole; will it touch, and how will it be turned, one step later?

A simulated stand-in for Vision & Touch, made on first use and kept in the cache. The names and shapes of its modalities are
those of the published tables; the scene, the policy and the numbers are the library's own, so figures compare with each
other and not with published ones.
"""

from __future__ import annotations

from typing import Literal

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.peg_world import STEP, SUBSTEPS, Peg

SCALING: dict[str, Scaling] = {"force": "channels"}
RATES = {"force": SUBSTEPS / STEP}


def load(
    *,
    episodes: int = 60,
    seed: int = 0,
    size: int = 64,
    steps: int = 50,
    every: int = 1,
    appearance: Literal["step", "trajectory"] = "step",
    workers: int | None = None,
) -> Source:
    """Simulate the trajectories, or find them in the cache, and split them 60/20/20 by trajectory.

    Args:
        episodes: how many trajectories; each gives ``steps - 2`` rows, over ``every``. The default takes less than a minute
            to make on one core.
        seed: of the trajectories and of the split.
        size: pixels of one side of the pictures; 128 in the published tables.
        steps: steps of a trajectory, 20 a second.
        every: one row in so many steps; more trajectories of fewer rows tell more, as rows of one trajectory are alike.
        appearance: when colours and light are drawn: at every ``"step"`` or once a ``"trajectory"``.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) in [0, 1], ``depth`` (1, size, size), ``flow`` (2, size, size), ``force``
        (32, 6), ``pose`` (7); targets ``contact`` (free or contact, within the next step) and ``orientation`` (4, the unit
        quaternion after it); group = trajectory. The file also holds ``inserted`` and ``pose.raw``.

    Raises:
        InputError: if a number is out of range, appearance is another word, or MuJoCo is not installed.

    Notes:
        Physical: rigid contact with friction, a gripper that gives way in six degrees of freedom, wrist force at 1 kHz,
        exact depth and flow (kept as float16), a square hole 1.2 mm wider than the peg. Modelled: the search (descend,
        spiral while pressing, insert, lift, again), flat colours, one lamp, no sensor noise. Where the hole is, the turn
        of the plate, friction and the errors of the search are drawn per trajectory. Not claimed: the robot, its
        controller, the noise of its sensors or the pictures of Vision & Touch.

        Whether two rows are of one trajectory can be read from pixels alone: the plate stays where it is, and with
        ``appearance="trajectory"`` so do its colours. Compare any same-trajectory figure with a baseline on pixels. The
        orientation changes little in one step, so ``pose`` alone predicts it well.

    Source:
        Shapes: Vision & Touch, M. A. Lee et al., Making Sense of Vision and Touch, 2019. That flow looks back one step,
        and that the orientation is a quaternion of the peg, is guessed.

    Example:
        >>> source = load(episodes=4, size=8, steps=12)
        >>> source.modalities["flow"].shape, source.targets["contact"].names, source.targets["orientation"].size
        ((2, 8, 8), ('free', 'contact'), 4)
    """
    scene = Peg(size=size, steps=steps, every=every, appearance=appearance)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates=RATES)
