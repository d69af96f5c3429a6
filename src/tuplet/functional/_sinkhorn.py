"""The solver of entropic plans: sweeps in the log domain and Newton steps (Schmitzer, 2019), differentiated implicitly."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor

from tuplet.functional._derivative import first_order
from tuplet.types import InputError

ROUNDS = 100  # each of some sweeps and perhaps a Newton step
SWEEPS = 20  # cheap matrix-vector sweeps between two sweeps in the log domain
STEP = 10.0  # largest step of a potential, in units of epsilon
State = tuple[Tensor, Tensor, Tensor, Tensor]  # both potentials, their plan, and its error
LIGHT = 1e-30  # mass that stands for none, so that logarithms stay finite


def half_squared(x: Float[Tensor, "S N D"], y: Float[Tensor, "S P D"]) -> Float[Tensor, "S N P"]:
    r"""Half squared distances, :math:`|x - y|^2 / 2`; on unit rows this is 1 - cosine."""
    norms = x.square().sum(dim=2)[:, :, None] + y.square().sum(dim=2)[:, None, :]
    return norms / 2 - x @ y.mT


# An operator of its own, because the number of rounds depends on the data: compiled programs call it as it is.
@torch.library.custom_op(
    "tuplet::potentials",
    mutates_args=(),
    schema="(Tensor cost, Tensor a, Tensor b, Tensor f, float epsilon, int iterations, float tol) -> (Tensor, Tensor, Tensor)",
)
def potentials(
    cost: Tensor, a: Tensor, b: Tensor, f: Tensor, epsilon: float, iterations: int, tol: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Solve for the potentials of entropic plans, :math:`T = e^{(f + g - C) / \epsilon}`, from ``f``; not differentiable."""
    # Float64, a and b > 0. Gives f (S, N), g (S, P) and the error of the columns' masses (S,); the rows' are exact.
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


class Potentials(torch.autograd.Function):
    """Differentiate the potentials through the equations of the masses, which they solve."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, a: Tensor, b: Tensor, epsilon: float, tol: float) -> tuple[Tensor, Tensor, Tensor]:
        f, g, error = potentials(cost, a, b, epsilon * a.log(), epsilon, ROUNDS, tol)
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
        return grad, None, None, None, None


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
        return cast(Tensor, torch.linalg.solve_ex(systems, right)[0])
    return torch.stack([torch.linalg.solve_ex(a, b)[0] for a, b in zip(systems, right, strict=True)])


def masses_of(name: str, given: Tensor | None, problems: Float[Tensor, "S _ _"], dim: int = -1) -> Float[Tensor, "S N"]:
    """Return float64 masses along one side of problems; uniform where none are given."""
    count, size = len(problems), problems.shape[dim]
    if given is None:
        return problems.new_full((count, size), 1 / size, dtype=torch.float64)
    if given.shape[-1] != size:
        raise InputError(f"{name} has shape {tuple(given.shape)}, expected ({size},) to match its cost or kernel")
    return given.detach().double().expand(count, size)
