"""What an evaluation found, as one table of (task, unit, measure, value): printed, and saved as CSV, Parquet or JSON.

A unit is what figures are means over and intervals resample: a person, a described movie, a dialogue.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..data.errors import DataError
from ..data.files import replace_file
from ..data.interactions import LIKED
from .beyond_accuracy import COLD_MOVIE, COLD_USER
from .protocols import Evaluation
from .significance import Comparison, Estimate

ACCURACY = ("ndcg", "recall", "capped_recall", "precision", "map", "capped_map", "mrr", "hit_rate")
BEYOND = ("coverage", "gini", "novelty", "diversity", "tail_share")
COLD = ("cold_user_ndcg", "cold_user_recall", "cold_movie_recall")


@dataclass(frozen=True)
class Result:
    """One model on one task.

    values: measure -> (n_units,) float64, nan where it is undefined.  overall: measure -> value, the means of `values`
    and figures that belong to no unit.  seconds: of its work, by step.  intervals: of the means, where asked for.
    details: columns of the rows of averages that are no figures.
    """

    model: str
    values: dict[str, np.ndarray]
    overall: dict[str, float]
    seconds: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Estimate] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All models on one task, in the order in which they were named.

    facts: name -> (n_units,) what is known of each unit, whatever the model; first its id.  notes: lines that say what
    was evaluated.  tables: title -> measures, as printed.  ratios: whether `comparisons` are ratios, not differences.
    """

    task: str
    part: str
    facts: dict[str, np.ndarray]
    results: list[Result]
    comparisons: list[Comparison]
    notes: list[str]
    tables: dict[str, list[str]]
    ratios: bool = False

    @property
    def n_units(self) -> int:
        return len(next(iter(self.facts.values())))

    @classmethod
    def of_case(
        cls, case: Evaluation, part: str, ks: Sequence[int], results: list[Result], comparisons: list[Comparison]
    ) -> Report:
        """Return the report of models that rank for the people of `case`."""
        indptr, relevant = case.relevant()
        n_known = np.diff(case.known.indptr)[case.user_rows]
        facts = {"user_id": case.known.user_ids[case.user_rows], "n_known": n_known}
        facts.update(n_relevant=np.diff(indptr), gap_seconds=case.gap())
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in case.left_out.items() if count) or "nobody"
        notes = [
            f"{case.n_users:,} people evaluated; left out: {left_out}",
            f"{case.known.n_ratings:,} known ratings of {case.known.n_movies:,} movies; all unseen movies ranked; "
            f"relevant: {LIKED:g} stars or more",
        ]
        if not case.known.has_times:
            notes.append("these ratings have no times: their order stands in")
        if case.n_stages:
            notes.append(
                f"models fitted up to {case.n_stages} times, each on ratings from before all moments that it ranks "
                f"for: {case.missed:.1%} fewer than there were, on average"
            )
        n_cold = int((n_known <= COLD_USER).sum())
        n_wanted = int((case.known.movie_counts() <= COLD_MOVIE)[relevant].sum())
        notes.append(f"{n_cold:,} cold-start people, {n_wanted:,} relevant cold-start movies")
        tables = {}
        for k in ks:
            tables[f"mean, k = {k}"] = [f"{name}@{k}" for name in ACCURACY]
            tables[f"beyond accuracy, k = {k}"] = [f"{name}@{k}" for name in BEYOND]
            tables[f"cold start, k = {k}"] = [f"{name}@{k}" for name in COLD]
        tables["expected ratings"] = ["rmse", "mae"]
        return cls(case.name, part, facts, results, comparisons, notes, tables)


def text(report: Report) -> str:
    """Return the tables of one report for a terminal."""
    lines = [f"== {report.task}, {report.part} ==", *report.notes]
    for title, measures in report.tables.items():
        names = [name for name in measures if any(_is_number(r.overall.get(name)) for r in report.results)]
        having = [result for result in report.results if any(name in result.overall for name in names)]
        rows = [[result.model, *(_cell(result, name) for name in names)] for result in having]
        if names:
            header = [name.partition("@")[0] if title.endswith(name.partition("@")[2]) else name for name in names]
            lines += ["", table([title, *header], rows)]
    if report.comparisons:
        word = "times" if report.ratios else "against"
        header = [f"{word} {report.comparisons[0].reference}", "metric", "ratio" if report.ratios else "difference"]
        header += ["95% interval"] if report.ratios else ["95% interval", "p", "p (Holm)"]
        lines += ["", table(header, [_compared(line, report.ratios) for line in report.comparisons])]
    steps = list(report.results[0].seconds)
    seconds = [[r.model, *(f"{r.seconds[step]:.1f}" for step in steps)] for r in report.results]
    return "\n".join([*lines, *(["", table(["seconds", *steps], seconds)] if steps else [])])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of one width each, the first to the left, the others to the right.

    >>> print(table(["model", "x"], [["ease", "1.5"]]))
    model    x
    ease   1.5
    """
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [header, *rows])
    return "\n".join("  ".join(line).rstrip() for line in lines)


def unit_rows(reports: Iterable[Report]) -> Iterable[dict[str, Any]]:
    """Yield one row for each task, model and unit: what is known of the unit, then every measure."""
    for report in reports:
        facts = {name: values.tolist() for name, values in report.facts.items()}
        for result in report.results:
            columns = {name: values.tolist() for name, values in result.values.items()}
            for i in range(report.n_units):
                row: dict[str, Any] = {"protocol": report.task, "split": report.part, "model": result.model}
                row.update((name, values[i]) for name, values in facts.items())
                row.update((name, _or_none(values[i])) for name, values in columns.items())
                yield row


def average_rows(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """Return one row for each task and model: means, overall figures, ratios; None where a model has no such figure."""
    reports = list(reports)
    names = dict.fromkeys(name for report in reports for result in report.results for name in result.overall)
    rows = []
    for report in reports:
        for result in report.results:
            row = {"protocol": report.task, "split": report.part, "model": result.model, "n_users": report.n_units}
            row.update(result.details)
            row.update((name, _or_none(result.overall.get(name, math.nan))) for name in names)
            if report.ratios:
                ratio_of = {line.metric: line for line in report.comparisons if line.model == result.model}
                for name in result.values:
                    for what in ("value", "low", "high"):
                        row[f"ratio_{what}_{name}"] = _or_none(getattr(ratio_of.get(name), what, math.nan))
            row.update((f"{step}_seconds", seconds) for step, seconds in result.seconds.items())
            rows.append(row)
    return rows


def long_unit_rows(reports: Sequence[Report]) -> Iterable[dict[str, Any]]:
    """Yield one row for each backend, task, measure and unit, since tasks have different measures."""
    for report, result in _by_backend(reports):
        head = {"task": report.task, "split": report.part, "backend": result.model}
        for measure, values in result.values.items():
            for unit, value in zip(report.facts["unit"].tolist(), values.tolist()):
                yield {**head, "unit": unit, "measure": measure, "value": value}


def long_average_rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Return one row for each backend, task and measure: value, its interval, ratio to the first and its interval."""
    rows = []
    for report, result in _by_backend(reports):
        head = {"backend": result.model, **result.details, "task": report.task, "split": report.part}
        ratio_of = {line.metric: line[3:6] for line in report.comparisons if line.model == result.model}
        for measure, value in result.overall.items():
            n_units = report.n_units if measure in result.values else None
            interval = result.intervals.get(measure, (value, math.nan, math.nan))[:3]
            figures = map(_or_none, (*interval, *ratio_of.get(measure, (math.nan, math.nan, math.nan))))
            names = ("value", "low", "high", "ratio", "ratio_low", "ratio_high")
            rows.append({**head, "measure": measure, "n_units": n_units, **dict(zip(names, figures))})
    return rows


def _by_backend(reports: Sequence[Report]) -> Iterator[tuple[Report, Result]]:
    for number in range(len(reports[0].results)):
        for report in reports:
            yield report, report.results[number]


def as_json(report: Report, case: Evaluation) -> dict[str, Any]:
    """Return averages and comparisons of one case."""
    value = {"protocol": report.task, "split": report.part, "n_users": report.n_units, "left_out": case.left_out}
    value.update(n_known_ratings=case.known.n_ratings, n_movies=case.known.n_movies, models=average_rows([report]))
    comparisons = [{"difference": line.value, **line._asdict()} for line in report.comparisons]
    return {**value, "comparisons": [{key: c[key] for key in c if key != "value"} for c in comparisons]}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as CSV, or as Parquet where the name ends so; whole or not at all.

    CSV is written row by row; Parquet (extra `parquet`) is gathered in memory first.
    """
    pyarrow = need_parquet(path)
    with replace_file(path) as temporary:
        if pyarrow:
            parquet = importlib.import_module("pyarrow.parquet")
            parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), temporary)
            return
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = None
            for row in rows:
                if writer is None:
                    writer = csv.DictWriter(file, list(row), lineterminator="\n")
                    writer.writeheader()
                writer.writerow(row)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def need_parquet(path: Path) -> Any:
    """Return pyarrow where `path` asks for Parquet, else None; raises `DataError` where the extra is missing."""
    if path.suffix != ".parquet":
        return None
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise DataError(f"{path} needs pyarrow: pip install 'tastevec[parquet]', or give a .csv name") from None


def _compared(line: Comparison, ratio: bool) -> list[str]:
    if ratio:
        value, low, high = (f"{x:.2f}" if math.isfinite(x) else "-" for x in (line.value, line.low, line.high))
        return [line.model, line.metric, value, f"{low} to {high}"]
    figures = [f"{line.value:+.4f}", f"{line.low:+.4f} to {line.high:+.4f}"]
    return [line.model, line.metric, *figures, f"{line.p_value:.4f}", f"{line.corrected_p:.4f}"]


def _cell(result: Result, name: str) -> str:
    value = result.overall.get(name, math.nan)
    if not _is_number(value):
        return "-"
    if name in result.intervals:
        return f"{value:.4f} ({result.intervals[name].low:.4f} to {result.intervals[name].high:.4f})"
    return f"{value:.4f}"


def _is_number(value: Optional[float]) -> bool:
    return value is not None and math.isfinite(value)


def _or_none(value: Any) -> Any:
    """Return the value, None in place of nan and infinity, which JSON does not have."""
    return value if isinstance(value, (int, str)) or math.isfinite(value) else None
