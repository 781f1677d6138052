"""Weighted least squares for every row of a sparse matrix at once: the half sweep of iALS.

For a row with observed columns S, weights w (what an observed cell counts beyond an unobserved one) and lambda:

    A x = b,   A = Y'Y + sum_S w y y' + lambda I,   b = sum_S (1 + w) y

`solve_exactly` does it in plain words. Conjugate gradients need only products A p and never form A (Takacs, Pilaszy and
Tikk 2011, "Applications of the conjugate gradient method for implicit feedback collaborative filtering", section 3).
Rows of similar length are padded and solved together: their vectors are gathered once, every step is a batched product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_BUFFER = 1 << 18  # values gathered at a time, 1 MB of float32; more only for a single longer row


def solve_exactly(
    Y: np.ndarray, indptr: np.ndarray, columns: np.ndarray, weights: np.ndarray, ridge: float, gram: np.ndarray
) -> np.ndarray:
    """Return X (n, k) float32, the k x k system of each row solved in float64; 0 for a row without a cell.

    Y: (m, k).  indptr (n + 1,), columns and weights (nnz,): compressed rows.  ridge: lambda.  gram: Y'Y, float64.
    """
    X = np.zeros((len(indptr) - 1, Y.shape[1]), dtype=np.float32)
    for row in np.flatnonzero(np.diff(indptr)):
        part = slice(indptr[row], indptr[row + 1])
        y, w = Y[columns[part]].astype(np.float64), weights[part].astype(np.float64)  # (L, k), (L,)
        A = gram + y.T @ (w[:, None] * y) + ridge * np.eye(Y.shape[1])
        X[row] = np.linalg.solve(A, y.T @ (1 + w))
    return X


class Block(NamedTuple):
    """Rows padded to one length L. A padded cell names column m, one past the last, whose vector is zero."""

    rows: np.ndarray  # (B,)
    columns: np.ndarray  # (B, L) int32
    weights: np.ndarray  # (B, L) float32


def blocks_of_rows(indptr: np.ndarray, columns: np.ndarray, weights: np.ndarray, n_columns: int, k: int) -> list[Block]:
    """Return blocks that cover every row with at least one cell, for vectors of `k` values.

    A block holds rows of similar length, as many as the buffer takes and at least one.
    """
    lengths = np.diff(indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    room = max(1, _BUFFER // k)
    blocks = []
    while len(order):
        ahead = lengths[order[:room]]  # ascending: the last row sets the length of the block
        n_rows = max(1, int(np.count_nonzero(np.arange(1, len(ahead) + 1) * ahead <= room)))
        rows, order = order[:n_rows], order[n_rows:]
        position = np.arange(lengths[rows[-1]])
        real = position < lengths[rows][:, None]  # (B, L)
        cells = np.where(real, indptr[rows][:, None] + position, 0)
        block_columns = np.where(real, columns[cells], n_columns).astype(np.int32)
        blocks.append(Block(rows, block_columns, np.where(real, weights[cells], 0).astype(np.float32)))
    return blocks


def conjugate_gradient(X: np.ndarray, Y: np.ndarray, blocks: Sequence[Block], ridge: float, n_steps: int) -> None:
    """Improve X (n, k) in place by `n_steps` steps for each row from where it stands, with Y (m, k) held fixed.

    ridge: lambda, above 0. A row in no block has b = 0 and becomes 0.
    Cost O(n_steps (nnz k + n k^2)) and one buffer beside X and Y.
    """
    k = Y.shape[1]
    gram = Y.T @ Y
    padded = np.concatenate((Y, np.zeros((1, k), dtype=Y.dtype)))
    buffer = np.empty(max((block.columns.size for block in blocks), default=0) * k, dtype=Y.dtype)
    empty = np.ones(len(X), dtype=bool)
    for rows, columns, weights in blocks:
        y = buffer[: columns.size * k].reshape(*columns.shape, k)  # (B, L, k)
        np.take(padded, columns, axis=0, out=y, mode="clip")  # "raise" would copy through a buffer of its own
        X[rows] = _descend(X[rows], y, weights, gram, ridge, n_steps)
        empty[rows] = False
    X[empty] = 0


def _descend(x: np.ndarray, y: np.ndarray, w: np.ndarray, gram: np.ndarray, lam: float, n: int) -> np.ndarray:
    """Take n conjugate-gradient steps for each row of x (B, k); a row whose residual is zero stays."""

    def product(p: np.ndarray) -> np.ndarray:  # A p = Y'Y p + lambda p + y' (w * (y p)), (B, k)
        seen = np.matmul(y, p[:, :, None])[:, :, 0]  # (B, L)
        seen *= w
        result = p @ gram
        result += lam * p
        result += np.matmul(seen[:, None, :], y)[:, 0, :]
        return result

    residual = np.matmul((1 + w)[:, None, :], y)[:, 0, :] - product(x)  # r = b - A x
    direction = residual.copy()  # d
    square = np.einsum("bk,bk->b", residual, residual)  # r.r
    for step in range(n):
        A_direction = product(direction)
        curvature = np.einsum("bk,bk->b", direction, A_direction)  # d.Ad
        length = np.divide(square, curvature, out=np.zeros_like(square), where=square > 1e-20)
        x += length[:, None] * direction  # x + (r.r / d.Ad) d
        if step + 1 == n:
            break
        residual -= length[:, None] * A_direction
        before, square = square, np.einsum("bk,bk->b", residual, residual)
        turn = np.divide(square, before, out=np.zeros_like(square), where=before > 1e-20)
        direction = residual + turn[:, None] * direction  # r + (r.r / r.r of before) d
    return x
