"""All of the preprocessing in order: filter, split, transform, metadata.

What one step makes goes to the next in memory, so the ratings are read once; the files of all steps appear together
or not at all.

    python -m preprocess.setup --data data/ml-25m.zip
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from preprocess import build_metadata, filter_data, split_data, transform_data
from preprocess import program as common
from preprocess.pipeline_settings import STEPS
from preprocess.raw_files import RawFiles
from recommender import cli
from recommender.data import artifacts
from recommender.data.errors import DataError

_STEMS = {
    "filter": ("ratings_filtered", "movies_filtered", "user_ids", "movie_ids"),
    "split": ("train", "val", "test", "movie_features"),
    "transform": (
        *("train_transformed", "val_transformed", "test_transformed"),
        *("user_means", "movie_popularity", "train_max_timestamp"),
    ),
    "metadata": ("movie_metadata", "LICENSE"),
}
_SUFFIXES = (".csv", ".npz", ".json", ".txt", "")
STEP_OF = {f"{stem}{suffix}": step for step, stems in _STEMS.items() for stem in stems for suffix in _SUFFIXES}


def write_terms(files: RawFiles, folder: Path) -> None:
    """Copy the data's own terms of use, its README, to `LICENSE`; raises `DataError` where it has none."""
    for name in ("README.txt", "README.html", "README", "README.md"):
        if name in files:
            with files.open(name) as file:
                (folder / "LICENSE").write_bytes(file.read())
            return
    raise DataError(
        f"{files.path} holds no README with its terms of use: put it beside the ratings, or leave out --bundle"
    )


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run all steps."""
    names = [name for step in STEPS.values() for name in step]
    parser = common.make_parser("setup", "Filter, split, transform and describe a data set.", names, reads_raw=True)
    common.add_scale(parser)
    build_metadata.add_flag(parser)
    parser.add_argument(
        "--bundle", action="store_true", help="write only what the programs need, and the data's README as LICENSE"
    )
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    started = time.perf_counter()
    source, filtered = filter_data.run(arguments.data, arguments.source_format, settings, arguments.rating_scale)
    print("filter", *filtered.report, sep="\n  ", flush=True)
    rows, metadata_report = build_metadata.build(source, filtered.movies, arguments.descriptions, settings)
    kinds = ("npz",) if arguments.bundle else common.formats(arguments.format, filtered.ratings.n_ratings)
    step_settings = {step: settings.of_step(step) for step in STEPS}
    with artifacts.replace_set(arguments.output, common.KIND, "setup", step_settings, step_of=STEP_OF) as stage:
        build_metadata.write(rows, stage)
        filter_data.write(filtered, stage, () if arguments.bundle else kinds)
        movies = filtered.movies
        parts = split_data.split_ratings(filtered.ratings, settings)
        del filtered
        print(f"split ({settings.split})", *parts.report, sep="\n  ", flush=True)
        fitted = transform_data.fit(parts.train, settings)
        print("transform", *transform_data.report(fitted, parts.train), sep="\n  ", flush=True)
        print("metadata", *metadata_report, sep="\n  ", flush=True)
        split_data.write(parts, movies, stage, kinds)
        transform_data.write_learned(parts.train, fitted, stage)
        if arguments.bundle:
            write_terms(source.files, stage)
        else:
            transform_data.write(parts, fitted, settings, stage, kinds)
    print(f"written to {arguments.output} in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    cli.run(main)
