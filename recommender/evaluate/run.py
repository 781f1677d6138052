"""Rank for all users of a case in batches and score the lists; an interrupted run resumes from its checkpoint.

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
from ..data.interactions import LIKED, Interactions
from ..learn import registry
from ..learn.base import Ranker, best_unseen, last_times
from .beyond_accuracy import COLD_MOVIE, COLD_USER, rating_errors, score_lists
from .metrics import METRICS
from .protocols import Evaluation
from .report import Report
from .significance import N_RESAMPLES

VERSION = 1  # of what rankings depend on beside data and settings: raise it where a model or `rank` computes otherwise
_BATCH_BYTES = 32 << 20  # of scores; models need a few times as much beside them
_PAIR = re.compile(r":(?=[a-z_]+=)")  # addresses in settings hold colons too
_STAGE = {"rows": np.int32, "predicted": np.float32, "seconds": np.float64}

Progress = Callable[[int, int, str], None]  # done, total, what is being done
Scores = Callable[[Interactions, np.ndarray], np.ndarray]  # history, user_rows -> (B, n_movies) float32


def _silent(done: int, total: int, what: str) -> None:
    """Show no progress."""


class Options(NamedTuple):
    """How to evaluate: part, val or test; cutoffs; seed of bootstrap and folds; a folder where finished work is found
    again; and what starts the progress of a piece of work with this label."""

    part: str = "test"
    ks: tuple[int, ...] = (10, 20)
    n_resamples: int = N_RESAMPLES
    seed: int = 0
    checkpoint: Optional[Path] = None
    start_progress: Callable[[str], Progress] = lambda label: _silent


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
            if not key or not value:
                raise ChoiceError(f"{what} {text!r}: {pair!r} is not key=value; write {name}:key=value")
            if key in settings:
                raise ChoiceError(f"{what} {text!r} sets {key} twice: give each setting once")
            try:
                settings[key] = json.loads(value)  # true, false, a number
            except ValueError:
                settings[key] = value
        return cls(text, name, settings)


class FunctionRanker(Ranker):
    """A model given as a function that makes `Scores` from what it is fitted on."""

    def __init__(self, prepare: Callable[[Interactions], Scores]) -> None:
        super().__init__()
        self.prepare = prepare

    def _fit(self, train: Interactions) -> None:
        self.function = self.prepare(train)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return self.function(history, user_rows)


class Ranking(NamedTuple):
    """What one model recommends, and the seconds of its work.

    rows: (n_users, n) int32, best first, -1 = none left.  predicted: (n_held_out,) float32, the ratings that it
    expects; empty for a model whose scores are not ratings, and in strict time.
    """

    rows: np.ndarray
    predicted: np.ndarray
    fit_seconds: float
    rank_seconds: float


def rank(
    make: Callable[[], Ranker],
    case: Evaluation,
    n: int,
    checkpoint: Optional[Path] = None,
    progress: Progress = _silent,
    batch_size: Optional[int] = None,
) -> Ranking:
    """Fit a model on each stage of `case` and return the n best unseen movies of each user.

    make: gives a new, unfitted model for each stage.  checkpoint: a folder for this model, case and n alone
    (`checkpoint_key`); a stage found there is not ranked again.  Ties are broken by ascending movie id.
    Memory: the lists, the model, and one batch of scores.
    """
    rows = np.full((case.n_users, n), -1, dtype=np.int32)
    predicted, seconds, done = np.empty(0, dtype=np.float32), np.zeros(2), 0
    for number, (train, people) in enumerate(case.stages()):
        of_stage = f", stage {number + 1} of {case.n_stages}" if case.n_stages else ""
        show = partial(_show, progress, case.n_users, of_stage, done)
        path = checkpoint and checkpoint / f"stage-{number:04d}.npz"
        found = kept(path, _STAGE, partial(_run_stage, make, case, train, people, n, batch_size, show))
        rows[people], predicted = found["rows"], found["predicted"]
        seconds += found["seconds"]
        done += len(people)
    progress(done, done, "")
    return Ranking(rows, predicted, *seconds.tolist())


def _show(progress: Progress, n_users: int, of_stage: str, before: int, what: str, ranked: int) -> None:
    progress(before + ranked, n_users, what + of_stage)


def _run_stage(
    make: Callable[[], Ranker],
    case: Evaluation,
    train: Interactions,
    people: np.ndarray,
    n: int,
    batch_size: Optional[int],
    show: Callable[[str, int], None],
) -> dict[str, np.ndarray]:
    """Return the lists of `people` (positions in `case.user_rows`), predicted ratings, and seconds of fit and rank."""
    show("fit", 0)
    started = time.perf_counter()
    model = make().fit(train)
    fitted = time.perf_counter()
    size = batch_size or max(1, _BATCH_BYTES // (4 * max(train.n_movies, 1)))
    rows = np.empty((len(people), n), dtype=np.int32)
    predicts = model.scores_are_ratings and not case.n_stages
    predicted = np.empty(case.held_out.n_ratings if predicts else 0, dtype=np.float32)

    def score(users: np.ndarray, at: np.ndarray) -> np.ndarray:
        scores = model.score(case.known, users, at)  # (B, n_movies)
        for line, row in enumerate(users if predicts else ()):
            wanted = case.held_out.row(row)
            predicted[wanted] = scores[line, case.held_out.movie_rows[wanted]]
        return scores

    for low in range(0, len(rows), size):
        batch = people[low : low + size]
        users, at = case.user_rows[batch], case.at[batch]
        rows[low : low + size] = best_unseen(score(users, at), case.known, users, n, case.candidates)
        show("rank", low + len(batch))
    if predicts:
        # The others with held-out ratings: at the first of them or the last known, whichever is later.
        others = np.setdiff1d(np.flatnonzero(np.diff(case.held_out.indptr)), case.user_rows)
        for low in range(0, len(others), size):
            users = others[low : low + size]
            score(users, np.maximum(case.held_out.times[case.held_out.indptr[users]], last_times(case.known, users)))
        if train.n_ratings:
            np.clip(predicted, train.ratings.min(), train.ratings.max(), out=predicted)
    seconds = np.array([fitted - started, time.perf_counter() - fitted])
    return {"rows": rows, "predicted": predicted, "seconds": seconds}


def kept(
    path: Optional[Path], dtypes: Mapping[str, npt.DTypeLike], make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the arrays stored at `path`; if there are none, make and store them. None: keep nothing."""
    if path is None:
        return make()
    try:
        return load_arrays(path, dtypes)
    except ArtifactError:  # missing or damaged
        arrays = make()
    with replace_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def checkpoint_key(case: Evaluation, spec: Spec, n: int, catalog: Optional[Catalog]) -> str:
    """Return the folder name under which a ranking is kept: the model and a hash of all that the lists depend on.

    Ratings, users, moments, movies, settings, length, `VERSION` and numpy's version; change `VERSION` with the code.
    """
    digest = hashlib.sha256()
    arrays = [case.user_rows, case.at, *([] if case.candidates is None else [case.candidates])]
    for data in (case.known, case.held_out):
        arrays += [data.user_ids, data.movie_ids, data.indptr, data.movie_rows, data.ratings, data.times]
    if catalog is not None:
        arrays += [catalog.movie_ids, catalog.n_ratings, catalog.genres]
        for row in range(len(catalog)):
            digest.update(repr(catalog.movie(row)).encode())  # what movies are about, and who is in them
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    words = [spec.name, dict(spec.settings), n, case.n_stages, VERSION, np.__version__]
    digest.update(json.dumps(words, sort_keys=True, default=str).encode())
    return f"{spec.name}-{digest.hexdigest()[:24]}"


def rank_spec(spec: Spec, case: Evaluation, catalog: Optional[Catalog], options: Options) -> Ranking:
    """Rank with the model of `spec`; what the checkpoint holds is not ranked again."""
    n, make = max(options.ks), partial(spec.make or partial(registry.make, spec.name), catalog=catalog, **spec.settings)
    folder = options.checkpoint and options.checkpoint / checkpoint_key(case, spec, n, catalog)
    return rank(make, case, n, folder, options.start_progress(f"{case.name}: {spec.label}"))


def evaluate(
    cases: Sequence[Evaluation],
    specs: Sequence[Spec],
    catalog: Optional[Catalog],
    options: Options,
    against: str = "first",
) -> Iterator[Report]:
    """Yield the values of all models on each case, and their differences from the model `against`.

    Cases with one root are answered from the same lists. against: a label, "first", or "best" (by the first nDCG).
    """
    rankings: dict[tuple[str, str], Ranking] = {}
    for case in cases:
        root = case.root or case
        of_case = np.searchsorted(root.user_rows, case.user_rows)
        same_movies = catalog is not None and np.array_equal(catalog.movie_ids, case.known.movie_ids)
        genres = catalog.genres if catalog is not None and same_movies else None
        report = start_report(case, options)
        for spec in specs:
            if (root.name, spec.label) not in rankings:
                rankings[root.name, spec.label] = rank_spec(spec, root, catalog, options)
            rows, predicted, fit, rank = rankings[root.name, spec.label]
            values, overall = score_lists(case, rows[of_case], options.ks, genres)
            overall.update(rating_errors(case, predicted), fit_seconds=fit, rank_seconds=rank)
            report.values[spec.label], report.overall[spec.label] = values, overall
        compared = [f"{name}@{k}" for k in options.ks for name in ("ndcg", "recall")]
        best = max(report.overall, key=lambda label: report.overall[label][compared[0]])
        reference = {"first": next(iter(report.overall)), "best": best}.get(against, against)
        report.compare(report.values, reference, compared, options.n_resamples, np.random.default_rng(options.seed))
        yield report


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
    if case.n_stages:
        fitted = f"models fitted up to {case.n_stages} times, each on ratings from before all moments that it ranks for"
        notes.append(f"{fitted}: {case.missed:.1%} fewer than there were, on average")
    n_wanted = int((case.known.movie_counts() <= COLD_MOVIE)[relevant].sum())
    notes.append(f"{(n_known <= COLD_USER).sum():,} cold-start users, {n_wanted:,} relevant cold-start movies")
    groups = {
        "mean": METRICS,
        "beyond accuracy": ("coverage", "gini", "novelty", "diversity", "tail_share"),
        "cold start": ("cold_user_ndcg", "cold_user_recall", "cold_movie_recall"),
    }
    tables = {
        f"{what}, k = {k}": [f"{name}@{k}" for name in names] for k in options.ks for what, names in groups.items()
    }
    tables.update({"expected ratings": ["rmse", "mae"], "seconds": ["fit_seconds", "rank_seconds"]})
    return Report(case.name, options.part, case.known.user_ids[case.user_rows], notes, tables, facts)
