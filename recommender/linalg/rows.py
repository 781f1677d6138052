"""Rows of a matrix brought to length 1, so that the inner product of two of them is their cosine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unit_rows(vectors: np.ndarray, dtype: npt.DTypeLike = np.float32, negligible: float = 0.0) -> np.ndarray:
    """Return v / |v| of each row of `vectors` (n, d), as `dtype`; a row of length up to `negligible` stays.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]), np.float64).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    return np.asarray(vectors / np.where(lengths > negligible, lengths, 1), dtype=dtype)
