"""UniOMA's structure regulariser: the geometry of every modality near a consensus of the inputs' geometries (Zu et al.)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from tuplet.functional.gromov import Coupling, gromov_barycenter, gromov_wasserstein
from tuplet.functional.kernels import normalised, rbf
from tuplet.objectives.compose import Objective
from tuplet.types import Embeddings, InputError, Traits, in_range, one_of, positive

Kernel = Literal["rbf", "linear"] | Callable[[Tensor], Tensor]


class Structure(Objective):
    r"""Gromov-Wasserstein distance of every embedding kernel from a consensus of the input kernels.

    .. math::
        L = \sum_m \lambda_m\, d(C^*, K_z^m) + \eta \sum_m \lambda_m \log(M \lambda_m),
        \qquad C^* = \arg\min_C \sum_m \lambda_m\, d(C, K_x^m)

    A regulariser: add it to a contrastive objective, ``Pairwise() + 10.0 * Structure()``. Distances between kernels are small
    numbers: on the packaged digits a weight of 10 scored better on validation data than 1 (`tuplet bench quickstart`).

    Args:
        kernels: kernel of the inputs, for all modalities or by name: ``"rbf"`` (median bandwidth), ``"linear"``, or a
            function of ``(N, ...)`` inputs that returns ``(N, N)``. Names left out use ``"rbf"``. All are scaled to a
            diagonal of 1.
        embedding: kernel of the embeddings, ``"rbf"`` or ``"linear"`` (cosines).
        bandwidth: of the embedding's ``"rbf"``, > 0, or ``"median"``. At :math:`\sqrt 2` the median entry of a batch that is
            spread over the sphere is that of an input kernel, so a consensus asks for a spread and not for a collapse.
        coupling: ``"identity"`` keeps the pairing of rows: :math:`d` is the mean squared difference of entries. ``"gw"`` (the
            paper) and ``"entropic"`` look for better matches of rows.
        weights: ``"uniform"``; ``"learned"`` (the paper), a softmax over ``modalities``; or fixed ones by name.
        modalities: names of all modalities; only for ``weights="learned"``.
        entropy: :math:`\eta > 0`, only for ``weights="learned"``, whose optimum is :math:`\lambda_m \propto e^{-d_m / \eta}`;
            without it all weight would go to the nearest modality.
        epsilon: smoothing of ``"entropic"``, > 0, in units of squared kernel entries. Above about the variance of the kernels'
            entries over log B nothing is matched.
        rounds: turns between consensus and plans, for ``"gw"`` and ``"entropic"``.
        restarts: further random starts of each match of an embedding kernel, as in `gromov_wasserstein`.

    Raises:
        InputError: for a bad option, learned weights without names, or fewer than two modalities or rows.

    Notes:
        Inputs come from ``emb.aux["input.<modality>"]``, ``(B, ...)``; without it from ``emb.h``, detached. Consensus and
        plans are constants to autograd (the paper's two stages). Missing modalities: a row without a modality has mass 0 in
        it. With ``"identity"`` the consensus averages, for every pair of rows, the modalities that have both; with the others
        a modality's rows are matched with all rows of the consensus. Cost: ``M B^2 D``; the solvers take a number of solves
        in ``M``, each ``B^3`` per step, on the CPU for the assignments of ``"gw"``, which missing rows make linear
        programmes. One CPU core, three modalities, forward and backward, B = 64 and 256: ``"identity"`` 2 and 13 ms, ``"gw"``
        16 and 295 ms, ``"entropic"`` 0.4 and 2.6 s. Every process computes the whole value. Departures: the paper's equation
        1 is a similarity under the name of a distance; here the squared loss. It does not name the embedding kernel,
        bandwidths or the weights' regulariser. Its ``coupling="gw"`` ignores which rows belong together except as a start,
        and its plan is a local optimum. No score: rank by that of the objective it is added to.

    Source:
        UniOMA (Zu, Luck and Yu), equations 1 to 3; Peyre, Cuturi and Solomon (2016) for the barycentre.

    Example:
        >>> z, x = torch.eye(3), torch.tensor([[0.0], [1.0], [3.0]])
        >>> emb = Embeddings.of({"a": z, "b": z}, h={"a": x, "b": x})
        >>> round(float(Structure(embedding="linear")(emb).total), 4)  # inputs are alike, embeddings orthogonal
        0.2782
    """

    traits = Traits(rowwise=False, missing="pairs", cost="M B^2 D", needs=("inputs",))
    score = None

    def __init__(
        self,
        *,
        kernels: Kernel | Mapping[str, Kernel] = "rbf",
        embedding: Literal["rbf", "linear"] = "rbf",
        bandwidth: float | Literal["median"] = math.sqrt(2),
        coupling: Coupling = "identity",
        weights: Literal["uniform", "learned"] | Mapping[str, float] = "uniform",
        modalities: Sequence[str] | None = None,
        entropy: float = 0.01,
        epsilon: float = 0.001,
        rounds: int = 5,
        restarts: int = 0,
    ) -> None:
        super().__init__()
        for kernel in kernels.values() if isinstance(kernels, Mapping) else [kernels]:
            if not callable(kernel):
                one_of("kernels", kernel, ("rbf", "linear"))
        one_of("embedding", embedding, ("rbf", "linear"))
        one_of("coupling", coupling, ("identity", "gw", "entropic"))
        in_range("rounds", rounds, 1)
        in_range("restarts", restarts, 0)
        positive("entropy", entropy)
        positive("epsilon", epsilon)
        if isinstance(weights, str):
            one_of("weights", weights, ("uniform", "learned"))
        elif not weights or min(weights.values()) < 0 or not sum(weights.values()) > 0:
            raise InputError(f"weights is {dict(weights)}, expected numbers >= 0 by modality, not all 0")
        if (weights == "learned") != (modalities is not None):
            raise InputError("weights='learned' needs modalities=[names], and nothing else takes them")
        if callable(kernels) or isinstance(kernels, str):
            self.kernels, self.default_kernel = {}, kernels
        else:
            self.kernels, self.default_kernel = dict(kernels), "rbf"
        self.embedding, self.bandwidth, self.coupling = embedding, bandwidth, coupling
        self.fixed = None if isinstance(weights, str) else dict(weights)
        self.modalities = None if modalities is None else tuple(sorted(modalities))
        self.logits = None if modalities is None else nn.Parameter(torch.zeros(len(modalities)))
        self.entropy, self.epsilon, self.rounds, self.restarts = entropy, epsilon, rounds, restarts
        self.traits = Traits(
            symmetric=not self.kernels and self.fixed is None,
            rowwise=False,
            missing="pairs",
            cost="M B^2 D" if coupling == "identity" else "M (B^2 D + B^3)",
            needs=("inputs",),
        )

    def terms(self, emb: Embeddings) -> dict[str, Tensor]:
        """Return the weighted distances and, for learned weights, the price of their concentration."""
        if len(emb) < 2:
            raise InputError(f"z has {len(emb)} row, Structure needs at least 2 to compare; raise batch_size")
        names, z = emb.modalities, emb.z[emb.modalities[0]]
        for argument, given in (("kernels", self.kernels), ("weights", self.fixed or {})):
            if unknown := sorted(set(given) - set(names)):
                raise InputError(f"{argument} names {unknown}, which z does not have; z has {list(names)}")
        present = torch.stack([emb.present[k] for k in names])
        # in float64: float32 masses sum to 1 up to 1e-7 only, and no entropic plan then meets both sides
        masses = present.double() / present.sum(dim=1, keepdim=True).clamp_min(1)
        share = self._shares(names, present.any(dim=1), z)
        inputs = torch.stack([self._input_kernel(emb, k) for k in names]).to(z.dtype)
        embeddings = torch.stack([self._embedding_kernel(emb.z[k], emb.present[k]) for k in names])
        everyone = present.any(dim=0).double()
        consensus = gromov_barycenter(
            inputs,
            weights=share,
            masses=masses,
            p=everyone / everyone.sum().clamp_min(1),
            coupling=self.coupling,
            epsilon=self.epsilon,
            rounds=self.rounds,
        )
        distances = self._distances(consensus.kernel, consensus.plans, embeddings, masses, everyone)
        terms = {"structure": (share * distances).sum()}
        if self.logits is not None:
            count = (share > 0).sum().clamp_min(1)
            concentration = (share * (share.clamp_min(1e-30) * count).log()).sum()
            terms["weights"] = self.entropy * concentration
        return terms

    def weights(self) -> dict[str, float]:
        """Return the current weights by modality; empty for ``"uniform"``, which fits any names."""
        if self.logits is not None and self.modalities is not None:
            return dict(zip(self.modalities, self.logits.detach().softmax(dim=0).tolist(), strict=True))
        total = sum((self.fixed or {}).values())
        return {name: value / total for name, value in (self.fixed or {}).items()}

    def logged(self) -> dict[str, float]:
        """Return what is worth following in training: the learned weights."""
        return {} if self.logits is None else {f"weight/{name}": value for name, value in self.weights().items()}

    def _shares(self, names: tuple[str, ...], there: Tensor, z: Tensor) -> Tensor:
        """Return the weights of the modalities that have rows, summing to 1."""
        known = self.modalities if self.logits is not None else self.fixed
        if known is not None and (unknown := sorted(set(names) - set(known))):
            raise InputError(f"z has modalities {unknown} without a weight; weights know {sorted(known)}")
        if self.logits is not None and self.modalities is not None:
            logits = torch.stack([self.logits[self.modalities.index(k)] for k in names]).to(z.dtype)
            return torch.where(there, logits, -1e30).softmax(dim=0) * there
        weights = z.new_ones(len(names)) if self.fixed is None else z.new_tensor([self.fixed[k] for k in names])
        weights = weights * there
        return weights / weights.sum().clamp_min(1e-30)

    @torch.no_grad()
    def _input_kernel(self, emb: Embeddings, name: str) -> Tensor:
        present = emb.present[name]
        x = emb.aux.get(f"input.{name}", emb.h[name])
        x = x.float() if x.dtype not in (torch.float32, torch.float64) else x
        x = torch.where(present.view(-1, *[1] * (x.ndim - 1)), x, 0.0)
        # both kernels ignore the length of x, so a power of two keeps squares within range and every digit as it is
        x = torch.ldexp(x, -torch.frexp(x.abs().amax()).exponent.clamp(-120, 120))
        kernel = self.kernels.get(name, self.default_kernel)
        if kernel == "rbf":
            return rbf(x, valid=present)
        if kernel == "linear":
            return normalised(x.flatten(1) @ x.flatten(1).mT)
        assert callable(kernel)
        rows = present.nonzero()[:, 0]
        full = x.new_zeros(len(x), len(x))
        if len(rows):
            full[rows[:, None], rows] = normalised(kernel(x[rows]).to(full))
        return full

    def _embedding_kernel(self, z: Tensor, present: Tensor) -> Tensor:
        return rbf(z, bandwidth=self.bandwidth, valid=present) if self.embedding == "rbf" else z @ z.mT

    def _distances(self, C: Tensor, plans: Tensor, K: Tensor, masses: Tensor, everyone: Tensor) -> Tensor:
        """Return the distance of every embedding kernel from the consensus, at the best plan of two starts."""
        if self.coupling == "identity":
            masses = masses.to(K)
            return (masses[:, :, None] * masses[:, None, :] * (K - C).square()).sum(dim=(1, 2))
        C = C.expand_as(K)
        p = everyone / everyone.sum().clamp_min(1) * (masses.sum(dim=1, keepdim=True) > 0)

        def matched(start: Tensor | Literal["product"]) -> Tensor:
            found = gromov_wasserstein(
                C, K, p=p, q=masses, coupling=self.coupling, start=start, epsilon=self.epsilon, tol=1e-9, restarts=self.restarts
            )
            return found.value + found.divergence

        own = matched(plans)  # rows matched as the inputs were
        return own if self.coupling == "entropic" else torch.minimum(own, matched("product"))
