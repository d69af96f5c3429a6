"""What frozen representations predict, from every subset of the modalities: OVA-IB's downstream tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tuplet.data import Pairs
from tuplet.evaluate.evaluation import Result
from tuplet.evaluate.features import Features
from tuplet.evaluate.predictor import Examples, Fitted, PredictorConfig, check_targets, fit_predictor, width_of
from tuplet.evaluate.scores import prediction_results, without_input
from tuplet.evaluate.subset import subsets
from tuplet.functional._measures import scaling
from tuplet.nets import MLP
from tuplet.types import InputError, one_of, some_of

Absent = Literal["retrain", "zero", "mean"]
Join = Literal["concatenate", "compare"]
NO_INPUT = "no input"
"""Detail of the results of a predictor that sees nothing."""


def predict_subsets(
    train: Features,
    val: Features,
    test: Features,
    *,
    target: str | None = None,
    pairs: Mapping[str, Pairs] | None = None,
    which: Sequence[tuple[str, ...]] | None = None,
    absent: Absent = "retrain",
    join: Join = "concatenate",
    config: PredictorConfig | None = None,
) -> list[Result]:
    """Train an MLP on concatenated representations and test it, for every subset of the modalities.

    Args:
        train: features of the training rows, from `encoded` or `pixels`.
        val: of the validation rows; they choose the epoch.
        test: of the test rows; used once.
        target: name of the target: classes or real numbers. Either this or ``pairs``.
        pairs: ``train``, ``val`` and ``test`` -> `tuplet.data.Pairs`; the predictor then reads the features of both rows and
            tells whether they belong together.
        which: the subsets; all 2^M - 1 when left out.
        absent: what testing on a subset means, which the paper leaves open (guessed). ``"retrain"``: a predictor per subset.
            ``"zero"`` and ``"mean"``: one predictor of all modalities, those outside the subset replaced by zeros or by their
            training mean.
        join: how the features of a pair meet (guessed): one beside the other, or their absolute difference and product too.
        config: see `PredictorConfig`.

    Returns:
        ``predict/accuracy``, ``/balanced`` and ``/f1``, or ``/mse`` (in the target's squared unit) and ``/r2``, per subset
        (``detail`` "force+image"), each with the chance of a predictor without input, which also has rows of its own (detail
        "no input").

    Raises:
        InputError: naming what is missing, misspelt or does not fit.

    Notes:
        Features are standardised by statistics of the training rows that have the modality; rows without it enter as that mean.

    Source:
        OVA-IB (Li et al., 2026), section 4.1 and appendix B.2: "concatenate the available modality embeddings", "4-layer MLP".

    Example:
        >>> x = torch.linspace(-1, 1, 200)[torch.randperm(200, generator=torch.Generator().manual_seed(0))][:, None]
        >>> here = {"good": torch.ones(200, dtype=torch.bool), "useless": torch.ones(200, dtype=torch.bool)}
        >>> rows = Features({"good": x, "useless": x * 0}, here, torch.arange(200), {"label": (x[:, 0] > 0).long()})
        >>> found = predict_subsets(rows, rows, rows, target="label", config=PredictorConfig(epochs=20))
        >>> {r.detail: round(r.value, 1) for r in found if r.metric == "predict/accuracy"}
        {'no input': 0.5, 'good': 1.0, 'useless': 0.5, 'good+useless': 1.0}
    """
    one_of("absent", absent, ("retrain", "zero", "mean"))
    one_of("join", join, ("concatenate", "compare"))
    parts = {"train": train, "val": val, "test": test}
    names = train.modalities
    for part, features in parts.items():
        if features.modalities != names:
            raise InputError(f"{part} has modalities {features.modalities}, expected {names} to match train")
    chosen = [tuple(sorted(s)) for s in which] if which is not None else subsets(names)
    some_of("which", (k for s in chosen for k in s), names)
    targets = {k: task_target(k, f.target, target, pairs) for k, f in parts.items()}
    for part in ("val", "test"):
        check_targets(targets["train"], targets[part], part)
    rows = {k: task_rows(k, f.index, pairs) for k, f in parts.items()}
    scaled = {k: {m: _scaled(train, f, m) for m in names} for k, f in parts.items()}

    def examples(part: str, blocks: Sequence[Tensor]) -> Examples:
        x, (left, right) = torch.cat(list(blocks), dim=1).to((config or PredictorConfig()).device), rows[part]
        if right is None:
            return Examples(lambda r: x[left[r]], targets[part])
        return Examples(lambda r: meet(x[left[r]], x[right[r]], join), targets[part])

    def fitted(subset: tuple[str, ...]) -> Fitted:
        made = {part: examples(part, [scaled[part][k] for k in subset]) for part in ("train", "val")}
        width = made["train"].read(torch.tensor([0])).shape[1]
        settings = config or PredictorConfig()
        return fit_predictor(
            lambda: MLP(width, width_of(targets["train"]), hidden=settings.hidden, layers=settings.layers),
            made["train"],
            made["val"],
            config=settings,
        )

    truth, seen = targets["test"], targets["train"]
    results = prediction_results(without_input(seen, len(truth)), truth, seen, detail=NO_INPUT)
    whole = fitted(names) if absent != "retrain" else None
    for subset in chosen:
        if whole is None:
            predictor, blocks = fitted(subset), [scaled["test"][k] for k in subset]
        else:
            zeros = {} if absent == "mean" else {k: torch.div(*_statistics(train, k)) for k in scaled["test"]}
            fill = {k: v * 0 - zeros.get(k, 0) for k, v in scaled["test"].items()}  # means, or zeros, standardised
            predictor, blocks = whole, [scaled["test"][k] if k in subset else fill[k] for k in names]
        results += prediction_results(predictor.outputs(examples("test", blocks)), truth, seen, detail="+".join(subset))
    return results


def task_target(part: str, target: Mapping[str, Tensor], name: str | None, pairs: Mapping[str, Pairs] | None) -> Tensor:
    """Return what is to be predicted in one part: a target of its rows, or whether pairs belong together."""
    if (name is None) == (pairs is None):
        raise InputError("target and pairs are both given or both left out; name one of them")
    if pairs is not None:
        if part not in pairs:
            raise InputError(f"pairs has {sorted(pairs)}, expected train, val and test")
        return torch.from_numpy(pairs[part].same).long()
    if name not in target:
        raise InputError(f"target is {name!r}, but {part} has {sorted(target)}; name one of them")
    y = target[str(name)]
    return y.reshape(len(y), -1).float() if y.is_floating_point() else y.long()


def task_rows(part: str, index: Tensor, pairs: Mapping[str, Pairs] | None) -> tuple[Tensor, Tensor | None]:
    """Return the positions that examples of one part read: each row, or the left and right rows of pairs."""
    if pairs is None:
        return torch.arange(len(index)), None
    order = index.argsort()
    found = []
    for wanted in (pairs[part].left, pairs[part].right):
        rows = torch.from_numpy(wanted)
        where = order[torch.searchsorted(index[order], rows).clamp(max=len(index) - 1)]
        if not torch.equal(index[where], rows):
            strange = int(rows[index[where] != rows][0])
            raise InputError(f"pairs[{part!r}] has row {strange}, which is not in {part}; draw pairs within each part")
        found.append(where)
    return found[0], found[1]


def meet(left: Tensor, right: Tensor, join: Join) -> Tensor:
    """Put the features of the two rows of each pair together."""
    parts = [left, right] if join == "concatenate" else [left, right, (left - right).abs(), left * right]
    return torch.cat(parts, dim=1)


def _statistics(train: Features, name: str) -> tuple[Tensor, Tensor]:
    there = train.x[name][train.present[name]]
    if not len(there):
        raise InputError(f"{name!r} is missing in every training row; leave it out")
    return scaling(there)


def _scaled(train: Features, features: Features, name: str) -> Tensor:
    mean, deviation = _statistics(train, name)
    return torch.where(features.present[name][:, None], (features.x[name] - mean) / deviation, 0.0)
