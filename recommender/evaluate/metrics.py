"""How good ranked lists are: whether liked movies are near the top, and what else the lists show.

    ranked      (B, n) movie rows, best first, -1 = no movie
    hits        (B, n) bool, hits[b, i] = the movie at place i (0 = first) of user b's list is relevant
    n_relevant  (B,) whole numbers, |R|: how many movies are relevant to the user, on the list or not
    returns     (B,) float64, a value for each list; nan if the definition divides by 0

Relevance is binary. The lists come from a ranking of the whole catalogue: a metric over sampled negatives is
another quantity and can order models the other way round (Krichene and Rendle 2020). Average over users with
|R| > 0 only, and print how many they are; libraries that count the others as 0 report smaller numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError, DataError
from ..linalg.rows import unit_rows

METRICS = ("ndcg", "recall", "capped_recall", "precision", "map", "capped_map", "mrr", "hit_rate")
_CELLS = 1 << 18  # of lists at a time: diversity holds (B, k, n_genres)


def find_hits(ranked: np.ndarray, relevant_indptr: np.ndarray, relevant_rows: np.ndarray, n_movies: int) -> np.ndarray:
    """Return which places of each list hold a relevant movie, (B, n) bool.

    relevant_rows[relevant_indptr[b]:relevant_indptr[b + 1]] are the relevant movie rows of list b, in any order.
    Cost O((B n + |R|) log |R|).

    >>> find_hits(np.array([[4, 2, -1], [2, 0, 1]]), np.array([0, 1, 3]), np.array([2, 1, 2]), n_movies=5)
    array([[False,  True, False],
           [ True, False,  True]])
    """
    lists = np.arange(len(ranked), dtype=np.int64)
    # (list, movie) as one number: list * n_movies + movie
    wanted = np.sort(np.repeat(lists, np.diff(relevant_indptr)) * n_movies + relevant_rows)
    if not len(wanted):
        return np.zeros(ranked.shape, dtype=bool)
    keys = lists[:, None] * n_movies + ranked  # (B, n)
    nearest = np.searchsorted(wanted, keys).clip(max=len(wanted) - 1)
    hits: np.ndarray = (wanted[nearest] == keys) & (ranked >= 0)
    return hits


def accuracy(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Return all `METRICS` of the first k places by name, each (B,); places i count from 1.

    ndcg           sum of 1 / log2(i + 1) over the hits / the same sum for min(k, |R|) hits in front. Jaervelin and
                   Kekaelaeinen 2002, with binary gains; trec_eval, ranx, implicit, LensKit. RecTools' default divides
                   by all k discounts however few movies are relevant: its perfect list may score less than 1.
    recall         hits / |R|. Manning, Raghavan and Schuetze 2008, section 8.3; RecTools, ranx, trec_eval.
    capped_recall  hits / min(k, |R|): a perfect list has 1. Liang et al. 2018 (Mult-VAE), EASE; LensKit's `Recall`.
    precision      hits / k, for a shorter list too. Manning et al., section 8.4; LensKit divides by the list's length.
    map            sum of precision@i over the places i that are hits / |R|. trec_eval, ranx, RecTools.
    capped_map     the same sum / min(k, |R|), never smaller. implicit, LensKit; "MAP@k" in a paper may mean either.
    mrr            1 / place of the first hit, 0 without one. Voorhees 1999; trec_eval's `recip_rank` has no cutoff.
    hit_rate       1 with a hit, 0 without. Deshpande and Karypis 2004; ir-measures: Success@k. Papers with one
                   held-out movie for each user call it Recall@k.
    """
    if k < 1 or hits.ndim != 2 or hits.shape[1] < k:
        raise ChoiceError(f"k = {k} and lists of shape {hits.shape}: give k from 1 to the length, pad lists with -1")
    first, places, most = hits[:, :k], np.arange(1, k + 1), np.minimum(n_relevant, k)
    n_hits, discounts = first.sum(axis=1), 1.0 / np.log2(places + 1)
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))  # ideal[r] of r hits in front
    precisions = (first * np.cumsum(first, axis=1) / places).sum(axis=1)  # precision@i, at the hits
    return {
        "ndcg": divide(first @ discounts, ideal[most]),
        "recall": divide(n_hits, n_relevant),
        "capped_recall": divide(n_hits, most),
        "precision": n_hits / k,
        "map": divide(precisions, n_relevant),
        "capped_map": divide(precisions, most),
        "mrr": np.where(n_hits > 0, 1.0 / (first.argmax(axis=1) + 1.0), 0.0),
        "hit_rate": (n_hits > 0).astype(np.float64),
    }


def rmse(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Return the root of the mean squared error over all ratings, on the scale of the ratings.

    Bennett and Lanning 2007 (the Netflix Prize). One mean over ratings, as Surprise and LensKit's global value; a
    mean of per-user values gives users with few ratings more weight and is another number.

    >>> rmse([3.0, 4.0], [4.0, 4.0]) == 0.5**0.5
    True
    """
    return float(np.sqrt(np.mean(np.square(_errors(predicted, actual)))))


def mae(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Return the mean absolute error over all ratings; see `rmse` for whose mean it is.

    >>> mae([3.0, 4.0], [4.0, 4.0])
    0.5
    """
    return float(np.mean(np.abs(_errors(predicted, actual))))


def _errors(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> np.ndarray:
    """Return predicted - actual, both (n,); unequal shapes would broadcast to (n, n) in silence."""
    guess, truth = np.asarray(predicted, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if guess.shape != truth.shape or guess.ndim != 1 or not len(guess):
        raise DataError(f"predictions {guess.shape} and ratings {truth.shape}: give two equal lists, not empty")
    return guess - truth


def exposure(ranked: np.ndarray, n_movies: int) -> dict[str, float]:
    """Return how evenly all lists together show the catalogue.

    coverage  the share of the movies that at least one list shows. Herlocker et al. 2004, section 4.2. It grows with
              the number of lists: compare models over the same users only.
    gini      0 = every movie shown equally often, 1 - 1/n = one movie has it all. Fleder and Hosanagar 2009, over the
              whole catalogue, as LensKit's `ListGini`; Adomavicius and Kwon 2012: 1 - G.

    >>> exposure(np.array([[3, -1], [3, -1]]), 4)
    {'coverage': 0.25, 'gini': 0.75}
    """
    x = np.sort(np.bincount(ranked[ranked >= 0], minlength=n_movies)).astype(np.float64)  # x_1 <= ... <= x_n
    i, n = np.arange(1, len(x) + 1), len(x)
    # G = sum_i (2 i - n - 1) x_i / (n sum_i x_i)
    gini = float(((2 * i - n - 1) * x).sum() / (n * x.sum())) if x.sum() else 0.0
    return {"coverage": float(np.mean(x > 0)), "gini": gini}


def novelty(ranked: np.ndarray, n_raters: np.ndarray, n_users: int) -> np.ndarray:
    """Return each list's mean self-information, in bits: mean of -log2(n_raters / n_users) over its movies.

    n_raters: (n_movies,) how many of the n_users training users rated each movie; 0 counts as 1, since its information
    would be infinite. Zhou et al. 2010; RecTools' `MeanInvUserFreq`. An empty list has nan.
    """
    return mean_over_list(ranked, -np.log2(np.maximum(n_raters, 1) / float(max(n_users, 1))))


def intra_list_diversity(ranked: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return each list's mean distance 1 - cosine over its pairs of movies, in a fixed space.

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


def mean_over_list(ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of values[movie] over each list's movies; nan for an empty list.

    Of movies in the long tail as 0 and 1, it is the tail share. Where papers split head and tail by 80% of the
    *ratings* (Abdollahpouri et al. 2017), their tail is larger than ours (`data.weighting`).
    """
    present = ranked >= 0
    return divide(np.where(present, values[ranked], 0.0).sum(axis=1), present.sum(axis=1))


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, nan if whole is 0."""
    if part.shape != whole.shape:
        raise DataError(f"{len(part)} lists and {len(whole)} relevance counts: give one count for each list")
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
