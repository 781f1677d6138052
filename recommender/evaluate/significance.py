"""How sure a difference between two models is: paired bootstrap over users, Holm's correction.

    d_u = metric of one model for user u - metric of the other for the same user
    resample the n users with replacement, R times; the means of d give the interval and the p-value

Efron and Tibshirani 1993, sections 13.3 (percentile interval) and 15.4; Sakai 2006 for its use on retrieval
metrics. Users are what varies: an interval says how the difference would move with other people of the same kind,
not with another random seed of a model or with another catalogue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError, DataError

_BLOCK = 1 << 21  # user indices drawn at a time: 16 MB


class Difference(NamedTuple):
    """Mean difference, its percentile interval, and the two-sided p-value of "no difference"."""

    mean: float
    low: float
    high: float
    p_value: float


def resampled_means(values: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the column means of `n_resamples` samples of the rows, drawn with replacement: (n_resamples, c).

    values: (n_users, c); one draw of users serves all columns, so what is compared stays paired.
    Cost O(n_resamples n_users c).
    """
    n_users = len(values)
    if values.ndim != 2 or not n_users:
        raise DataError(f"values of shape {values.shape}: give one row for each user, at least one")
    if n_resamples < 1:
        raise ChoiceError(f"{n_resamples} resamples: give a whole number from 1, better 1,000 or more")
    means = np.empty((n_resamples, values.shape[1]))
    step = max(1, _BLOCK // n_users)
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        drawn = rng.integers(0, n_users, (size, n_users))
        drawn += n_users * np.arange(size)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=size * n_users).reshape(size, n_users)
        means[start : start + size] = times_drawn.astype(np.float64) @ values / n_users
    return means


def compare(
    ours: np.ndarray, theirs: np.ndarray, n_resamples: int, rng: np.random.Generator, level: float = 0.95
) -> list[Difference]:
    """Return `ours - theirs` for each column, with its interval at `level`.

    ours, theirs: (n_users, c), the same users in the same order, without nan. The p-value is twice the smaller share
    of resampled means on either side of 0 (each share counts the sample itself, so it is never 0): it is below
    1 - `level` where the interval leaves out 0, but for rounding.
    """
    if ours.shape != theirs.shape:
        raise DataError(f"values {ours.shape} and {theirs.shape}: compare the same users and metrics")
    differences = np.asarray(ours, dtype=np.float64) - theirs
    if np.isnan(differences).any():
        raise DataError("a metric is undefined (nan) for some users: leave them out of the comparison")
    means = resampled_means(differences, n_resamples, rng)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    below = ((means <= 0).sum(axis=0) + 1) / (n_resamples + 1)
    above = ((means >= 0).sum(axis=0) + 1) / (n_resamples + 1)
    p_values = np.minimum(1.0, 2 * np.minimum(below, above))
    return [Difference(*map(float, row)) for row in zip(differences.mean(axis=0), low, high, p_values)]


class Interval(NamedTuple):
    """A mean and its percentile interval."""

    mean: float
    low: float
    high: float


def intervals(values: np.ndarray, n_resamples: int, rng: np.random.Generator, level: float = 0.95) -> list[Interval]:
    """Return the mean of each column of `values` (n_users, c) with its interval at `level`."""
    means = resampled_means(values, n_resamples, rng)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [Interval(*map(float, row)) for row in zip(values.mean(axis=0), low, high)]


class Ratio(NamedTuple):
    """Ratio of two means and its percentile interval; infinite or nan where the divisor is 0."""

    value: float
    low: float
    high: float


def ratios(
    ours: np.ndarray, theirs: np.ndarray, n_resamples: int, rng: np.random.Generator, level: float = 0.95
) -> list[Ratio]:
    """Return mean of `ours` / mean of `theirs` for each column, with its interval at `level`.

    ours, theirs: (n_users, c), the same users in the same order, without nan: one draw of users serves both means.
    A sample in which `theirs` has mean 0 counts as a ratio of infinity (nan where `ours` is 0 as well).
    """
    if ours.shape != theirs.shape:
        raise DataError(f"values {ours.shape} and {theirs.shape}: compare the same users and metrics")
    if np.isnan(ours).any() or np.isnan(theirs).any():
        raise DataError("a metric is undefined (nan) for some users: leave them out of the comparison")
    n_columns = ours.shape[1]
    both = np.column_stack([ours, theirs]).astype(np.float64)
    means = resampled_means(both, n_resamples, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = both[:, :n_columns].mean(axis=0) / both[:, n_columns:].mean(axis=0)
        low, high = np.quantile(
            means[:, :n_columns] / means[:, n_columns:], [(1 - level) / 2, (1 + level) / 2], axis=0, method="nearest"
        )
    return [Ratio(*map(float, row)) for row in zip(values, low, high)]


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Return p-values corrected for their number: below 0.05 each, all hold together at 5%.

    With p sorted ascending, p'_i = max over j <= i of min(1, (m - j + 1) p_j). Holm 1979; it assumes nothing about
    how the comparisons depend on each other and is never worse than Bonferroni's m p.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(steps)
    return corrected
