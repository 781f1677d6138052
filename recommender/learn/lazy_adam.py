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
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Rows = npt.NDArray[np.integer]


class Adam(NamedTuple):
    """How Adam steps; the defaults are the paper's."""

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


def dense_step(weights: Floats, gradient: Floats, first: Floats, second: Floats, step: int, adam: Adam) -> None:
    """Move `weights` by one step, and the moments with them; all in place, all of one shape.

    first, second: m and v, zeros before the first step.  step: t, counted from 1.
    """
    _update_moments(first, second, gradient, adam)
    denominator = np.sqrt(second)
    denominator *= 1 / math.sqrt(1 - adam.beta2**step)
    denominator += adam.epsilon
    np.divide(first, denominator, out=denominator)
    denominator *= adam.rate / (1 - adam.beta1**step)
    weights -= denominator


class EmbeddingTable:
    """Embedding vectors with Adam's moments beside each: row r of `state` (n, 3, k) holds w, m and v of row r.

    Lying together, the three are fetched from memory at once; apart, they would be three walks to memory for a batch.

    weights: (n, k) float32 or float64, copied.  Memory: three times the weights.
    """

    def __init__(self, weights: Floats) -> None:
        self.state: Floats = np.zeros((len(weights), 3, weights.shape[1]), dtype=weights.dtype)
        self.state[:, 0] = weights

    @property
    def weights(self) -> Floats:
        """The vectors, (n, k): a view."""
        view: Floats = self.state[:, 0]
        return view

    def step(self, rows: Rows, gradient: Floats, step: int, adam: Adam, l2: float = 0.0) -> None:
        """Move the rows named in `rows` (B,) by one step; `gradient` (B, k), summed where a row is named twice.

        step: t of the whole training, counted from 1.  l2: l2 * w is added to the gradient of each row touched, once.
        Cost O(B log B + B k), whatever the size of the table.
        """
        distinct, summed = sum_by_row(rows, gradient)
        state = self.state.take(distinct, axis=0)  # (n, 3, k)
        lazy_step(state, summed, step, adam, l2)
        self.state[distinct] = state


def lazy_step(state: Floats, gradient: Floats, step: int, adam: Adam, l2: float = 0.0) -> None:
    """Move gathered rows `state` (n, 3, k) by one step in place; the rows differ.  Parameters as above."""
    weights, first, second = state[:, 0], state[:, 1], state[:, 2]
    if l2:
        gradient = gradient + l2 * weights
    _update_moments(first, second, gradient, adam)
    change = np.sqrt(second)
    change += adam.epsilon
    np.divide(first, change, out=change)
    change *= adam.rate * math.sqrt(1 - adam.beta2**step) / (1 - adam.beta1**step)
    weights -= change


def sum_by_row(rows: Rows, gradient: Floats) -> tuple[Rows, Floats]:
    """Return the distinct rows, (n,) ascending, and the sum of the gradients (B, k) of each, (n, k).

    The first occurrence of every row is copied, then all second ones are added, then all third ones: within one such
    round no row is named twice, so plain indexing adds. There are as many rounds as the most frequent row has
    occurrences, and few rows in the later ones. `np.add.at` takes twice as long, `np.add.reduceat` more.

    >>> sum_by_row(np.array([4, 2, 4]), np.array([[1.0], [2.0], [3.0]]))
    (array([2, 4]), array([[2.],
           [4.]]))
    """
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    is_first = np.empty(len(rows), dtype=bool)
    is_first[:1] = True
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    summed = gradient.take(order[starts], axis=0)
    counts = np.diff(np.append(starts, len(rows)))
    places = np.flatnonzero(counts > 1)
    occurrence = 1
    while len(places):
        summed[places] += gradient.take(order[starts[places] + occurrence], axis=0)
        occurrence += 1
        places = places[counts[places] > occurrence]
    return ascending[starts], summed


def _update_moments(first: Floats, second: Floats, gradient: Floats, adam: Adam) -> None:
    change = gradient - first
    change *= 1 - adam.beta1
    first += change
    np.multiply(gradient, gradient, out=change)
    change -= second
    change *= 1 - adam.beta2
    second += change
