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
import numpy.typing as npt

from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError
from ..data.files import load_arrays, replace_file
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
_STAGE = {"rows": np.int32, "predicted": np.float32, "seconds": np.float64}


class Options(NamedTuple):
    """How to evaluate. part: val or test.  ks: cutoffs.  seed: of bootstrap and folds.  checkpoint: a folder for what
    is finished, found there again.  start_progress: called with a label for each piece of work.
    """

    part: str = "test"
    ks: tuple[int, ...] = (10, 20)
    n_resamples: int = N_RESAMPLES
    seed: int = 0
    checkpoint: Optional[Path] = None
    start_progress: Callable[[str], Optional[Progress]] = lambda label: None


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
            raise ChoiceError(f"no {what} is called {name!r}: choose from {', '.join(names)}")
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
    progress: Optional[Progress] = None,
    batch_size: Optional[int] = None,
) -> Ranking:
    """Fit a model on each stage of `case` and return the n best unseen movies of each person.

    make: gives a new, unfitted model for each stage.  checkpoint: a folder for this model, case and n alone
    (`checkpoint_key`); a stage found there is not ranked again.  Ties are broken by ascending movie id.
    Memory: the lists, the model, and one batch of scores.
    """
    rows = np.full((case.n_users, n), -1, dtype=np.int32)
    predicted, seconds, done = np.empty(0, dtype=np.float32), np.zeros(2), 0
    for number, stage in enumerate(case.stages()):

        def show(what: str, ranked: int, number: int = number, before: int = done) -> None:
            if progress:
                of_stage = f", stage {number + 1} of {case.n_stages}" if case.n_stages else ""
                progress(before + ranked, case.n_users, what + of_stage)

        path = checkpoint and checkpoint / f"stage-{number:04d}.npz"
        found = kept(path, _STAGE, partial(_run_stage, make, case, stage, n, batch_size, show))
        rows[stage.people], predicted = found["rows"], found["predicted"]
        seconds += found["seconds"]
        done += len(stage.people)
    if progress:
        progress(done, done, "")
    return Ranking(rows, predicted, *seconds.tolist())


def _run_stage(
    make: Callable[[], Ranker],
    case: Evaluation,
    stage: Stage,
    n: int,
    batch_size: Optional[int],
    show: Callable[[str, int], None],
) -> dict[str, np.ndarray]:
    """Return lists, rows in order of `stage.people`, predicted ratings and seconds."""
    show("fit", 0)
    started = time.perf_counter()
    model = make().fit(stage.train)
    fitted = time.perf_counter()
    size = batch_size or max(1, _BATCH_BYTES // (4 * max(stage.train.n_movies, 1)))
    rows = np.empty((len(stage.people), n), dtype=np.int32)
    predicts = model.scores_are_ratings and not case.n_stages
    predicted = np.empty(case.held_out.n_ratings if predicts else 0, dtype=np.float32)

    def score(people: np.ndarray, at: np.ndarray) -> np.ndarray:
        scores = model.score(case.known, people, at)  # (B, n_movies)
        for line, row in enumerate(people if predicts else ()):
            wanted = case.held_out.row(row)
            predicted[wanted] = scores[line, case.held_out.movie_rows[wanted]]
        return scores

    for low in range(0, len(rows), size):
        batch = stage.people[low : low + size]
        people = case.user_rows[batch]
        scores = score(people, case.at[batch])
        mask_seen(scores, case.known, people)
        rows[low : low + size] = best_rows(scores, n, case.candidates)
        show("rank", low + len(batch))
    if predicts:
        for people, at in _others(case, size):
            score(people, at)
        if stage.train.n_ratings:
            np.clip(predicted, stage.train.ratings.min(), stage.train.ratings.max(), out=predicted)
    seconds = np.array([fitted - started, time.perf_counter() - fitted])
    return {"rows": rows, "predicted": predicted, "seconds": seconds}


def _others(case: Evaluation, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the others with held-out ratings, and when: at the first of them or the last known, whichever is later."""
    has_rated = np.diff(case.held_out.indptr) > 0
    has_rated[case.user_rows] = False
    others = np.flatnonzero(has_rated)
    for low in range(0, len(others), size):
        people = others[low : low + size]
        at = case.held_out.times[case.held_out.indptr[people]]
        met = np.diff(case.known.indptr)[people] > 0
        at[met] = np.maximum(at[met], last_times(case.known, people[met]))
        yield people, at


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


def kept(
    path: Optional[Path], dtypes: Mapping[str, npt.DTypeLike], make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return the arrays stored at `path`; where there are none, make and store them. None: keep nothing."""
    if path is None:
        return make()
    try:
        return load_arrays(path, dtypes)
    except ArtifactError:  # missing, or damaged, which is as good as missing
        arrays = make()
    with replace_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def checkpoint_key(case: Evaluation, spec: Spec, n: int, catalog: Optional[Catalog]) -> str:
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
    words = [spec.name, dict(spec.settings), n, case.n_stages, VERSION, np.__version__]
    digest.update(json.dumps(words, sort_keys=True, default=str).encode())
    return f"{spec.name}-{digest.hexdigest()[:24]}"


def rank_spec(spec: Spec, case: Evaluation, catalog: Optional[Catalog], options: Options) -> Ranking:
    """Rank with the model of `spec`; what the checkpoint holds is not ranked again."""
    n, make = max(options.ks), spec.make or partial(registry.make, spec.name)
    folder = options.checkpoint and options.checkpoint / checkpoint_key(case, spec, n, catalog)
    progress = options.start_progress(f"{case.name}: {spec.label}")
    return rank(partial(make, catalog=catalog, **spec.settings), case, n, folder, progress)


def evaluate(
    cases: Sequence[Evaluation],
    specs: Sequence[Spec],
    catalog: Optional[Catalog],
    options: Options,
    against: str = "first",
) -> Iterator[Report]:
    """Yield the figures of all models on each case, and their differences from the model `against`.

    Cases with one root are answered from the same lists. against: a label, "first", or "best" (by the first nDCG).
    """
    rankings: dict[tuple[str, str], Ranking] = {}
    for case in cases:
        root = case.root or case
        of_case = np.searchsorted(root.user_rows, case.user_rows)
        same_movies = catalog is not None and np.array_equal(catalog.movie_ids, case.known.movie_ids)
        genres = catalog.genres if catalog is not None and same_movies else None
        results = []
        for spec in specs:
            if (root.name, spec.label) not in rankings:
                rankings[root.name, spec.label] = rank_spec(spec, root, catalog, options)
            ranking = rankings[root.name, spec.label]
            values, overall = score_lists(case, ranking.rows[of_case], options.ks, genres)
            overall.update(rating_errors(case, ranking.predicted))
            seconds = {"fit": ranking.fit_seconds, "rank": ranking.rank_seconds}
            results.append(Result(spec.label, values, overall, seconds))
        compared = [f"{name}@{k}" for k in options.ks for name in ("ndcg", "recall")]
        reference = choose_reference(results, against, compared[0])
        of_model = {result.model: result.values for result in results}
        rng = np.random.default_rng(options.seed)
        comparisons = compare(of_model, reference, compared, options.n_resamples, rng)
        yield Report.of_case(case, options.part, options.ks, results, comparisons)


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
