"""Writes cca_zoo.npz with cca-zoo 4.0.1: pip install cca-zoo==4.0.1, then python tests/reference/closed_form/make.py."""

from pathlib import Path

import numpy as np

if __name__ == "__main__":
    from cca_zoo.linear import MCCA, RidgeCCA

    kept = {}
    for seed, (widths, ridge) in enumerate((((7, 4), 0.1), ((7, 4), 1.0), ((5, 3, 6), 0.02), ((2, 5, 3, 4), 0.5))):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=(121, 2))
        views = [shared @ rng.normal(size=(2, w)) + 0.7 * rng.normal(size=(121, w)) for w in widths]
        views = [v / np.sqrt(v.var(axis=0, ddof=1).mean()) for v in views]  # mean variance 1: one shrinkage is one ridge
        model = (RidgeCCA if len(views) == 2 else MCCA)(2, shrinkage=ridge / (1 + ridge)).fit(views)
        kept |= {f"{seed}/ridge": np.array(ridge)}
        kept |= {f"{seed}/view{k}": v for k, v in enumerate(views)}
        kept |= {f"{seed}/weights{k}": w for k, w in enumerate(model.weights_)}
    np.savez_compressed(Path(__file__).parent / "cca_zoo.npz", **kept)
