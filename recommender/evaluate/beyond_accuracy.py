"""Metrics beyond accuracy: coverage, Gini index, novelty, diversity and tail share.

`ranked` is (B, k) movie rows, -1 = no movie. Coverage and Gini index are of all lists together; novelty, diversity,
tail shares and recall in a group of each list. `score_lists` returns all values, accuracy (`metrics`) included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from ..data.weighting import TAIL, popularity_tiers
from ..linalg.rows import unit_rows
from . import metrics
from .metrics import divide
from .protocols import Evaluation

COLD_USER, COLD_MOVIE = 20, 5  # cold start: at most this number of known ratings; MovieLens asks new users for 20
_CELLS = 1 << 18  # of lists at a time: diversity holds (B, k, n_genres)


def exposure(ranked: np.ndarray, n_movies: int) -> np.ndarray:
    """Return how many of the lists show each movie, (n_movies,) int64; add the results of batches."""
    return np.bincount(ranked[ranked >= 0], minlength=n_movies).astype(np.int64)


def coverage(shown: np.ndarray) -> float:
    """Return the share of the catalogue that at least one list shows: |union of lists| / n_movies.

    Herlocker et al. 2004, section 4.2. It grows with the number of lists: compare models over the same users only.
    """
    return float(np.mean(shown > 0))


def gini(shown: np.ndarray) -> float:
    """Return the Gini index of exposure: 0 = every movie shown equally often, 1 - 1/n = one movie has it all.

    Fleder and Hosanagar 2009, over the whole catalogue, as LensKit's `ListGini`; Adomavicius and Kwon 2012: 1 - G.

    >>> gini(np.array([2, 2, 2])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    x = np.sort(shown).astype(np.float64)  # x_1 <= ... <= x_n
    i, n = np.arange(1, len(x) + 1), len(x)
    # G = sum_i (2 i - n - 1) x_i / (n sum_i x_i)
    return float(((2 * i - n - 1) * x).sum() / (n * x.sum())) if x.sum() else 0.0


def novelty(ranked: np.ndarray, n_raters: np.ndarray, n_users: int) -> np.ndarray:
    """Return each list's mean self-information, (B,) bits: mean of -log2(n_raters / n_users) over its movies.

    n_raters: (n_movies,) how many of the n_users training users rated each movie; 0 counts as 1, since its information
    would be infinite. Zhou et al. 2010; RecTools' `MeanInvUserFreq`. An empty list has nan.
    """
    return _mean_over_list(ranked, -np.log2(np.maximum(n_raters, 1) / float(max(n_users, 1))))


def intra_list_diversity(ranked: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return each list's mean distance 1 - cosine over its pairs of movies, (B,), in a fixed space.

    features: (n_movies, d), such as genres as 0 and 1; never the space of the evaluated model, which would
    favor itself. A movie with a zero vector is at distance 1 from every other; lists of fewer than two movies
    have nan. Ziegler et al. 2005, as a distance (Smyth and McClure 2001). Cost O(B k d).
    """
    unit = unit_rows(np.asarray(features), np.float64)
    n_movies = (ranked >= 0).sum(axis=1)
    cosines = np.empty(len(ranked))
    step = max(1, _CELLS // max(ranked.shape[1], 1))
    for low in range(0, len(ranked), step):
        lists = ranked[low : low + step]
        vectors = np.where((lists >= 0)[:, :, None], unit[lists], 0.0)  # (B, k, d)
        total = np.square(vectors.sum(axis=1)).sum(axis=1)
        # sum of the cosines of all pairs = (|sum f|^2 - sum |f|^2) / 2
        cosines[low : low + step] = (total - np.square(vectors).sum(axis=(1, 2))) / 2
    return 1.0 - divide(cosines, n_movies * (n_movies - 1) / 2)


def tail_share(ranked: np.ndarray, tiers: np.ndarray) -> np.ndarray:
    """Return the share of each list that is long tail, (B,); tiers: (n_movies,) from `data.weighting`.

    Where papers split head and tail by 80% of the *ratings* (Abdollahpouri et al. 2017), their tail is larger.
    """
    return _mean_over_list(ranked, (tiers == TAIL).astype(np.float64))


def group_recall(
    ranked: np.ndarray, hits: np.ndarray, relevant_indptr: np.ndarray, relevant_rows: np.ndarray, in_group: np.ndarray
) -> np.ndarray:
    """Return recall on the movies of a group alone, (B,): hits in the group / relevant movies in the group.

    in_group: (n_movies,) bool, such as cold-start movies. nan for users without a relevant movie in the group: leave
    them out of the mean. `hits` as in `metrics.find_hits`, for the same lists.
    """
    before = np.concatenate(([0], np.cumsum(in_group[relevant_rows])))
    n_wanted = before[relevant_indptr[1:]] - before[relevant_indptr[:-1]]  # (B,)
    return divide((hits & in_group[ranked]).sum(axis=1), n_wanted)


def score_lists(
    case: Evaluation,
    rows: np.ndarray,
    ks: Sequence[int],
    genres: Optional[np.ndarray] = None,
    cold_user: int = COLD_USER,
    cold_movie: int = COLD_MOVIE,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return all values of the lists `rows` (n_users, n), n at least the largest of `ks`.

    First of each user: measure -> (n_users,), nan if it is undefined; then of all: measure -> value.
    genres: (n_movies, n_genres), the space of intra-list diversity; without it, diversity is omitted.
    Tiers, novelty and the cold groups are counted in `case.known`: they do not move with the model.
    Cost O(n_users n (log |R| + n_genres)).
    """
    counts, n_known = case.known.movie_counts(), np.diff(case.known.indptr)
    tiers, n_raters = popularity_tiers(counts), int((n_known > 0).sum())
    indptr, relevant = case.relevant()
    lists = rows.astype(np.int64)
    hits = metrics.find_hits(lists, indptr, relevant, case.known.n_movies)
    per_user = metrics.all_metrics(hits, np.diff(indptr), tuple(ks))
    for k in ks:
        first = lists[:, :k]
        per_user[f"novelty@{k}"] = novelty(first, counts, n_raters)
        if genres is not None:
            per_user[f"diversity@{k}"] = intra_list_diversity(first, genres)
        per_user[f"tail_share@{k}"] = tail_share(first, tiers)
        cold = group_recall(first, hits[:, :k], indptr, relevant, counts <= cold_movie)
        per_user[f"cold_movie_recall@{k}"] = cold
    overall = {name: _mean(values) for name, values in per_user.items()}
    cold_users = n_known[case.user_rows] <= cold_user
    for k in ks:
        shown = exposure(lists[:, :k], case.known.n_movies)
        overall.update({f"coverage@{k}": coverage(shown), f"gini@{k}": gini(shown)})
        for name in ("ndcg", "recall"):
            overall[f"cold_user_{name}@{k}"] = _mean(per_user[f"{name}@{k}"][cold_users])
    return per_user, overall


def list_measures(case: Evaluation, rows: np.ndarray, measures: Sequence[tuple[str, int]]) -> dict[str, np.ndarray]:
    """Return some metrics of the lists `rows` (n_users, n): `name@k` -> (n_users,), for (name, k) of `measures`."""
    indptr, relevant = case.relevant()
    hits = metrics.find_hits(rows.astype(np.int64), indptr, relevant, case.known.n_movies)
    return {f"{name}@{k}": metrics.METRICS[name](hits, np.diff(indptr), k) for name, k in measures}


def rating_errors(case: Evaluation, predicted: np.ndarray) -> dict[str, float]:
    """Return `rmse` and `mae` of predicted ratings, (n_held_out,); empty where a model predicts none.

    Over all held-out ratings of users with a known one; where the case has a root, of `case.user_rows` alone.
    """
    if not len(predicted):
        return {}
    counted = np.diff(case.known.indptr) > 0
    if case.root is not None:
        counted &= np.isin(np.arange(case.known.n_users), case.user_rows)
    of_rating = counted[case.held_out.user_rows()]
    actual = case.held_out.ratings[of_rating]
    return {"rmse": metrics.rmse(predicted[of_rating], actual), "mae": metrics.mae(predicted[of_rating], actual)}


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined, nan if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _mean_over_list(ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of values[movie] over each list's movies, (B,); nan for an empty list."""
    present = ranked >= 0
    return divide(np.where(present, values[ranked], 0.0).sum(axis=1), present.sum(axis=1))
