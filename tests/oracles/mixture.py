"""MAP-EM of the time series cluster kernel once more, as NumPy loops written from the paper."""

import numpy as np
from scipy.stats import norm


def prior(x, a0, b0, *, ridge=0.0):
    """Mean over windows at each time, deviation over windows and times, covariance over time."""
    t = x.shape[1]
    mean = np.array([[np.nanmean(x[:, i, v]) for v in range(x.shape[2])] for i in range(t)])
    deviation = np.array([np.nanstd(x[:, :, v], ddof=1) for v in range(x.shape[2])])
    kernel = np.array([[b0 * np.exp(-a0 * (i - j) ** 2) for j in range(t)] for i in range(t)])
    return mean, deviation, kernel + ridge * b0 * np.eye(t)


def log_joint(x, weight, mean, variance, *, floor):
    """One number per window and component: (N, C)."""
    out = np.zeros((len(x), len(weight)))
    for n, window in enumerate(x):
        for c in range(len(weight)):
            out[n, c] = np.log(weight[c])
            for t in range(x.shape[1]):
                for v in range(x.shape[2]):
                    if not np.isnan(window[t, v]):
                        one = norm.logpdf(window[t, v], mean[c, t, v], np.sqrt(variance[c, v]))
                        out[n, c] += max(one, norm.logpdf(3)) if floor == "density" else one
    return out


def update(x, posterior, mean, m, s, kernel, n0):
    """Weights, variances and means, with the inverse of the prior's covariance as the paper has it."""
    n, t, v_all = x.shape
    c_all = posterior.shape[1]
    weight, variance, new = np.zeros(c_all), np.zeros((c_all, v_all)), np.zeros((c_all, t, v_all))
    for c in range(c_all):
        weight[c] = sum(posterior[:, c]) / n
        for v in range(v_all):
            over, under = n0 * s[v] ** 2, n0
            precision, pull = np.zeros((t, t)), np.zeros(t)
            for i in range(n):
                for j in range(t):
                    if not np.isnan(x[i, j, v]):
                        over += posterior[i, c] * (x[i, j, v] - mean[c, j, v]) ** 2
                        under += posterior[i, c]
                        precision[j, j] += posterior[i, c]
                        pull[j] += posterior[i, c] * x[i, j, v]
            variance[c, v] = over / under
            inverse = np.linalg.inv(s[v] * kernel)
            new[c, :, v] = np.linalg.solve(inverse + precision / variance[c, v], inverse @ m[:, v] + pull / variance[c, v])
    return weight, new, variance


def log_prior(mean, variance, m, s, kernel, n0):
    """Log-density of the parameters, up to a constant."""
    total = 0.0
    for c in range(len(mean)):
        for v in range(mean.shape[2]):
            away = mean[c, :, v] - m[:, v]
            total -= away @ np.linalg.solve(s[v] * kernel, away) / 2
            total -= n0 / 2 * np.log(variance[c, v]) + n0 * s[v] ** 2 / (2 * variance[c, v])
    return total
