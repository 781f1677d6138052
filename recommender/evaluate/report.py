"""Evaluation results as two long tables, printed and saved as CSV, Parquet or JSON, and as plots (extra `plots`).

    units      task, split, model, unit, measure, value: a row for each value of each unit, where it is defined
    averages   task, split, model, measure, n_units, value, low, high; where models are compared also reference,
               against (difference or ratio), against_value, against_low, against_high, p_value, corrected_p

A unit is what values are means over and intervals resample: a user, a described movie, a dialogue. Rows of `units`
without a model say what is known of the unit; rows of `averages` without n_units are values of all units together.
Plots show trade-offs (nDCG against coverage and the long tail), and how a session goes on (hits by turn).
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.artifacts import need_file
from ..data.errors import DataError
from ..data.files import dump_json, replace_file
from .significance import Estimate

_HEAD = ["task", "split", "model", "measure", "n_units", "value", "low", "high"]
_AGAINST = ["reference", "against", "against_value", "against_low", "against_high", "p_value", "corrected_p"]


@dataclass
class Report:
    """All models on one task, in the order in which they were evaluated.

    units: (n_units,) ids.  notes: lines that say what was evaluated.  tables: title -> measures, as printed.
    facts: name -> (n_units,), known of each unit whatever the model.  values: model -> measure -> (n_units,) float64,
    nan if it is undefined.  overall: model -> measure -> the mean of `values`, or a value of no unit.
    intervals: of means, by (model, measure).  compared: differences from (`ratio`: ratios to) `reference`, likewise.
    """

    task: str
    part: str
    units: np.ndarray
    notes: list[str]
    tables: dict[str, list[str]]
    facts: dict[str, np.ndarray] = field(default_factory=dict)
    ratio: bool = False
    reference: str = ""
    values: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    overall: dict[str, dict[str, float]] = field(default_factory=dict)
    intervals: dict[tuple[str, str], Estimate] = field(default_factory=dict)
    compared: dict[tuple[str, str], Estimate] = field(default_factory=dict)


def averages(reports: Iterable[Report]) -> Any:
    """Return the table of averages, a DataFrame; see the head of this module."""
    import pandas as pd

    rows = []
    for report in reports:
        for model, figures in report.overall.items():
            for measure, value in figures.items():
                n_units = len(report.units) if measure in report.values.get(model, ()) else None
                mean = report.intervals.get((model, measure), Estimate(value))
                against = report.compared.get((model, measure))
                word = "ratio" if report.ratio else "difference"
                more = (report.reference, word, *against) if against else [None] * len(_AGAINST)
                rows.append((report.task, report.part, model, measure, n_units, value, mean.low, mean.high, *more))
    return pd.DataFrame(rows, columns=_HEAD + _AGAINST).astype({"n_units": "Int64"}).replace([np.inf, -np.inf], np.nan)


def units(reports: Iterable[Report]) -> Iterator[Any]:
    """Yield the table of units, a DataFrame for each measure, so that they need not be in memory together."""
    import pandas as pd

    for report in reports:
        ids = report.units.astype(str)  # of movies and people, or of dialogues
        for model, measures in {"": report.facts, **report.values}.items():
            for measure, value in measures.items():
                head = {"task": report.task, "split": report.part, "model": model, "unit": ids, "measure": measure}
                yield pd.DataFrame({**head, "value": value}).dropna()


def text(report: Report) -> str:
    """Return the tables of one report for a terminal; a measure that no model has is left out."""
    lines = [f"== {report.task}, {report.part} ==", *report.notes]
    for title, measures in report.tables.items():
        columns = {name: [_cell(report, model, name) for model in report.overall] for name in measures}
        columns = {name: cells for name, cells in columns.items() if set(cells) != {"-"}}
        header = [name.partition("@")[0] if title.endswith(name.partition("@")[2]) else name for name in columns]
        if columns:
            lines += ["", table([title, *header], list(zip(report.overall, *columns.values())))]
    rows = []
    for (model, measure), found in report.compared.items():
        value, low, high = (f"{x:{'.2f' if report.ratio else '+.4f'}}" if math.isfinite(x) else "-" for x in found[:3])
        p_values = [] if report.ratio else [f"{found.p_value:.4f}", f"{found.corrected_p:.4f}"]
        rows.append([model, measure, value, f"{low} to {high}", *p_values])
    if rows:
        header = ["metric", "ratio" if report.ratio else "difference", "95% interval", "p", "p (Holm)"]
        title = f"{'times' if report.ratio else 'against'} {report.reference}"
        lines += ["", table([title, *header][: len(rows[0])], rows)]
    return "\n".join(lines)


def _cell(report: Report, model: str, measure: str) -> str:
    value = report.overall[model].get(measure, math.nan)
    found = report.intervals.get((model, measure))
    interval = f" ({found.low:.4f} to {found.high:.4f})" if found else ""
    return f"{value:.4f}{interval}" if math.isfinite(value) else "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns of one width each, the first to the left, the others to the right.

    >>> print(table(["model", "x"], [["ease", "1.5"]]))
    model    x
    ease   1.5
    """
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [header, *rows])
    return "\n".join("  ".join(line).rstrip() for line in lines)


def write_table(path: Path, frames: Iterable[Any]) -> None:
    """Write DataFrames of the same columns below each other, as CSV, or as Parquet by the file name."""
    import pandas as pd

    need_parquet(path)
    with replace_file(path) as temporary:
        if path.suffix == ".parquet":
            pd.concat(frames).to_parquet(temporary, index=False)
            return
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            for number, frame in enumerate(frames):
                frame.to_csv(file, index=False, header=not number, lineterminator="\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replace_file(path) as temporary:
        dump_json(value, temporary)


def need_parquet(path: Path) -> None:
    """Raise `DataError` if `path` asks for Parquet and the extra is missing."""
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise DataError(f"{path} needs pyarrow: pip install 'tastevec[parquet]', or give a .csv name")


def need_matplotlib() -> Any:
    """Return matplotlib's Figure class; raises `DataError` that names the extra where it is missing."""
    try:
        return importlib.import_module("matplotlib.figure").Figure
    except ImportError:
        raise DataError("plots need matplotlib: pip install 'tastevec[plots]', or leave out --plots") from None


def write_plots(folder: Path, reports: Sequence[Report]) -> None:
    """Write two plots for each case, at its first cutoff: nDCG against coverage and against the tail share."""
    for report in reports:
        stem = re.sub(r"[^a-z0-9]+", "-", f"{report.task} {report.part}".lower()).strip("-")
        y = next(iter(next(iter(report.values.values()))))  # nDCG at the first cutoff
        for name in ("coverage", "tail_share"):
            x, title = y.replace("ndcg", name), f"{report.task}, {report.part}: {len(report.units):,} users"
            figure, axes = _new(title, _words(x), _words(y))
            for model, figures in report.overall.items():
                axes.plot(figures[x], figures[y], "o", markersize=7)
                axes.annotate(model, (figures[x], figures[y]), textcoords="offset points", xytext=(6, 4), fontsize=9)
            axes.margins(0.2)
            _save(figure, folder / f"{stem}-ndcg-{name.replace('_', '-')}.png")


def session_hits(path: Path, hits: Mapping[str, npt.ArrayLike], title: str) -> None:
    """Plot cumulated hits by turn; hits: label -> (n_turns,) mean number of liked movies shown at each turn."""
    figure, axes = _new(title, "movies shown", "liked movies among them, mean")
    for label, values in hits.items():
        total = np.cumsum(np.asarray(values, dtype=np.float64))
        axes.plot(np.arange(1, len(total) + 1), total, linewidth=1.5, label=label)
    _save(figure, path)


def _new(title: str, x: str, y: str) -> tuple[Any, Any]:
    figure = need_matplotlib()(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=x, ylabel=y)
    axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.axes[0].set_ylim(bottom=0)
    if len(figure.axes) == 1 and figure.axes[0].get_legend_handles_labels()[0]:
        figure.axes[0].legend(frameon=False, fontsize=9)
    need_file(path, "--plots", "tastevec")
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": "tastevec"})


def _words(metric: str) -> str:
    name, _, k = metric.partition("@")
    names = {"ndcg": "nDCG", "tail_share": "share of long-tail movies"}
    return f"{names.get(name, name.replace('_', ' '))} at {k}"
