"""Adam, and Adam that touches only the embedding rows of a batch.

    m <- m + (1 - beta1) (g - m)          running mean of the gradient
    v <- v + (1 - beta2) (g^2 - v)        running mean of its square
    w <- w - rate * m_hat / (sqrt(v_hat) + epsilon)      m_hat = m / (1 - beta1^t),  v_hat = v / (1 - beta2^t)

A batch of 1024 ratings has a gradient for at most 1024 of 162,000 users. Plain Adam would still walk over all of
them, as m decays even where g = 0: that costs thirty times the rest of the step. Lazy Adam leaves every other row as
it is, its m and v too; the correction by t counts all steps. That is another algorithm, not only a faster one: a row
that comes up again is moved by the m of the last time it was seen.

As in torch.optim.SparseAdam, whose trajectory the lazy step follows, epsilon is added before v is corrected there:
w <- w - rate sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon). Source: Kingma and Ba, Adam (ICLR 2015),
algorithm 1, and the remark at its end for this form.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

ROUNDS = 8  # in which equal rows are summed together


class Adam(NamedTuple):
    """How Adam steps; the defaults are the paper's."""

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


def dense_step(
    weights: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, step: int, adam: Adam
) -> None:
    """Move `weights` by one step, and the moments with them; all in place, all of one shape.

    first, second: m and v, zeros before the first step.  step: t, counted from 1.
    """
    _update_moments(first, second, gradient, adam)
    first_hat, second_hat = first / (1 - adam.beta1**step), second / (1 - adam.beta2**step)
    weights -= adam.rate * first_hat / (np.sqrt(second_hat) + adam.epsilon)


class EmbeddingTable:
    """Embedding vectors with Adam's moments: `weights`, `first` (m) and `second` (v), each (n, k) and C-ordered.

    weights: (n, k) float32 or float64, copied.  Memory: three times the weights.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self.weights: np.ndarray = np.array(weights, order="C")
        self.first: np.ndarray = np.zeros_like(self.weights)
        self.second: np.ndarray = np.zeros_like(self.weights)

    def step(self, rows: np.ndarray, gradient: np.ndarray, step: int, adam: Adam, l2: float = 0.0) -> None:
        """Move the rows named in `rows` (B,) by one step; `gradient` (B, k), summed where a row is named twice.

        step: t of the whole training, counted from 1.  l2: l2 * w is added to the gradient of each row touched, once.
        Cost O(B log B + B k), whatever the size of the table.
        """
        groups = group_rows(rows)
        self.step_distinct(groups.distinct, sum_groups(groups, gradient), step, adam, l2)

    def step_distinct(self, rows: np.ndarray, gradient: np.ndarray, step: int, adam: Adam, l2: float = 0.0) -> None:
        """As `step`, for rows that differ."""
        # mode="clip" gathers straight into the result; the default goes through a copy
        w, m, v = (part.take(rows, axis=0, mode="clip") for part in (self.weights, self.first, self.second))
        if l2:
            gradient = gradient + l2 * w
        _update_moments(m, v, gradient, adam)
        change = np.sqrt(v)
        change += adam.epsilon
        np.divide(m, change, out=change)
        change *= adam.rate * math.sqrt(1 - adam.beta2**step) / (1 - adam.beta1**step)
        w -= change
        for part, values in ((self.weights, w), (self.first, m), (self.second, v)):
            write_rows(part, rows, values)


def write_rows(table: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Do `table[rows] = values`, (n, k) both and C-ordered, in half the time: each row is moved as one piece."""
    piece = np.dtype((np.void, table.shape[1] * table.itemsize))
    table.view(piece)[rows, 0] = values.view(piece)[:, 0]


class Groups(NamedTuple):
    """The occurrences of each distinct row of a batch.

    distinct: (n,) the rows, ascending.  places: (B,) where each occurrence's row is in `distinct`.
    order: (B,) the occurrences sorted by row.  starts, counts: (n,) the part of `order` that belongs to each row.
    """

    distinct: np.ndarray
    places: np.ndarray
    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


def group_rows(rows: np.ndarray) -> Groups:
    """Return the `Groups` of `rows` (B,), B > 0; a stable sort, O(B log B).

    >>> groups = group_rows(np.array([4, 2, 4]))
    >>> groups.distinct.tolist(), groups.places.tolist(), groups.counts.tolist()
    ([2, 4], [1, 0, 1], [1, 2])
    """
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    is_first = np.ones(len(rows), dtype=bool)
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    places = np.empty(len(rows), dtype=np.int64)
    places[order] = np.cumsum(is_first) - 1
    return Groups(ascending[starts], places, order, starts, np.diff(starts, append=len(rows)))


def sum_groups(groups: Groups, gradient: np.ndarray) -> np.ndarray:
    """Return the sum of the gradients (B, k) of each distinct row, (n, k).

    The first occurrence of every row is copied, then all second ones are added, then all third ones: within one such
    round no row is named twice, so plain indexing adds. Few rows are left in the later rounds; what they have after
    `ROUNDS` rounds is summed row by row. `np.add.at` takes twice as long, `np.add.reduceat` more.

    >>> sum_groups(group_rows(np.array([4, 2, 4])), np.array([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [4.0]]
    """
    _, _, order, starts, counts = groups
    summed = gradient.take(order[starts], axis=0, mode="clip")
    several = np.flatnonzero(counts > 1)
    for occurrence in range(1, ROUNDS):
        if not len(several):
            break
        summed[several] += gradient.take(order[starts[several] + occurrence], axis=0, mode="clip")
        several = several[counts[several] > occurrence + 1]
    for row in several.tolist():
        rest = order[starts[row] + ROUNDS : starts[row] + counts[row]]
        summed[row] += gradient.take(rest, axis=0, mode="clip").sum(axis=0)
    return summed


def _update_moments(first: np.ndarray, second: np.ndarray, gradient: np.ndarray, adam: Adam) -> None:
    change = gradient - first
    change *= 1 - adam.beta1
    first += change
    np.multiply(gradient, gradient, out=change)
    change -= second
    change *= 1 - adam.beta2
    second += change
