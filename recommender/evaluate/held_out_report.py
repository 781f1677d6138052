"""Models and genre baselines on held-out movies: all folds, then the tables, as text, rows and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from ..data.catalog import Catalog
from ..learn.base import Ranker
from . import runner
from .cases import Source
from .genre_baselines import BASELINES, REFERENCE
from .held_out_movies import FoldResult, Pooled, evaluate_fold, hold_out, pool
from .protocols import Evaluation
from .report import table
from .work import ModelSpec, StartProgress, catalog_digest

NAME = "held-out-movies"
_Maker = tuple[str, Callable[[Optional[Catalog]], Ranker], dict[str, Any]]


@dataclass(frozen=True)
class HeldOutReport:
    """All models on all folds; `people` are the user rows that any fold evaluates, `user_ids` their ids."""

    part: str
    ks: tuple[int, ...]
    cases: list[Evaluation]
    user_ids: np.ndarray
    results: list[Pooled]
    reference: str


def evaluate(
    source: Source,
    specs: Sequence[ModelSpec],
    part: str,
    ks: tuple[int, ...],
    n_folds: int,
    n_resamples: int,
    seed: int = 0,
    reference: str = REFERENCE,
    checkpoint: Optional[Path] = None,
    start_progress: StartProgress = lambda label: None,
) -> HeldOutReport:
    """Rank the held-out movies of `n_folds` folds with the genre baselines and the models of `specs`.

    seed: of the folds and of the bootstrap.  checkpoint: a folder; what is found there is not computed again.
    """
    cases = [hold_out(source, part, fold, seed) for fold in range(n_folds)]
    code, catalog = runner.code_version(), catalog_digest(source.catalog)
    results = []
    for label, make, settings in _all_makes(specs):
        folds: list[FoldResult] = []
        for number, case in enumerate(cases):
            folder = checkpoint
            if folder is not None:
                key = runner.work_key(case, label, {**settings, "catalog": catalog}, max(ks), code)
                folder = folder / f"{label.partition(':')[0]}-{key}"
            progress = start_progress(f"{NAME}, fold {number + 1} of {n_folds}: {label}")
            folds.append(evaluate_fold(make, case, source.catalog, ks, folder, progress))
        results.append(folds)
    labels = [label for label, _, _ in _all_makes(specs)]
    people, pooled = pool(labels, cases, results, reference, n_resamples, np.random.default_rng(seed))
    return HeldOutReport(part, ks, cases, cases[0].known.user_ids[people], pooled, reference)


def text(report: HeldOutReport) -> str:
    """Return the tables for a terminal."""
    cases = report.cases
    n_liked = sum(len(case.relevant()[1]) for case in cases)
    n_ranked = sum(len(case.candidates) for case in cases if case.candidates is not None)
    lines = [
        f"== movies never rated, {report.part} ==",
        f"{len(cases)} folds, {n_ranked:,} movies held out in turn, a tenth of all at a time; only those of the fold "
        "are ranked",
        f"{len(report.user_ids):,} people like {n_liked:,} of them ({cases[0].relevant_from:g} stars or more); "
        "means over people of each person's mean over folds",
    ]
    names = list(report.results[0].overall)
    for k in report.ks:
        here = [name for name in names if name.endswith(f"@{k}")]
        rows = [[result.model, *(f"{result.overall[name]:.4f}" for name in here)] for result in report.results]
        lines += ["", table([f"mean, k = {k}", *(name.partition("@")[0] for name in here)], rows)]
    rows = [
        [result.model, name, f"{ratio.value:.2f}", f"{ratio.low:.2f} to {ratio.high:.2f}", _folds(result, name)]
        for result in report.results
        for name, ratio in result.ratios.items()
        if name.startswith(("ndcg", "recall"))
    ]
    header = [f"times {report.reference}", "metric", "ratio", "95% interval", "each fold"]
    seconds = [[r.model, *(f"{r.seconds[what]:.1f}" for what in ("fit", "rank"))] for r in report.results]
    return "\n".join([*lines, "", table(header, rows), "", table(["seconds", "fit", "rank"], seconds)])


def per_user_rows(report: HeldOutReport) -> Iterable[dict[str, Any]]:
    """Yield one row for each model and person."""
    for result in report.results:
        for i, user_id in enumerate(report.user_ids.tolist()):
            row = {"protocol": NAME, "split": report.part, "model": result.model, "user_id": user_id}
            row.update((name, float(values[i])) for name, values in result.per_user.items())
            yield row


def average_rows(report: HeldOutReport) -> list[dict[str, Any]]:
    """Return one row for each model: means, ratios with their intervals, and the mean of each fold."""
    rows = []
    for result in report.results:
        row: dict[str, Any] = {"protocol": NAME, "split": report.part, "model": result.model}
        row.update(n_users=len(report.user_ids), n_folds=len(report.cases), reference=report.reference)
        row.update(result.overall)
        for name in result.overall:
            ratio = result.ratios.get(name)
            for field in ("value", "low", "high"):
                value = getattr(ratio, field) if ratio else math.nan
                row[f"ratio_{field}_{name}"] = value if math.isfinite(value) else None
            row.update((f"{name}_fold_{i + 1}", value) for i, value in enumerate(result.by_fold[name]))
        row.update((f"{what}_seconds", seconds) for what, seconds in result.seconds.items())
        rows.append(row)
    return rows


def _all_makes(specs: Sequence[ModelSpec]) -> list[_Maker]:
    """Return label, maker and settings of the baselines and of the models named."""
    baselines: list[_Maker] = [(name, make, {}) for name, make in BASELINES.items()]
    return [*baselines, *((spec.label, spec.make, dict(spec.settings)) for spec in specs)]


def _folds(result: Pooled, name: str) -> str:
    return " ".join(f"{value:.3f}" for value in result.by_fold[name])
