"""What the preprocessing programs share: flags, and how their files are written."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recommender.cli import Parser
from recommender.data import artifacts
from recommender.data.errors import SettingsError
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder, override, read_settings

from .pipeline_settings import PipelineSettings
from .sources import FORMATS, Scale

KIND = "processed"
# Above this many ratings `--format auto` writes no CSV: 25M ratings take minutes that way, seconds as arrays.
CSV_UP_TO = 2_000_000
# The steps whose files stay when a step is run again: all that were not made from its own.
_KEPT = {
    "filter": (),
    "split": ("filter", "metadata"),
    "transform": ("filter", "split", "metadata"),
    "metadata": ("filter", "split", "transform"),
}


def make_parser(module: str, description: str, settings: Sequence[str], reads_raw: bool) -> Parser:
    """Return the parser of `python -m preprocess.<module>` with the flags that all steps have.

    A step that starts from raw data writes to --output; one that goes on from a processed folder has --processed.
    Both names are accepted by both.
    """
    place, other = ("output", "processed") if reads_raw else ("processed", "output")
    parser = Parser(f"preprocess.{module}", description, renamed={f"--{other}": f"--{place}"})
    if reads_raw:
        parser.add_common("data", help="raw data: a folder or a .zip (default: data)")
        parser.add_argument(
            "--source-format", metavar="NAME", help=f"one of {', '.join(FORMATS)}, where what is detected is wrong"
        )
    parser.add_common(
        place,
        dest="output",
        default=default_folder("processed"),
        help="the processed folder (default: the shipped one)",
    )
    parser.add_common("config", default=default_folder("config") / "pipeline.yaml")
    parser.add_argument(
        "--format",
        choices=("auto", "csv", "npz", "both"),
        default="auto",
        help=f"what to write; auto: both up to {CSV_UP_TO:,} ratings, above that npz",
    )
    parser.add_settings(PipelineSettings, settings, "settings, over those of the file")
    return parser


def add_scale(parser: Parser) -> None:
    """Add `--rating-scale`."""
    parser.add_argument(
        "--rating-scale", type=_scale, metavar="LOW-HIGH", help="scale of the ratings, such as 1-10 (default: 0.5-5)"
    )


def _scale(text: str) -> Scale:
    low, _, high = text.partition("-")
    try:
        scale = (float(low), float(high))
    except ValueError:
        scale = (0.0, 0.0)
    if not -np.inf < scale[0] < scale[1] < np.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a scale: write 1-10")
    return scale


def settings_of(arguments: argparse.Namespace) -> PipelineSettings:
    """Return the settings of the file with the flags over them, and check the other flags."""
    settings = override(read_settings(PipelineSettings, arguments.config), arguments)
    form = getattr(arguments, "source_format", None)
    if form is not None and form not in FORMATS:
        raise SettingsError(f"--source-format: {form!r} is not one of {', '.join(FORMATS)}")
    artifacts.need_folder(arguments.output, kind=KIND)
    return settings


def formats(choice: str, n_ratings: int) -> tuple[str, ...]:
    """Return which of csv and npz to write.

    >>> formats("auto", 100_000), formats("auto", 25_000_000), formats("csv", 1)
    (('csv', 'npz'), ('npz',), ('csv',))
    """
    if choice == "auto":
        choice = "both" if n_ratings <= CSV_UP_TO else "npz"
    return ("csv", "npz") if choice == "both" else (choice,)


def write_ratings(data: Interactions, folder: Path, name: str, kinds: Sequence[str]) -> None:
    """Write `name`.csv and / or `name`.npz."""
    if "npz" in kinds:
        data.save(folder / f"{name}.npz")
    if "csv" in kinds:
        write_ratings_csv(data, folder / f"{name}.csv")


def write_ratings_csv(data: Interactions, path: Path, **more: np.ndarray) -> None:
    """Write external ids, ratings, times as dates in UTC, and `more` columns of shape (n_ratings,)."""
    columns = {
        "userId": data.user_ids[data.user_rows()],
        "movieId": data.movie_ids[data.movie_rows],
        "rating": data.ratings.astype("float64").round(6),
        "timestamp": data.times.astype("datetime64[s]"),
        **more,
    }
    form = {"index": False, "lineterminator": "\n", "date_format": "%Y-%m-%d %H:%M:%S", "encoding": "utf-8"}
    pd.DataFrame(columns).to_csv(path, **form)


def write_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a small table of texts as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def replace_step(folder: Path, step: str, settings: PipelineSettings) -> AbstractContextManager[Path]:
    """Return the context in which `step` writes its files: all or none of them."""
    return artifacts.replace_set(folder, KIND, step, settings.of_step(step), _KEPT[step])


def percent(part: int, whole: int) -> str:
    """Return a share for people to read.

    >>> percent(1, 3), percent(0, 0)
    ('33.3%', '0.0%')
    """
    return f"{100 * part / max(whole, 1):.1f}%"
