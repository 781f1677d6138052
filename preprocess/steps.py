"""The four preprocessing steps: settings, files, and the program that runs one or all of them.

filter -> split -> transform     each made from the step before it
filter -> metadata
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import pandas as pd

from recommender.cli import Parser
from recommender.data import artifacts
from recommender.data.catalog import parse_title
from recommender.data.errors import SettingsError
from recommender.data.interactions import FILES, Interactions
from recommender.data.raw.cells import year_of
from recommender.data.raw.sources import FORMATS, Source, open_sources
from recommender.data.settings import default_folder, override, read_settings, setting
from recommender.data.splits import KIND, PARTS, PARTS_FILE, load_movies, load_ratings, load_split
from recommender.data.weighting import HALF_LIFE_DAYS, POPULARITY_POWER

from .descriptions import FIELDS, read_all

# Above this many ratings `--format auto` writes no CSV: 25M ratings take minutes as CSV, seconds as arrays.
CSV_UP_TO = 2_000_000


@dataclass(frozen=True)
class PipelineSettings:
    """The settings of `config/pipeline.yaml`; `STEPS` lists those of each step."""

    min_user_ratings: int = setting(20, "minimum number of ratings of a user", 0)
    min_movie_ratings: int = setting(50, "minimum number of ratings of a movie", 0)
    iterative: bool = setting(False, "repeat both filters until nothing changes")
    movies_first: bool = setting(False, "filter movies before users")
    split: str = setting("per-user", "how the ratings are divided", choices=("per-user", "global-time"))
    train_fraction: float = setting(0.70, "share of the ratings for training", 0.01, 0.98)
    val_fraction: float = setting(0.15, "share of the ratings for tuning", 0.01, 0.98)
    test_fraction: float = setting(0.15, "share of the ratings for testing", 0.01, 0.98)
    min_split_ratings: int = setting(3, "per-user split: users with fewer ratings are in no part", 3)
    popularity_power: float = setting(POPULARITY_POWER, "pop_weight = 1 / count ** this", 0, 10)
    half_life_days: float = setting(HALF_LIFE_DAYS, "time_weight halves after this number of days", 0.001)
    min_tag_users: int = setting(2, "minimum number of users who gave a tag to a movie", 1)
    max_tags: int = setting(10, "maximum number of tags used as keywords of a movie without keywords", 0)

    def __post_init__(self) -> None:
        shares = (self.train_fraction, self.val_fraction, self.test_fraction)
        if abs(sum(shares) - 1) > 1e-6:
            total = f"{' + '.join(f'{share:g}' for share in shares)} is {sum(shares):g}"
            raise SettingsError(f"train_fraction, val_fraction and test_fraction: {total}: they must add up to 1")


class Step(NamedTuple):
    """A step: its settings, the steps it depends on, the names of its files."""

    settings: tuple[str, ...]
    made_from: tuple[str, ...]
    files: tuple[str, ...]


STEPS = {
    "filter": Step(
        ("min_user_ratings", "min_movie_ratings", "iterative", "movies_first"),
        (),
        (*FILES, "ratings_filtered.csv", "movies_filtered.csv", "user_ids.csv", "movie_ids.csv"),
    ),
    "split": Step(
        ("split", "train_fraction", "val_fraction", "test_fraction", "min_split_ratings"),
        ("filter",),
        (PARTS_FILE, *(f"{part}.csv" for part in PARTS), "movie_features.csv"),
    ),
    "transform": Step(
        ("popularity_power", "half_life_days"),
        ("filter", "split"),
        (
            *(f"{part}_transformed.csv" for part in PARTS),
            *("user_means.json", "movie_popularity.json", "train_max_timestamp.txt"),
        ),
    ),
    "metadata": Step(("min_tag_users", "max_tags"), ("filter",), ("movie_metadata.csv", "LICENSE")),
}
STEP_OF = {file: name for name, step in STEPS.items() for file in step.files}


class Run:
    """A run of some steps: flags, settings, and what one step passes to the next in memory.

    Anything that no step of this run makes is read from the processed folder.
    """

    def __init__(self, arguments: argparse.Namespace, settings: PipelineSettings) -> None:
        self.arguments, self.settings = arguments, settings
        self.described = read_all(arguments.descriptions)  # errors come before any work

    @cached_property
    def sources(self) -> list[Source]:
        """The raw sets; a title without a year gets that of its description."""
        sources = open_sources(self.arguments.data or [Path("data")], self.arguments.source_format)
        for movies in (source.movies for source in sources):
            for movie_id, fields in self.described.items():
                title, genres = movies.get(movie_id, ("", ""))
                if title and (year := year_of(fields["year"])) and not parse_title(title).year:
                    movies[movie_id] = (f"{title} ({year})", genres)
        return sources

    @cached_property
    def movies(self) -> dict[int, tuple[str, str]]:
        """Movie id -> raw title and genres of the filtered movies, ids ascending."""
        return load_movies(self.arguments.output)

    @cached_property
    def ratings(self) -> Interactions:
        return load_ratings(self.arguments.output)

    @cached_property
    def parts(self) -> dict[str, Interactions]:
        return {name: load_split(self.arguments.output, name) for name in PARTS}

    def has_csv(self, n_ratings: int) -> bool:
        """Return whether ratings are written as CSV too."""
        choice = "npy" if self.arguments.bundle else self.arguments.format
        return choice == "csv" or (choice == "auto" and n_ratings <= CSV_UP_TO)


def run_steps(
    module: str,
    description: str,
    steps: Mapping[str, Callable[[Run, Path], Sequence[str]]],
    argv: Optional[Sequence[str]] = None,
) -> None:
    """Run the program `python -m preprocess.<module>`: all files of `steps` are written, or none.

    steps: name in `STEPS` -> function that writes its files to a folder and returns its report, title first.
    """
    arguments = make_parser(module, description, list(steps)).parse_args(argv)
    settings = override(read_settings(PipelineSettings, arguments.config), arguments)
    names = [name for name, step in STEP_OF.items() if step in steps and (name != "LICENSE" or arguments.bundle)]
    artifacts.need_folder(arguments.output, kind=KIND, names=names)
    started = time.perf_counter()
    run = Run(arguments, settings)
    used = {name: {field: getattr(settings, field) for field in STEPS[name].settings} for name in steps}
    keep = [name for name, step in STEPS.items() if name not in steps and steps.keys().isdisjoint(step.made_from)]
    with artifacts.replace_set(arguments.output, KIND, used, keep, STEP_OF) as stage:
        for step in steps.values():
            print(*step(run, stage), sep="\n  ", flush=True)
    print(f"written to {arguments.output} in {time.perf_counter() - started:.1f} s")


def make_parser(module: str, description: str, steps: Sequence[str]) -> Parser:
    """Return the parser of a program that runs `steps`.

    A program that reads raw data has --output, one that reads a processed folder --processed; either name works.
    """
    reads_raw = "filter" in steps or "metadata" in steps
    place, other = ("output", "processed") if reads_raw else ("processed", "output")
    parser = Parser(f"preprocess.{module}", description, renamed={f"--{other}": f"--{place}"})
    parser.set_defaults(descriptions=[], bundle=False)
    if reads_raw:
        raw = "raw data: a folder, an archive, or what is in it: two.zip/a; repeatable (default: data)"
        parser.add_common("data", action="append", default=None, help=raw)
        forms = f"one of {', '.join(FORMATS)}, if the detection is wrong"
        parser.add_argument("--source-format", choices=tuple(FORMATS), metavar="NAME", help=forms)
    folder = default_folder("processed")
    parser.add_common(place, dest="output", default=folder, help="processed folder (default: the shipped one)")
    parser.add_common("config", default=default_folder("config") / "pipeline.yaml")
    kinds = f"csv: ratings as CSV too, which no program reads; npy: arrays alone; auto: csv up to {CSV_UP_TO:,}"
    old = {"both": "csv", "npz": "npy"}
    add = parser.add_argument
    add("--format", type=lambda text: old.get(text, text), choices=("auto", "csv", "npy"), default="auto", help=kinds)
    if "filter" in steps:
        scale = "rating scale, such as 1-10 (default: 0.5-5)"
        parser.add_argument("--rating-scale", type=_scale, metavar="LOW-HIGH", help=scale)
        parser.add_engine()
    if "metadata" in steps:
        form = f"JSON lines: movieId and any of {', '.join(FIELDS)}; repeatable, the first file with a value wins"
        parser.add_argument("--descriptions", type=Path, action="append", metavar="FILE", help=form)
    if len(steps) == len(STEPS):
        bundle = "write only the files that programs need, and the README of the data as LICENSE"
        parser.add_argument("--bundle", action="store_true", help=bundle)
    names = [name for step in steps for name in STEPS[step].settings]
    parser.add_settings(PipelineSettings, names, "settings, override the file")
    return parser


def _scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        scale = (float(low), float(high))
    except ValueError:
        scale = (0.0, 0.0)
    if not -np.inf < scale[0] < scale[1] < np.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a scale such as 1-10")
    return scale


def write_ratings_csv(data: Interactions, path: Path, **more: np.ndarray) -> None:
    """Write external ids, ratings, times as dates in UTC, and `more` columns of shape (n_ratings,)."""
    users, movies = data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows]
    columns = {"userId": users, "movieId": movies, "rating": data.ratings.astype("float64").round(6)}
    columns["timestamp"] = data.times.astype("datetime64[s]")
    frame = pd.DataFrame({**columns, **more})
    frame.to_csv(path, index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S", encoding="utf-8")


def write_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a small table of texts as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
