"""Rank for all users of a case in batches, and score the lists; an interrupted run resumes from its checkpoint.

A ranking is the first n unseen movies of each user, (n_users, n) int32: 160,000 users take 13 MB for n = 20, while
their scores would take 8 GB. All values are computed from these lists, so a new metric never asks a model again.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError
from ..data.files import load_arrays, replace_file
from ..data.interactions import LIKED
from ..data.weighting import TAIL, popularity_tiers
from ..learn import registry
from ..learn.base import Ranker, best_unseen, last_times
from . import metrics
from .protocols import Evaluation
from .report import Report
from .significance import N_RESAMPLES, compare

VERSION = 2  # of what rankings depend on beside data and settings: raise it where a model or `rank` computes otherwise
_BATCH_BYTES = 32 << 20  # of scores; models need a few times as much beside them
_PAIR = re.compile(r":(?=[a-z_]+=)")  # addresses in settings hold colons too
_STAGE = {"rows": np.int32, "predicted": np.float32, "seconds": np.float64}
COLD_USER, COLD_MOVIE = 20, 5  # cold start: at most this number of known ratings; MovieLens asks new users for 20

Progress = Callable[[int, int, str], None]  # done, total, what is being done


class Options(NamedTuple):
    """How to evaluate: part, val or test; cutoffs; seed of bootstrap and folds; a folder where finished work is found
    again; and what starts the progress of a piece of work with this label."""

    part: str = "test"
    ks: tuple[int, ...] = (10, 20)
    n_resamples: int = N_RESAMPLES
    seed: int = 0
    checkpoint: Optional[Path] = None
    start_progress: Callable[[str], Progress] = lambda label: lambda done, total, what: None


@dataclass(frozen=True)
class Spec:
    """A model or a backend to evaluate; `label` is what tables call it, `make` None for a model of the registry."""

    label: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    make: Optional[Callable[..., Ranker]] = None

    @classmethod
    def parse(cls, text: str, names: Sequence[str], what: str = "model") -> Spec:
        """Read `name:key=value:key=value`; raises `ChoiceError` for another form or a name that is not in `names`.

        >>> Spec.parse("http:base_url=http://localhost:8000/v1:dimensions=64", ["http"]).settings
        {'base_url': 'http://localhost:8000/v1', 'dimensions': 64}
        """
        name, colon, rest = text.partition(":")
        if name not in names:
            raise ChoiceError(f"unknown {what} {name!r}: choose from {', '.join(names)}")
        settings: dict[str, Any] = {}
        for pair in _PAIR.split(rest) if colon else ():
            key, _, value = pair.partition("=")
            if not key or not value or key in settings:
                raise ChoiceError(f"{what} {text!r}: {pair!r} is not key=value with a new key; write {name}:key=value")
            try:
                settings[key] = json.loads(value)  # true, false, a number
            except ValueError:
                settings[key] = value
        return cls(text, name, settings)


class Ranking(NamedTuple):
    """What one model recommends, and the seconds of its work.

    rows: (n_users, n) int32, best first, -1 = none left.  predicted: (n_held_out,) float32, the ratings that it
    expects; empty for a model whose scores are not ratings, and in strict time.
    """

    rows: np.ndarray
    predicted: np.ndarray
    fit_seconds: float
    rank_seconds: float


def rank(spec: Spec, case: Evaluation, catalog: Optional[Catalog], options: Options) -> Ranking:
    """Fit the model of `spec` on each stage of `case` and return the best unseen movies of each user.

    As many as the largest cutoff; ties are broken by ascending movie id. A stage that the checkpoint holds is not
    ranked again. Memory: the lists, the model, and one batch of scores.
    """
    n, progress = max(options.ks), options.start_progress(f"{case.name}: {spec.label}")
    make = spec.make or partial(registry.make, spec.name)
    folder = options.checkpoint and options.checkpoint / checkpoint_key(case, spec, n, catalog)
    rows = np.full((case.n_users, n), -1, dtype=np.int32)
    predicted, seconds = np.empty(0, dtype=np.float32), np.zeros(2)
    for number, (train, people) in enumerate(case.stages()):
        of_stage = f", stage {number + 1} of {case.n_stages}" if case.n_stages else ""
        path = folder and folder / f"stage-{number:04d}.npz"
        found = kept(path, _STAGE)
        if found is None:
            progress(0, len(people), f"fit{of_stage}")
            started = time.perf_counter()
            model = make(catalog=catalog, **spec.settings).fit(train)
            fitted = time.perf_counter()
            show = partial(_show, progress, f"rank{of_stage}", len(people))
            lists, ratings = make_lists(model, case, people, n, show)
            times = np.array([fitted - started, time.perf_counter() - fitted])
            found = keep(path, {"rows": lists, "predicted": ratings, "seconds": times})
        rows[people], predicted = found["rows"], found["predicted"]
        seconds += found["seconds"]
    progress(case.n_users, case.n_users, "")
    return Ranking(rows, predicted, *seconds.tolist())


def _show(progress: Progress, what: str, total: int, done: int) -> None:
    progress(done, total, what)


def make_lists(
    model: Ranker, case: Evaluation, people: np.ndarray, n: int, show: Callable[[int], object] = lambda ranked: None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lists of `people` (positions in `case.user_rows`), and the ratings expected: see `Ranking`."""
    size = max(1, _BATCH_BYTES // (4 * max(case.known.n_movies, 1)))
    users, at, held_out = case.user_rows[people], case.at[people], case.held_out
    predicts = model.scores_are_ratings and not case.n_stages
    predicted = np.empty(held_out.n_ratings if predicts else 0, dtype=np.float32)
    if predicts:  # for the others with held-out ratings too: at the first of them or the last known, if that is later
        others = np.setdiff1d(np.flatnonzero(np.diff(held_out.indptr)), users)
        moments = np.maximum(held_out.times[held_out.indptr[others]], last_times(case.known, others))
        users, at = np.append(users, others), np.append(at, moments)
    rows = np.empty((len(users), n), dtype=np.int32)
    bounds = sorted({*range(0, len(people), size), *range(len(people), len(users), size), len(users)})
    for low, high in zip(bounds, bounds[1:]):
        batch = slice(low, high)
        scores = model.score(case.known, users[batch], at[batch])  # (B, n_movies)
        for line, row in enumerate(users[batch] if predicts else ()):
            wanted = held_out.row(row)
            predicted[wanted] = scores[line, held_out.movie_rows[wanted]]
        rows[batch] = best_unseen(scores, case.known, users[batch], n, case.candidates)
        show(min(high, len(people)))
    if predicts and case.known.n_ratings:
        np.clip(predicted, case.known.ratings.min(), case.known.ratings.max(), out=predicted)
    return rows[: len(people)], predicted


def ranking_quality(model: Ranker, case: Evaluation, k: int = 10) -> float:
    """Return the mean nDCG@k of a fitted model over the users of `case`, all unseen movies ranked."""
    lists, _ = make_lists(model, case, np.arange(case.n_users), k)
    return float(case.accuracy(lists, (k,))[f"ndcg@{k}"].mean()) if case.n_users else float("nan")


def kept(path: Optional[Path], dtypes: Mapping[str, npt.DTypeLike]) -> Optional[dict[str, np.ndarray]]:
    """Return the arrays that `keep` stored at `path`, None if there are none or if they are damaged."""
    try:
        return load_arrays(path, dtypes) if path is not None else None
    except ArtifactError:
        return None


def keep(path: Optional[Path], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Store the arrays at `path`, unless it is None, and return them."""
    if path is not None:
        with replace_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def checkpoint_key(case: Evaluation, spec: Spec, n: int, catalog: Optional[Catalog]) -> str:
    """Return the folder name under which a ranking is kept: the model and a hash of all that the lists depend on.

    Ratings, users, moments, movies, settings, length, `VERSION` and numpy's version; change `VERSION` with the code.
    """
    digest = hashlib.sha256()
    arrays = [each for each in (case.user_rows, case.at, case.fit_before, case.candidates) if each is not None]
    for data in (case.known, case.held_out):
        arrays += [data.user_ids, data.movie_ids, data.indptr, data.movie_rows, data.ratings, data.times]
    if catalog is not None:
        arrays += [catalog.movie_ids, catalog.n_ratings, catalog.genres]
        for row in range(len(catalog)):
            digest.update(repr(catalog.movie(row)).encode())  # what movies are about, and who is in them
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    words = [spec.name, dict(spec.settings), n, VERSION, np.__version__]
    digest.update(json.dumps(words, sort_keys=True, default=str).encode())
    return f"{spec.name}-{digest.hexdigest()[:24]}"


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
