"""Push: a finger pushes a puck over a table; where is the puck one step later?

A simulated stand-in for MuJoCo Push, made on first use and kept in the cache. The names and shapes of its modalities are
those of the published tables; the scene, the policy and the numbers are the library's own, so figures compare with each
other and not with published ones.
"""

from __future__ import annotations

from tuplet.data import Source, from_table
from tuplet.data._scaling import Scaling
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.push_world import STEP, Push

SCALING: dict[str, Scaling] = {"force": "channels", "pose": "channels"}
RATES = dict.fromkeys(("force", "pose", "vision"), 1 / STEP)


def load(
    *,
    episodes: int = 400,
    seed: int = 0,
    size: int = 32,
    history: int = 32,
    stride: int = 4,
    horizon: int = 1,
    workers: int | None = None,
) -> Source:
    """Simulate the episodes, or find them in the cache, and split them 60/20/20 by episode.

    Args:
        episodes: how many; each gives 8 rows with the other settings left as they are. The default takes less than a
            minute to make on one core.
        seed: of the episodes and of the split.
        size: pixels of one side of the picture.
        history: steps of a window, 20 a second.
        stride: steps from one window to the next.
        horizon: steps from the end of the window to the position to predict.
        workers: processes that simulate; this one when left out.

    Returns:
        Modalities ``vision`` (history, size, size) grey in [0, 1], ``force`` (history, 6), ``pose`` (history, 7); target
        ``position`` (2), metres; group = episode.

    Raises:
        InputError: if a number is out of range or MuJoCo is not installed.

    Notes:
        Physical: rigid bodies, Coulomb friction, contact forces, the compliance of the finger, exact timing. Modelled:
        the strokes (towards the puck's middle, with a wandering heading), flat colours, one lamp, no sensor noise.
        Friction, mass, radius, speed, colours and light are drawn per episode; an episode in which the finger misses is
        drawn again. Not claimed: the robot, the objects, the policy or the numbers of MuJoCo Push, nor the looks of any
        real table. The fingertip is near the puck for much of the time, so ``pose`` alone predicts much of the position:
        compare with single modalities. Windows of one episode overlap and share one scene, hence the split by episode.

    Source:
        Shapes: MuJoCo Push as in M. A. Lee et al., Multimodal Sensor Fusion with Differentiable Filters, 2020; the window
        of 32 steps and the next-step target are guessed from published tables, since no public code has them.

    Example:
        >>> source = load(episodes=6, size=8)
        >>> source.modalities["force"].shape, source.targets["position"].size, len(source.train)
        ((32, 6), 2, 32)
    """
    scene = Push(size=size, history=history, stride=stride, horizon=horizon, steps=history + 32 + horizon - 1)
    file = episode_table(scene, episodes=episodes, seed=seed, workers=workers)
    return from_table(file, scaling=SCALING, seed=seed, rates=RATES)
