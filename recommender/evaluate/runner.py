"""Rank for everybody of an evaluation, in batches; keep what is done, so that an interrupted run goes on.

The result is the first n unseen movies of each person, (n_users, n) int32: 160,000 people take 13 MB for n = 20,
while their scores would take 8 GB. All metrics are computed from these lists afterwards, so a new metric or cutoff
never asks a model again.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ..data.artifacts import load_npz, replace_file
from ..data.errors import ArtifactError, ChoiceError
from ..data.interactions import Interactions
from ..learn.base import Ranker, mask_seen
from ..linalg.top_n import top_n
from .protocols import Evaluation, Stage, last_times

Progress = Callable[[str, int, int], None]
_BATCH_BYTES = 32 << 20  # of scores; models need a few times as much beside them


class Ranking(NamedTuple):
    """What one model recommends, and the seconds of its work.

    rows: (n_users, n) int32, best first, -1 = none left.  predicted: (n_held_out,) float32, the ratings that it
    expects; empty for a model whose scores are not ratings, and in strict time.
    """

    rows: np.ndarray
    fit_seconds: float
    rank_seconds: float
    predicted: np.ndarray


_NO_RATINGS: np.ndarray = np.empty(0, dtype=np.float32)


def rank(
    make: Callable[[], Ranker],
    case: Evaluation,
    n: int,
    checkpoint: Optional[Path] = None,
    progress: Optional[Progress] = None,
    batch_size: Optional[int] = None,
) -> Ranking:
    """Fit a model on each stage of `case` and return the n best unseen movies of each person.

    make: gives a fresh, unfitted model for each stage.
    checkpoint: a folder for this model and case alone (see `work_key`); a stage found there is not computed again.
    progress(what, done, total): called before each fit, after each batch, and at the end; in numbers of people.
    Ties are broken by ascending movie id. Memory: the lists, the model, and one batch of scores.
    """
    if n < 1:
        raise ChoiceError(f"lists of {n} movies: give a whole number from 1")
    rows = np.full((case.n_users, n), -1, dtype=np.int32)
    fit_seconds = rank_seconds = 0.0
    predicted = _NO_RATINGS
    done = 0
    for number, stage in enumerate(case.stages()):

        def tell(what: str, ranked: int, number: int = number, before: int = done) -> None:
            if progress:
                progress(f"{what}, stage {number + 1} of {max(case.n_stages, 1)}", before + ranked, case.n_users)

        result = None if checkpoint is None else _read(checkpoint, number, stage.people, n)
        if result is None:
            result = _work_off(make, case, stage, n, batch_size, tell)
            if checkpoint is not None:
                _write(checkpoint, number, stage.people, result)
        rows[stage.people] = result.rows
        fit_seconds += result.fit_seconds
        rank_seconds += result.rank_seconds
        predicted = result.predicted
        done += len(stage.people)
    if progress:
        progress("done", done, case.n_users)
    return Ranking(rows, fit_seconds, rank_seconds, predicted)


def _work_off(
    make: Callable[[], Ranker],
    case: Evaluation,
    stage: Stage,
    n: int,
    batch_size: Optional[int],
    tell: Callable[[str, int], None],
) -> Ranking:
    """Return the ranking of one stage, rows in order of `stage.people`."""
    tell("fit", 0)
    started = time.perf_counter()
    model = make().fit(stage.train)
    fitted = time.perf_counter()
    size = batch_size or max(1, _BATCH_BYTES // (4 * max(stage.train.n_movies, 1)))
    rows = np.empty((len(stage.people), n), dtype=np.int32)
    predicts = model.scores_are_ratings and not case.n_stages
    predicted = np.empty(case.held_out.n_ratings if predicts else 0, dtype=np.float32)
    for start in range(0, len(rows), size):
        batch = stage.people[start : start + size]
        people = case.user_rows[batch]
        scores = model.score(case.known, people, case.at[batch])
        if predicts:
            _take_held_out(predicted, case.held_out, people, scores)
        rows[start : start + size] = best_unseen(scores, case.known, people, n, case.candidates)
        tell("rank", start + len(batch))
    ranked = time.perf_counter()
    if predicts:
        _predict_others(predicted, model, stage.train, case, size)
    return Ranking(rows, fitted - started, ranked - fitted, predicted)


def rank_batch(model: Ranker, history: Interactions, user_rows: np.ndarray, at: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the n best movies that each person has not rated: see `best_unseen`."""
    return best_unseen(model.score(history, user_rows, at), history, user_rows, n)


def best_unseen(
    scores: np.ndarray, history: Interactions, user_rows: np.ndarray, n: int, candidates: Optional[np.ndarray] = None
) -> np.ndarray:
    """Return the rows of the n best movies that each person has not rated, (B, n) int32, -1 where none is left.

    candidates: the only movie rows to choose from, equal scores in this order; None = all, equal scores by row.
    Changes `scores` (B, n_movies). A score that is not a number counts as worse than every other: a broken model
    must not look good by it.
    """
    broken = np.isnan(scores)
    if broken.any():
        scores[broken] = np.finfo(scores.dtype).min
    mask_seen(scores, history, user_rows)
    if candidates is not None:
        scores = scores[:, candidates]
    best = top_n(scores, n)
    rows = best if candidates is None else candidates[best]
    found = np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, rows)
    lists = np.full((len(user_rows), n), -1, dtype=np.int32)
    lists[:, : found.shape[1]] = found
    return lists


def predict_held_out(model: Ranker, train: Interactions, case: Evaluation, batch_size: int) -> np.ndarray:
    """Return the expected rating of everything held out, (n_held_out,) float32, within the range of `train`.

    Everybody with a held-out rating counts, whether it is relevant or not.
    """
    predicted = np.empty(case.held_out.n_ratings, dtype=np.float32)
    for start in range(0, case.n_users, batch_size):
        people = case.user_rows[start : start + batch_size]
        scores = model.score(case.known, people, case.at[start : start + batch_size])
        _take_held_out(predicted, case.held_out, people, scores)
    _predict_others(predicted, model, train, case, batch_size)
    return predicted


def _take_held_out(predicted: np.ndarray, held_out: Interactions, people: np.ndarray, scores: np.ndarray) -> None:
    """Put the scores of what `people` rated in the held-out part in its place in `predicted`."""
    for line, row in enumerate(people):
        wanted = held_out.row(row)
        predicted[wanted] = scores[line, held_out.movie_rows[wanted]]


def _predict_others(
    predicted: np.ndarray, model: Ranker, train: Interactions, case: Evaluation, batch_size: int
) -> None:
    """Predict for those with held-out ratings who are not ranked for; then keep all within the range of `train`.

    None of their held-out ratings is relevant, or nothing is known of them. Their moment is their first held-out
    rating or their last known one, whichever is later.
    """
    held_out, known = case.held_out, case.known
    has_rated = np.diff(held_out.indptr) > 0
    has_rated[case.user_rows] = False
    others = np.flatnonzero(has_rated)
    for start in range(0, len(others), batch_size):
        people = others[start : start + batch_size]
        at = held_out.times[held_out.indptr[people]]
        met = np.diff(known.indptr)[people] > 0
        at[met] = np.maximum(at[met], last_times(known, people[met]))
        _take_held_out(predicted, held_out, people, model.score(known, people, at))
    if train.n_ratings:
        np.clip(predicted, train.ratings.min(), train.ratings.max(), out=predicted)


def work_key(case: Evaluation, model: str, settings: Any, n: int, code: str) -> str:
    """Return the name under which a ranking is kept: a hash of all that it depends on.

    That is the ratings, known and held out, who is ranked for and when, the model and its
    settings, the length of the lists, and `code`, the version of the programs (see `code_version`).
    """
    digest = hashlib.sha256()
    parts: list[np.ndarray] = [case.user_rows, case.at]
    for data in (case.known, case.held_out):
        parts += [data.user_ids, data.movie_ids, data.indptr, data.movie_rows, data.ratings, data.times]
    if case.candidates is not None:
        parts.append(case.candidates)
    for part in parts:
        digest.update(f"{part.dtype} {part.shape} ".encode())
        digest.update(np.ascontiguousarray(part).tobytes())
    words = json.dumps([model, settings, n, case.n_stages, code], sort_keys=True, default=str)
    digest.update(words.encode())
    return digest.hexdigest()[:24]


def code_version() -> str:
    """Return a hash of the code that a ranking comes from: the models, what they stand on, numpy's version."""
    package = Path(__file__).resolve().parents[1]
    files = sorted(package.rglob("*.py"))
    digest = hashlib.sha256(np.__version__.encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _write(folder: Path, number: int, people: np.ndarray, ranking: Ranking) -> None:
    with replace_file(folder / f"stage-{number:04d}.npz") as temporary, open(temporary, "wb") as file:
        seconds = np.array([ranking.fit_seconds, ranking.rank_seconds])
        np.savez(file, people=people, rows=ranking.rows, seconds=seconds, predicted=ranking.predicted)


def _read(folder: Path, number: int, people: np.ndarray, n: int) -> Optional[Ranking]:
    """Return a stored stage, None where there is none; a damaged one is as good as none."""
    path = folder / f"stage-{number:04d}.npz"
    if not path.is_file():
        return None
    try:
        dtypes = {"people": np.int64, "rows": np.int32, "seconds": np.float64, "predicted": np.float32}
        parts = load_npz(path, dtypes)
    except ArtifactError:
        return None
    if not np.array_equal(parts["people"], people) or parts["rows"].shape != (len(people), n):
        return None
    fit_seconds, rank_seconds = map(float, parts["seconds"])
    return Ranking(parts["rows"], fit_seconds, rank_seconds, parts["predicted"])
