"""How sure a value is: bootstrap over units (users, dialogues), paired comparisons, Holm's correction.

    resample the n units with replacement, R times; the means of each sample give a percentile interval
    difference   mean of d_u = ours_u - theirs_u, with p = twice the smaller share of resampled means on a side of 0
    ratio        mean of ours / mean of theirs, both over the same sample

Efron and Tibshirani 1993, sections 13.3 (percentile interval) and 15.4; Sakai 2006; Holm 1979. An interval says how a
value would move with other users of the same kind, and nothing about another seed or another catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..data.errors import DataError

N_RESAMPLES, TAILS = 5000, (0.025, 0.975)
_BLOCK = 1 << 21  # unit indices drawn at a time: 16 MB


class Estimate(NamedTuple):
    """A value and its percentile interval; of a difference the two-sided p-value, also corrected for how many."""

    value: float
    low: float = float("nan")
    high: float = float("nan")
    p_value: float = float("nan")
    corrected_p: float = float("nan")


def resampled_means(values: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the column means of `n_resamples` samples of the rows, drawn with replacement: (n_resamples, c).

    values: (n_units, c), without nan; one draw of units serves all columns, so what is compared stays paired.
    Cost O(n_resamples n_units c).
    """
    n_units = len(values)
    if not n_units or n_resamples < 1:
        raise DataError(f"{n_resamples} resamples of {n_units} units: give at least one, better 1,000 resamples")
    if np.isnan(values).any():
        raise DataError("a metric is undefined (nan) for some units: leave them out of the comparison")
    means = np.empty((n_resamples, values.shape[1]))
    step = max(1, _BLOCK // n_units)
    for low in range(0, n_resamples, step):
        drawn = rng.integers(0, n_units, (min(step, n_resamples - low), n_units))
        drawn += n_units * np.arange(len(drawn))[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        means[low : low + step] = times_drawn.astype(np.float64) @ values / n_units  # (step, c)
    return means


def bootstrap(values: np.ndarray, n_resamples: int, rng: np.random.Generator) -> list[Estimate]:
    """Return the mean of each column of `values` (n_units, c), such as differences, and the p-value of a mean of 0.

    p-values count the sample itself, so they are never 0.
    """
    means = resampled_means(values, n_resamples, rng)
    low, high = np.quantile(means, TAILS, axis=0)
    sides = np.minimum((means <= 0).sum(axis=0), (means >= 0).sum(axis=0))  # (c,)
    p_values = np.minimum(1.0, 2 * (sides + 1) / (n_resamples + 1))
    return [Estimate(*map(float, row)) for row in zip(values.mean(axis=0), low, high, p_values)]


def bootstrap_ratios(
    ours: np.ndarray, theirs: np.ndarray, n_resamples: int, rng: np.random.Generator
) -> list[Estimate]:
    """Return mean of `ours` / mean of `theirs` for each column of both (n_units, c); not finite where that is 0."""
    both, n = np.column_stack([ours, theirs]), ours.shape[1]
    means = resampled_means(both, n_resamples, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = both[:, :n].mean(axis=0) / both[:, n:].mean(axis=0)
        # nearest: between a number and infinity there is nothing to interpolate
        low, high = np.quantile(means[:, :n] / means[:, n:], TAILS, axis=0, method="nearest")
    return [Estimate(*map(float, row)) for row in zip(values, low, high)]


def compare(
    values: Mapping[str, Mapping[str, np.ndarray]],
    reference: str,
    metrics: Sequence[str],
    n_resamples: int,
    rng: np.random.Generator,
    ratio: bool = False,
) -> dict[tuple[str, str], Estimate]:
    """Compare each model with the one called `reference`, over the same units: (model, metric) -> difference or ratio.

    values: model -> metric -> (n_units,).  All are resampled with the same draws. Holm's correction is over the
    models, within a metric: the metrics are views of one question, not further questions.
    """
    others = [model for model in values if model != reference]
    if not others:
        return {}
    pairs = [(model, metric) for metric in metrics for model in others]
    ours = np.column_stack([values[model][metric] for model, metric in pairs])
    theirs = np.column_stack([values[reference][metric] for _, metric in pairs])
    if ratio:
        return dict(zip(pairs, bootstrap_ratios(ours, theirs, n_resamples, rng)))
    found = bootstrap(ours - theirs, n_resamples, rng)
    p_values = np.array([estimate.p_value for estimate in found]).reshape(len(metrics), len(others))
    corrected = np.concatenate([holm(of_metric) for of_metric in p_values]).tolist()
    return {pair: each._replace(corrected_p=p) for pair, each, p in zip(pairs, found, corrected)}


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Return p-values corrected for their number: below 0.05 each, all hold together at 5%.

    With p sorted ascending, p'_i = max over j <= i of min(1, (m - j + 1) p_j). Holm 1979; it assumes nothing about
    how the comparisons depend on each other and is never worse than Bonferroni's m p.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, p[order] * (len(p) - np.arange(len(p)))))
    return corrected
