"""The first of two stages: candidates near a query's vectors, found by faiss in short codes of all stored vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.io import safe_name
from tuplet.store._exact import Pool, Side, gathered
from tuplet.types import InputError, importing

SAMPLE = 50_000
"""Vectors, spread evenly, that codes are learned from."""
FEW = 5_000
"""With fewer vectors they are kept as they are: codes are learned badly from so few."""


class Near:
    """Codes per set of modalities that are searched, read from a folder or made when first asked for."""

    # A code has four bits for every two numbers of a vector (product quantisation, scanned in registers). All codes are
    # compared, so nothing depends on how vectors lie, as it does in a graph; a million of width 256 take 64 MB.

    def __init__(self, shortlist: int, folder: Path | None) -> None:
        self.shortlist, self.folder = shortlist, folder
        self._codes: dict[tuple[str, ...], tuple[Any, int]] = {}
        with importing("backend 'faiss' needs faiss; run pip install 'tuplet[search]', or use 'exact'"):
            import faiss  # noqa: F401

    def write(self, folder: Path, pool: Pool) -> None:
        """Make codes and write them."""
        import faiss

        faiss.write_index(self.codes(pool)[0], str(folder / _file(pool)))

    @torch.no_grad()
    def listed(self, pool: Pool, query: Side, k: int) -> list[NDArray[np.int64]]:
        """List rows near each query: the union over its vectors and theirs, of either sign if the score is blind to it."""
        codes, per_row = self.codes(pool)
        asked = pool.objective.vectors(query).float().numpy()  # (Nq, j, D)
        n, j, width = asked.shape
        size = min(len(pool.rows), max(self.shortlist, k)) * per_row
        flat = np.ascontiguousarray(asked.reshape(n * j, width))
        signs = (1, -1) if pool.objective.traits.sign_blind else (1,)
        found = np.concatenate([codes.search(sign * flat, size)[1].reshape(n, j * size) for sign in signs], axis=1)
        return [pool.rows[np.unique(one[one >= 0] // per_row)] for one in found]

    def codes(self, pool: Pool) -> tuple[Any, int]:
        """Read or make the codes of ``objective.vectors``; entry ``i`` belongs to ``rows[i // per_row]``."""
        if pool.into not in self._codes:
            file = None if self.folder is None else self.folder / _file(pool)
            self._codes[pool.into] = _made(pool) if file is None or not file.is_file() else _read(pool, file)
        return self._codes[pool.into]


def _file(pool: Pool) -> str:
    """Name the file of codes: it depends on the score and on what is searched."""
    return safe_name(f"{type(pool.objective).__name__} {' '.join(pool.into)}") + ".faiss"


def _read(pool: Pool, file: Path) -> tuple[Any, int]:
    import faiss

    try:
        codes = faiss.read_index(str(file))
    except RuntimeError:
        raise InputError(f"{file} cannot be read; run `tuplet index` again") from None
    if not isinstance(codes, faiss.IndexPQFastScan | faiss.IndexFlat):
        raise InputError(f"{file} is of another version of tuplet; run `tuplet index` again")
    if codes.ntotal % len(pool.rows) or codes.d != pool.stored.width:
        raise InputError(f"{file} is not of these {len(pool.rows)} items; run `tuplet index` again")
    return codes, codes.ntotal // len(pool.rows)


@torch.no_grad()
def _made(pool: Pool) -> tuple[Any, int]:
    import faiss

    width, rows = pool.stored.width, pool.rows[np.linspace(0, len(pool.rows) - 1, min(SAMPLE, len(pool.rows))).astype(np.int64)]
    some = _vectors(pool, gathered(pool.stored, pool.into, rows))
    codes: Any
    if len(some) < FEW:
        codes = faiss.IndexFlat(width, faiss.METRIC_INNER_PRODUCT)
    else:
        codes = faiss.IndexPQFastScan(width, width if width % 2 else width // 2, 4, faiss.METRIC_INNER_PRODUCT)
        codes.train(some)
    for _, block in pool.blocks():
        codes.add(_vectors(pool, block))
    return codes, codes.ntotal // len(pool.rows)


def _vectors(pool: Pool, block: Side) -> NDArray[np.float32]:
    """Return the vectors that are stored for some items, all of an item in sequence, ``(n k, D)``."""
    found = pool.objective.vectors({m: z.float() for m, z in block.items()})  # (n, k, D)
    return np.ascontiguousarray(found.reshape(-1, pool.stored.width).numpy())
