"""Rows of a matrix: found by id; at length 1, so that the inner product of two is their cosine; the n largest of each.

`top_n` goes by block maxima, which one pass reads, where a partition would move all scores; and ties are exact:

    t = the n-th largest of the maxima of blocks of scores     (n blocks reach t, so at least n scores do)
    result = the first n, in order, of all scores >= t
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_FEW_ROWS, _ROWS = 512, 32  # copied at once; of a block that stays in the cache


def unit_rows(vectors: np.ndarray, dtype: npt.DTypeLike = np.float32, negligible: float = 0.0) -> np.ndarray:
    """Return v / |v| of each row of `vectors` (n, d), as `dtype`; a row of length up to `negligible` stays.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]), np.float64).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    return np.asarray(vectors / np.where(lengths > negligible, lengths, 1), dtype=dtype)


def align(wanted: np.ndarray, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return (len(wanted), d) float32: for each of `wanted` its row of `vectors` (n, d), zeros where `ids` lacks it.

    ids: (n,) numbers or texts in any order, each once.  Cost O(n log n).

    >>> align(np.array([1, 2, 3]), np.array([3, 1]), np.array([[3.0], [1.0]], np.float32)).ravel().tolist()
    [1.0, 0.0, 3.0]
    """
    if not len(ids):
        return np.zeros((len(wanted), vectors.shape[1]), dtype=np.float32)
    if np.array_equal(wanted, ids):
        return vectors.astype(np.float32, copy=False)
    order = np.argsort(ids, kind="stable")
    rows = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    result = vectors[rows].astype(np.float32, copy=False)
    result[ids[rows] != wanted] = 0
    return result


def weighted_rows(x: np.ndarray, B: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return x @ B[rows], (d,); of many rows without a copy of them all: x (k,), B (n, d), rows (k,).

    >>> weighted_rows(np.array([2.0, 1.0]), np.array([[1.0, 0.0], [5.0, 5.0], [0.0, 3.0]]), np.array([0, 2])).tolist()
    [2.0, 3.0]
    """
    if len(rows) <= _FEW_ROWS:
        return np.asarray(x @ B.take(rows, axis=0))
    parts = range(0, len(rows), _ROWS)
    return np.asarray(sum(x[low : low + _ROWS] @ B.take(rows[low : low + _ROWS], axis=0) for low in parts))


def top_n(scores: np.ndarray, n: int) -> np.ndarray:
    """Return (B, min(n, width)) columns of the largest of `scores` (B, width), best first, ties by ascending column.

    Scores may be -inf, not NaN.  Cost O(B width); for n far below the width little more than reading the scores once.

    >>> top_n(np.array([[1, 3, 3, 2]], dtype=np.float32), 2).tolist()
    [[1, 2]]
    """
    n_lines, width = scores.shape
    n = max(min(n, width), 0)
    # width / block maxima to choose from and n block scores to look at again: least where block = sqrt(width / n)
    block = math.isqrt(width // n) if n else 0
    if block < 2:
        return np.argsort(-scores, axis=1, kind="stable")[:, :n]
    # Block j holds the columns j, j + n_blocks, j + 2 n_blocks, ...: their maximum is then a maximum of whole rows.
    n_blocks = width // block
    maxima = scores[:, : n_blocks * block].reshape(n_lines, block, n_blocks).max(axis=1)  # (B, n_blocks)
    thresholds = np.partition(maxima, n_blocks - n, axis=1)[:, n_blocks - n, None]
    lines, columns = np.divmod(np.flatnonzero(scores >= thresholds), width)
    order = np.lexsort((-scores[lines, columns], lines))  # stable: ties stay by column
    first = np.searchsorted(lines, np.arange(n_lines))[:, None]
    return columns[order[first + np.arange(n)]]
