"""Plots of an evaluation, PNG files; needs the extra `plots` (matplotlib).

Every plot shows what a table row cannot: a trade-off (accuracy against coverage and against the long tail), and how a
session continues (hits by turn).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.artifacts import need_file
from ..data.errors import DataError
from ..data.files import replace_file
from .report import Report


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
