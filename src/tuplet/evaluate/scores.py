"""What predictions are worth: accuracy, balanced accuracy and F1 of classes; squared error and R2 of real targets."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuplet.evaluate.evaluation import Result
from tuplet.types import InputError


def prediction_results(
    outputs: Tensor, truth: Tensor, seen: Tensor, *, metric: str = "predict", detail: str = ""
) -> list[Result]:
    r"""Score the predictions of one set of test rows.

    .. math:: \mathrm{balanced} = \mathrm{mean}_c\, \mathrm{recall}_c, \quad
        F_1 = \mathrm{mean}_c \frac{2 p_c r_c}{p_c + r_c}, \quad
        R^2 = 1 - \frac{\sum_{i,j} (y_{ij} - \hat y_{ij})^2}{\sum_{i,j} (y_{ij} - \bar y_j)^2}

    Args:
        outputs: ``(n, classes)`` scores, of which the largest wins, or ``(n, k)`` values in the target's unit.
        truth: int64 ``(n,)`` or floating ``(n, k)``, to match.
        seen: the training targets, for chance: their most frequent class, or their mean.
        metric: what the names of the results begin with.
        detail: which modalities were read.

    Returns:
        ``metric/accuracy``, ``/balanced`` and ``/f1``; or ``/mse`` (in squared units of the target, mean over rows and
        dimensions) and ``/r2``. All but ``/f1`` have an item per row, whose mean they are. Every chance is that of a predictor
        without input.

    Raises:
        InputError: if shapes disagree or there are no rows.

    Notes:
        Balanced accuracy averages over the classes that test rows have, macro F1 over these and the predicted ones, as
        scikit-learn does. ``r2`` is left out where test targets are constant.

    Example:
        >>> y = torch.tensor([0, 0, 0, 1])
        >>> [(r.metric, r.value, r.chance) for r in prediction_results(torch.eye(2)[y], y, y)][:2]
        [('predict/accuracy', 1.0, 0.75), ('predict/balanced', 1.0, 0.5)]
    """
    if not len(truth) or len(outputs) != len(truth):
        raise InputError(f"outputs has {len(outputs)} rows, expected {len(truth)} to match truth, one or more")
    if not truth.is_floating_point():
        majority = seen.mode().values.expand(len(truth)).numpy()
        guess, true = outputs.argmax(dim=1).numpy(), truth.numpy()
        hits = (guess == true).astype(np.float64)
        pairs = zip(_class_values(guess, true), _class_values(majority, true), strict=True)
        _, of, counts = np.unique(true, return_inverse=True, return_counts=True)
        share = len(true) / (len(counts) * counts[of])  # a row's weight in the mean recall over classes
        items = {"accuracy": _items(hits), "balanced": _items(hits * share), "f1": ()}
        return [
            Result(f"{metric}/{name}", value, detail, True, level, len(truth), found)
            for (name, found), (value, level) in zip(items.items(), pairs, strict=True)
        ]
    truth, seen = (y.reshape(len(y), -1).double() for y in (truth, seen))
    if outputs.shape != truth.shape:
        raise InputError(f"outputs has shape {tuple(outputs.shape)}, expected {tuple(truth.shape)} to match truth")
    errors = (outputs.double() - truth).square()
    chance_errors = (seen.mean(dim=0) - truth).square()
    spread = float((truth - truth.mean(dim=0)).square().sum())
    mse = Result(
        f"{metric}/mse",
        float(errors.mean()),
        detail,
        False,
        float(chance_errors.mean()),
        len(truth),
        tuple(errors.mean(dim=1).tolist()),
    )
    if not spread:
        return [mse]
    r2, level = (1 - float(e.sum()) / spread for e in (errors, chance_errors))
    shares = _items(1 - errors.sum(dim=1).numpy() * len(truth) / spread)
    return [mse, Result(f"{metric}/r2", r2, detail, True, level, len(truth), shares)]


def without_input(seen: Tensor, rows: int) -> Tensor:
    """Make the outputs of a predictor that sees no input: the most frequent training class, or the training mean."""
    if seen.is_floating_point():
        return seen.reshape(len(seen), -1).mean(dim=0).expand(rows, -1)
    return torch.eye(int(seen.max()) + 1)[seen.mode().values].expand(rows, -1)


def _class_values(guess: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[float, float, float]:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    balanced = recall_score(truth, guess, labels=np.unique(truth), average="macro")
    return float(accuracy_score(truth, guess)), float(balanced), float(f1_score(truth, guess, average="macro"))


def _items(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
