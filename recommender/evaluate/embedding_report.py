"""The comparison of backends as text and as rows: one row for each figure, since tasks have different ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import DataError
from .embedding_comparison import PEOPLE, BackendResult
from .known_item import Requests
from .protocols import Evaluation
from .report import table
from .significance import Interval, Ratio


def text(
    results: Sequence[BackendResult], requests: Sequence[Requests], part: str, n_movies: int, case: Optional[Evaluation]
) -> str:
    """Return the tables for a terminal."""
    first = results[0]
    lines = [f"== movies as vectors, {part} ==", f"{n_movies:,} movies", ""]
    rows = [
        [r.label, r.identity.model, f"{r.identity.dimension:,}", *map(_cell, (*r.gap[:3], _gap(r)))] for r in results
    ]
    pairs = f"{first.gap.n_same:,} pairs of movies share a genre, {first.gap.n_different:,} share none"
    pairs += "; - where the mean of all is what chance gives"
    lines += [pairs, table(["genre separation", "model", "width", "same", "different", "all", "gap"], rows)]
    for asked in requests:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in asked.left_out.items() if count) or "nothing"
        units = "" if asked.n_units == len(asked.texts) else f" in {asked.n_units:,}"
        lines += [
            "",
            f"{len(asked.texts):,} requests{units} ({asked.name}), each means one; left out: {left_out}",
        ]
        lines.append(_task_table(results, asked.name))
    if case is not None:
        n_people = len(next(iter(first.tasks[PEOPLE].values.values())))
        lines += ["", f"{n_people:,} people, the mean of what they liked against all movies they have not rated"]
        lines.append(_task_table(results, PEOPLE))
    names = list(first.seconds)
    rows = [[r.label, f"{r.n_embedded:,}", *(f"{r.seconds[name]:.1f}" for name in names)] for r in results]
    return "\n".join([*lines, "", table(["seconds", "movies embedded now", *names], rows)])


def samples(
    results: Sequence[BackendResult], requests: Sequence[Requests], catalog: Catalog, n_samples: int, seed: int
) -> str:
    """Return `n_samples` requests of each kind as they are, the movie meant, and what each backend has nearest."""
    lines = []
    for asked in requests:
        chosen = np.random.default_rng(seed).permutation(len(asked.texts))[:n_samples]
        for number in sorted(chosen.tolist()):
            words = " / ".join(asked.texts[number].split("\n"))
            lines += ["", f'"{words}" -> {catalog.movie(int(asked.rows[number]))}']
            for result in results:
                task = result.tasks[asked.name]
                movies = "; ".join(str(catalog.movie(row)) for row in task.nearest[number].tolist())
                lines.append(f"  {result.label}: place {task.places[number]:,.0f}; nearest: {movies}")
    return "\n".join(lines[1:])


def unit_rows(
    results: Sequence[BackendResult], requests: Sequence[Requests], part: str, user_ids: Sequence[int]
) -> Iterable[dict[str, Any]]:
    """Yield a row for each backend, task, measure and unit: a movie id, the id of a dialogue, or a user id."""
    names: dict[str, Sequence[Any]] = {asked.name: asked.unit_names for asked in requests}
    names[PEOPLE] = user_ids
    for result in results:
        for name, task in result.tasks.items():
            head = {"task": name, "split": part, "backend": result.label}
            for measure, values in task.values.items():
                if len(values) != len(names[name]):
                    raise DataError(f"{len(values)} values for {len(names[name])} units of {name}: name all compared")
                for unit, value in zip(names[name], values.tolist()):
                    yield {**head, "unit": unit, "measure": measure, "value": value}


def average_rows(results: Sequence[BackendResult], part: str) -> list[dict[str, Any]]:
    """Return a row for each backend, task and measure: mean, interval, ratio to the first backend, its interval."""
    rows = []
    for result in results:
        head = {"backend": result.label, "model": result.identity.model, "dimension": result.identity.dimension}
        gap = {**result.gap._asdict(), "gap": _gap(result)}
        for name in ("same", "different", "overall", "gap"):
            rows.append(_row(head, "movies", part, name, Interval(gap[name], math.nan, math.nan), None, None))
        for name, task in result.tasks.items():
            for measure, interval in task.intervals.items():
                n_units = len(task.values[measure])
                rows.append(_row(head, name, part, measure, interval, task.ratios.get(measure), n_units))
            if not math.isnan(task.median):
                median = Interval(task.median, math.nan, math.nan)
                rows.append(_row(head, name, part, "median_place", median, None, None))
    return rows


def _row(
    head: dict[str, Any],
    task: str,
    part: str,
    measure: str,
    interval: Interval,
    ratio: Optional[Ratio],
    n_units: Optional[int],
) -> dict[str, Any]:
    figures = {"value": interval.mean, "low": interval.low, "high": interval.high}
    figures.update(zip(("ratio", "ratio_low", "ratio_high"), ratio or (math.nan,) * 3))
    finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return {**head, "task": task, "split": part, "measure": measure, "n_units": n_units, **finite}


def _task_table(results: Sequence[BackendResult], name: str) -> str:
    rows = []
    for measure in results[0].tasks[name].values:
        for result in results:
            task = result.tasks[name]
            ratio = task.ratios.get(measure)
            rows.append([result.label, measure, *_figure(task.intervals[measure], 4), *_figure(ratio, 2)])
    if not math.isnan(results[0].tasks[name].median):
        rows += [[r.label, "median place", f"{r.tasks[name].median:,.1f}", "", "", ""] for r in results]
    first = results[0].label.partition(":")[0]
    return table([name, "measure", "mean", "95% interval", f"times {first}", "95% interval"], rows)


def _figure(figure: Optional[tuple[float, float, float]], digits: int) -> list[str]:
    """Return a figure and its interval as two cells."""
    if figure is None:
        return ["", ""]
    mean, low, high = (f"{value:.{digits}f}" if math.isfinite(value) else "-" for value in figure)
    return [mean, f"{low} to {high}"]


def _gap(result: BackendResult) -> float:
    return math.nan if result.gap.is_chance else result.gap.gap


def _cell(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"
