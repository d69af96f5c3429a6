"""Where a decoder begins: kernel ridge regression from vectors to pictures, per style, with no steps at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROWS, TRIED, COMPONENTS = 6144, 1536, 384
"""Rows of a style, at most; rows of a style that choose width and penalty; principal components of pictures."""
WIDTHS, PENALTIES = (0.3, 0.42, 0.6, 0.85), (0.01, 0.1, 1.0)


Recalled = tuple[Tensor, Tensor]
"""Components of the mean picture, ``(B, Q)``, and how near its vector is to an anchor, ``(B,)``."""


class ClosedForm(nn.Module):
    """The mean picture of a vector in a style, and how near the vector is to one that was fitted."""

    anchors: Tensor
    owner: Tensor
    weights: Tensor
    basis: Tensor
    means: Tensor
    width: Tensor
    spread: Tensor

    def __init__(self, dim: int, pixels: int, styles: int, rows: int = 0, components: int = 0) -> None:
        super().__init__()
        half = torch.float16  # the file stays small; sums are taken in single precision
        self.register_buffer("anchors", torch.zeros(rows, dim, dtype=half))
        self.register_buffer("owner", torch.zeros(rows, dtype=torch.int64))  # style of each anchor
        self.register_buffer("weights", torch.zeros(rows, components, dtype=half))
        self.register_buffer("basis", torch.zeros(components, pixels, dtype=half))
        self.register_buffer("means", torch.zeros(styles, pixels))
        self.register_buffer("width", torch.tensor(1.0))
        self.register_buffer("spread", torch.tensor(0.0))  # variance about the mean picture, far from all anchors

    def predicted(self, z: Tensor, style: Tensor) -> Recalled:
        """Return components ``(B, Q)``, and ``(B,)`` from 0, far from every anchor of the style, to 1, on one."""
        k = kernel(z, self.anchors.to(z), float(self.width))  # (B, N)
        k = torch.where(style[:, None] == self.owner, k, 0.0)
        near = torch.cat([k, torch.zeros_like(z[:, :1])], dim=1).amax(dim=1)  # 0 where nothing was fitted
        return k @ self.weights.to(z), near.clamp(max=1)

    def picture(self, components: Tensor, style: Tensor) -> Tensor:
        """Return flat pictures ``(B, P)`` of components ``(B, Q)``."""
        return self.means[style] + components @ self.basis.to(components)

    def fit(self, z: Tensor, pictures: Tensor, style: Tensor, group: Tensor, seed: int) -> Recalled:
        """Fit; return what `predicted` says of each row where its group is left out; ``pictures`` are flat."""
        groups, n = torch.unique(group, return_inverse=True)[1], len(self.means)
        order = torch.randperm(int(groups.max()) + 1, generator=torch.Generator().manual_seed(seed))[groups]
        counts = [order[style == s].bincount(minlength=int(order.max()) + 1).cumsum(0) for s in range(n)]
        fit = min(int((c <= ROWS).sum()) for c in counts)  # the groups, in a random order, that fit for all styles
        kept = (order < max(1, fit)).nonzero().squeeze(1)
        order, owner = order[kept], style[kept]
        around = pictures[kept]
        for s in torch.unique(owner):
            self.means[s] = around[owner == s].mean(dim=0)
        around = around - self.means[owner]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            *_, basis = torch.svd_lowrank(around, q=min(COMPONENTS, *around.shape), niter=1)
        components = around @ basis  # (N, Q)
        self.anchors, self.owner, self.basis = z[kept].half(), owner, basis.mT.contiguous().half()
        self.weights = torch.zeros(components.shape, dtype=torch.float16)
        anchors = self.anchors.to(z)
        width, penalty = self._choose(anchors, components, order)
        self.width = torch.tensor(width)
        out, near = torch.zeros(len(z), components.shape[1]), torch.zeros(len(z))
        for s in torch.unique(owner):
            own = (owner == s).nonzero().squeeze(1)
            k = kernel(anchors[own], anchors[own], width)
            weights, out[kept[own]] = left_out(k, components[own], order[own], penalty)
            self.weights[own] = weights.half()
            other = order[own][:, None] != order[own]
            near[kept[own]] = torch.where(other, k, 0.0).amax(dim=1).clamp(max=1)
        rest = torch.ones(len(z), dtype=torch.bool).index_fill(0, kept, False).nonzero().squeeze(1)
        for part in torch.split(rest, 1024):  # their groups are in no anchor
            out[part], near[part] = self.predicted(z[part], style[part])
        far = (self.picture(out, style) - pictures).square().mean(dim=1)
        self.spread = far.mean() / (1 - near).mean().clamp_min(1e-3)
        return out, near

    def _choose(self, anchors: Tensor, components: Tensor, order: Tensor) -> tuple[float, float]:
        """Return width and penalty of the sharpest fit whose error, groups left out, is within 10 % of the least."""
        found = []
        for width in WIDTHS:
            for penalty in PENALTIES:
                error = blur = 0.0
                for s in torch.unique(self.owner):
                    own = (self.owner == s).nonzero().squeeze(1)
                    own = own[order[own].argsort(stable=True)[:TRIED]]
                    weights, out = left_out(kernel(anchors[own], anchors[own], width), components[own], order[own], penalty)
                    error += float((out - components[own]).square().sum())
                    blur += float((penalty * weights).square().sum())  # what the fit misses of its own rows
                found.append((error, blur, width, penalty))
        least = min(found)[0]
        return min((blur, width, penalty) for error, blur, width, penalty in found if error <= 1.1 * least)[1:]


def kernel(a: Tensor, b: Tensor, width: float) -> Tensor:
    """Return ``exp((a . b - 1) / width^2)``, ``(N, M)``: the Gaussian kernel of unit vectors."""
    return ((a @ b.mT - 1) / width**2).exp()


def left_out(k: Tensor, y: Tensor, group: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return ridge weights of a kernel, and what is predicted for each group by a fit to all others, both ``(N, Q)``."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(k + penalty * torch.eye(len(k)).to(k)))
    weights = inverse @ y
    out = y.clone()
    sizes = torch.unique(group, return_counts=True)[1].tolist()
    for rows in torch.split(group.argsort(stable=True), sizes):
        # the block of the inverse maps the errors of a fit without these rows to their weights in the fit with them
        out[rows] -= torch.linalg.solve(inverse[rows][:, rows], weights[rows])
    return weights, out
