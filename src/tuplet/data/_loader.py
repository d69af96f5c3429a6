"""Batches read ahead in workers: the same rows in the same order and the same bits for any number of them."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tuplet.data.source import Rows
from tuplet.processes import begin, deaf, loading
from tuplet.types import Batch, InputError

Plan = Iterable[tuple[int, Tensor]]
"""What is read one batch after the other: which of some parts, and positions in it."""


@dataclass(frozen=True)
class Parts:
    """What a worker reads from. It hands an error back, to be raised where the batches are used."""

    parts: Sequence[Rows]

    def __getitem__(self, asked: tuple[int, Tensor]) -> Batch | Exception:
        try:
            return self.parts[asked[0]][asked[1]]
        except InputError as error:
            return error
        except Exception as error:
            plain = type(error).__module__ == "builtins" and all(isinstance(a, str | int | float) for a in error.args)
            return error if plain else RuntimeError(f"{type(error).__name__}: {error}")  # others may not leave this process


def loaded(parts: Sequence[Rows], plan: Plan, *, workers: int = 0, pin: bool = False) -> Generator[Batch]:
    """Read the batches of a plan, two ahead per worker; ``pin`` puts them where a GPU fetches them by itself."""
    if not workers:
        yield from (parts[part][at] for part, at in plan)
        return
    with warnings.catch_warnings():  # PyTorch suggests fewer workers, which is the user's choice
        warnings.simplefilter("ignore")
        loader: DataLoader[Any] = DataLoader(
            Parts(parts),  # type: ignore[arg-type]  # it takes anything with __getitem__
            sampler=plan,
            batch_size=None,  # an item is a batch
            collate_fn=_same,  # what an item is, stays
            num_workers=workers,
            pin_memory=pin,
            multiprocessing_context=loading(),
            worker_init_fn=begin,
            generator=torch.Generator(),  # the seeds of workers are not drawn from that of training
        )
        try:
            with deaf():
                ahead = iter(loader)
        except Exception as error:  # what pickle meets, or the memory that processes share
            why = " ".join(str(error).split())[:200]
            raise InputError(
                f"workers is {workers}, but the rows cannot be handed to other processes ({type(error).__name__}: {why}); set "
                f"workers=0, or give rows that can be pickled"
            ) from None
    while True:
        try:
            batch = next(ahead)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:  # it died, or did while it handed a batch over
            why = " ".join(str(error).split())[:80] or type(error).__name__
            raise InputError(
                f"a worker that reads batches died ({why}); a script that trains with workers needs "
                f"`if __name__ == '__main__':`, and workers need memory: set fewer of them. The last checkpoint is kept"
            ) from None
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _same(item: Any) -> Any:
    return item
