"""Numbers that an option asks for are checked before any memory or process is taken for them."""

from __future__ import annotations

from typing import Any

from tuplet.errors import InputError

SEED = 2**32
"""Seeds are below it: what NumPy, PyTorch and scikit-learn all take."""
LARGEST = {
    "workers": 512,
    "shards": 99_999,
    "devices": 512,
    "seeds": 10_000,
    "rows": 10_000,
    "size": 4096,
    "episodes": 10_000_000,
    "steps": 100_000_000,
    "epochs": 10_000_000,
    "batch_size": 100_000_000,
}
"""Option -> its largest value, far beyond what is of use; a command may ask for less."""


def check(command: Any) -> None:
    """Refuse numbers that would fill memory or the table of processes."""
    options = vars(getattr(command, "do", command))
    for name, largest in LARGEST.items():
        value = options.get(name)
        if isinstance(value, int) and value > largest:
            raise InputError(f"{name} is {value}, expected at most {largest}")
    seed = options.get("seed", 0)
    if isinstance(seed, int) and not 0 <= seed < SEED:
        raise InputError(f"seed is {seed}, expected a whole number from 0 to {SEED - 1}")
