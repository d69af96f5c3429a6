"""The columns of the tables: which records they show, and how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the tables."""

    metric: str
    detail: str
    label: str
    meaning: str
    percent: bool = True
    ranked: bool = True
    higher: bool = True
    digits: int | None = None
    headline: str = ""

    @property
    def places(self) -> int:
        """Return the number of decimals."""
        return self.digits if self.digits is not None else 1 if self.percent else 2

    def text(self, value: float) -> str:
        """Print a value of this column."""
        return f"{round((100 if self.percent else 1) * value, self.places) + 0.0:.{self.places}f}"  # no -0.00


COLUMNS = (
    Column("probe/linear", "", "Linear", "accuracy of a linear probe on all modalities' frozen representations, %"),
    Column("probe/mlp", "", "MLP", "accuracy of a 4-layer MLP on the same, %"),
    Column("probe/few_shot", "", "3-shot", "accuracy of a linear probe from 3 labelled rows per class (10 draws), %"),
    Column(
        "retrieval/own/R@1",
        "mean",
        "R@1 own",
        "one modality from all others and back: share of queries whose match ranks first by the objective's own score, %",
    ),
    Column("retrieval/cosine/R@1", "mean", "R@1 cos", "the same by mean cosine, one yardstick for all, %"),
    Column("retrieval/cosine/mAP", "mean", "mAP cos", "mean average precision of the same, %"),
    Column(
        "space/positive_cosine",
        "",
        "Pos. cos",
        "mean cosine of matching embeddings, -1 to 1: near 0 or below, a cosine index finds nothing",
        percent=False,
        ranked=False,
    ),
)
"""What `tuplet.evaluate.evaluate` gives, for tasks with class labels."""
