"""Several models on one case: which differences from a reference are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.errors import ChoiceError
from .scoring import Scored
from .significance import compare, holm

N_RESAMPLES = 5000


class Comparison(NamedTuple):
    """`model` - `reference` on one metric; `corrected_p` by Holm over the models compared on this metric."""

    model: str
    reference: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float
    corrected_p: float


def compare_models(
    results: Sequence[Scored],
    reference: str,
    metrics: Sequence[str],
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> list[Comparison]:
    """Compare each model with the one called `reference`, over the same people; metric by metric.

    All models and metrics are resampled with the same draws of people. Holm's correction is over the models, within
    a metric: the metrics are views of one question, not further questions.
    """
    base = choose_reference(results, reference, metrics[0])
    others = [result for result in results if result is not base]
    if not others:
        return []
    ours = np.column_stack([result.per_user[metric] for result in others for metric in metrics])
    theirs = np.column_stack([base.per_user[metric] for _ in others for metric in metrics])
    differences = compare(ours, theirs, n_resamples, rng)
    lines = []
    for place, metric in enumerate(metrics):
        found = differences[place :: len(metrics)]
        corrected = holm([difference.p_value for difference in found])
        for result, difference, p in zip(others, found, corrected.tolist()):
            lines.append(Comparison(result.model, base.model, metric, *difference, p))
    return lines


def choose_reference(results: Sequence[Scored], reference: str, metric: str) -> Scored:
    """Return the result called `reference`; "first" and "best" (by the mean of `metric`) name one by its place."""
    if reference == "first":
        return results[0]
    if reference == "best":
        return max(results, key=lambda result: result.overall[metric])
    for result in results:
        if result.model == reference:
            return result
    names = ", ".join(result.model for result in results)
    raise ChoiceError(f"no evaluated model is called {reference!r}: compare with first, best or one of {names}")
