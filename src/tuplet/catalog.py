"""Every data set by its short name: sources that ship or are simulated, and readers of real data in a folder of the user's."""

from collections.abc import Callable

from tuplet.data import Source
from tuplet.datasets import (
    av_mnist,
    captions,
    cifar,
    digits,
    dogs,
    emoji,
    feel,
    lerobot,
    medical,
    mini_acc,
    mosei,
    mujoco_push,
    mustard,
    nutrimouse,
    objectfolder,
    objectfolder_touch,
    octopi,
    sitr,
    ssvtp,
    tacquad,
    touch100k,
    touch_and_go,
    tvl,
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
    "captions": captions.READER,
    "cifar": cifar.READER,
    "dogs": dogs.READER,
    "feel": feel.READER,
    "lerobot": lerobot.READER,
    "medical": medical.READER,
    "mini_acc": mini_acc.READER,
    "mosei": mosei.READER,
    "mujoco_push": mujoco_push.READER,
    "mustard": mustard.READER,
    "nutrimouse": nutrimouse.READER,
    "objectfolder": objectfolder.READER,
    "objectfolder_touch": objectfolder_touch.READER,
    "octopi": octopi.READER,
    "opinions": opinions.READER,
    "sitr": sitr.READER,
    "spoken_digits": spoken_digits.READER,
    "ssvtp": ssvtp.READER,
    "tacquad": tacquad.READER,
    "touch100k": touch100k.READER,
    "touch_and_go": touch_and_go.READER,
    "tvl": tvl.READER,
    "vision_touch": vision_touch.READER,
    "wearable": wearable.READER,
    "wesad": wesad.READER,
}
"""Short name -> what reads real data; none is shipped or downloaded."""
