"""From ranked lists to figures: one value of each metric for each person, and their means.

    per person      accuracy at each k; novelty, diversity and long-tail share of the first k; what is known of them
    all together    coverage and Gini index of the first k; recall for cold-start movies; means for cold-start users

Long-tail tiers, novelty and the cold groups are counted in the known ratings of the case, so they do not move with
the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..data.weighting import popularity_tiers
from . import beyond_accuracy as beyond
from . import metrics
from .protocols import Evaluation

COLD_USER = 20  # ratings: MovieLens asks newcomers for 20
COLD_MOVIE = 5
_BATCH = 4096  # people at a time, fewer where lists are long:
_CELLS = 1 << 18  # diversity holds (B, k, n_genres)


@dataclass(frozen=True)
class Scored:
    """Figures of one model on one case.

    per_user: name -> (n_users,) float64, in order of `Evaluation.user_rows`; nan where a metric is undefined.
    overall: name -> value; the mean of each per-user metric over those who have it, and the figures of all lists.
    seconds: "fit" and "rank", as measured when the lists were made.
    """

    model: str
    per_user: dict[str, np.ndarray]
    overall: dict[str, float]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Groups:
    """What a case says about people and movies, whatever the model; made once for all models."""

    indptr: np.ndarray
    relevant: np.ndarray
    n_raters: np.ndarray
    n_known_users: int
    tiers: np.ndarray
    cold_movies: np.ndarray
    cold_users: np.ndarray
    facts: dict[str, np.ndarray]


def groups_of(case: Evaluation, cold_user: int = COLD_USER, cold_movie: int = COLD_MOVIE) -> Groups:
    """Return the groups: cold are people with at most `cold_user` and movies with at most `cold_movie` ratings."""
    indptr, relevant = case.relevant()
    known = np.diff(case.known.indptr)[case.user_rows]
    counts = case.known.movie_counts()
    facts = {
        "user_id": case.known.user_ids[case.user_rows].astype(np.float64),
        "n_known": known.astype(np.float64),
        "n_relevant": np.diff(indptr).astype(np.float64),
        "gap_seconds": case.gap().astype(np.float64),
    }
    return Groups(
        indptr=indptr,
        relevant=relevant,
        n_raters=counts,
        n_known_users=int((np.diff(case.known.indptr) > 0).sum()),
        tiers=popularity_tiers(counts),
        cold_movies=counts <= cold_movie,
        cold_users=known <= cold_user,
        facts=facts,
    )


def score_lists(
    model: str,
    case: Evaluation,
    rows: np.ndarray,
    ks: Sequence[int],
    groups: Groups,
    genres: Optional[np.ndarray] = None,
    seconds: Optional[dict[str, float]] = None,
) -> Scored:
    """Return all figures of the lists `rows` (n_users, n), n at least the largest of `ks`.

    genres: (n_movies, n_genres), the space of intra-list diversity; without it, diversity is left out.
    Cost O(n_users n (log |R| + n_genres)), a batch of people at a time.
    """
    cutoffs = tuple(sorted(set(ks)))
    if not cutoffs:
        raise ChoiceError("no cutoff: give at least one k")
    if len(rows) != case.n_users:
        raise DataError(f"{len(rows)} lists for {case.n_users} people: give one list for each")
    n_movies = case.known.n_movies
    shown = {k: np.zeros(n_movies, dtype=np.int64) for k in cutoffs}
    parts: dict[str, list[np.ndarray]] = {}
    size = max(1, min(_BATCH, _CELLS // cutoffs[-1]))
    for start in range(0, case.n_users, size):
        stop = min(start + size, case.n_users)
        lists = rows[start:stop].astype(np.int64)
        indptr = groups.indptr[start : stop + 1]
        relevant = groups.relevant[indptr[0] : indptr[-1]]
        indptr = indptr - indptr[0]
        hits = metrics.find_hits(lists, indptr, relevant, n_movies)
        values = metrics.all_metrics(hits, np.diff(indptr), cutoffs)
        for k in cutoffs:
            first = lists[:, :k]
            values[f"novelty@{k}"] = beyond.novelty(first, groups.n_raters, groups.n_known_users)
            if genres is not None:
                values[f"diversity@{k}"] = beyond.intra_list_diversity(first, genres)
            values[f"tail_share@{k}"] = beyond.tier_shares(first, groups.tiers)[:, -1]
            cold = beyond.group_recall(first, hits[:, :k], indptr, relevant, groups.cold_movies)
            values[f"cold_movie_recall@{k}"] = cold
            shown[k] += beyond.exposure(first, n_movies)
        for name, part in values.items():
            parts.setdefault(name, []).append(part)
    per_user = {name: np.concatenate(pieces) for name, pieces in parts.items()}
    overall = {name: _mean(values) for name, values in per_user.items()}
    for k in cutoffs:
        overall[f"coverage@{k}"] = beyond.coverage(shown[k])
        overall[f"gini@{k}"] = beyond.gini(shown[k])
        for name in ("ndcg", "recall"):
            overall[f"cold_user_{name}@{k}"] = _mean(per_user[f"{name}@{k}"][groups.cold_users])
    return Scored(model, per_user, overall, dict(seconds or {}))


def rating_errors(case: Evaluation, predicted: np.ndarray, everybody: bool) -> dict[str, float]:
    """Return `rmse` and `mae` of predicted ratings, (n_held_out,); empty where a model predicts none.

    everybody: over all held-out ratings of people with a known one; otherwise over those of `case.user_rows` alone.
    """
    if not len(predicted):
        return {}
    counted = np.diff(case.known.indptr) > 0
    if not everybody:
        counted &= np.isin(np.arange(case.known.n_users), case.user_rows)
    of_rating = counted[case.held_out.user_rows()]
    actual = case.held_out.ratings[of_rating]
    return {"rmse": metrics.rmse(predicted[of_rating], actual), "mae": metrics.mae(predicted[of_rating], actual)}


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined, nan where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
