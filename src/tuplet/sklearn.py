"""`Aligner`: train a space, embed and measure it as scikit-learn's estimators do, in a pipeline and in a grid search."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tuplet.data import Split, read
from tuplet.data._inputs import arrays_of, raw_arrays
from tuplet.evaluate.evaluation import retrieval_results
from tuplet.evaluate.retrieval import mean_cosine
from tuplet.model import AlignmentModel, ClosedFormError
from tuplet.model._file_rows import as_trained
from tuplet.objectives import build
from tuplet.train import TrainConfig, fit
from tuplet.types import Embeddings, InputError, Start

__all__ = ["Aligner"]

Columns = Mapping[str, Any]


class Aligner(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Align modalities; an estimator of scikit-learn.

    Args:
        objective: short name of an objective, as `tuplet train` takes it, or an objective.
        dim: width of the embeddings.
        epochs: passes over the rows.
        batch_size: rows per step.
        lr: peak learning rate.
        tau: temperature of a named objective; its own when left out.
        start: ``"random"`` or ``"gcca"``, as in `AlignmentModel.for_source`; ``"auto"`` is ``"gcca"`` where the rows allow it.
        modalities: how the columns of one array ``(n, columns)`` are divided: name -> slice or column numbers, or a number of
            blocks of about equal width. Of a frame, name -> names of columns; of anything else, the names to take.
        random_state: seed of everything random.

    Attributes:
        model_: the trained `AlignmentModel`; ``model_.encode`` embeds single modalities.
        history_: one dict per epoch, as in `tuplet.Run`.
        n_features_in_: number of columns, of one array or frame.

    Notes:
        ``X`` is one array, whose rows are cut by cross-validation, or anything that `tuplet.data.read` takes. All rows train;
        the scaling comes from the part of them that `read` gives to training.
        A modality that is NaN throughout a row is absent there.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 3))
        >>> aligner = Aligner(dim=4, epochs=2, modalities={"force": slice(0, 3), "sound": [3, 4, 5]})
        >>> aligner.fit_transform(np.hstack([x, x])).shape
        (60, 8)
    """

    def __init__(
        self,
        objective: Any = "pairwise",
        *,
        dim: int = 64,
        epochs: int = 40,
        batch_size: int = 128,
        lr: float = 1e-3,
        tau: float | None = None,
        start: Start | Literal["auto"] = "auto",
        modalities: Columns | Sequence[str] | int = 2,
        random_state: int = 0,
    ) -> None:
        self.objective = objective
        self.dim = dim
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.tau = tau
        self.start = start
        self.modalities = modalities
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Aligner:
        """Train on all rows of ``X``; ``y`` is ignored."""
        config = TrainConfig(epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, seed=self.random_state)
        x, names = self._parts(X, reset=True)
        source = read(x, modalities=names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random_state)
            try:
                model = AlignmentModel.for_source(source, dim=self.dim, start="gcca" if self.start == "auto" else self.start)
            except ClosedFormError:
                if self.start != "auto":
                    raise
                torch.manual_seed(self.random_state)
                model = AlignmentModel.for_source(source, dim=self.dim)
        objective = self.objective
        if isinstance(objective, str):
            objective = build(objective, tuple(sorted(source.modalities)), self.dim, tau=self.tau)
        elif self.tau is not None:
            raise InputError(f"tau is {self.tau}, but {type(objective).__name__} has its own; leave it out")
        n, none = len(next(iter(source.present.values()))), np.zeros(0, np.int64)
        whole = replace(source, split=Split(np.arange(n), none, none))
        run = fit(model, copy.deepcopy(objective), train=whole.train, config=replace(config, start=model.start))
        self.model_, self.history_ = run.model, run.history
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the embeddings ``(n, M dim)``, modality after modality in sorted order; 0 where one is absent."""
        check_is_fitted(self)
        z = self._embedded(X)
        return np.hstack([z[k] for k in sorted(z)])

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean average precision of retrieval of each modality from all the others and back; ``y`` is ignored."""
        check_is_fitted(self)
        z = {k: torch.from_numpy(v) for k, v in self._embedded(X).items()}
        emb = Embeddings.of(z, present={k: v.any(dim=1) for k, v in z.items()})
        found = retrieval_results(emb, {"cosine": mean_cosine})
        if not found:
            raise InputError("X has no row with two modalities or more; there is nothing to retrieve")
        return next(r.value for r in found if r.metric == "retrieval/cosine/mAP" and r.detail == "mean")

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the columns of `transform`."""
        check_is_fitted(self)
        return np.array([f"{k}_{i}" for k in sorted(self.model_.encoders) for i in range(self.dim)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Say that embeddings are float32 whatever the rows are."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _embedded(self, X: Any) -> dict[str, NDArray[np.float32]]:
        """Embed rows with the model, columns in the order of its training."""
        x, _ = self._parts(X, reset=False)
        columns, rates, words = as_trained(self.model_)
        if isinstance(x, Path):
            x = arrays_of(x, set(self.model_.encoders), columns, None, rates, words)
        else:  # frames of a dict are joined by index, as in training
            frames = {k: v for k, v in x.items() if hasattr(v, "reindex")} if isinstance(x, Mapping) else {}
            index = list(dict.fromkeys(row for frame in frames.values() for row in frame.index))
            rest = {k: v for k, v in x.items() if k not in frames} if frames else x
            x = raw_arrays(rest, columns, None, set(), rates, words) if len(rest) else {}
            x |= {k: v.reindex(index) for k, v in frames.items()}
        z = self.model_.encode({k: x[k] for k in self.model_.encoders if k in x})
        if missing := sorted(set(self.model_.encoders) - set(z)):
            raise InputError(f"X has {sorted(z)} and lacks {missing}; for rows of some modalities alone use model_.encode")
        if len(set((rows := {k: len(v) for k, v in z.items()}).values())) > 1:
            raise InputError(f"X has {rows} rows; row i of all must be the same thing")
        return z

    def _parts(self, X: Any, *, reset: bool) -> tuple[Any, Any]:
        """Divide the columns of one array among modalities; anything else is what `read` takes."""
        asked = None if isinstance(self.modalities, int) else self.modalities
        if isinstance(X, str | Path):
            return Path(X), asked
        if not self._array(X):
            if hasattr(X, "iloc"):
                validate_data(self, X, reset=reset, skip_check_array=True)
            return X, asked
        least = {"ensure_min_samples": 2, "ensure_min_features": 2} if reset else {}
        x = validate_data(self, X, reset=reset, ensure_all_finite="allow-nan", **least)
        if isinstance(self.modalities, int):
            blocks = np.array_split(np.arange(x.shape[1]), self.modalities)
            return {f"block{i}": x[:, cs] for i, cs in enumerate(blocks)}, None
        if not isinstance(asked, Mapping):
            raise InputError(f"modalities is {asked!r}, but one array needs name -> columns, such as {{'force': slice(0, 3)}}")
        try:
            return {k: x[:, cs] for k, cs in asked.items()}, None
        except IndexError:
            raise InputError(f"modalities is {asked!r}, but X has {x.shape[1]} columns") from None

    @staticmethod
    def _array(X: Any) -> bool:
        """Tell whether rows are one array rather than named modalities."""
        named = isinstance(X, Mapping) or any(hasattr(X, k) for k in ("columns", "obs_names", "features"))
        return issparse(X) or not named
