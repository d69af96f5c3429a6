"""Every objective of the library, as the contract tests try it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tests.oracles import objectives as oracle
from tests.oracles import transport as transport_oracle
from tests.oracles.uniformity import uni_align
from tuplet import Embeddings
from tuplet.objectives import (
    CMC,
    PUBLISHED,
    Bottleneck,
    CoMM,
    Cone,
    Gram,
    Objective,
    OneVsAll,
    Pairwise,
    SigmoidPairwise,
    Structure,
    Symile,
    TransportConsistency,
    Triangle,
    UniAlign,
)


@dataclass(frozen=True)
class Case:
    make: Callable[..., Objective]
    oracle: Callable[[list[np.ndarray]], float]
    sizes: tuple[int, ...] = (2, 3, 4)
    blind: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] | None = None
    """A change of aligned embeddings that parts them and leaves the loss as it is; None: training raises the cosine."""
    contrasts: bool = True  # has negatives, and so groups and blocks
    scores: bool = True  # has a score of its own

    def build(self, m, *, size=6, dim=8, names=None, **options):
        """Make the objective, with one-off state (permutations, parameters) fixed so that calls can be compared."""
        if self.make is symile:
            return symile(m, size=size, **options)
        return comm(m, dim=dim, names=names, **options) if self.make is comm else self.make(**options)


def symile(m, *, size=6, **options):
    g = torch.Generator().manual_seed(7)
    return Symile(permutations=torch.rand((m, max(m - 1, 1), size), generator=g).argsort(-1), scale="dimension", **options)


def symile_oracle(z):
    m, n, d = len(z), *z[0].shape
    if m == 2:
        return oracle.pairwise(z)
    return oracle.symile(z, symile(m, size=n).permutations.numpy(), tau=0.07 / d ** ((m - 1) / 2))


def comm(m, *, dim=8, names=None, dtype=torch.float64, **options):
    torch.manual_seed(5)
    return CoMM(names or [f"m{k}" for k in range(m)], dim, heads=2, **options).to(dtype)


def comm_oracle(z):
    """The fusion is the objective's own; the contrast of what it gives is written again."""
    fusion, views = comm(len(z)).fusion, {f"m{k}": torch.from_numpy(v) for k, v in enumerate(z)}
    embeddings = [fusion({k: v}, {}) for k, v in views.items()] + [fusion(views, {})]
    embeddings = [e.detach().numpy() for e in embeddings]
    return oracle.comm(embeddings, embeddings)


def flipped(*names):
    return lambda z: {k: -v if k in names else v for k, v in z.items()}


def turned(z):
    g = torch.Generator().manual_seed(4)
    v = z["m0"]
    turn, _ = torch.linalg.qr(torch.randn(v.shape[1], v.shape[1], generator=g, dtype=v.dtype))
    return z | {"m0": v @ turn}


ONE, TWO = flipped("m0"), flipped("m0", "m1")
CASES = {
    "pairwise": Case(Pairwise, oracle.pairwise),
    "pairwise-sum": Case(
        lambda **o: Pairwise(reduction="sum", label_smoothing=0.2, **o),
        lambda z: oracle.pairwise(z, reduction="sum", label_smoothing=0.2),
    ),
    "pairwise-hub": Case(
        lambda **o: Pairwise(pairs="hub", **o), lambda z: oracle.pairwise(z, pairs=[(0, k) for k in range(1, len(z))])
    ),
    "pairwise-exclusive": Case(
        lambda **o: Pairwise(include_positive=False, **o), lambda z: oracle.pairwise(z, include_positive=False)
    ),
    "bottleneck": Case(lambda **o: Bottleneck(beta=0.7, **o), lambda z: oracle.bottleneck(z, beta=0.7)),
    "symile": Case(symile, symile_oracle, blind=TWO),
    "symile-n-squared": Case(
        lambda **o: Symile(negatives="n_squared", **o),
        lambda z: oracle.pairwise(z) if len(z) == 2 else oracle.symile_n_squared(z),
        blind=TWO,
    ),
    "gram": Case(Gram, oracle.gram, blind=ONE),
    "triangle": Case(Triangle, oracle.triangle, sizes=(3,)),
    "gram-all": Case(lambda **o: Gram(anchors="all", **o), lambda z: oracle.anchored(oracle.gram, z), blind=ONE),
    "gram-conditional": Case(lambda **o: Gram(conditional=True, **o), oracle.gram_conditional, blind=ONE),
    "gram-penalised": Case(lambda **o: Gram(sign="penalise", **o), lambda z: oracle.gram(z) + oracle.opposed(z, tau=0.07)),
    "triangle-all": Case(
        lambda **o: Triangle(anchors="all", squared=False, **o),
        lambda z: oracle.anchored(oracle.triangle, z, squared=False),
        sizes=(3,),
    ),
    "sigmoid": Case(
        lambda **o: SigmoidPairwise(tau=0.5, bias=-1.0, **o).double(), lambda z: oracle.sigmoid(z, tau=0.5, bias=-1.0)
    ),
    "cmc": Case(CMC, oracle.cmc),
    "comm": Case(comm, comm_oracle),
    "one-vs-all": Case(lambda **o: OneVsAll(tau=0.1, **o), lambda z: oracle.one_vs_all(z, tau=0.1)),
    "one-vs-all-ridge": Case(
        lambda **o: OneVsAll(tau=0.1, ridge=0.3, include_positive=True, **o),
        lambda z: oracle.one_vs_all(z, tau=0.1, ridge=0.3, include_positive=True),
    ),
    "one-vs-all-own": Case(
        lambda **o: OneVsAll(tau=0.1, negatives="own", **o), lambda z: oracle.one_vs_all(z, tau=0.1, negatives="own")
    ),
    "one-vs-all-penalised": Case(
        lambda **o: OneVsAll(tau=0.1, sign="penalise", **o),
        lambda z: oracle.one_vs_all(z, tau=0.1) + oracle.opposed(z, tau=0.1),
        sizes=(3,),
    ),
    "cone": Case(Cone, oracle.cone),
    "cone-minimal": Case(lambda **o: Cone(tau=0.2, beta=0.5, **o), lambda z: oracle.cone(z, tau=0.2, beta=0.5)),
    # alignment that stops at the anchor has no gradient to check by differences: see test_uniformity
    "uni-align": Case(lambda **o: UniAlign(**o), uni_align),
    "uni-align-literal": Case(
        lambda **o: UniAlign(weighting="literal", tau=0.5, **o),
        lambda z: uni_align(z, weighting="literal", tau=0.5, centroid=1.0, volume=1.0),
        sizes=(3,),
    ),
    "uni-align-geodesic": Case(
        lambda **o: UniAlign(geometry="geodesic", tau=0.3, **o),
        lambda z: uni_align(z, geometry="geodesic", tau=0.3),
        sizes=(3,),
    ),
    "uni-align-volume": Case(
        lambda **o: UniAlign(temperature=0.09, tau_ctr=0.2, centroid=0.5, volume=2.0, score_by="volume", **o),
        lambda z: uni_align(z, tau=0.3, tau_ctr=0.2, centroid=0.5, volume=2.0),
    ),
    "uni-align-global": Case(
        lambda **o: UniAlign(reduction="global", **o),
        lambda z: uni_align(z, reduction="global"),
        sizes=(3,),
    ),
    "structure": Case(Structure, transport_oracle.structure, blind=turned, contrasts=False, scores=False),
    "structure-learned": Case(
        lambda **o: Structure(weights="learned", modalities=["m0", "m1", "m2", "m3", *"abc"], **o),
        transport_oracle.structure,
        blind=turned,
        contrasts=False,
        scores=False,
    ),
    "structure-gw": Case(
        lambda **o: Structure(coupling="gw", bandwidth=0.5, **o),
        lambda z: transport_oracle.structure(z, coupling="gw", bandwidth=0.5),
        blind=turned,
        contrasts=False,
        scores=False,
    ),
    "structure-entropic": Case(
        lambda **o: Structure(coupling="entropic", epsilon=0.006, rounds=1, **o),
        lambda z: transport_oracle.structure(z, coupling="entropic", epsilon=0.006, rounds=1),
        sizes=(2, 3),
        blind=turned,
        contrasts=False,
        scores=False,
    ),
    "transport": Case(
        lambda **o: TransportConsistency(epsilon=0.2, **o),
        lambda z: transport_oracle.transport(z, epsilon=0.2),
        contrasts=False,
    ),
    "transport-barycenter": Case(
        lambda **o: TransportConsistency(form="barycenter", epsilon=0.2, steps=2, **o),
        lambda z: transport_oracle.transport(z, form="barycenter", epsilon=0.2, steps=2),
        contrasts=False,
    ),
}
for (
    _name,
    _row,
) in PUBLISHED.items():  # an objective that has no case above is tried as the table builds it, against its oracle
    if _name.replace("_", "-") not in CASES and hasattr(oracle, _name):
        CASES[_name] = Case(
            lambda row=_row, **o: row.make(("m0", "m1", "m2", "m3"), 8, **o),
            getattr(oracle, _name),
            sizes=_row.sizes or (2, 3, 4),
            contrasts=_row.contrasts,
            scores=hasattr(_row.make(("m0", "m1"), 8), "score"),
        )
SIZED = [(name, m) for name, case in CASES.items() for m in case.sizes]


def embeddings(m, *, size=6, dim=8, dtype=torch.float64, seed=0, noise=0.7, **extra):
    """Make tuples that share a direction, so that positives differ from negatives."""
    g = torch.Generator().manual_seed(seed)
    shared = torch.randn(size, dim, generator=g, dtype=torch.float64)
    z = {f"m{k}": shared + noise * torch.randn(size, dim, generator=g, dtype=torch.float64) for k in range(m)}
    z = {k: torch.nn.functional.normalize(v, dim=1).to(dtype) for k, v in z.items()}
    return Embeddings.of(z, **extra)


def gradients(objective, emb, *, rows=None):
    """Return the loss and its gradient at leaf embeddings."""
    from dataclasses import replace

    z = {k: v.detach().clone().requires_grad_() for k, v in emb.z.items()}
    loss = objective(replace(emb, z=z, rows=emb.rows if rows is None else rows))
    loss.total.backward()
    return loss, {k: v.grad for k, v in z.items()}
