"""Clips of the simulated push, each with a sentence made from templates and what the simulator knows of it."""

from __future__ import annotations

import numpy as np

from tuplet.data import Source, Table, from_arrays
from tuplet.simulators.episodes import episode_table
from tuplet.simulators.push import SCALING, Push

ACROSS, ALONG = ("on the left", "in the middle", "on the right"), ("near the camera", "halfway", "far from the camera")
SIDE = 0.05
"""Metres from the middle of the table to where its sides begin."""


def captioned_push(episodes: int = 600) -> Source:
    """Load the last clip of every episode: seen, felt, moved and told; the target is where the puck goes."""
    columns = Table.open(episode_table(Push(size=16), episodes=episodes)).columns
    episode, place = (np.asarray(columns[k]) for k in ("group", "target.position"))
    first, count = np.unique(episode, return_index=True, return_counts=True)[1:]
    last = first + count - 1
    moved, end = place[last] - place[first], place[last]  # between these windows, which the last one shows
    axis = abs(moved).argmax(axis=1)  # 0: across the picture, 1: into it
    direction = np.array([["left", "right"], ["nearer", "away"]])[axis, (moved[range(len(axis)), axis] > 0).astype(int)]
    weight, ground = (
        np.array(words)[np.searchsorted(bounds, np.asarray(columns[k])[last])]
        for k, words, bounds in (
            ("mass", ("light", "middling", "heavy"), (0.23, 0.37)),
            ("friction", ("slippery", "dry", "rough"), (0.3, 0.45)),
        )
    )
    touched = np.where(np.asarray(columns["contact"])[last] > 0.4, "for long", "briefly")
    x, y = (np.searchsorted((-SIDE, SIDE), end[:, i]) for i in (0, 1))
    sentences = [
        f"A finger touches a {weight[i]} puck {touched[i]} on a {ground[i]} table. It moves {direction[i]} by "
        f"{round(100 * np.hypot(*moved[i]))} cm and ends {ACROSS[x[i]]}, {ALONG[y[i]]}."
        for i in range(len(last))
    ]
    return from_arrays(
        {k: np.asarray(columns[f"input.{k}"][last]) for k in ("vision", "force", "pose")} | {"sentence": sentences},
        targets={"direction": direction.tolist()},
        kinds={"sentence": "text", "force": "sequence", "pose": "sequence"},
        scaling=dict(SCALING),
        name="captioned push",
    )
