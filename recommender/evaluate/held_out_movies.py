"""Cold-start movies: a tenth of the movies loses all ratings, and only these movies are ranked.

    the movies are shuffled by `seed` and cut into 10 folds; one fold H is held out at a time
    learned from, known of a user     the known ratings (test: train + val, val: train) of movies outside H
    ranked                            the movies of H, and no others; equal scores in a random order
    relevant                          the movies of H that the user liked, in the known or the evaluated part

A held-out movie stays in the catalogue, without a rating, so a model can place it only by what it is: genres, year,
cast, words; any other model shows chance. So that tuning stays apart from reporting, val holds out folds 5 to 9 and
test folds 0 to 4. Figures are means over users of their mean over folds.

Baselines: `popularity-by-genre`, `genre-profile` (cosine of genres: `content` without keywords and popularity), and
`random`, a number drawn for each user and movie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Callable, Optional

import numpy as np

from ..data.errors import ChoiceError
from ..data.interactions import LIKED, Interactions, concat
from ..learn.base import Ranker
from ..learn.content import Content
from ..learn.features import genre_matrix
from .protocols import Evaluation, Source, from_known
from .report import Report
from .run import Options, Spec, rank
from .significance import compare

NAME = "held-out-movies"
N_FOLDS = 10
MOST_FOLDS = N_FOLDS // 2  # for each of val and test
REFERENCE = "popularity-by-genre"
MEASURES = ("ndcg", "recall", "hit_rate")


class PopularityByGenre(Ranker):
    """Scores by the likes of the rated movies of the same genres, the same for everybody.

    score_i = mean of L_g over the genres g of movie i;  L_g = mean likes of the movies of genre g with a rating.
    Without a genre, or a rated movie of it: the mean over all rated movies.
    """

    name = REFERENCE
    scores_: np.ndarray  # (n_movies,) float32

    def _fit(self, train: Interactions) -> None:
        is_rated = train.movie_counts() > 0
        likes = np.bincount(train.movie_rows[train.ratings >= LIKED], minlength=train.n_movies)[is_rated]
        genres = genre_matrix(self.catalog, train.movie_ids)  # (n_movies, n_genres) of 0 and 1
        overall = float(likes.mean()) if len(likes) else 0.0
        n_movies, n_genres = genres[is_rated].sum(axis=0), genres.sum(axis=1)
        L = np.where(n_movies > 0, likes @ genres[is_rated] / np.maximum(n_movies, 1), overall)  # (n_genres,)
        self.scores_ = np.where(n_genres > 0, genres @ L / np.maximum(n_genres, 1), overall).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        return self.scores_


class RandomScores(Ranker):
    """Draws every score for each row of the history; the same row always has the same scores."""

    name = "random"

    def _fit(self, train: Interactions) -> None:
        """Learn nothing."""

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        draws = [np.random.default_rng([0, row]).random(history.n_movies) for row in user_rows]
        return np.array(draws, dtype=np.float32)


BASELINES: dict[str, Callable[..., Ranker]] = {
    PopularityByGenre.name: PopularityByGenre,
    "genre-profile": partial(Content, keywords=False, popularity=0.0),
    RandomScores.name: RandomScores,
}


def hold_out(source: Source, part: str, fold: int, seed: int = 0) -> Evaluation:
    """Return the case of fold `fold`, 0 to 4, of `part`, val or test: see the head of this module.

    Raises `ChoiceError` where nobody is left to evaluate.
    """
    case = source.case(part)
    n_movies = case.known.n_movies
    folds = np.array_split(np.random.default_rng(seed).permutation(n_movies), N_FOLDS)
    held_out = folds[fold + (MOST_FOLDS if part == "val" else 0)]
    is_out = np.isin(np.arange(n_movies), held_out)
    everything = concat(case.known, case.held_out)
    known = case.known.take(~is_out[case.known.movie_rows])
    case = from_known(known, everything.take(is_out[everything.movie_rows]), f"{NAME}, fold {fold + 1}")
    if not case.n_users:
        raise ChoiceError(f"no user likes any of the {len(held_out)} movies of fold {fold + 1}: use more data")
    return dataclasses.replace(case, candidates=held_out.astype(np.int64))


def evaluate(source: Source, specs: Sequence[Spec], options: Options, n_folds: int = MOST_FOLDS) -> Report:
    """Rank the held-out movies of `n_folds` folds with the baselines and the models of `specs`.

    Ratios are to popularity by genre.
    """
    cases = [hold_out(source, options.part, fold, options.seed) for fold in range(n_folds)]
    # counts of the ratings that models may know, so that popularity cannot leak
    catalogs = [source.catalog and source.catalog.with_counts(case.known.movie_counts()) for case in cases]
    people, column = np.unique(np.concatenate([case.user_rows for case in cases]), return_inverse=True)
    n_times = np.bincount(column)  # the folds in which each user is evaluated
    n_liked, n_ranked = (sum(map(len, each)) for each in zip(*((c.relevant()[1], c.candidates) for c in cases)))
    notes = [
        f"{n_folds} folds, {n_ranked:,} movies held out in turn, a tenth of all at a time; no others are ranked",
        f"{len(people):,} users like {n_liked:,} of them; means over users of each user's mean over folds",
    ]
    tables = {f"mean, k = {k}": [f"{name}@{k}" for name in MEASURES] for k in options.ks}
    for k in options.ks:
        folds = [f"{name}@{k}_fold_{fold + 1}" for name in ("ndcg", "recall") for fold in range(n_folds)]
        tables[f"each fold, k = {k}"] = folds
    tables["seconds"] = ["fit_seconds", "rank_seconds"]
    report = Report(NAME, options.part, cases[0].known.user_ids[people], notes, tables, ratio=True)
    for spec in (*(Spec(name, name, make=make) for name, make in BASELINES.items()), *specs):
        rankings = [rank(spec, case, catalog, options) for case, catalog in zip(cases, catalogs)]
        by_fold = [case.accuracy(ranking.rows, options.ks) for case, ranking in zip(cases, rankings)]
        values, overall = report.values.setdefault(spec.label, {}), report.overall.setdefault(spec.label, {})
        for name in (f"{name}@{k}" for k in options.ks for name in MEASURES):
            values[name] = np.bincount(column, np.concatenate([fold[name] for fold in by_fold])) / n_times
            overall[name] = float(values[name].mean())
            overall.update((f"{name}_fold_{i + 1}", float(fold[name].mean())) for i, fold in enumerate(by_fold))
        for seconds in tables["seconds"]:
            overall[seconds] = sum(getattr(ranking, seconds) for ranking in rankings)
    report.reference, rng = REFERENCE, np.random.default_rng(options.seed)
    for label, values in report.values.items():
        pair = {REFERENCE: report.values[REFERENCE], label: values}
        report.compared |= compare(pair, REFERENCE, list(values), options.n_resamples, rng, ratio=True)
    return report
