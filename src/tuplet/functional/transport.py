"""Entropic optimal transport between weighted rows, and barycentres of them (Cuturi, 2013; Cuturi and Doucet, 2014).

Problems are batched along a leading dimension and solved in float64 on the device of the cost.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order
from tuplet.functional.rows import unit
from tuplet.types import InputError, in_range, one_of

SWEEPS = 20
"""Cheap matrix-vector sweeps between two sweeps in the log domain."""

STEP = 10.0
"""Largest step of a potential, in units of epsilon."""

State = tuple[Tensor, Tensor, Tensor, Tensor]
"""Both potentials, their plan, and its error."""

LIGHT = 1e-30
"""Mass that stands for none, so that logarithms stay finite."""


class Transport(NamedTuple):
    """Entropic plans of ``S`` problems; without the leading dimension if the cost had none.

    Attributes:
        plan: ``(S, N, N')`` plan :math:`T`; exactly 0 where a mass is 0.
        log_plan: ``(S, N, N')`` its logarithm, which keeps its digits where the plan is tiny.
        value: ``(S,)`` the entropic cost :math:`W`.
        error: ``(S,)`` sum of absolute errors of the masses of the columns; what the solver stopped at.
    """

    plan: Tensor
    log_plan: Tensor
    value: Tensor
    error: Tensor


def sinkhorn(
    cost: Float[Tensor, "*S N P"],
    *,
    epsilon: float,
    a: Float[Tensor, "*_ _"] | None = None,
    b: Float[Tensor, "*_ _"] | None = None,
    iterations: int = 100,
    tol: float = 1e-9,
) -> Transport:
    r"""Entropic optimal transport.

    .. math::
        W = \min_{T \in \Pi(a, b)} \langle T, C \rangle + \epsilon\, \mathrm{KL}(T \,\|\, a b^\top)

    Args:
        cost: ``(N, P)`` or ``(S, N, P)`` costs :math:`C`, finite.
        epsilon: :math:`\epsilon > 0`, in units of the cost.
        a: ``(N,)`` or ``(S, N)`` masses >= 0 of the rows; uniform when None. Rows of mass 0 take no part.
        b: masses of the columns, of the same total.
        iterations: largest number of rounds, each of `SWEEPS` sweeps and perhaps a Newton step.
        tol: largest summed error of the masses at which to stop, for every problem of the batch.

    Returns:
        The `Transport`. All its parts are differentiable in ``cost``: the value by the envelope theorem, the plan by
        the implicit function theorem (one linear system per problem in backward), both at the solution, whatever the
        number of iterations. ``error`` certifies the solution.

    Raises:
        InputError: if ``epsilon`` is not positive.

    Notes:
        Sweeps run on the kernel of the current potentials and are absorbed into them in the log domain, so that a small
        ``epsilon`` neither underflows nor costs an exponential per sweep. A round whose sweeps do not divide
        the error by ten adds a Newton step: sweeps alone converge slowly for a small ``epsilon``, which is
        approached from larger ones. Cost: ``S N^2 (P + SWEEPS)`` per round, ``S N^3`` in the backward of a plan.

    Source:
        Cuturi (2013), Sinkhorn distances; Schmitzer (2019) for the stabilisation.

    Example:
        >>> sinkhorn(1 - torch.eye(2), epsilon=0.1).plan.round(decimals=4)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    if not epsilon > 0:
        raise InputError(f"epsilon is {epsilon}, expected a number > 0; it smooths the plan")
    shape, batched = cost.shape, cost.reshape(-1, *cost.shape[-2:])
    rows = _masses(a, batched, -2)
    columns = _masses(b, batched, -1)
    held = (rows > 0)[:, :, None] & (columns > 0)[:, None, :]
    batched = torch.where(held, batched, 0.0)
    heavy, wide = rows.clamp_min(LIGHT), columns.clamp_min(LIGHT)
    f, g, error = _Potentials.apply(batched.double(), heavy, wide, epsilon, iterations, tol)
    log_plan = (f[:, :, None] + g[:, None, :] - batched.double()) / epsilon
    plan = torch.where(held, log_plan.exp(), 0.0)
    fixed = plan.detach()
    relative = log_plan.detach() - heavy.log()[:, :, None] - wide.log()[:, None, :]
    value = (fixed * batched + epsilon * fixed * relative).sum(dim=(1, 2))
    return Transport(
        plan.reshape(shape).to(cost.dtype),
        log_plan.reshape(shape).to(cost.dtype),
        value.reshape(shape[:-2]).to(cost.dtype),
        error.reshape(shape[:-2]).to(cost.dtype),
    )


def wasserstein_barycenter(
    points: Float[Tensor, "S N D"],
    start: Float[Tensor, "P D"],
    *,
    epsilon: float,
    masses: Float[Tensor, "S N"] | None = None,
    p: Float[Tensor, " P"] | None = None,
    weights: Float[Tensor, " S"] | None = None,
    steps: int = 10,
    support: Literal["free", "sphere"] = "free",
) -> Float[Tensor, "P D"]:
    r"""Move ``P`` points of fixed mass towards the barycentre of ``S`` clouds.

    .. math:: Y \leftarrow \mathrm{diag}(p)^{-1} \sum_s \lambda_s T_s^\top X_s

    where :math:`T_s` is the entropic plan of the costs :math:`|x - y|^2 / 2`.

    Args:
        points: ``(S, N, D)`` clouds.
        start: ``(P, D)`` initial points.
        epsilon: as in `sinkhorn`, for half squared distances (1 - cosine, on unit rows).
        masses: ``(S, N)`` masses of the rows, summing to 1 per cloud; uniform when None. A cloud of mass 0 takes no part.
        p: ``(P,)`` masses of the points; uniform when None.
        weights: ``(S,)`` weights :math:`\lambda` >= 0, scaled to sum to 1 over the clouds that take part.
        steps: number of updates, each with new plans; 0 returns ``start``.
        support: ``"free"`` points, or points kept on the unit ``"sphere"``.

    Returns:
        ``(P, D)``, differentiable in ``points`` and ``start``. A local solution: which one depends on ``start``.

    Raises:
        InputError: if ``epsilon`` is not positive, or ``steps`` negative.

    Source:
        Cuturi and Doucet (2014), Fast computation of Wasserstein barycenters, algorithm 2.

    Example:
        >>> clouds = torch.tensor([[[0.0], [10.0]], [[12.0], [2.0]]])
        >>> wasserstein_barycenter(clouds, clouds[0], epsilon=0.1)
        tensor([[ 1.],
                [11.]])
    """
    in_range("steps", steps, 0)
    one_of("support", support, ("free", "sphere"))
    a = points.new_full(points.shape[:2], 1 / points.shape[1]) if masses is None else masses
    b = start.new_full((len(start),), 1 / len(start)) if p is None else p
    share = (a.sum(dim=1) > 0).to(a.dtype) * (1.0 if weights is None else weights)
    share = share / share.sum().clamp_min(LIGHT)
    for _ in range(steps):
        cost = half_squared(points, start.expand(len(points), -1, -1))
        plans = sinkhorn(cost, epsilon=epsilon, a=a, b=b.expand(len(points), -1)).plan
        start = torch.einsum("s,snp,snd->pd", share, plans, points) / b.clamp_min(LIGHT)[:, None]
        start = unit(start) if support == "sphere" else start
    return start


def half_squared(x: Float[Tensor, "S N D"], y: Float[Tensor, "S P D"]) -> Float[Tensor, "S N P"]:
    r"""Half squared distances, :math:`|x - y|^2 / 2`; on unit rows this is 1 - cosine.

    Args:
        x: ``(S, N, D)``.
        y: ``(S, P, D)``.

    Returns:
        ``(S, N, P)``, >= 0 up to rounding.

    Source:
        Elementary.

    Example:
        >>> half_squared(torch.eye(2)[None], torch.eye(2)[None, :1])
        tensor([[[0.],
                 [1.]]])
    """
    norms = x.square().sum(dim=2)[:, :, None] + y.square().sum(dim=2)[:, None, :]
    return norms / 2 - x @ y.mT


@torch.library.custom_op(
    "tuplet::potentials",
    mutates_args=(),
    schema="(Tensor cost, Tensor a, Tensor b, Tensor f, float epsilon, int iterations, float tol)"
    " -> (Tensor, Tensor, Tensor)",
)
def potentials(
    cost: Tensor, a: Tensor, b: Tensor, f: Tensor, epsilon: float, iterations: int, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Solve for the potentials of entropic plans, :math:`T = e^{(f + g - C) / \epsilon}`; not differentiable.

    An operator of its own, because the number of rounds depends on the data: compiled programs call it as it is.

    Args:
        cost: float64 ``(S, N, P)``.
        a: float64 ``(S, N)``, > 0.
        b: float64 ``(S, P)``, > 0.
        f: float64 ``(S, N)`` to start from.
        epsilon: as in `sinkhorn`.
        iterations: as in `sinkhorn`.
        tol: as in `sinkhorn`.

    Returns:
        ``f`` (S, N), ``g`` (S, P) and the error of the columns' masses (S,); the rows' are exact.

    Source:
        Schmitzer (2019), Stabilized sparse scaling algorithms for entropy regularized transport problems.

    Example:
        >>> half = torch.full((1, 2), 0.5, dtype=torch.float64)
        >>> f, g, error = potentials(torch.zeros(1, 2, 2, dtype=torch.float64), half, half, 0 * half, 1.0, 10, 1e-9)
        >>> (f + g).exp().round(decimals=4)
        tensor([[0.2500, 0.2500]], dtype=torch.float64)
    """
    problem = _Problem(cost, a, b)
    f, g, _, error = state = problem.sweep(f, epsilon)
    spread = float(cost.amax() - cost.amin())
    if bool((error > 0.1).any()) and spread > 10 * epsilon:  # a cold start: come from a smoother problem
        f, smooth = spread * a.log(), spread
        while smooth > epsilon:
            f = problem.solve(problem.sweep(f, smooth), smooth, 20, 1e-3)[0]
            smooth /= 2
        state = problem.sweep(f, epsilon)
    f, g, _, error = problem.solve(state, epsilon, iterations, tol)
    return f, g, error


@potentials.register_fake
def _(
    cost: Tensor, a: Tensor, b: Tensor, f: Tensor, epsilon: float, iterations: int, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(b), a.new_empty(len(a))


class _Problem(NamedTuple):
    """Masses and costs of ``S`` problems, and how potentials improve."""

    cost: Tensor
    a: Tensor
    b: Tensor

    def sweep(self, f: Tensor, epsilon: float) -> State:
        """Fit the columns, then the rows, in the log domain."""
        cost, a, b = self
        g = epsilon * b.log() - epsilon * ((f[:, :, None] - cost) / epsilon).logsumexp(dim=1)
        f = epsilon * a.log() - epsilon * ((g[:, None, :] - cost) / epsilon).logsumexp(dim=2)
        plan = ((f[:, :, None] + g[:, None, :] - cost) / epsilon).exp()
        return f, g, plan, (plan.sum(dim=1) - b).abs().sum(dim=1)

    def solve(self, state: State, epsilon: float, rounds: int, tol: float) -> State:
        """Sweep, and where that does not divide the error by ten, take a Newton step."""
        _, a, b = self
        for _ in range(rounds):
            f, _, plan, before = state
            if bool((before <= tol).all()):
                break
            state = _better(self.sweep(f + epsilon * _scaled(plan, a, b).log(), epsilon), state)
            if bool(((state[3] < before / 10) | (before <= tol)).all()):
                continue
            f, _, plan, _ = state
            newton = _response(plan, torch.zeros_like(a), b - plan.sum(dim=1))[0]
            far = newton.abs().amax(dim=1, keepdim=True) / STEP  # it takes masses for linear, and they are exponential
            state = _better(self.sweep(f + epsilon * newton / far.clamp_min(1), epsilon), state)
            if bool((state[3] > 0.999 * before).all()):
                break  # as exact as the numbers are
        return state


def _scaled(plan: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the factors of the rows after some sweeps; a row times a matrix is the quick order."""
    turned, u, a, b = plan.mT.contiguous(), torch.ones_like(a)[:, None], a[:, None], b[:, None]
    for _ in range(SWEEPS):
        u = a / ((b / (u @ plan)) @ turned)
    return u[:, 0]


def _better(new: State, old: State) -> State:
    """Keep what lowers the error; not what left the numbers."""
    taken = new[3] < old[3]
    f, g, plan, error = (torch.where(taken.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(new, old, strict=True))
    return f, g, plan, error


class _Potentials(torch.autograd.Function):
    """Differentiate the potentials through the equations of the masses, which they solve."""

    @staticmethod
    def forward(
        ctx: Any, cost: Tensor, a: Tensor, b: Tensor, epsilon: float, iterations: int, tol: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        f, g, error = potentials(cost, a, b, epsilon * a.log(), epsilon, iterations, tol)
        ctx.save_for_backward(cost, f, g)
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(error)
        return f, g, error

    @staticmethod
    @first_order
    def backward(ctx: Any, grad_f: Tensor, grad_g: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        cost, f, g = ctx.saved_tensors
        plan = ((f[:, :, None] + g[:, None, :] - cost) / ctx.epsilon).exp()
        x, y = _response(plan, grad_f, grad_g)
        grad = plan * (x[:, :, None] + y[:, None, :])
        return grad, None, None, None, None, None


def _response(plan: Tensor, r: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Solve ``diag(T 1) x + T y = r`` and ``T' x + diag(T' 1) y = s`` for every plan."""
    root_a, root_b = plan.sum(dim=2).sqrt(), plan.sum(dim=1).sqrt()
    scaled = plan / root_a[:, :, None] / root_b[:, None, :]
    r, s = r / root_a, s / root_b
    # x + c and y - c solve it too, and no plan depends on c: the outer product pins it, which leaves the rest exact
    eye = torch.eye(plan.shape[1], dtype=plan.dtype, device=plan.device)
    pinned = torch.nn.functional.normalize(root_a, dim=1)
    system = (1 + 1e-15) * eye - scaled @ scaled.mT + pinned[:, :, None] * pinned[:, None, :]
    x = _solved(system, r - (scaled @ s[:, :, None])[:, :, 0])
    y = s - (scaled.mT @ x[:, :, None])[:, :, 0]
    return x / root_a, y / root_b


def _solved(systems: Tensor, right: Tensor) -> Tensor:
    """Solve one linear system per problem; on CPUs one by one, because oneMKL's batched LU fails with several threads."""
    if systems.device.type != "cpu":
        solved: Tensor = torch.linalg.solve_ex(systems, right)[0]
        return solved
    return torch.stack([torch.linalg.solve_ex(a, b)[0] for a, b in zip(systems, right, strict=True)])


def _masses(given: Tensor | None, cost: Tensor, dim: int) -> Tensor:
    """Return float64 masses, ``(S, N)``."""
    size = cost.shape[dim]
    if given is None:
        return cost.new_full((len(cost), size), 1 / size, dtype=torch.float64)
    if given.shape[-1] != size:
        name = "ab"[dim + 2]
        raise InputError(f"{name} has shape {tuple(given.shape)}, expected ({size},) to match cost")
    return given.detach().double().expand(len(cost), size) if given.ndim == 1 else given.detach().double()
