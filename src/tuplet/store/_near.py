"""The first of two stages: candidates near a query's vectors in a faiss graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tuplet.io import safe_name
from tuplet.objectives import Objective
from tuplet.store._exact import Side, scanned
from tuplet.store.tables import Stored
from tuplet.types import InputError

LINKS, BREADTH = 32, 128
"""Links per vector of the graph, and candidates that its construction compares: what faiss recommends for high recall."""


class Near:
    """A graph per set of modalities that are searched, read from a folder or built when first asked for."""

    def __init__(self, stored: Stored, objective: Objective, shortlist: int, folder: Path | None) -> None:
        self.stored, self.objective, self.shortlist, self.folder = stored, objective, shortlist, folder
        self._graphs: dict[tuple[str, ...], tuple[Any, int]] = {}
        try:
            import faiss  # noqa: F401
        except ImportError:
            raise InputError("backend 'faiss' needs faiss; run pip install 'tuplet[search]', or use 'exact'") from None

    def write(self, folder: Path, into: tuple[str, ...], rows: NDArray[np.int64]) -> None:
        """Build a graph and write it."""
        import faiss

        faiss.write_index(self.graph(into, rows)[0], str(folder / self.file(into)))

    def file(self, into: Sequence[str]) -> str:
        """Name the file of a graph: it depends on the score and on what is searched."""
        return safe_name(f"{type(self.objective).__name__} {' '.join(into)}") + ".faiss"

    @torch.no_grad()
    def listed(self, query: Side, into: tuple[str, ...], rows: NDArray[np.int64], k: int) -> list[NDArray[np.int64]]:
        """List rows near each query: the union over its vectors and theirs, of either sign if the score is blind to it."""
        graph, per_row = self.graph(into, rows)
        asked = self.objective.vectors(query).float().numpy()  # (Nq, j, D)
        n, j, width = asked.shape
        size = min(len(rows), max(self.shortlist, k)) * per_row
        graph.hnsw.efSearch = max(BREADTH, size)
        flat = np.ascontiguousarray(asked.reshape(n * j, width))
        signs = (1, -1) if self.objective.traits.sign_blind else (1,)
        found = np.concatenate([graph.search(sign * flat, size)[1].reshape(n, j * size) for sign in signs], axis=1)
        return [rows[np.unique(one[one >= 0] // per_row)] for one in found]

    @torch.no_grad()
    def graph(self, into: tuple[str, ...], rows: NDArray[np.int64]) -> tuple[Any, int]:
        """Read or build the graph of ``objective.vectors``; entry ``i`` belongs to ``rows[i // per_row]``."""
        import faiss

        if into in self._graphs:
            return self._graphs[into]
        file = None if self.folder is None else self.folder / self.file(into)
        if file is not None and file.is_file():
            try:
                graph = faiss.read_index(str(file))
            except RuntimeError:
                raise InputError(f"{file} cannot be read; run `tuplet index` again") from None
            if graph.ntotal % len(rows) or graph.d != self.stored.width:
                raise InputError(f"{file} is not of these {len(rows)} items; run `tuplet index` again")
            self._graphs[into] = graph, graph.ntotal // len(rows)
            return self._graphs[into]
        graph = faiss.IndexHNSWFlat(self.stored.width, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BREADTH
        per_row = 1
        for _, block in scanned(self.stored, into, rows):
            vectors = self.objective.vectors({m: z.float() for m, z in block.items()})  # (n, k, D)
            per_row = vectors.shape[1]
            graph.add(np.ascontiguousarray(vectors.reshape(-1, self.stored.width).numpy()))
        self._graphs[into] = graph, per_row
        return self._graphs[into]
