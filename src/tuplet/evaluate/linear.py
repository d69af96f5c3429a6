"""The linear closed form: what an alignment without training reaches, and every trained model has to beat."""

from __future__ import annotations

import torch
from torch import nn

from tuplet.data import Source
from tuplet.evaluate.evaluation import Result, evaluate, evaluate_inputs, target_of_probes
from tuplet.frames import Listed
from tuplet.model import AlignmentModel, linear_maps
from tuplet.types import InputError


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
        `tuplet.model.linear_maps`, its ridge chosen on validation rows; what
        ``AlignmentModel.for_source(source, start="gcca")`` begins with.

    Source:
        `tuplet.functional.gcca`.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(100, 3).numpy()
        >>> model = linear_baseline(from_arrays({"a": x, "b": x[:, :2] - x[:, 1:]}), dim=4)
        >>> model.encoders["a"].layers[1].weight.shape
        torch.Size([4, 3])
    """
    encoders = {k: m.module() for k, m in linear_maps(source, dim=dim).items()}
    model = AlignmentModel(encoders, {k: nn.Identity() for k in encoders})
    model.preprocessing = dict(source.preprocessing)
    return model


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
    target = target_of_probes(source, target)
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
            rows[name] = Listed()
    return {k: rows[k] for k in ("inputs", "random", "linear")}
