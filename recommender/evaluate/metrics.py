"""How many of the movies that somebody went on to like are near the top of a list.

Every function takes a batch of ranked lists as `hits` and gives one value for each user:

    hits        (B, n) bool, hits[b, i] = the movie at place i (0 = first) of user b's list is relevant
    n_relevant  (B,) whole numbers, |R|: how many movies are relevant to the user, on the list or not
    k           the cutoff, at most n; a list that ran out of movies is padded with False
    returns     (B,) float64; nan where the definition divides by |R| and R is empty

Relevance is binary. The lists come from a ranking of the whole catalogue: a metric over sampled negatives is
another quantity and can order models the other way round (Krichene and Rendle 2020). Average over users with
|R| > 0 only, and print how many they are; libraries that count the others as 0 report smaller numbers.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError, DataError


def find_hits(
    ranked: np.ndarray,
    relevant_indptr: np.ndarray,
    relevant_rows: np.ndarray,
    n_movies: int,
) -> np.ndarray:
    """Return which places of each list hold a relevant movie.

    ranked: (B, n) movie rows, best first, -1 = no movie.  relevant_rows[relevant_indptr[b]:relevant_indptr[b + 1]]
    are the relevant movie rows of list b, in any order.  Cost O((B n + |R|) log |R|).

    >>> find_hits(np.array([[4, 2, -1], [2, 0, 1]]), np.array([0, 1, 3]), np.array([2, 1, 2]), n_movies=5)
    array([[False,  True, False],
           [ True, False,  True]])
    """
    lists = np.arange(len(ranked), dtype=np.int64)
    wanted = np.sort(np.repeat(lists, np.diff(relevant_indptr)) * n_movies + relevant_rows)
    keys = lists[:, None] * n_movies + ranked  # (B, n)
    if not len(wanted):
        return np.zeros(ranked.shape, dtype=bool)
    place = np.searchsorted(wanted, keys).clip(max=len(wanted) - 1)
    hits = (wanted[place] == keys) & (ranked >= 0)
    return hits


def recall(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """Recall@k = hits in the first k / |R|.

    Source: Manning, Raghavan and Schuetze 2008, section 8.3. RecTools, ranx and trec_eval divide by |R| as here;
    LensKit's `Recall` and the papers of Mult-VAE and EASE divide by min(k, |R|): see `capped_recall`.
    """
    return divide(_first(hits, k).sum(axis=1), n_relevant)


def capped_recall(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """Capped recall@k = hits in the first k / min(k, |R|), so that a perfect list always has 1.

    Source: Liang, Krishnan, Hoffman and Jebara 2018 (Mult-VAE), there called Recall@R; LensKit's `Recall`. What
    implicit calls `precision_at_k` is the sum of hits over users / the sum of min(k, |R|) over users.
    """
    return divide(_first(hits, k).sum(axis=1), np.minimum(n_relevant, k))


def precision(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """Precision@k = hits in the first k / k, also for a list shorter than k.

    Source: Manning et al. 2008, section 8.4. trec_eval, ranx and RecTools divide by k too; LensKit divides by the
    length of a short list.
    """
    share = _first(hits, k).sum(axis=1) / float(k)
    return share


def ndcg(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """nDCG@k = sum of 1 / log2(place + 1) over the hits in the first k / the same for min(k, |R|) hits in front.

    Places count from 1. Source: Jaervelin and Kekaelaeinen 2002, with binary gains and the log2(place + 1) discount
    of trec_eval, ranx, implicit and LensKit. RecTools' default `NDCG` divides by the sum of all k discounts however
    few movies are relevant, which makes a perfect list score less than 1.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))
    return divide(_first(hits, k) @ discounts, ideal[np.minimum(n_relevant, k)])


def average_precision(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """AP@k = sum of precision@i over the places i <= k that are hits / |R|; its mean over users is MAP@k.

    Source: Manning et al. 2008, section 8.4. trec_eval, ranx and RecTools divide by |R| too.
    """
    return divide(_precision_sum(hits, k), n_relevant)


def capped_average_precision(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """AP@k divided by min(k, |R|) in place of |R|, so that a perfect list always has 1.

    Source: implicit's `mean_average_precision_at_k` and LensKit's `AveragePrecision` (for lists that are k long).
    Never smaller than `average_precision`; a paper that says "MAP@k" may mean either.
    """
    return divide(_precision_sum(hits, k), np.minimum(n_relevant, k))


def reciprocal_rank(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """RR@k = 1 / place of the first hit, 0 without a hit in the first k; its mean over users is MRR@k.

    Source: Voorhees 1999 (TREC-8 question answering). The libraries agree; trec_eval's `recip_rank` has no cutoff.
    """
    first = _first(hits, k)
    inverse = 1.0 / (first.argmax(axis=1) + 1.0)
    return np.where(first.any(axis=1), inverse, 0.0)


def hit_rate(hits: np.ndarray, n_relevant: np.ndarray, k: int) -> np.ndarray:
    """HitRate@k = 1 where a movie in the first k is relevant, else 0 (ir-measures and ranx: Success@k, hit_rate).

    Source: Deshpande and Karypis 2004. Papers with one held-out movie for each user call the same thing Recall@k.
    """
    hit = np.asarray(_first(hits, k).any(axis=1), dtype=np.float64)
    return hit


def rmse(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Return the root of the mean squared error over all ratings, on the scale of the ratings.

    Source: Bennett and Lanning 2007 (the Netflix Prize). One mean over ratings, as Surprise and LensKit's global
    figure; a mean of per-user values gives users with few ratings more weight and is another number.

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
    "capped_recall": capped_recall,
    "precision": precision,
    "map": average_precision,
    "capped_map": capped_average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def all_metrics(hits: np.ndarray, n_relevant: np.ndarray, ks: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return every metric at every cutoff, named as `ndcg@10`; each (B,) float64."""
    return {f"{name}@{k}": metric(hits, n_relevant, k) for k in ks for name, metric in METRICS.items()}


def _first(hits: np.ndarray, k: int) -> np.ndarray:
    if k < 1:
        raise ChoiceError(f"k = {k} is not a cutoff: give a whole number from 1")
    if hits.ndim != 2 or hits.shape[1] < k:
        raise ChoiceError(f"lists of shape {hits.shape} are too short for k = {k}: rank at least k places, pad with -1")
    return hits[:, :k]


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, nan where whole is 0."""
    if part.shape != whole.shape:
        raise DataError(f"{len(part)} lists and {len(whole)} relevance counts: give one count for each list")
    shares = np.full(part.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _precision_sum(hits: np.ndarray, k: int) -> np.ndarray:
    first = _first(hits, k)
    total = (first * np.cumsum(first, axis=1) / np.arange(1, k + 1)).sum(axis=1)
    return total


def _errors(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> np.ndarray:
    """Return predicted - actual, both (n,); unequal shapes would broadcast to (n, n) in silence."""
    guess, truth = np.asarray(predicted, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if guess.shape != truth.shape or guess.ndim != 1 or not len(guess):
        raise DataError(f"predictions {guess.shape} and ratings {truth.shape}: give two equal lists, not empty")
    return guess - truth
