"""The first of two stages: candidates near a query's vectors in a faiss graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.io import safe_name
from tuplet.store._exact import Pool, Side
from tuplet.types import InputError

LINKS, BREADTH = 32, 128
"""Links per vector of the graph, and candidates that its construction compares: what faiss recommends for high recall."""


class Near:
    """A graph per set of modalities that are searched, read from a folder or built when first asked for."""

    def __init__(self, shortlist: int, folder: Path | None) -> None:
        self.shortlist, self.folder = shortlist, folder
        self._graphs: dict[tuple[str, ...], tuple[Any, int]] = {}
        try:
            import faiss  # noqa: F401
        except ImportError:
            raise InputError("backend 'faiss' needs faiss; run pip install 'tuplet[search]', or use 'exact'") from None

    def write(self, folder: Path, pool: Pool) -> None:
        """Build a graph and write it."""
        import faiss

        faiss.write_index(self.graph(pool)[0], str(folder / _file(pool)))

    @torch.no_grad()
    def listed(self, pool: Pool, query: Side, k: int) -> list[NDArray[np.int64]]:
        """List rows near each query: the union over its vectors and theirs, of either sign if the score is blind to it."""
        graph, per_row = self.graph(pool)
        asked = pool.objective.vectors(query).float().numpy()  # (Nq, j, D)
        n, j, width = asked.shape
        size = min(len(pool.rows), max(self.shortlist, k)) * per_row
        graph.hnsw.efSearch = max(BREADTH, size)
        flat = np.ascontiguousarray(asked.reshape(n * j, width))
        signs = (1, -1) if pool.objective.traits.sign_blind else (1,)
        found = np.concatenate([graph.search(sign * flat, size)[1].reshape(n, j * size) for sign in signs], axis=1)
        return [pool.rows[np.unique(one[one >= 0] // per_row)] for one in found]

    def graph(self, pool: Pool) -> tuple[Any, int]:
        """Read or build the graph of ``objective.vectors``; entry ``i`` belongs to ``rows[i // per_row]``."""
        if pool.into not in self._graphs:
            file = None if self.folder is None else self.folder / _file(pool)
            self._graphs[pool.into] = _built(pool) if file is None or not file.is_file() else _read(pool, file)
        return self._graphs[pool.into]


def _file(pool: Pool) -> str:
    """Name the file of a graph: it depends on the score and on what is searched."""
    return safe_name(f"{type(pool.objective).__name__} {' '.join(pool.into)}") + ".faiss"


def _read(pool: Pool, file: Path) -> tuple[Any, int]:
    import faiss

    try:
        graph = faiss.read_index(str(file))
    except RuntimeError:
        raise InputError(f"{file} cannot be read; run `tuplet index` again") from None
    if graph.ntotal % len(pool.rows) or graph.d != pool.stored.width:
        raise InputError(f"{file} is not of these {len(pool.rows)} items; run `tuplet index` again")
    return graph, graph.ntotal // len(pool.rows)


@torch.no_grad()
def _built(pool: Pool) -> tuple[Any, int]:
    import faiss

    graph = faiss.IndexHNSWFlat(pool.stored.width, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BREADTH
    for _, block in pool.blocks():
        vectors = pool.objective.vectors({m: z.float() for m, z in block.items()})  # (n, k, D)
        graph.add(np.ascontiguousarray(vectors.reshape(-1, pool.stored.width).numpy()))
    return graph, graph.ntotal // len(pool.rows)
