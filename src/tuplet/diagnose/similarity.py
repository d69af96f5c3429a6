"""Similarity of two representations of the same rows: every metric by one name, always beside chance.

CKA asks about the whole space, SVCCA about its main subspace, neighbour metrics about who lies next to whom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from tuplet.diagnose._lists import METRICS, Array, Neighbours, Rows, neighbours, paired, prepared, search
from tuplet.diagnose.centred import Kernel, cka, svcca
from tuplet.diagnose.moments import Moments
from tuplet.diagnose.score import Null, Score

__all__ = [
    "Array",
    "Kernel",
    "Moments",
    "Neighbours",
    "Null",
    "Rows",
    "Score",
    "Similarity",
    "cka",
    "cknna",
    "cycle_knn",
    "lcs_knn",
    "mutual_knn",
    "neighbours",
    "prepared",
    "similarity",
    "svcca",
]


@dataclass(frozen=True, slots=True)
class Similarity(Mapping[str, Score]):
    """All metrics of two representations, by name: ``cka``, ``svcca``, ``mutual_knn``, ``cknna``, ``cycle_knn``, ``lcs_knn``.

    Attributes:
        scores: metric -> its score.
        n: rows.
        k: neighbours.
    """

    scores: dict[str, Score]
    n: int
    k: int

    def __getitem__(self, metric: str) -> Score:
        return self.scores[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def numbers(self) -> dict[str, float]:
        """Return metric -> value."""
        return {name: score.value for name, score in self.scores.items()}

    def __str__(self) -> str:
        """Say every score, one to a line."""
        return "\n".join(str(score) for score in self.scores.values())


@torch.no_grad()
def similarity(
    a: Array, b: Array, *, k: int = 10, components: int | float = 10, rows: Rows = "unit", shuffles: int = 100, seed: int = 0
) -> Similarity:
    """Measure everything: unbiased linear CKA, SVCCA, mutual-kNN, CKNNA, cycle-kNN and ordered neighbours."""
    x, y = paired(a, b)
    scores = {
        "cka": cka(x, y, shuffles=shuffles, seed=seed),
        "svcca": svcca(x, y, components=components, shuffles=shuffles, seed=seed),
    }
    lists = search(x, y, k=k, rows=rows)
    scores |= {name: lists.score(name, shuffles=shuffles, seed=seed) for name in METRICS}
    return Similarity(scores, len(x), k)


def mutual_knn(
    a: Array, b: Array, *, k: int = 10, rows: Rows = "unit", queries: int | None = None, shuffles: int = 100, seed: int = 0
) -> Score:
    r"""Measure the share of common neighbours, :math:`\frac{1}{nk} \sum_i |N_k^a(i) \cap N_k^b(i)|`.

    Args:
        a: ``(n, d_a)``, 4 rows or more.
        b: ``(n, d_b)``, the same things in the same order.
        k: neighbours, 1 to ``n - 1``; 10 as in the platonic representation hypothesis.
        rows: how rows are prepared: ``"unit"`` is the library's convention, ``"clipped"`` the platonic protocol's (values
            clipped at their 0.95 quantile first), ``"centred"`` our reading of the To-Align-or-Not paper's,
            which names no distance (inner products here), ``"raw"`` none.
        queries: how many rows, drawn at random, have their neighbours sought among all ``n``: unbiased, with an interval, and
            ``n / queries`` times as fast. All when left out.
        shuffles: shuffled pairs for the null, which cost little beside the search.
        seed: of the shuffles and the drawn rows.

    Returns:
        The `Score` in [0, 1], with chance ``k / (n - 1)``.

    Notes:
        ``n^2 (d_a + d_b)`` time, ``n k`` memory and a tile. Float32 rows are searched in float32. Where neighbours are tied
        (copies of rows, bits, a collapsed space) the lower index wins in both spaces alike, which unrelated spaces agree on
        too: 500 unrelated rows of 3 bits read 0.10 at a chance of 0.02. From 5 % of tied rows on, the score warns with the
        value that ties decided independently give; its null, and ``p``, are of those.

    Source:
        Huh et al. (2024), The platonic representation hypothesis; equal to the To-Align-or-Not paper's equation 10.

    Example:
        >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        >>> print(mutual_knn(x, x.flip(1), shuffles=0))
        mutual_knn 1.0000, chance 0.0503; n = 200, k = 10, unit rows, uncentred, inner product, self excluded, ties by index
    """
    found = search(a, b, k=k, rows=rows, queries=queries, seed=seed)
    return found.score("mutual_knn", shuffles=shuffles, seed=seed)


def cknna(a: Array, b: Array, *, k: int = 10, rows: Rows = "unit", shuffles: int = 100, seed: int = 0) -> Score:
    r"""Compare kernels on common neighbours alone: unbiased CKA of :math:`\alpha K` and :math:`\alpha L`.

    .. math::
        \alpha_{ij} = 1 \text{ if } j \in N_k^a(i) \cap N_k^b(i) \text{ else } 0, \qquad
        \mathrm{CKNNA} = \frac{h(\alpha K, \alpha L)}{\sqrt{h(\alpha^a K, \alpha^a K)\, h(\alpha^b L, \alpha^b L)}}

    with :math:`h` unbiased HSIC, and :math:`\alpha^a`, :math:`\alpha^b` each side's own neighbours.

    Args:
        a, b, k, rows, shuffles, seed: as in `mutual_knn`.

    Returns:
        The `Score`; its ``chance`` is the mean of the shuffles, None without. :math:`\alpha K` is not symmetric; as in the
        authors' program HSIC pairs entry ``(i, j)`` of one with ``(j, i)`` of the other, so the order of ``a`` and ``b``
        matters a little.

    Source:
        Huh et al. (2024), The platonic representation hypothesis, appendix A; their program.

    Example:
        >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        >>> round(float(cknna(x, x.flip(1), shuffles=0)), 6)
        1.0
    """
    return search(a, b, k=k, rows=rows, seed=seed).score("cknna", shuffles=shuffles, seed=seed)


def cycle_knn(a: Array, b: Array, *, k: int = 10, rows: Rows = "unit", shuffles: int = 100, seed: int = 0) -> Score:
    r"""Measure the share of rows that are a neighbour, in ``a``, of one of their neighbours in ``b``.

    Args:
        a, b, k, rows, shuffles, seed: as in `mutual_knn`.

    Returns:
        The `Score` in [0, 1]; not symmetric in ``a`` and ``b``. Its ``chance`` is the exact mean over all shuffles. One of
        ``k`` chances is enough, so it saturates: chance is near :math:`k^2 / n`, and equal spaces need not read 1.

    Source:
        Huh et al. (2024), The platonic representation hypothesis; their program.

    Example:
        >>> x = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
        >>> 0.9 < float(cycle_knn(x, x, shuffles=0)) <= 1
        True
    """
    return search(a, b, k=k, rows=rows, seed=seed).score("cycle_knn", shuffles=shuffles, seed=seed)


def lcs_knn(
    a: Array, b: Array, *, k: int = 10, rows: Rows = "unit", queries: int | None = None, shuffles: int = 100, seed: int = 0
) -> Score:
    r"""Measure the mean longest common subsequence of the neighbour lists: common neighbours in a common order.

    Args:
        a, b, k, rows, queries, shuffles, seed: as in `mutual_knn`.

    Returns:
        The `Score` in [0, k], a length, not divided by ``k``, as in the authors' program. Costs ``n k^2`` more.

    Source:
        Huh et al. (2024), The platonic representation hypothesis; their program.

    Example:
        >>> x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
        >>> float(lcs_knn(x, x.flip(1), k=5, shuffles=0))
        5.0
    """
    found = search(a, b, k=k, rows=rows, queries=queries, seed=seed)
    return found.score("lcs_knn", shuffles=shuffles, seed=seed)
