"""What the preprocessing programs share: flags, where files lie, how they are written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from recommender.cli import Parser
from recommender.data import artifacts
from recommender.data.errors import SettingsError
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder, override, read_settings

from .pipeline_settings import PipelineSettings

KIND = "processed"
STEP_NAMES = ("filter", "split", "transform", "metadata")
FORMATS = ("auto", "csv", "npz", "both")
# Above this many ratings `auto` writes no CSV: 25M ratings take minutes that way, seconds as arrays.
CSV_UP_TO = 2_000_000


def make_parser(module: str, description: str, settings: Sequence[str], reads_raw: bool) -> Parser:
    """Return the parser of `python -m preprocess.<module>` with the flags that all steps have."""
    parser = Parser(f"preprocess.{module}", description)
    if reads_raw:
        parser.add_argument(
            "--data",
            type=Path,
            default=Path("data"),
            metavar="PATH",
            help="the raw data: a folder or a .zip (default: data)",
        )
        parser.add_argument(
            "--source-format",
            metavar="NAME",
            help="csv, dat (1M, 10M), 100k or movietweetings, where what is detected is wrong",
        )
    parser.add_argument(
        "--output",
        type=Path,
        default=default_folder("processed"),
        metavar="DIR",
        help="the folder of the processed data (default: %(default)s)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=default_folder("config") / "pipeline.yaml",
        metavar="FILE",
        help="the settings file (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help=f"what to write: csv, npz, both, or auto: both up to {CSV_UP_TO:,} ratings, above that npz",
    )
    parser.add_settings(PipelineSettings, settings, "settings, over those of the file")
    return parser


def settings_of(arguments: argparse.Namespace) -> PipelineSettings:
    """Return the settings of the file with the flags over them."""
    return override(read_settings(PipelineSettings, arguments.config), arguments)


def forms(choice: str, n_ratings: int) -> tuple[str, ...]:
    """Return which of csv and npz to write.

    >>> forms("auto", 100_000), forms("auto", 25_000_000), forms("csv", 1)
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
        write_frame(rating_columns(data), folder / f"{name}.csv")


def rating_columns(data: Interactions) -> dict[str, Any]:
    """Return the columns of a ratings CSV: external ids, and times as readable dates in UTC."""
    return {
        "userId": data.user_ids[data.user_rows()],
        "movieId": data.movie_ids[data.movie_rows],
        "rating": data.ratings.astype("float64").round(6),
        "timestamp": data.times.astype("datetime64[s]"),
    }


def write_frame(columns: dict[str, Any], path: Path) -> None:
    """Write columns as CSV: UTF-8, LF line ends, dates as `2015-03-09 22:52:09`."""
    import pandas as pd

    frame = pd.DataFrame(columns)
    frame.to_csv(path, index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S", encoding="utf-8")


def write_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a small table of texts as CSV."""
    import csv

    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def keep_steps(step: str) -> tuple[str, ...]:
    """Return the steps whose files stay when `step` is run again: all that were not made from its own."""
    return {
        "filter": (),
        "split": ("filter", "metadata"),
        "transform": ("filter", "split", "metadata"),
        "metadata": ("filter", "split", "transform"),
    }[step]


def replace_step(folder: Path, step: str, settings: PipelineSettings) -> Any:
    """Return the context in which `step` writes its files: all or none of them."""
    artifacts.need_folder(folder)
    return artifacts.replace_set(folder, KIND, step, settings.of_step(step), keep_steps(step))


def percent(part: int, whole: int) -> str:
    """Return a share for people to read.

    >>> percent(1, 3), percent(0, 0)
    ('33.3%', '0.0%')
    """
    return f"{100 * part / max(whole, 1):.1f}%"


def default_form(given: Optional[str]) -> Optional[str]:
    """Return the form asked for with --source-format, checked; None to detect it."""
    from .sources import FORMS

    if given is not None and given not in FORMS:
        raise SettingsError(f"--source-format: {given!r} is not one of {', '.join(FORMS)}")
    return given
