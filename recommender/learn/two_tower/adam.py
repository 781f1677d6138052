"""Adam, and Adam that touches only the embedding rows of a batch.

    m <- m + (1 - beta1) (g - m)          running mean of the gradient
    v <- v + (1 - beta2) (g^2 - v)        running mean of its square
    w <- w - rate m_hat / (sqrt(v_hat) + epsilon)      m_hat = m / (1 - beta1^t),  v_hat = v / (1 - beta2^t)

A batch of 1,024 ratings has a gradient for at most 1,024 of 162,000 users. Plain Adam walks over all of them, as m
decays where g = 0 too, which costs thirty times the rest of the step. Lazy Adam leaves all other rows, their m and v
too, as they are, while t counts all steps: a row that comes up again is moved by the m of its last time. Its epsilon is
added before v is corrected, as in torch.optim.SparseAdam:

    w <- w - rate sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + epsilon)

Source: Kingma and Ba, Adam (ICLR 2015), algorithm 1, and the remark after it for this form.
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


class Parameter:
    """Weights with Adam's moments m and v, of one shape and C-ordered. Memory: three times the weights, copied."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = np.array(weights, order="C")
        self.m, self.v = np.zeros_like(self.weights), np.zeros_like(self.weights)

    def step(self, gradient: np.ndarray, t: int, adam: Adam) -> None:
        """Move all weights, in place, by step t = 1, 2 ... of plain Adam."""
        _update_moments(self.m, self.v, gradient, adam)
        m_hat, v_hat = self.m / (1 - adam.beta1**t), self.v / (1 - adam.beta2**t)
        self.weights -= adam.rate * m_hat / (np.sqrt(v_hat) + adam.epsilon)

    def step_rows(self, rows: np.ndarray, gradient: np.ndarray, t: int, adam: Adam, l2: float = 0.0) -> None:
        """Move the rows (B,) of a table (n, k) by one lazy step; the gradients (B, k) of equal rows are summed.

        l2: l2 w is added to the gradient of each row touched, once.  Cost O(B log B + B k), whatever n.
        """
        groups = group_rows(rows)
        g = sum_groups(groups, gradient)  # (n_distinct, k)
        # mode="clip" gathers straight into the result; the default goes through a copy
        w, m, v = (part.take(groups.distinct, axis=0, mode="clip") for part in (self.weights, self.m, self.v))
        if l2:
            g = g + l2 * w
        _update_moments(m, v, g, adam)
        change = np.sqrt(v)
        change += adam.epsilon
        np.divide(m, change, out=change)  # m / (sqrt(v) + epsilon)
        change *= adam.rate * math.sqrt(1 - adam.beta2**t) / (1 - adam.beta1**t)
        w -= change
        for part, values in ((self.weights, w), (self.m, m), (self.v, v)):
            _write_rows(part, groups.distinct, values)


def _update_moments(m: np.ndarray, v: np.ndarray, gradient: np.ndarray, adam: Adam) -> None:
    change = gradient - m
    change *= 1 - adam.beta1
    m += change  # m + (1 - beta1) (g - m)
    np.multiply(gradient, gradient, out=change)
    change -= v
    change *= 1 - adam.beta2
    v += change  # v + (1 - beta2) (g^2 - v)


def _write_rows(table: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Do `table[rows] = values` in half the time: each row, C-ordered, is moved as one piece."""
    piece = np.dtype((np.void, table.shape[1] * table.itemsize))
    table.view(piece)[rows, 0] = values.view(piece)[:, 0]


class Groups(NamedTuple):
    """Where each distinct row of a batch (B,) occurs."""

    distinct: np.ndarray  # (n,) the rows, ascending
    order: np.ndarray  # (B,) the occurrences sorted by row
    starts: np.ndarray  # (n,) where those of each row begin in `order`
    counts: np.ndarray  # (n,) how many they are


def group_rows(rows: np.ndarray) -> Groups:
    """Return the `Groups` of `rows` (B,), B > 0; a stable sort, O(B log B).

    >>> groups = group_rows(np.array([4, 2, 4]))
    >>> groups.distinct.tolist(), groups.order.tolist(), groups.counts.tolist()
    ([2, 4], [1, 0, 2], [1, 2])
    """
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    return Groups(ascending[starts], order, starts, np.diff(starts, append=len(rows)))


def sum_groups(groups: Groups, gradient: np.ndarray) -> np.ndarray:
    """Return the sum of the gradients (B, k) of each distinct row, (n, k).

    Plainly: `np.add.at(summed, index of each row, gradient)`. In half the time: copy the first occurrence of every row,
    add all second ones, then all third ones; within a round no row comes twice. After `ROUNDS` rounds, row by row.

    >>> sum_groups(group_rows(np.array([4, 2, 4])), np.array([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [4.0]]
    """
    _, order, starts, counts = groups
    summed = gradient.take(order[starts], axis=0, mode="clip")
    several = np.flatnonzero(counts > 1)  # rows with more occurrences than rounds done
    for occurrence in range(1, ROUNDS):
        if not len(several):
            break
        summed[several] += gradient.take(order[starts[several] + occurrence], axis=0, mode="clip")
        several = several[counts[several] > occurrence + 1]
    for row in several.tolist():
        others = order[starts[row] + ROUNDS : starts[row] + counts[row]]
        summed[row] += gradient.take(others, axis=0, mode="clip").sum(axis=0)
    return summed
