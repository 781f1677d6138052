"""How many of the movies that somebody went on to like are near the top of a list.

Every function takes a batch of ranked lists as `hits` and gives one value for each user:

    hits        (B, n) bool, hits[b, i] = the movie at place i (0 = first) of user b's list is relevant
    n_relevant  (B,) whole numbers, |R|: how many movies are relevant to the user, on the list or not
    k           the cutoff, at most n; a list that ran out of movies is padded with False
    returns     (B,) float64; nan if the definition divides by |R| and R is empty

Relevance is binary. The lists come from a ranking of the whole catalogue: a metric over sampled negatives is
another quantity and can order models the other way round (Krichene and Rendle 2020). Average over users with
|R| > 0 only, and print how many they are; libraries that count the others as 0 report smaller numbers.
"""

from __future__ import annotations

from functools import partial
from typing import Callable

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError, DataError


def find_hits(ranked: np.ndarray, relevant_indptr: np.ndarray, relevant_rows: np.ndarray, n_movies: int) -> np.ndarray:
    """Return which places of each list hold a relevant movie, (B, n) bool.

    ranked: (B, n) movie rows, best first, -1 = no movie.  relevant_rows[relevant_indptr[b]:relevant_indptr[b + 1]]
    are the relevant movie rows of list b, in any order.  Cost O((B n + |R|) log |R|).

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


def recall(hits: np.ndarray, n_relevant: np.ndarray, k: int, capped: bool = False) -> np.ndarray:
    """Recall@k = hits in the first k / |R|; capped: / min(k, |R|), so that a perfect list always has 1.

    Manning, Raghavan and Schuetze 2008, section 8.3; RecTools, ranx and trec_eval divide by |R|. Capped: the papers
    of Mult-VAE (Liang et al. 2018) and EASE, LensKit's `Recall`.
    """
    return divide(_first(hits, k).sum(axis=1), np.minimum(n_relevant, k) if capped else n_relevant)


def precision(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """Precision@k = hits in the first k / k, also for a list shorter than k.

    Manning et al. 2008, section 8.4; LensKit divides by the length of a short list.
    """
    return np.asarray(_first(hits, k).sum(axis=1) / float(k))


def ndcg(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """nDCG@k = sum of 1 / log2(place + 1) over the hits in the first k / the same for min(k, |R|) hits in front.

    Places count from 1. Jaervelin and Kekaelaeinen 2002, with binary gains and the discount of trec_eval, ranx,
    implicit and LensKit. RecTools' default `NDCG` divides by the sum of all k discounts however few movies are
    relevant, which makes a perfect list score less than 1.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))  # (k,)
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))  # ideal[r] of r hits in front
    return divide(_first(hits, k) @ discounts, ideal[np.minimum(n_relevant, k)])


def average_precision(hits: np.ndarray, n_relevant: np.ndarray, k: int, capped: bool = False) -> np.ndarray:
    """AP@k = sum of precision@i over the places i <= k that are hits / |R| (capped: min(k, |R|)); its mean is MAP@k.

    Manning et al. 2008, section 8.4, as trec_eval, ranx and RecTools. Capped: implicit and LensKit; never smaller,
    and a paper that says "MAP@k" may mean either.
    """
    first = _first(hits, k)
    total = (first * np.cumsum(first, axis=1) / np.arange(1, k + 1)).sum(axis=1)
    return divide(total, np.minimum(n_relevant, k) if capped else n_relevant)


def reciprocal_rank(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """RR@k = 1 / place of the first hit, 0 without a hit in the first k; its mean over users is MRR@k.

    Voorhees 1999 (TREC-8 question answering). The libraries agree; trec_eval's `recip_rank` has no cutoff.
    """
    first = _first(hits, k)
    return np.where(first.any(axis=1), 1.0 / (first.argmax(axis=1) + 1.0), 0.0)


def hit_rate(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """HitRate@k = 1 where a movie in the first k is relevant, else 0 (ir-measures and ranx: Success@k, hit_rate).

    Deshpande and Karypis 2004. Papers with one held-out movie for each user call the same thing Recall@k.
    """
    return np.asarray(_first(hits, k).any(axis=1), dtype=np.float64)


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


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "ndcg": ndcg,
    "recall": recall,
    "capped_recall": partial(recall, capped=True),
    "precision": precision,
    "map": average_precision,
    "capped_map": partial(average_precision, capped=True),
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def all_metrics(hits: np.ndarray, n_relevant: np.ndarray, ks: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return every metric at every cutoff, named as `ndcg@10`; each (B,) float64."""
    return {f"{name}@{k}": metric(hits, n_relevant, k) for k in ks for name, metric in METRICS.items()}


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, nan if whole is 0."""
    if part.shape != whole.shape:
        raise DataError(f"{len(part)} lists and {len(whole)} relevance counts: give one count for each list")
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _first(hits: np.ndarray, k: int) -> np.ndarray:
    if k < 1 or hits.ndim != 2 or hits.shape[1] < k:
        raise ChoiceError(f"k = {k} and lists of shape {hits.shape}: give k from 1 to the length, pad lists with -1")
    return hits[:, :k]


def _errors(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> np.ndarray:
    """Return predicted - actual, both (n,); unequal shapes would broadcast to (n, n) in silence."""
    guess, truth = np.asarray(predicted, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if guess.shape != truth.shape or guess.ndim != 1 or not len(guess):
        raise DataError(f"predictions {guess.shape} and ratings {truth.shape}: give two equal lists, not empty")
    return guess - truth
