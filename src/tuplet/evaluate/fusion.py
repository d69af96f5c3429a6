"""Encoders and predictor trained end to end on labels, without any alignment: the supervised baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from tuplet.data import Pairs, Rows, Source
from tuplet.data.splits import PARTS
from tuplet.evaluate.evaluation import Result
from tuplet.evaluate.predict import Join, meet, task_rows, task_target
from tuplet.evaluate.predictor import Examples, PredictorConfig, check_targets, fit_predictor, width_of
from tuplet.evaluate.scores import prediction_results
from tuplet.nets import MLP, Named
from tuplet.types import Batch, InputError, one_of, some_of


class LateFusion(nn.Module):
    """Encoders side by side, and one MLP on their concatenated outputs.

    Args:
        encoders: modality -> module from that modality's input to ``(B, H_m)``.
        example: one batch, to see how wide the encoders are.
        out_features: outputs of the predictor.
        layers: linear layers of the predictor.
        hidden: width in between.
        join: None for rows, or how the representations of a pair meet, as in `predict_subsets`.

    Notes:
        Missing rows enter the predictor as zeros.

    Example:
        >>> from tuplet.data import from_arrays
        >>> x = torch.randn(20, 3).numpy()
        >>> batch = from_arrays({"a": x, "b": x}).train[:4]
        >>> LateFusion({"a": MLP(3, 8), "b": MLP(3, 8)}, batch, 2)((batch, None)).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        example: Batch,
        out_features: int,
        *,
        layers: int = 4,
        hidden: int = 256,
        join: Join | None = None,
    ) -> None:
        super().__init__()
        self.encoders = Named({k: encoders[k] for k in sorted(encoders)})
        self.join = join
        self.eval()
        with torch.no_grad():
            seen = self._encoded(example)
        width = (seen if join is None else meet(seen, seen, join)).shape[1]
        self.predictor = MLP(width, out_features, hidden=hidden, layers=layers)

    def forward(self, rows: tuple[Batch, Batch | None]) -> Tensor:
        """Return the outputs ``(B, out)`` for rows, or for pairs of rows."""
        device = next(self.predictor.parameters()).device
        left, right = (None if b is None else self._encoded(b.map(lambda v: v.to(device))) for b in rows)
        both = left if right is None or left is None or self.join is None else meet(left, right, self.join)
        out: Tensor = self.predictor(both)
        return out

    def _encoded(self, batch: Batch) -> Tensor:
        parts = [
            torch.where(batch.present[k][:, None], encoder(batch.inputs[k]).flatten(1), 0.0)
            for k, encoder in self.encoders.items()
        ]
        return torch.cat(parts, dim=1)


def late_fusion(
    source: Source,
    make: Callable[[], Mapping[str, nn.Module]],
    *,
    target: str | None = None,
    pairs: Mapping[str, Pairs] | None = None,
    which: Sequence[tuple[str, ...]] | None = None,
    join: Join = "concatenate",
    config: PredictorConfig | None = None,
) -> list[Result]:
    """Train encoders and predictor end to end, for all modalities and for each alone, and test them.

    Args:
        source: training rows are fitted, validation rows choose the epoch, test rows are used once.
        make: builds fresh encoders, as in ``lambda: encoders(source)``; called with torch seeded, once per subset.
        target, pairs, join, config: as in `predict_subsets`.
        which: the subsets; all modalities together and each alone when left out.

    Returns:
        ``late_fusion/accuracy`` and so on per subset, as in `predict_subsets`, and once more for the single modality with the
        best validation loss, with the detail "best single: force".

    Raises:
        InputError: as in `predict_subsets`, or if ``make`` lacks a modality.

    Notes:
        The baseline without alignment: the same encoders, predictor and stopping rule, but the encoders see the labels.

    Source:
        Standard late fusion.

    Example:
        >>> from tuplet.data import SOURCES
        >>> from tuplet.nets import encoders
        >>> source = SOURCES["digits"]().select(["morphology", "zernike"])
        >>> quick = PredictorConfig(epochs=1, hidden=16)
        >>> found = late_fusion(source, lambda: encoders(source, dim=8), target="label", config=quick)
        >>> sorted({r.detail.split(":")[0] for r in found})
        ['best single', 'morphology', 'morphology+zernike', 'zernike']
    """
    one_of("join", join, ("concatenate", "compare"))
    names = tuple(sorted(source.modalities))
    chosen = [tuple(sorted(s)) for s in which] if which is not None else [names, *[(k,) for k in names]]
    some_of("which", (k for s in chosen for k in s), names)
    settings = config or PredictorConfig()
    parts: dict[str, Rows] = {k: getattr(source, k) for k in PARTS}
    targets = {k: task_target(k, rows.target, target, pairs) for k, rows in parts.items()}
    for part in ("val", "test"):
        check_targets(targets["train"], targets[part], part)
    where = {k: task_rows(k, rows.positions, pairs) for k, rows in parts.items()}
    results: list[Result] = []
    singles: dict[str, tuple[float, list[Result]]] = {}

    def examples(part: str, rows: Rows) -> Examples:
        left, right = where[part]
        return Examples(lambda r: (rows[left[r]], None if right is None else rows[right[r]]), targets[part])

    for subset in chosen:
        seen = {k: getattr(source.select(subset) if len(subset) > 1 else source, k) for k in PARTS}

        def build(subset: tuple[str, ...] = subset, train: Rows = seen["train"]) -> nn.Module:
            made = make()
            if absent := sorted(set(subset) - set(made)):
                raise InputError(f"make builds no encoder for {absent}, expected one for each of {list(names)}")
            return LateFusion(
                {k: made[k] for k in subset},
                train[slice(0, 2)],
                width_of(targets["train"]),
                layers=settings.layers,
                hidden=settings.hidden,
                join=None if pairs is None else join,
            )

        fitted = fit_predictor(build, examples("train", seen["train"]), examples("val", seen["val"]), config=settings)
        found = prediction_results(
            fitted.outputs(examples("test", seen["test"])),
            targets["test"],
            targets["train"],
            metric="late_fusion",
            detail="+".join(subset),
        )
        results += found
        if len(subset) == 1:
            singles[subset[0]] = fitted.loss, found
    return results + _best(singles)


def _best(singles: Mapping[str, tuple[float, list[Result]]]) -> list[Result]:
    if not singles:
        return []
    name = min(singles, key=lambda k: singles[k][0])
    return [replace(r, detail=f"best single: {name}", items=()) for r in singles[name][1]]
