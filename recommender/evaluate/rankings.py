"""Rankings for known users: all metrics of each model's lists, and its differences from a reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.interactions import LIKED
from ..data.weighting import TAIL, popularity_tiers
from . import metrics
from .protocols import Evaluation
from .report import Report
from .run import Options, Ranking, Spec, rank
from .significance import compare

COLD_USER, COLD_MOVIE = 20, 5  # cold start: at most this number of known ratings; MovieLens asks new users for 20


def evaluate(
    cases: Sequence[Evaluation], specs: Sequence[Spec], catalog: Optional[Catalog], options: Options
) -> Iterator[Report]:
    """Yield the values of all models on each case, and their differences from the first of them.

    Cases with one root are answered from the same lists.
    """
    rankings: dict[tuple[str, str], Ranking] = {}
    genres = None if catalog is None else catalog.genres
    for case in cases:
        root, report = case.root or case, start_report(case, options)
        of_case = np.searchsorted(root.user_rows, case.user_rows)
        for spec in specs:
            if (root.name, spec.label) not in rankings:
                rankings[root.name, spec.label] = rank(spec, root, catalog, options)
            found = rankings[root.name, spec.label]
            values, overall = score_lists(case, found.rows[of_case], options.ks, genres)
            overall |= rating_errors(case, found.predicted)
            overall |= {"fit_seconds": found.fit_seconds, "rank_seconds": found.rank_seconds}
            report.values[spec.label], report.overall[spec.label] = values, overall
        report.reference, rng = specs[0].label, np.random.default_rng(options.seed)
        compared = [f"{name}@{k}" for k in options.ks for name in ("ndcg", "recall")]
        report.compared = compare(report.values, report.reference, compared, options.n_resamples, rng)
        yield report


def score_lists(
    case: Evaluation, rows: np.ndarray, ks: Sequence[int], genres: Optional[np.ndarray] = None
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return all values of the lists `rows` (n_users, n), n at least the largest of `ks`.

    First of each user: measure -> (n_users,), nan if it is undefined; then of all: measure -> value.
    genres: (n_movies, n_genres), the space of intra-list diversity; without it, diversity is omitted.
    Tiers, novelty and the cold groups are counted in `case.known`: they do not move with the model.
    Cost O(n_users n (log |R| + n_genres)).
    """
    counts, n_known = case.known.movie_counts(), np.diff(case.known.indptr)
    in_tail, n_raters = popularity_tiers(counts) == TAIL, int((n_known > 0).sum())
    values, lists = case.accuracy(rows, ks), rows.astype(np.int64)
    cold = case.accuracy(rows, ks, among=counts <= COLD_MOVIE)
    for k in ks:
        values[f"novelty@{k}"] = metrics.novelty(lists[:, :k], counts, n_raters)
        if genres is not None:
            values[f"diversity@{k}"] = metrics.intra_list_diversity(lists[:, :k], genres)
        values[f"tail_share@{k}"] = metrics.mean_over_list(lists[:, :k], in_tail)
        values[f"cold_movie_recall@{k}"] = cold[f"recall@{k}"]
    overall = {name: _mean(each) for name, each in values.items()}
    is_cold = n_known[case.user_rows] <= COLD_USER
    for k in ks:
        overall.update((f"{name}@{k}", value) for name, value in metrics.exposure(lists[:, :k], len(counts)).items())
        for name in (f"ndcg@{k}", f"recall@{k}"):
            overall[f"cold_user_{name}"] = _mean(values[name][is_cold])
    return values, overall


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined, nan if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


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
    pair = predicted[of_rating], case.held_out.ratings[of_rating]
    return {"rmse": metrics.rmse(*pair), "mae": metrics.mae(*pair)}


def start_report(case: Evaluation, options: Options) -> Report:
    """Return the report of `case`, without models: who is evaluated, on what."""
    indptr, relevant = case.relevant()
    n_known = np.diff(case.known.indptr)[case.user_rows]
    facts = {"n_known": n_known, "n_relevant": np.diff(indptr), "gap_seconds": case.gap()}
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in case.left_out.items() if count) or "nobody"
    known = f"{case.known.n_ratings:,} known ratings of {case.known.n_movies:,} movies; all unseen movies ranked"
    notes = [f"{case.n_users:,} users evaluated; left out: {left_out}", f"{known}; relevant: {LIKED:g} stars or more"]
    if not case.known.has_times:
        notes.append("these ratings have no times: their order is used")
    if case.fit_before is not None:
        fitted = f"models fitted up to {(case.root or case).n_stages} times, each on ratings from before all moments"
        notes.append(f"{fitted} that it ranks for: {case.missed:.1%} fewer than there were, on average")
    n_wanted = int((case.known.movie_counts() <= COLD_MOVIE)[relevant].sum())
    notes.append(f"{(n_known <= COLD_USER).sum():,} cold-start users, {n_wanted:,} relevant cold-start movies")
    groups = {
        "mean": metrics.METRICS,
        "beyond accuracy": ("coverage", "gini", "novelty", "diversity", "tail_share"),
        "cold start": ("cold_user_ndcg", "cold_user_recall", "cold_movie_recall"),
    }
    tables = {f"{what}, k = {k}": [f"{name}@{k}" for name in groups[what]] for k in options.ks for what in groups}
    tables.update({"expected ratings": ["rmse", "mae"], "seconds": ["fit_seconds", "rank_seconds"]})
    return Report(case.name, options.part, case.known.user_ids[case.user_rows], notes, tables, facts)
