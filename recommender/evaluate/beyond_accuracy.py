"""What accuracy does not see: how much of the catalogue is shown, how well known it is, how alike it is.

`ranked` is (B, k) movie rows, -1 = no movie, everywhere. Three kinds of values: one for each list (novelty,
diversity, tier shares), one for all lists together (coverage, Gini index of exposure), and accuracy for a group
(movies or users about which little is known). Those for all lists are computed from `exposure`, which adds up
over batches, so 160,000 lists never have to be in memory together.
"""

from __future__ import annotations

import numpy as np

from ..data.errors import DataError
from .metrics import divide

N_TIERS = 3


def exposure(ranked: np.ndarray, n_movies: int) -> np.ndarray:
    """Return how many of the lists show each movie, (n_movies,); add the results of batches."""
    return np.bincount(ranked[ranked >= 0], minlength=n_movies).astype(np.int64)


def coverage(shown: np.ndarray) -> float:
    """Return the share of the catalogue that at least one list shows: |union of lists| / n_movies.

    Source: Herlocker et al. 2004, section 4.2 (catalogue coverage). It grows with the number of lists: compare
    models over the same users only. RecTools' `CatalogCoverage` counts movies unless asked for the share.

    >>> coverage(np.array([3, 0, 1, 0]))
    0.5
    """
    return float(np.mean(shown > 0)) if len(shown) else 0.0


def gini(shown: np.ndarray) -> float:
    """Return the Gini index of exposure: 0 = every movie shown equally often, near 1 = one movie has it all.

    With x_1 <= ... <= x_n the exposures, G = sum_i (2 i - n - 1) x_i / (n sum_i x_i). Source: Fleder and Hosanagar
    2009, over the whole catalogue, movies never shown included; LensKit's `ListGini` is the same. The form of
    Adomavicius and Kwon 2012 runs the other way (1 - G). The largest value is 1 - 1/n.

    >>> gini(np.array([2, 2, 2])), gini(np.array([0, 0, 0, 8]))
    (0.0, 0.75)
    """
    x = np.sort(shown).astype(np.float64)
    if not x.sum():
        return 0.0
    rank = np.arange(1, len(x) + 1)
    return float(((2 * rank - len(x) - 1) * x).sum() / (len(x) * x.sum()))


def novelty(ranked: np.ndarray, n_raters: np.ndarray, n_users: int) -> np.ndarray:
    """Return each list's mean self-information, (B,) bits: mean of -log2(n_raters / n_users) over its movies.

    n_raters: (n_movies,) how many of the n_users training users rated each movie; a movie with none counts as one
    with one, since its information would be infinite. Source: Zhou et al. 2010; RecTools' `MeanInvUserFreq` is the
    same. An empty list has nan.

    >>> novelty(np.array([[0, 1], [1, -1]]), np.array([4, 1]), n_users=4).tolist()
    [1.0, 2.0]
    """
    information = -np.log2(np.maximum(n_raters, 1) / float(max(n_users, 1)))
    return _mean_over_list(ranked, information)


def intra_list_diversity(ranked: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return each list's mean distance 1 - cosine over its pairs of movies, (B,), in a fixed space.

    features: (n_movies, d), such as genres as 0 and 1; never the space of the model that is measured, which would
    mark its own work. A movie with a zero vector is at distance 1 from every other. Source: Ziegler et al. 2005,
    as a distance (Smyth and McClure 2001). The cosines of all pairs are (|sum f|^2 - sum |f|^2) / 2, so the cost
    is O(B k d) and not O(B k^2 d). Lists of fewer than two movies have nan.

    >>> intra_list_diversity(np.array([[0, 1, 2]]), np.array([[1.0, 0], [1, 0], [0, 2]])).round(3).tolist()
    [0.667]
    """
    unit = np.asarray(features, dtype=np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    vectors = np.where((ranked >= 0)[:, :, None], unit[ranked], 0.0)  # (B, k, d)
    total = vectors.sum(axis=1)  # (B, d)
    cosines = (np.square(total).sum(axis=1) - np.square(vectors).sum(axis=(1, 2))) / 2
    n_movies = (ranked >= 0).sum(axis=1)
    pairs = n_movies * (n_movies - 1) / 2
    return 1.0 - divide(cosines, pairs)


def tier_shares(ranked: np.ndarray, tiers: np.ndarray) -> np.ndarray:
    """Return the share of each list that is head, mid and tail: (B, 3), rows that add up to 1.

    tiers: (n_movies,) 0 = head, 1 = mid, 2 = tail, from `recommender.data.weighting.popularity_tiers` on training
    counts (head the top 10% of movies, mid the next 40%). The last column is the long-tail share; where papers
    split head and tail by 80% of the *ratings* instead (Abdollahpouri et al. 2017), their tail is larger.

    >>> tier_shares(np.array([[0, 1, 2, 2]]), np.array([0, 1, 2])).tolist()
    [[0.25, 0.25, 0.5]]
    """
    return np.stack([_mean_over_list(ranked, (tiers == tier).astype(np.float64)) for tier in range(N_TIERS)], axis=1)


def group_recall(
    ranked: np.ndarray,
    hits: np.ndarray,
    relevant_indptr: np.ndarray,
    relevant_rows: np.ndarray,
    in_group: np.ndarray,
) -> np.ndarray:
    """Return recall on the movies of a group alone, (B,): hits in the group / relevant movies in the group.

    in_group: (n_movies,) bool, such as cold-start movies (few ratings in train). nan for users without a relevant
    movie in the group: leave them out of the mean. `hits` as in `metrics.find_hits`, for the same lists.
    """
    if ranked.shape != hits.shape:
        raise DataError(f"lists {ranked.shape} and hits {hits.shape}: give the hits of these lists")
    wanted_before = np.concatenate(([0], np.cumsum(in_group[relevant_rows])))
    wanted = wanted_before[relevant_indptr[1:]] - wanted_before[relevant_indptr[:-1]]
    found = (hits & in_group[ranked]).sum(axis=1)
    return divide(found, wanted)


def _mean_over_list(ranked: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of values[movie] over each list's movies, (B,); nan for an empty list."""
    present = ranked >= 0
    total = np.where(present, values[ranked], 0.0).sum(axis=1)
    return divide(total, present.sum(axis=1))
