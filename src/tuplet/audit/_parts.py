"""What two modalities say about a target, in parts that two estimators with different losses agree on."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from tuplet.functional._given import states
from tuplet.information import PID, from_posteriors
from tuplet.information._codes import Features, axes_of, classes, clusters_of, features
from tuplet.information._draws import Codes, few
from tuplet.information._posteriors import Posterior, cross_fitted
from tuplet.information.clusters import clusters_for, held_out_rows
from tuplet.information.counts import counted
from tuplet.information.pid import PARTS
from tuplet.types import InputError

AXES = 64
"""Principal components that wider modalities are reduced to, so that models take seconds."""


class Labels:
    """A target of some rows, their groups, and which of them are counted by `tuplet.information.clustered`."""

    def __init__(self, y: ArrayLike | Tensor, group: ArrayLike | Tensor | None = None) -> None:
        self.classes = np.unique(classes(y), return_inverse=True)[1].astype(np.int64)
        n = len(self.classes)
        self.group = None if group is None else states("group", group, n)
        self.count = held_out_rows(n, 0.5, self.group, 0)
        counted_classes = self.classes[self.count]
        self.clusters = clusters_for(len(counted_classes), len(np.unique(counted_classes)))

    def posterior(self, x: Features) -> Posterior:
        """Read the target from features by models that were fitted on other rows."""
        return cross_fitted(x, self.classes, folds=3, group=self.group)


class Side:
    """Features of some rows, and what is known of the target from them alone: computed once for all partners."""

    def __init__(self, x: ArrayLike | Tensor, labels: Labels) -> None:
        self.x, self.labels = features("x", x), labels

    @cached_property
    def codes(self) -> Codes:
        """Clusters of the rows that are counted, found on the other rows."""
        count = self.labels.count
        return clusters_of(self.x[count], self.x[~count], clusters=self.labels.clusters, components=10)

    @cached_property
    def narrow(self) -> Features:
        """At most `AXES` columns: principal components of scaled features."""
        if self.x.shape[1] <= AXES:
            return self.x
        spread = self.x.std(0)
        scaled = (self.x - self.x.mean(0)) / np.where(spread > 1e-12, spread, 1.0)
        return np.asarray(scaled @ axes_of(scaled, AXES))

    @cached_property
    def posterior(self) -> Posterior:
        """What models read from these features."""
        return self.labels.posterior(self.narrow)


def decompose(one: Side, two: Side, *, permutations: int = 100, bootstrap: int = 60) -> PID:
    """Decompose by models and by clusters, as `batch` and `clustered` do; a part is there if both find it."""
    labels, kin = one.labels, one.labels.group
    by_codes = counted(
        one.codes,
        two.codes,
        labels.classes[labels.count],
        group=None if kin is None else kin[labels.count],
        permutations=permutations,
        bootstrap=bootstrap,
        estimator="clustered",
    )
    try:
        both = labels.posterior(np.hstack([one.narrow, two.narrow]))
        by_models = from_posteriors(one.posterior, two.posterior, both, labels.classes, group=kin, bootstrap=bootstrap)
    except InputError:
        said = "a class has too few rows for models, so these are parts of cluster codes and may not be of the modalities"
        return replace(by_codes, warnings=(*by_codes.warnings, said))
    found = [by_codes.significant, by_models.significant]
    return replace(
        by_models,
        significant={k: all(f[k] for f in found if f) for k in PARTS} if all(found) else None,
        warnings=(*by_models.warnings, *few(permutations)),
    )
