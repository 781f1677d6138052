"""All of the preprocessing in order: filter, split, transform, metadata.

What one step makes goes to the next in memory, so the ratings are read once; the files of all steps appear together
or not at all.

    python -m preprocess.setup --data data/ml-25m.zip
    python -m preprocess.setup --bundle ...     only what the programs need to run, with the licence of the data
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import build_metadata, filter_data, split_data, transform_data
from preprocess import program as common
from preprocess.pipeline_settings import FILTER, METADATA, SPLIT, TRANSFORM
from preprocess.raw_files import RawFiles
from recommender import cli as command
from recommender.data import artifacts
from recommender.data.errors import DataError
from recommender.data.splits import PARTS

TERMS = ("README.txt", "README.html", "README", "README.md")
_STEP_OF_STEM = {
    "ratings_filtered": "filter",
    "movies_filtered": "filter",
    "train": "split",
    "val": "split",
    "test": "split",
    "movie_features": "split",
    "train_transformed": "transform",
    "val_transformed": "transform",
    "test_transformed": "transform",
    "user_means": "transform",
    "movie_popularity": "transform",
    "train_max_timestamp": "transform",
    "movie_metadata": "metadata",
    "LICENSE": "metadata",
}
STEP_OF = {
    f"{stem}{suffix}": step for stem, step in _STEP_OF_STEM.items() for suffix in (".csv", ".npz", ".json", ".txt", "")
}


def write_terms(files: RawFiles, folder: Path) -> None:
    """Copy the data's own terms of use, its README, to `LICENSE`; raises `DataError` where it has none."""
    for name in TERMS:
        if name in files:
            with files.open(name) as file:
                (folder / "LICENSE").write_bytes(file.read())
            return
    raise DataError(
        f"{files.path} holds no README with its terms of use: put it beside the ratings, or leave out --bundle"
    )


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run all steps."""
    names = FILTER + SPLIT + TRANSFORM + METADATA
    parser = common.make_parser("setup", "Filter, split, transform and describe a data set.", names, reads_raw=True)
    build_metadata.add_flag(parser)
    parser.add_argument(
        "--bundle",
        action="store_true",
        help="write only what the programs need, to be passed on: no filtered or transformed ratings, no CSV of "
        "ratings, and the data's README as LICENSE",
    )
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    form = common.default_form(arguments.source_format)
    artifacts.need_folder(arguments.output, kind=common.KIND)
    started = time.perf_counter()
    source, filtered = filter_data.run(arguments.data, form, settings)
    print("filter", *filtered.report, sep="\n  ", flush=True)
    rows, metadata_report = build_metadata.build(
        source.files, source.form, filtered.movies, arguments.descriptions, settings
    )
    kinds = common.forms(arguments.format, filtered.ratings.n_ratings)
    step_settings = {step: settings.of_step(step) for step in common.STEP_NAMES}
    with artifacts.replace_set(arguments.output, common.KIND, "setup", step_settings, step_of=STEP_OF) as stage:
        build_metadata.write(rows, stage)
        filter_data.write_movies(filtered.movies, stage)
        movies = filtered.movies
        if not arguments.bundle:
            common.write_ratings(filtered.ratings, stage, "ratings_filtered", kinds)
        parts = split_data.split_ratings(filtered.ratings, settings)
        del filtered
        print(f"split ({settings.split})", *parts.report, sep="\n  ", flush=True)
        fitted = transform_data.fit(parts.train, settings)
        print("transform", *transform_data.report(fitted, parts.train), sep="\n  ", flush=True)
        print("metadata", *metadata_report, sep="\n  ", flush=True)
        if arguments.bundle:
            for name in PARTS:
                common.write_ratings(getattr(parts, name), stage, name, ("npz",))
            split_data.write_features(movies, stage)
            transform_data.write_learned(parts.train, fitted, stage)
            write_terms(source.files, stage)
        else:
            split_data.write(parts, movies, stage, kinds)
            transform_data.write(parts, fitted, settings, stage, kinds)
    print(f"written to {arguments.output} in {time.perf_counter() - started:.1f} s")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
