"""Read damaged files again and again, in a process that may crash or hang without harm."""

import random
import warnings

from tuplet.catalog import READERS
from tuplet.types import InputError


def damaged(content, rng):
    """Cut a file, or change a few bytes, most often near its ends, where formats keep their structure."""
    if rng.random() < 0.1:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        near = rng.random()
        at = rng.randrange(len(content)) if near < 0.4 else rng.randrange(min(4000, len(content)))
        at = len(content) - 1 - at if near > 0.9 else at
        changed[at] = rng.choice([0, 255, rng.randrange(256), changed[at] ^ (1 << rng.randrange(8))])
    return bytes(changed)


def run(name, root, count):
    """Damage one file at a time; note the number of each attempt before it, so that a crash can be repeated."""
    files = sorted(p for p in root.rglob("*") if p.is_file())
    for number in range(count):
        rng = random.Random(number)
        victim = rng.choice(files)
        good = victim.read_bytes()
        (root.parent / "attempt.txt").write_text(f"{name} {number} {victim.name}")
        victim.write_bytes(damaged(good, rng))
        for call in (READERS[name].verify, READERS[name].load):
            try:
                got = call(root)
                for rows in () if isinstance(got, list) else (got.train, got.val, got.test):
                    rows[:3]
            except InputError as error:
                if len(str(error).splitlines()) != 1:
                    raise RuntimeError(f"more than one line: {error}") from error
        victim.write_bytes(good)


def read_damaged(folder, asked):
    """Try each reader, (name, count), on the good files of FOLDER/NAME."""
    warnings.simplefilter("error")
    for name, count in asked:
        run(name, folder / name, count)
