"""Every data set by its short name: sources that ship or are simulated, and readers of real data in a folder of the user's."""

from collections.abc import Callable

from tuplet.data import Source
from tuplet.datasets import (
    av_mnist,
    digits,
    emoji,
    mosei,
    mujoco_push,
    mustard,
    objectfolder,
    vision_touch,
    wearable,
    wesad,
)
from tuplet.datasets._reader import Reader as Reader
from tuplet.simulators import arm, blocks, opinions, peg, physiology, push, redundancy, spoken_digits, tap, touch

SOURCES: dict[str, Callable[[], Source]] = {
    "arm": arm.load,
    "blocks": blocks.load,
    "digits": digits.load,
    "emoji": emoji.load,
    "peg": peg.load,
    "physiology": physiology.load,
    "push": push.load,
    "redundancy": redundancy.load,
    "tap": tap.load,
    "touch": touch.load,
}
"""Short name -> function that loads the source."""

READERS: dict[str, Reader] = {
    "av_mnist": av_mnist.READER,
    "mosei": mosei.READER,
    "mujoco_push": mujoco_push.READER,
    "mustard": mustard.READER,
    "objectfolder": objectfolder.READER,
    "opinions": opinions.READER,
    "spoken_digits": spoken_digits.READER,
    "vision_touch": vision_touch.READER,
    "wearable": wearable.READER,
    "wesad": wesad.READER,
}
"""Short name -> what reads real data; none is shipped or downloaded."""
