"""The linear closed form: what an alignment without training reaches, and every trained model has to beat."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tuplet.data import Rows, Source
from tuplet.evaluate.evaluation import Result, evaluate, evaluate_inputs
from tuplet.evaluate.features import Features, pixels
from tuplet.evaluate.retrieve import mean_cosine, retrieve
from tuplet.functional.gcca import joint_covariance, principal_axes, shared_directions
from tuplet.functional.rows import unit
from tuplet.model import AlignmentModel
from tuplet.nets import MLP
from tuplet.types import Embeddings, InputError, in_range

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)
UNTUNED = 0.1
"""Ridge where validation rows cannot choose."""
POOL = 1000
"""Validation rows that choose the ridge, at most."""


def linear_baseline(source: Source, *, dim: int = 64) -> AlignmentModel:
    r"""Align modalities by linear maps in closed form: regularised CCA for two, its generalisation (MAXVAR) for more.

    .. math:: z_m = \mathrm{diag}(\sqrt{\lambda - 1})\, W_m^\top (x_m - \bar x_m)

    Args:
        source: its training rows give the maps, its validation rows choose the ridge.
        dim: width of the common space; columns that the data cannot fill are 0.

    Returns:
        A model with one linear encoder per modality, inputs flattened, and no projection: ``h`` is the vector before it is
        scaled to unit length. It is evaluated like any other.

    Raises:
        InputError: if ``dim`` is not positive, fewer than two training rows have two modalities, or fewer than two modalities
            vary.

    Notes:
        Each modality is reduced to at most 100 principal components. Covariances are taken over the rows that have both
        modalities. The ridge is the one of `RIDGES` with the best mean average precision by cosine over all pairs of
        modalities on validation rows, `UNTUNED` where no pair has two of them.

    Source:
        `tuplet.functional.gcca`; weights by the square root of the correlation as in Kornblith et al. (2019) and Foster et
        al. (2008).

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> model = linear_baseline(from_arrays({"a": x, "b": x[:, :2] - x[:, 1:]}), dim=4)
        >>> model.encoders["a"].layers[1].weight.shape
        torch.Size([4, 3])
    """
    in_range("dim", dim, 1)
    train, val = _features(source.train), _features(source.val)
    names = train.modalities
    counts = torch.stack([train.present[k] for k in names]).sum(dim=0)
    if int((counts >= 2).sum()) < 2:
        raise InputError(
            f"{source.name} has {int((counts >= 2).sum())} training rows with two modalities, expected 2 or more; a linear "
            f"baseline needs pairs"
        )
    axes = {k: principal_axes(train.x[k][train.present[k]]) for k in names}
    if sum(a.shape[1] > 0 for _, a in axes.values()) < 2:
        still = [k for k in names if not axes[k][1].shape[1]]
        raise InputError(f"{source.name} has constant modalities {still}; a linear baseline needs two that vary")
    sizes = [axes[k][1].shape[1] for k in names]
    parts = [(train.x[k].double() - axes[k][0]) @ axes[k][1] for k in names]
    covariance = joint_covariance(parts, [train.present[k] for k in names])
    best: tuple[float, dict[str, Tensor]] | None = None
    together = torch.stack([val.present[k] for k in names]).long()
    several = int((together @ together.T).fill_diagonal_(0).max()) > 1  # two rows of one pair can be told apart
    for ridge in RIDGES if several else (UNTUNED,):
        found, strength = shared_directions(covariance, sizes, ridge=ridge, dim=dim)
        maps = {k: axes[k][1] @ w * strength.sqrt() for k, w in zip(names, found, strict=True)}
        score = _score(val, {k: (axes[k][0], maps[k]) for k in names})
        if best is None or score > best[0]:
            best = score, maps
    assert best is not None
    return _model(source, {k: (axes[k][0], best[1][k]) for k in names}, dim)


def baselines(source: Source, *, target: str | None = None, dim: int = 64, seed: int = 0) -> dict[str, list[Result]]:
    """Evaluate what needs no training: what a trained model has to beat to be worth anything.

    Args:
        source: as in `evaluate`.
        target: what probes predict; the source's only target when left out, no probes if it has none.
        dim: width of the representations.
        seed: of the random encoders; torch's global random state is left alone.

    Returns:
        ``"inputs"`` (the scaled inputs themselves), ``"random"`` (untrained encoders) and ``"linear"`` (`linear_baseline`),
        each with results as of `evaluate`, for `summary`. A row that the data do not allow is empty.

    Raises:
        InputError: if the source has no such target.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> rows = baselines(from_arrays({"a": x, "b": x}))
        >>> {k: round(r.value) for k, v in rows.items() for r in v if r.metric == "retrieval/cosine/R@1" and r.detail == "mean"}
        {'inputs': 1, 'random': 0, 'linear': 1}
    """
    if target is not None and target not in source.targets:
        raise InputError(f"target is {target!r}, but {source.name} has {sorted(source.targets)}; name one of them")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AlignmentModel.for_source(source, dim=dim)
    rows = {"random": evaluate(model, None, source, target=target)}
    for name in ("inputs", "linear"):
        try:
            rows[name] = (
                evaluate_inputs(source, target=target)
                if name == "inputs"
                else evaluate(linear_baseline(source, dim=dim), None, source, target=target)
            )
        except InputError:
            rows[name] = []
    return {k: rows[k] for k in ("inputs", "random", "linear")}


def _features(rows: Rows) -> Features:
    """Read a part whole and flat; an empty one as no rows of the right shapes."""
    if len(rows):
        return pixels(rows, size=1 << 30, batch_size=1024)
    batch = rows[slice(0, 0)]
    return Features({k: v.flatten(1) for k, v in batch.inputs.items()}, batch.present, batch.index, batch.target)


def _score(val: Features, maps: dict[str, tuple[Tensor, Tensor]]) -> float:
    """Mean average precision by cosine over all directions between two modalities; 0 where no pair has two rows."""
    rows = torch.arange(len(val)) if len(val) <= POOL else torch.linspace(0, len(val) - 1, POOL).long()
    z = {k: unit((val.x[k][rows].double() - mean) @ w) for k, (mean, w) in maps.items()}
    emb = Embeddings.of(z, present={k: val.present[k][rows] for k in z})
    pairs = [(a, b) for a in z for b in z if a != b and int((emb.present[a] & emb.present[b]).sum()) > 1]
    found = [retrieve(emb, (a,), (b,), score=mean_cosine).values["mAP"] for a, b in pairs]
    return sum(found) / len(found) if found else 0.0


def _model(source: Source, maps: dict[str, tuple[Tensor, Tensor]], dim: int) -> AlignmentModel:
    with torch.random.fork_rng(devices=[]):  # initial weights are overwritten: nobody's random numbers move
        encoders = {k: MLP(len(mean), dim, layers=1) for k, (mean, _) in maps.items()}
    for k, (mean, w) in maps.items():
        linear = encoders[k].layers[1]
        linear.load_state_dict({"weight": w.mT.float().contiguous(), "bias": -(mean @ w).float()})
    model = AlignmentModel(encoders, {k: nn.Identity() for k in encoders})
    model.preprocessing = dict(source.preprocessing)
    return model
