"""Embeddings as AnnData, for scanpy and its kin: an observation per item, ``obsm["X_<modality>"]`` per modality."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tuplet.data._arrow import needs
from tuplet.io import write_atomic
from tuplet.store._long import Columns, Present


def save(path: Path, ids: np.ndarray, present: Present, vectors: Columns, columns: Columns, about: dict[str, str]) -> None:
    """Write the file; an absent row is NaN."""
    with needs(f"writing {path.name}", "omics", "anndata"):
        import anndata
        import h5py
        import pandas as pd
    plain = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in columns.items() if v.ndim == 1}
    index = pd.Index(ids.astype(str).astype(object), dtype=object, name="id")  # anndata writes no strings of Arrow
    obs = pd.DataFrame({k: pd.Series(v, index=index, dtype=v.dtype) for k, v in plain.items()}, index=index)
    obsm = {f"X_{k}": np.where(present[k][:, None], v, np.float32(np.nan)) for k, v in vectors.items()}
    none = pd.DataFrame(index=pd.Index([], dtype=object))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        anndata.io.write_elem(file, "/", anndata.AnnData(obs=obs, var=none, obsm=obsm, uns={"tuplet": about}))
    write_atomic(path, content.getvalue())
