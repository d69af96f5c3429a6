"""Text without any pretrained encoder: hashed word and character n-grams."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuplet.data._columns import as_strings

FEATURES = 1024
"""Numbers per string: half count words and pairs of words, half count runs of two to four characters."""


def hashed(argument: str, values: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Turn strings into rows of unit length, without a vocabulary, so that new words need no training."""
    strings = as_strings(argument, values)
    texts = ["" if s is None else s.encode("utf-8", "replace").decode() for s in strings]
    present = np.array([bool(t.strip()) for t in texts], dtype=bool)
    out = np.zeros((len(texts), FEATURES), np.float32)
    for start in range(0, len(texts), 4096):
        some = texts[start : start + 4096]
        block = np.concatenate([v.transform(some).toarray() for v in _vectorizers()], axis=1)
        length = np.sqrt((block.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
        out[start : start + len(some)] = block / np.where(length > 0, length, 1.0)
    out[~present] = 0.0
    return out, present


@cache
def _vectorizers() -> tuple[Any, Any]:
    from sklearn.feature_extraction.text import HashingVectorizer

    half = {"n_features": FEATURES // 2, "dtype": np.float32}
    words = HashingVectorizer(analyzer="word", ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", **half)
    return words, HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), **half)
