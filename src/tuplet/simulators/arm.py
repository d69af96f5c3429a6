"""Arm: a camera, an inertial sensor at the wrist and joint encoders; where is the hand?

A simulated stand-in for vision, inertial and proprioceptive recordings of a robot, made on first use and kept in the cache.
No public data of that kind was found to compare with: figures compare with each other only.
"""

from __future__ import annotations

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.arm_world import STEP, Arm
from tuplet.simulators.episodes import episode_table

SCALING: dict[str, Scaling] = {"imu": "channels"}


def load(
    *,
    episodes: int = 200,
    seed: int = 0,
    size: int = 64,
    history: int = 32,
    stride: int = 8,
    bias: float = 0.02,
    workers: int | None = None,
) -> Source:
    """Simulate the motions, or find them in the cache, and split them 60/20/20 by motion.

    Args:
        episodes: how many; each gives 21 rows with the other settings left as they are. The default takes less than a
            minute to make on one core.
        seed: of the motions and of the split.
        size: pixels of one side of the picture.
        history: samples of the inertial sensor in a row, 100 a second.
        stride: samples from one row to the next.
        bias: standard deviation of the encoders' zero, radians: guessed.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (3, size, size) in [0, 1], ``imu`` (history, 6), ``joints`` (7); target ``pose`` (7), metres and
        unit quaternion; group = motion.

    Raises:
        InputError: if a number is out of range or MuJoCo is not installed.

    Notes:
        Physical: kinematics by the Panda's published joint parameters, rigid-body motion under servos, what accelerometer
        and gyroscope measure. Modelled: masses, capsules, flat colours, one lamp, the plan of the motion, sensor errors
        (guessed). Not claimed: the Panda's looks, masses or control. The joints alone determine the pose up to the
        encoders' errors: fusion can gain no more than those. Colours, light, camera and the encoders' zeros are drawn per
        motion, so pictures tell motions apart by their background: hence the split by motion.

    Source:
        Joint parameters: Franka Emika, Robot and interface specifications (Craig's convention).

    Example:
        >>> source = load(episodes=5, size=8, stride=40)
        >>> {k: m.shape for k, m in source.modalities.items()}, source.targets["pose"].size
        ({'imu': (32, 6), 'joints': (7,), 'vision': (3, 8, 8)}, 7)
    """
    scene = Arm(size=size, history=history, stride=stride, steps=history + 160, bias=bias)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates={"imu": 1 / STEP})
