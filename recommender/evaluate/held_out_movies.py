"""Movies that nobody had rated: a tenth of the movies is taken out of all ratings, and only they are ranked.

    the movies are shuffled by `seed` and cut into 10 folds; one fold H is held out at a time
    learned from, known of a person   the known ratings (test: train + val, val: train) of movies outside H
    ranked                            the movies of H, and no others
    relevant                          the movies of H that the person liked, in the known or the evaluated part
    evaluated                         people who know a movie outside H and like one of H

A held-out movie stays in the vocabulary and in the catalogue, without a rating (its count in the catalogue is 0), so
a model can place it only by what it is: genres, year, cast, words. Any other model shows chance: equal scores are
listed in a random order, since MovieLens' ids alone tell old from new and would lift whoever lists by id.

Likes from the known part count too: all ratings of H were taken out, so all of them are unseen by every model. With
those of the evaluated part alone, six of seven movies that a person likes would stand in the list as failures. It
makes the sample large (on MovieLens small 600 people with 7 likes each, for each fold) and says nothing about order
in time. So that tuning stays apart from reporting, val holds out folds 5 to 9 and test folds 0 to 4: other movies.

A person's value is their mean over the folds; the figures are means over people, the intervals resample people.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from ..data.interactions import concat
from ..learn.base import Ranker
from . import metrics, runner
from .cases import Source
from .protocols import Evaluation, from_known, from_parts
from .significance import Ratio, ratios

N_FOLDS = 10
MOST_FOLDS = N_FOLDS // 2  # for each of val and test
MEASURES = ("ndcg", "recall", "hit_rate")

Make = Callable[[Optional[Catalog]], Ranker]


@dataclass(frozen=True)
class FoldResult:
    """One model on one fold: values (n_users,) by metric, in order of the fold's `user_rows`."""

    values: dict[str, np.ndarray]
    fit_seconds: float
    rank_seconds: float


@dataclass(frozen=True)
class Pooled:
    """One model over all folds.

    per_user: metric -> (n_people,) float64, each person's mean over the folds in which they are evaluated.
    overall: metric -> mean over people.  by_fold: metric -> mean over the people of each fold.
    ratios: metric -> this model's mean / the reference's, with interval; empty for the reference.
    """

    model: str
    per_user: dict[str, np.ndarray]
    overall: dict[str, float]
    by_fold: dict[str, list[float]]
    ratios: dict[str, Ratio]
    seconds: dict[str, float]


def hold_out(source: Source, part: str, fold: int, seed: int = 0) -> Evaluation:
    """Return the case of fold `fold`, 0 to 4, of `part`, val or test: see the head of this module.

    Raises `ChoiceError` for another fold, for fewer than 10 movies, and where nobody is left to evaluate.
    """
    if not 0 <= fold < MOST_FOLDS:
        raise ChoiceError(f"fold {fold}: give a whole number from 0 to {MOST_FOLDS - 1}")
    case = from_parts(source.train, source.val, source.test, part, "movies never rated")
    n_movies = case.known.n_movies
    if n_movies < N_FOLDS:
        raise ChoiceError(f"{n_movies} movies are too few to hold out a tenth: use more data")
    folds = np.array_split(np.random.default_rng(seed).permutation(n_movies), N_FOLDS)
    held_out = folds[fold + (MOST_FOLDS if part == "val" else 0)]
    is_out = np.zeros(n_movies, dtype=bool)
    is_out[held_out] = True
    everything = concat(case.known, case.held_out)
    case = from_known(
        case.known.take(~is_out[case.known.movie_rows]),
        everything.take(is_out[everything.movie_rows]),
        f"{case.name}, fold {fold + 1}",
    )
    if not case.n_users:
        raise ChoiceError(f"nobody likes any of the {len(held_out)} movies of fold {fold}: use more data")
    return dataclasses.replace(case, candidates=held_out.astype(np.int64))


def without_counts(catalog: Optional[Catalog], case: Evaluation) -> Optional[Catalog]:
    """Return the catalogue with the counts of the ratings that models may know, so that popularity cannot leak."""
    if catalog is None:
        return None
    masked = copy.copy(catalog)
    counts = dict(zip(case.known.movie_ids.tolist(), case.known.movie_counts().tolist()))
    masked.n_ratings = np.array([counts.get(i, 0) for i in catalog.movie_ids.tolist()], dtype=np.int64)
    return masked


def evaluate_fold(
    make: Make,
    case: Evaluation,
    catalog: Optional[Catalog],
    ks: tuple[int, ...],
    checkpoint: Optional[Path] = None,
    progress: Optional[runner.Progress] = None,
) -> FoldResult:
    """Fit `make(catalog)` on what is known, rank the held-out movies for everybody, and score the lists."""
    masked = without_counts(catalog, case)
    ranking = runner.rank(lambda: make(masked), case, max(ks), checkpoint, progress)
    indptr, relevant = case.relevant()
    hits = metrics.find_hits(ranking.rows.astype(np.int64), indptr, relevant, case.known.n_movies)
    n_relevant = np.diff(indptr)
    values = {f"{name}@{k}": metrics.METRICS[name](hits, n_relevant, k) for k in ks for name in MEASURES}
    return FoldResult(values, ranking.fit_seconds, ranking.rank_seconds)


def pool(
    labels: Sequence[str],
    cases: Sequence[Evaluation],
    results: Sequence[Sequence[FoldResult]],
    reference: str,
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Pooled]]:
    """Return who is evaluated in any fold (user rows, ascending), and each model over all folds.

    results[m][f]: model m on fold f.  All models have the same people, so ratios to `reference` are paired.
    """
    if reference not in labels:
        raise ChoiceError(f"no evaluated model is called {reference!r}: compare with one of {', '.join(labels)}")
    people = np.unique(np.concatenate([case.user_rows for case in cases]))
    places = [np.searchsorted(people, case.user_rows) for case in cases]
    times = np.zeros(len(people))
    for place in places:
        times[place] += 1
    names = list(results[0][0].values)
    sums = np.zeros((len(labels), len(names), len(people)))
    for m, folds in enumerate(results):
        for place, result in zip(places, folds):
            for j, name in enumerate(names):
                sums[m, j, place] += result.values[name]
    means = sums / times
    base = means[labels.index(reference)]
    pooled = []
    for m, label in enumerate(labels):
        found = [] if label == reference else ratios(means[m].T, base.T, n_resamples, rng)
        pooled.append(
            Pooled(
                label,
                dict(zip(names, means[m])),
                {name: float(means[m, j].mean()) for j, name in enumerate(names)},
                {name: [float(result.values[name].mean()) for result in results[m]] for name in names},
                dict(zip(names, found)),
                {
                    "fit": sum(result.fit_seconds for result in results[m]),
                    "rank": sum(result.rank_seconds for result in results[m]),
                },
            )
        )
    return people, pooled
