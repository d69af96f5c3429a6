"""The objectives once more, as NumPy loops written from the papers."""

import numpy as np
from scipy.optimize import nnls


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def cross_entropy(logits, *, include_positive=True, label_smoothing=0.0):
    losses = []
    for i, row in enumerate(logits):
        in_denominator = [v for j, v in enumerate(row) if include_positive or j != i]
        top = max(in_denominator)
        lse = top + np.log(sum(np.exp(v - top) for v in in_denominator))
        target = (1 - label_smoothing) * row[i] + label_smoothing * np.mean(in_denominator)
        losses.append(lse - target)
    return np.mean(losses)


def clip(a, b, tau, **kwargs):
    s = np.array([[x @ y for y in b] for x in a]) / tau
    return (cross_entropy(s, **kwargs) + cross_entropy(s.T, **kwargs)) / 2


def pairwise(z, *, tau=0.07, pairs=None, reduction="mean", **kwargs):
    m = len(z)
    pairs = pairs or [(i, j) for i in range(m) for j in range(i + 1, m)]
    values = [clip(z[i], z[j], tau, **kwargs) for i, j in pairs]
    return np.mean(values) if reduction == "mean" else np.sum(values)


def bottleneck(z, *, tau=0.07, beta=1.0):
    m = len(z)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    apart = np.mean([np.mean([1 - x @ y for x, y in zip(z[i], z[j], strict=True)]) for i, j in pairs])
    return pairwise(z, tau=tau) + beta * apart


def volume(vectors):
    v = np.stack(vectors)
    return np.sqrt(abs(np.linalg.det(v @ v.T)))


def gram(z, *, tau=0.07, label_smoothing=0.1):
    n = len(z[0])
    v = np.array([[volume([z[0][i], *(c[j] for c in z[1:])]) for j in range(n)] for i in range(n)])
    return (
        cross_entropy(-v / tau, label_smoothing=label_smoothing) + cross_entropy(-v.T / tau, label_smoothing=label_smoothing)
    ) / 2


def area(q, a, b):
    u, v = q - a, q - b
    return ((u @ u) * (v @ v) - (u @ v) ** 2) / 2


def triangle(z, *, tau=0.07, label_smoothing=0.1, squared=True):
    n = len(z[0])
    s = np.array([[area(z[0][i], z[1][j], z[2][j]) for j in range(n)] for i in range(n)])
    s = s if squared else np.sqrt(2 * s) / 2
    return (
        cross_entropy(-s / tau, label_smoothing=label_smoothing) + cross_entropy(-s.T / tau, label_smoothing=label_smoothing)
    ) / 2


def projected(q, columns, ridge):
    a = np.stack(columns, axis=1)
    return a @ np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ q)


def one_vs_all(z, *, tau=0.01, beta=1.0, ridge=1e-8, include_positive=False, negatives="query"):
    m, n = len(z), len(z[0])
    sufficiency, minimality = [], []
    for i in range(m):
        others = [c for k, c in enumerate(z) if k != i]
        s = np.zeros((n, n))
        for a in range(n):
            for b in range(n):
                p = projected(z[i][a if negatives == "query" else b], [c[b] for c in others], ridge)
                s[a, b] = z[i][a] @ p / np.linalg.norm(z[i][a]) / np.linalg.norm(p)
        sufficiency.append(cross_entropy(s / tau, include_positive=include_positive))
        minimality.append(np.mean([np.sum((z[i][a] - np.mean([c[a] for c in others], axis=0)) ** 2) for a in range(n)]))
    return np.mean(sufficiency) + beta * np.mean(minimality)


def conic(q, members):
    """Best cosine of a query with a non-negative mixture; the best single one where none is in front of it."""
    q, members = q / np.linalg.norm(q), [np.asarray(c, dtype=float) / np.linalg.norm(c) for c in members]
    single = max(float(q @ c) for c in members)
    a, _ = nnls(np.stack(members, axis=1), q)
    mixed = a @ np.stack(members)
    return single if single <= 0 else max(single, float(q @ mixed / np.linalg.norm(mixed)))


def cone(z, *, tau=0.1, beta=0.0):
    m, n = len(z), len(z[0])
    contrasts, minimality = [], []
    for i in range(m):
        others = [c for k, c in enumerate(z) if k != i]
        s = np.array([[conic(z[i][a], [c[b] for c in others]) for b in range(n)] for a in range(n)]) / tau
        contrasts.append((cross_entropy(s) + cross_entropy(s.T)) / 2)
        minimality.append(np.mean([np.sum((z[i][a] - np.mean([c[a] for c in others], axis=0)) ** 2) for a in range(n)]))
    return np.mean(contrasts) + beta * np.mean(minimality)


def symile(z, permutations, *, tau=0.07):
    m, n = len(z), len(z[0])
    losses = []
    for i in range(m):
        others = [k for k in range(m) if k != i]
        logits = np.zeros((n, n))
        for r in range(n):
            for c in range(n):
                product = z[i][r].copy()
                for slot, k in enumerate(others):
                    product = product * z[k][r if r == c else permutations[i][slot][c]]
                logits[r, c] = product.sum()
        losses.append(cross_entropy(logits / tau))
    return np.mean(losses)


def symile_n_squared(z, *, tau=0.07):
    m, n = len(z), len(z[0])
    losses = []
    for i in range(m):
        others = [z[k] for k in range(m) if k != i]
        for r in range(n):
            tuples = [[o[p] for o, p in zip(others, picks, strict=True)] for picks in np.ndindex(*[n] * (m - 1))]
            logits = [(z[i][r] * np.prod(t, axis=0)).sum() / tau for t in tuples]
            positive = np.prod([c[r] for c in z], axis=0).sum() / tau
            losses.append(np.log(np.sum(np.exp(logits))) - positive)
    return np.mean(losses)


def nt_xent(x, y, tau):
    x, y = unit(x), unit(y)
    everything = np.concatenate([x, y])
    n, total = len(x), 0.0
    for i, row in enumerate(everything):
        match = (i + n) % (2 * n)
        others = [row @ everything[j] / tau for j in range(2 * n) if j != i]
        total += np.log(np.sum(np.exp(others))) - row @ everything[match] / tau
    return total / (2 * n)


def cmc(z, *, tau=0.1):
    m = len(z)
    return np.mean([nt_xent(z[i], z[j], tau) for i in range(m) for j in range(i + 1, m)])


def mv_infonce(z, *, tau=0.1):
    z, total = [unit(x) for x in z], 0.0
    for i in range(len(z[0])):
        pull = sum(np.exp(z[a][i] @ z[b][i] / tau) for a in range(len(z)) for b in range(len(z)) if a != b)
        everything = sum(
            np.exp(z[a][i] @ z[b][j] / tau)
            for a in range(len(z))
            for b in range(len(z))
            for j in range(len(z[0]))
            if (j, b) != (i, a)
        )
        total += np.log(everything / pull)
    return total / len(z[0])


def mv_dhel(z, *, tau=0.2):
    z, total, n = [unit(x) for x in z], 0.0, len(z[0])
    for i in range(n):
        total += sum(np.log(sum(np.exp(x[i] @ x[j] / tau) for j in range(n) if j != i)) for x in z)
        total -= np.log(sum(np.exp(z[a][i] @ z[b][i] / tau) for a in range(len(z)) for b in range(a)))
    return total / n


def comm(a, b, *, tau=0.1):
    return np.mean([(nt_xent(x, b[-1], tau) + nt_xent(y, a[-1], tau)) / 2 for x, y in zip(a, b, strict=True)])


def sigmoid(z, *, tau, bias):
    m, values = len(z), []
    for i in range(m):
        for j in range(i + 1, m):
            total = 0.0
            for r, x in enumerate(z[i]):
                for c, y in enumerate(z[j]):
                    sign = 1 if r == c else -1
                    total += np.log1p(np.exp(-sign * (x @ y / tau + bias)))
            values.append(total / len(z[i]))
    return np.mean(values)


def anchored(loss, z, **options):
    """Average a loss of an anchor and the rest over all anchors."""
    return np.mean([loss([z[i], *(c for k, c in enumerate(z) if k != i)], **options) for i in range(len(z))])


def gram_conditional(z, *, tau=0.07, label_smoothing=0.1):
    n = len(z[0])
    v = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            tuple_j = np.stack([c[j] for c in z[1:]])
            inside = tuple_j.T @ np.linalg.lstsq(tuple_j.T, z[0][i], rcond=None)[0]
            v[i, j] = np.linalg.norm(z[0][i] - inside)
    smooth = {"label_smoothing": label_smoothing}
    return (cross_entropy(-v / tau, **smooth) + cross_entropy(-v.T / tau, **smooth)) / 2


def opposed(z, *, tau):
    m = len(z)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    return np.mean([np.mean([max(0.0, -(x @ y)) for x, y in zip(z[i], z[j], strict=True)]) for i, j in pairs]) / tau
