"""Transport, Gromov-Wasserstein and what is built on them once more, as NumPy loops written from the papers."""

from itertools import combinations, permutations

import numpy as np
from scipy.optimize import root
from scipy.special import logsumexp


def sinkhorn(cost, a, b, epsilon):
    """Scale rows and columns of exp(-C / epsilon) by turns, then solve the equations of the masses for what is left."""
    f, g = np.log(a), np.log(b)
    for _ in range(60):
        g = np.log(b) - logsumexp(f[:, None] - cost / epsilon, axis=0)
        f = np.log(a) - logsumexp(g - cost / epsilon, axis=1)

    def plan(x):
        return np.exp(x[: len(a), None] + np.append(x[len(a) :], g[-1]) - cost / epsilon)

    def errors(x):
        T = plan(x)
        return np.concatenate([T.sum(1) / a - 1, T.sum(0)[:-1] / b[:-1] - 1])

    T = plan(root(errors, np.concatenate([f, g[:-1]]), tol=1e-14).x)
    assert np.abs(T.sum(1) - a).max() < 1e-11
    assert np.abs(T.sum(0) - b).max() < 1e-11
    return T


def divergence(plan, a, b):
    return sum(plan[i, j] * np.log(plan[i, j] / (a[i] * b[j])) for i in range(len(a)) for j in range(len(b)) if plan[i, j] > 0)


def gromov(Kx, Ky, T):
    """Sum over all quadruples."""
    total = 0.0
    for i, j in np.ndindex(T.shape):
        for k, r in np.ndindex(T.shape):
            total += T[i, j] * T[k, r] * (Kx[i, k] - Ky[j, r]) ** 2
    return total


def rbf(x, bandwidth="median"):
    n = len(x)
    d = np.array([[np.sum((x[i] - x[j]) ** 2) for j in range(n)] for i in range(n)])
    if bandwidth == "median":
        pairs = sorted(d[i, j] for i, j in combinations(range(n), 2))
        squared = pairs[(len(pairs) - 1) // 2]
    else:
        squared = bandwidth**2
    return np.exp(-d / (2 * squared))


def exact_plan(Kx, Ky, T):
    """Conditional gradients; every vertex by trying all permutations, every step by its quadratic."""
    n = len(T)
    for _ in range(50):
        G = Kx @ T @ Ky
        best = max(permutations(range(n)), key=lambda s: sum(G[i, s[i]] for i in range(n)))
        E = -T.copy()
        E[np.arange(n), best] += 1 / n
        slope, curve = 2 * np.sum(G * E), np.sum((Kx @ E @ Ky) * E)
        t = np.clip(-slope / (2 * curve), 0, 1) if curve < 0 else float(slope + curve > 0)
        if slope * t + curve * t**2 < 1e-12:
            break
        T = T + t * E
    return T


def entropic_plan(Kx, Ky, T, epsilon):
    p, q = T.sum(1), T.sum(0)
    for _ in range(300):
        last, T = T, sinkhorn(-4 * Kx @ T @ Ky, p, q, epsilon)
        if np.abs(T - last).sum() < 1e-12:
            break
    return T


def structure(z, *, coupling="identity", epsilon=0.001, rounds=5, bandwidth=2**0.5, weights=None):
    """Inputs are the embeddings themselves, as they are when nothing else is passed."""
    m, n = len(z), len(z[0])
    weights = np.full(m, 1 / m) if weights is None else weights
    inputs, embeddings = [rbf(x) for x in z], [rbf(x, bandwidth) for x in z]
    pairing = np.eye(n) / n

    def solve(C, K, T):
        if coupling == "identity":
            return T
        return exact_plan(C, K, T) if coupling == "gw" else entropic_plan(C, K, T, epsilon)

    plans = [pairing] * m
    C = sum(w * K for w, K in zip(weights, inputs, strict=True))
    for _ in range(rounds):
        plans = [solve(C, K, T) for K, T in zip(inputs, plans, strict=True)]
        C = n * n * sum(w * T @ K @ T.T for w, K, T in zip(weights, inputs, plans, strict=True))
    total = 0.0
    for w, K, T in zip(weights, embeddings, plans, strict=True):
        values = []
        for start in (T, pairing) if coupling == "gw" else (T,):
            found = solve(C, K, start)
            value = gromov(C, K, found)
            if coupling == "entropic":
                value += epsilon * divergence(found, found.sum(1), found.sum(0))
            values.append(value)
        total += w * min(values)
    return total


def transport(z, *, form="loop", epsilon=0.05, consistency=1.0, pairing=1.0, steps=1):
    m, n = len(z), len(z[0])
    a = np.full(n, 1 / n)

    def matched(x, y):
        cost = np.array([[1 - u @ v for v in y] for u in x])
        plan = sinkhorn(cost, a, a, epsilon)
        known = -np.mean([np.log(n * plan[i, i]) for i in range(n)])
        return np.sum(plan * cost) + epsilon * divergence(plan, a, a), known, plan

    if form == "barycenter":
        y = np.mean(z, axis=0)
        y = y / np.linalg.norm(y, axis=1, keepdims=True)
        for _ in range(steps):
            y = sum(n * matched(x, y)[2].T @ x for x in z) / m
            y = y / np.linalg.norm(y, axis=1, keepdims=True)
        found = [matched(x, y) for x in z]
        return np.mean([f[0] for f in found]) + pairing * np.mean([f[1] for f in found])
    found = {(i, j): matched(z[i], z[j]) for i, j in combinations(range(m), 2)}
    step = {k: n * f[2] for k, f in found.items()} | {(j, i): n * f[2].T for (i, j), f in found.items()}
    loops = [1 - np.trace(step[i, j] @ step[j, i]) / n for i, j in combinations(range(m), 2)]
    loops += [1 - np.trace(step[i, j] @ step[j, k] @ step[k, i]) / n for i, j, k in combinations(range(m), 3)]
    total = np.mean([f[0] for f in found.values()]) + consistency * np.mean(loops)
    return total + pairing * np.mean([f[1] for f in found.values()])
