"""Evaluation as text, CSV and JSON."""

from __future__ import annotations

import csv
import importlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.artifacts import replace_file
from ..data.errors import DataError
from .comparison import Comparison
from .protocols import Evaluation
from .scoring import Groups, Scored

ACCURACY = ("ndcg", "recall", "capped_recall", "precision", "map", "capped_map", "mrr", "hit_rate")
BEYOND = ("coverage", "gini", "novelty", "diversity", "tail_share")
GROUPS = ("cold_user_ndcg", "cold_user_recall", "cold_movie_recall")


@dataclass(frozen=True)
class CaseReport:
    """All results of one case, in the order in which the models were named."""

    case: Evaluation
    part: str
    ks: tuple[int, ...]
    groups: Groups
    results: list[Scored]
    comparisons: list[Comparison]


def text(report: CaseReport) -> str:
    """Return the tables of one case for a terminal."""
    case = report.case
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in case.left_out.items() if count) or "nobody"
    n_cold = int(report.groups.cold_users.sum())
    n_wanted = int(np.sum(report.groups.cold_movies[report.groups.relevant]))
    lines = [
        f"== {case.name}, {report.part} ==",
        f"{case.n_users:,} people evaluated; left out: {left_out}",
        f"{case.known.n_ratings:,} known ratings of {case.known.n_movies:,} movies; all unseen movies ranked; "
        f"relevant: {case.relevant_from:g} stars or more",
    ]
    if case.n_stages:
        lines.append(
            f"models fitted up to {case.n_stages} times, each on ratings from before all moments that it ranks for: "
            f"{case.missed:.1%} fewer than there were, on average"
        )
    for k in report.ks:
        lines += ["", _averages(report, k, ACCURACY), "", _averages(report, k, BEYOND)]
        if n_cold or n_wanted:
            lines += ["", f"{n_cold:,} cold-start people, {n_wanted:,} relevant cold-start movies"]
            lines += [_averages(report, k, GROUPS)]
    predictors = [result for result in report.results if "rmse" in result.overall]
    if predictors:
        errors = [[r.model, _cell(r.overall["rmse"]), _cell(r.overall["mae"])] for r in predictors]
        lines += ["", table(["expected ratings", "rmse", "mae"], errors)]
    if report.comparisons:
        lines += ["", _comparisons(report.comparisons)]
    seconds = [[r.model, *(f"{r.seconds.get(what, math.nan):.1f}" for what in ("fit", "rank"))] for r in report.results]
    return "\n".join([*lines, "", table(["seconds", "fit", "rank"], seconds)])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of one width each, the first to the left, the others to the right.

    >>> print(table(["model", "x"], [["ease", "1.5"]]))
    model    x
    ease   1.5
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def per_user_rows(reports: Iterable[CaseReport]) -> Iterable[dict[str, Any]]:
    """Yield one row for each case, model and person: facts of the person, then every metric."""
    for report in reports:
        facts = {name: values.tolist() for name, values in report.groups.facts.items()}
        for result in report.results:
            columns = {name: values.tolist() for name, values in result.per_user.items()}
            for i in range(report.case.n_users):
                row: dict[str, Any] = {"protocol": report.case.name, "split": report.part, "model": result.model}
                row.update((name, int(values[i])) for name, values in facts.items())
                row.update((name, _number(values[i])) for name, values in columns.items())
                yield row


def average_rows(reports: Iterable[CaseReport]) -> list[dict[str, Any]]:
    """Return one row for each case and model: all means and overall figures; None where a model has no such figure."""
    found = [(report, result) for report in reports for result in report.results]
    names = list(dict.fromkeys(name for _, result in found for name in result.overall))
    return [
        {
            "protocol": report.case.name,
            "split": report.part,
            "model": result.model,
            "n_users": report.case.n_users,
            **{name: _number(result.overall.get(name, math.nan)) for name in names},
            **{f"{what}_seconds": seconds for what, seconds in result.seconds.items()},
        }
        for report, result in found
    ]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as CSV, or as Parquet where the name ends so; whole or not at all.

    CSV is written row by row; Parquet (extra `parquet`) is gathered in memory first.
    """
    if path.suffix == ".parquet":
        return _write_parquet(path, list(rows))
    with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)
    return None


def write_json(path: Path, reports: Sequence[CaseReport], settings: Mapping[str, Any]) -> None:
    """Write averages and comparisons of all cases, with the settings of the run."""
    cases = [
        {
            "protocol": report.case.name,
            "split": report.part,
            "n_users": report.case.n_users,
            "left_out": report.case.left_out,
            "n_known_ratings": report.case.known.n_ratings,
            "n_movies": report.case.known.n_movies,
            "models": average_rows([report]),
            "comparisons": [line._asdict() for line in report.comparisons],
        }
        for report in reports
    ]
    write_value(path, {"format_version": 1, "settings": dict(settings), "cases": cases})


def write_value(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _averages(report: CaseReport, k: int, metrics: Sequence[str]) -> str:
    names = [f"{name}@{k}" for name in metrics if f"{name}@{k}" in report.results[0].overall]
    rows = [[result.model, *(_cell(result.overall[name]) for name in names)] for result in report.results]
    return table([f"mean, k = {k}", *(name.rsplit("@")[0] for name in names)], rows)


def _comparisons(lines: Sequence[Comparison]) -> str:
    rows = [
        [
            line.model,
            line.metric,
            f"{line.difference:+.4f}",
            f"{line.low:+.4f} to {line.high:+.4f}",
            f"{line.p_value:.4f}",
            f"{line.corrected_p:.4f}",
        ]
        for line in lines
    ]
    header = [f"against {lines[0].reference}", "metric", "difference", "95% interval", "p", "p (Holm)"]
    return table(header, rows)


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _number(value: float) -> Any:
    """Return the value, None in place of nan, which JSON does not have."""
    return None if math.isnan(value) else value


def need_parquet(path: Path) -> None:
    """Raise `DataError` where `path` asks for Parquet and the extra is missing."""
    if path.suffix == ".parquet":
        _import_parquet(path)


def _import_parquet(path: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise DataError(f"{path} needs pyarrow: pip install 'tastevec[parquet]', or give a .csv name") from None


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    pyarrow, parquet = _import_parquet(path)
    with replace_file(path) as temporary:
        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), temporary)
