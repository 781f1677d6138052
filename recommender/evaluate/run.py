"""Rank for everybody of a case, in batches, and score the lists; what is done is kept, so a stopped run goes on.

A ranking is the first n unseen movies of each person, (n_users, n) int32: 160,000 people take 13 MB for n = 20, while
their scores would take 8 GB. All figures are computed from these lists, so a new metric never asks a model again:

    per person      accuracy at each k; novelty, diversity and long-tail share of the first k
    all together    coverage and Gini index of the first k; recall for cold-start movies; means for cold-start users

Tiers, novelty and the cold groups are counted in the known ratings of the case: they do not move with the model.
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

from ..data.artifacts import load_npz, replace_file
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError
from ..learn import registry
from ..learn.base import Ranker, mask_seen
from ..linalg.top_n import top_n
from .beyond_accuracy import rating_errors, score_lists
from .protocols import Evaluation, Stage, last_times
from .report import Report, Result
from .significance import N_RESAMPLES, compare

VERSION = 1  # of what rankings depend on beside data and settings: raise it where a model or `rank` computes otherwise
_BATCH_BYTES = 32 << 20  # of scores; models need a few times as much beside them
_PAIR = re.compile(r":(?=[a-z_]+=)")  # addresses in settings hold colons too

Progress = Callable[[int, int, str], None]  # done, total, what is being done
StartProgress = Callable[[str], Optional[Progress]]


@dataclass(frozen=True)
class Spec:
    """A model or a backend to evaluate, by name and settings; `label` is what tables call it."""

    label: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, names: Sequence[str], what: str = "model") -> Spec:
        """Read `name:key=value:key=value`; raises `ChoiceError` for another form or a name that is not in `names`.

        >>> Spec.parse("http:base_url=http://localhost:8000/v1:dimensions=64", ["http"]).settings
        {'base_url': 'http://localhost:8000/v1', 'dimensions': 64}
        """
        name, colon, rest = text.partition(":")
        if name not in names:
            raise ChoiceError(f"no {what} is called {name!r}: choose from {', '.join(names)}")
        settings: dict[str, Any] = {}
        for pair in _PAIR.split(rest) if colon else ():
            key, _, value = pair.partition("=")
            if not key or not value:
                raise ChoiceError(f"{what} {text!r}: {pair!r} is not key=value; write {name}:key=value")
            if key in settings:
                raise ChoiceError(f"{what} {text!r} sets {key} twice: give each setting once")
            settings[key] = _number_or_word(value)
        return cls(text, name, settings)


class Ranking(NamedTuple):
    """What one model recommends, and the seconds of its work.

    rows: (n_users, n) int32, best first, -1 = none left.  predicted: (n_held_out,) float32, the ratings that it
    expects; empty for a model whose scores are not ratings, and in strict time.
    """

    rows: np.ndarray
    fit_seconds: float
    rank_seconds: float
    predicted: np.ndarray


def rank(
    make: Callable[[], Ranker],
    case: Evaluation,
    n: int,
    checkpoint: Optional[Path] = None,
    progress: Optional[Progress] = None,
    batch_size: Optional[int] = None,
) -> Ranking:
    """Fit a model on each stage of `case` and return the n best unseen movies of each person.

    make: gives a new, unfitted model for each stage.
    checkpoint: a folder for this model and case alone (see `checkpoint_key`); a stage found there is not ranked again.
    Ties are broken by ascending movie id. Memory: the lists, the model, and one batch of scores.
    """
    if n < 1:
        raise ChoiceError(f"lists of {n} movies: give a whole number from 1")
    rows = np.full((case.n_users, n), -1, dtype=np.int32)
    fit_seconds = rank_seconds = 0.0
    predicted = np.empty(0, dtype=np.float32)
    done = 0
    for number, stage in enumerate(case.stages()):

        def show(what: str, ranked: int, number: int = number, before: int = done) -> None:
            if progress:
                of_stage = f", stage {number + 1} of {case.n_stages}" if case.n_stages else ""
                progress(before + ranked, case.n_users, what + of_stage)

        path = checkpoint and checkpoint / f"stage-{number:04d}.npz"
        result = path and _read(path, stage.people, n)
        if not result:
            result = _run_stage(make, case, stage, n, batch_size, show)
            if path:
                with replace_file(path) as temporary, open(temporary, "wb") as file:
                    np.savez(file, people=stage.people, **result._asdict())
        rows[stage.people], predicted = result.rows, result.predicted
        fit_seconds += float(result.fit_seconds)
        rank_seconds += float(result.rank_seconds)
        done += len(stage.people)
    if progress:
        progress(done, done, "")
    return Ranking(rows, fit_seconds, rank_seconds, predicted)


def _run_stage(
    make: Callable[[], Ranker],
    case: Evaluation,
    stage: Stage,
    n: int,
    batch_size: Optional[int],
    show: Callable[[str, int], None],
) -> Ranking:
    """Return the ranking of one stage, rows in order of `stage.people`."""
    show("fit", 0)
    started = time.perf_counter()
    model = make().fit(stage.train)
    fitted = time.perf_counter()
    size = batch_size or max(1, _BATCH_BYTES // (4 * max(stage.train.n_movies, 1)))
    rows = np.empty((len(stage.people), n), dtype=np.int32)
    predicted = np.empty(0, dtype=np.float32)
    if model.scores_are_ratings and not case.n_stages:
        predicted = np.empty(case.held_out.n_ratings, dtype=np.float32)
        others = _others(case)
        for low in range(0, len(others), size):
            people = others[low : low + size]
            _fill(predicted, case, people, model.score(case.known, people, _moments(case, people)))
    for low in range(0, len(rows), size):
        batch = stage.people[low : low + size]
        people = case.user_rows[batch]
        scores = model.score(case.known, people, case.at[batch])
        if len(predicted):
            _fill(predicted, case, people, scores)
        mask_seen(scores, case.known, people)
        rows[low : low + size] = best_rows(scores, n, case.candidates)
        show("rank", low + len(batch))
    if len(predicted) and stage.train.n_ratings:
        np.clip(predicted, stage.train.ratings.min(), stage.train.ratings.max(), out=predicted)
    return Ranking(rows, fitted - started, time.perf_counter() - fitted, predicted)


def best_rows(scores: np.ndarray, n: int, candidates: Optional[np.ndarray] = None) -> np.ndarray:
    """Return the rows of the n best movies of `scores` (B, n_movies): (B, n) int32, -1 where only -inf is left.

    candidates: the only movie rows to choose from, equal scores in this order; None = all, equal scores by row.
    A score that is not a number counts as worse than every other: a broken model must not look good by it.
    """
    scores = np.where(np.isnan(scores), np.finfo(scores.dtype).min, scores)
    if candidates is not None:
        scores = scores[:, candidates]
    best = top_n(scores, n)  # (B, min(n, width))
    rows = best if candidates is None else candidates[best]
    lists = np.full((len(scores), n), -1, dtype=np.int32)
    lists[:, : best.shape[1]] = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, rows)
    return lists


def _others(case: Evaluation) -> np.ndarray:
    """Return the people with held-out ratings who are not ranked for: nothing relevant, or nothing known of them."""
    has_rated = np.diff(case.held_out.indptr) > 0
    has_rated[case.user_rows] = False
    return np.flatnonzero(has_rated)


def _moments(case: Evaluation, people: np.ndarray) -> np.ndarray:
    """Return each person's first held-out rating or last known one, whichever is later."""
    at = case.held_out.times[case.held_out.indptr[people]]
    met = np.diff(case.known.indptr)[people] > 0
    at[met] = np.maximum(at[met], last_times(case.known, people[met]))
    return at


def _fill(predicted: np.ndarray, case: Evaluation, people: np.ndarray, scores: np.ndarray) -> None:
    """Put the scores of what `people` rated in the held-out part into `predicted` (n_held_out,)."""
    for line, row in enumerate(people):
        wanted = case.held_out.row(row)
        predicted[wanted] = scores[line, case.held_out.movie_rows[wanted]]


def checkpoint_key(case: Evaluation, name: str, settings: Mapping[str, Any], n: int, catalog: Optional[Catalog]) -> str:
    """Return the folder name under which a ranking is kept: the model and a hash of all that the lists depend on.

    Ratings, people, moments, movies, settings, length, `VERSION` and numpy's version; change `VERSION` with the code.
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
    words = [name, dict(settings), n, case.n_stages, VERSION, np.__version__]
    digest.update(json.dumps(words, sort_keys=True, default=str).encode())
    return f"{name}-{digest.hexdigest()[:24]}"


def _read(path: Path, people: np.ndarray, n: int) -> Optional[Ranking]:
    """Return a stored stage, None where there is none; a damaged one is as good as none."""
    dtypes = {"people": np.int64, "rows": np.int32, "predicted": np.float32}
    dtypes.update(fit_seconds=np.float64, rank_seconds=np.float64)
    try:
        parts = load_npz(path, dtypes) if path.is_file() else None
    except ArtifactError:
        return None
    if parts is None or not np.array_equal(parts.pop("people"), people) or parts["rows"].shape != (len(people), n):
        return None
    return Ranking(**parts)  # type: ignore[arg-type]


def evaluate(
    cases: Sequence[Evaluation],
    specs: Sequence[Spec],
    catalog: Optional[Catalog],
    part: str,
    ks: tuple[int, ...],
    against: str = "first",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    checkpoint: Optional[Path] = None,
    start_progress: StartProgress = lambda label: None,
) -> Iterator[Report]:
    """Yield the figures of all models on each case, and their differences from the model `against`.

    Cases with one root are answered from the same lists. against: a label, "first", or "best" (by the first nDCG).
    """
    lists: dict[tuple[str, str], Ranking] = {}
    for case in cases:
        root = case.root or case
        same_movies = catalog is not None and np.array_equal(catalog.movie_ids, case.known.movie_ids)
        results = []
        for spec in specs:
            if (root.name, spec.label) not in lists:
                folder = checkpoint and checkpoint / checkpoint_key(root, spec.name, spec.settings, max(ks), catalog)
                progress = start_progress(f"{root.name}: {spec.label}")
                lists[root.name, spec.label] = rank(
                    partial(registry.make, spec.name, catalog=catalog, **spec.settings),
                    root,
                    max(ks),
                    folder,
                    progress,
                )
            ranking = lists[root.name, spec.label]
            of_case = np.searchsorted(root.user_rows, case.user_rows)
            genres = catalog.genres if catalog is not None and same_movies else None
            values, overall = score_lists(case, ranking.rows[of_case], ks, genres)
            overall.update(rating_errors(case, ranking.predicted))
            seconds = {"fit": ranking.fit_seconds, "rank": ranking.rank_seconds}
            results.append(Result(spec.label, values, overall, seconds))
        compared = [f"{name}@{k}" for k in ks for name in ("ndcg", "recall")]
        reference = choose_reference(results, against, compared[0])
        of_model = {result.model: result.values for result in results}
        comparisons = compare(of_model, reference, compared, n_resamples, np.random.default_rng(seed))
        yield Report.of_case(case, part, ks, results, comparisons)


def choose_reference(results: Sequence[Result], against: str, metric: str) -> str:
    """Return the model called `against`; "first" and "best" (by the mean of `metric`) name one by its place."""
    models = [result.model for result in results]
    if against == "first":
        return models[0]
    if against == "best":
        return max(results, key=lambda result: result.overall[metric]).model
    if against not in models:
        raise ChoiceError(f"no evaluated model is called {against!r}: compare with first, best or {', '.join(models)}")
    return against


def _number_or_word(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
