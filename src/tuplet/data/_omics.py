"""AnnData and MuData: one modality per assay, cells joined by ``obs_names``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tuplet.data._arrow import SMALLER, needs, readable
from tuplet.io.hdf5 import check_texts
from tuplet.io.memory import check_memory
from tuplet.types import InputError

FILES = (".h5ad", ".h5mu")
"""Endings of files of AnnData and of MuData."""


def is_annotated(values: object) -> bool:
    """Tell whether this is AnnData: a matrix with names of rows and columns."""
    return hasattr(values, "obs_names") and hasattr(values, "X") and not is_multi(values)


def is_multi(values: object) -> bool:
    """Tell whether this is MuData: several AnnData of the same cells."""
    return hasattr(values, "obs_names") and isinstance(getattr(values, "mod", None), Mapping)


def read_omics(path: Path) -> Any:
    """Read a file of AnnData or MuData."""
    if not path.is_file():
        raise InputError(f"path {path} does not exist; give an .h5ad or .h5mu file")
    with needs(f"reading {path.name}", "omics", "anndata and mudata"):
        if path.suffix.lower() == ".h5ad":
            from anndata import read_h5ad as read
        else:
            from mudata import read_h5mu as read
    with readable(str(path), "write it again with anndata or mudata"):
        import h5py

        claimed: list[int] = []
        with h5py.File(path) as file:
            file.visititems(lambda _, entry: claimed.append(int(getattr(entry, "nbytes", 0))))
        check_memory(str(path), sum(claimed), SMALLER)
        check_texts(path)
        with warnings.catch_warnings():  # about their own versions
            warnings.simplefilter("ignore")
            return read(path)


def assays(x: Any) -> dict[str, Any]:
    """Split MuData by assay, AnnData by ``var["feature_types"]`` or into its matrix and those in ``obsm``."""
    if is_multi(x):
        return dict(x.mod)
    kinds = x.var.get("feature_types", [])
    if len(names := list(dict.fromkeys(kinds))) > 1:
        return {str(k): x[:, (kinds == k).to_numpy()] for k in names}
    beside = {k: v for k, v in x.obsm.items() if not k.startswith("X_")}  # X_pca and others are computed from X
    made = {k: SimpleNamespace(X=v, obs_names=x.obs_names, obs=x.obs, var_names=()) for k, v in beside.items()}
    return {"X": x, **made}
