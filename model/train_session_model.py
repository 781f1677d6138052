"""Fit what a session learns with: the covariance of tastes behind the conditional-gaussian rule."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from model import program as common
from recommender import cli as command
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError
from recommender.data.settings import override
from recommender.data.splits import load_all, load_split
from recommender.session.taste_covariance import GaussianSettings, fit_gaussian, save_gaussian


def make_parser() -> command.Parser:
    """Return the parser of the flags."""
    parser = common.make_parser("train_session_model", __doc__, "session")
    parser.add_argument(
        "--train-only",
        action="store_true",
        help="fit on train alone; without it on all ratings, since a session is held with somebody new",
    )
    parser.add_settings(GaussianSettings)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit, report, store."""
    arguments = make_parser().parse_args(argv)
    settings = override(GaussianSettings(), arguments)
    folder = arguments.processed
    output = common.output_folder(arguments, "session")
    catalog = Catalog.load(folder)
    data = load_split(folder, "train") if arguments.train_only else load_all(folder)
    if not np.array_equal(catalog.movie_ids, data.movie_ids):
        raise ArtifactError(f"{folder}: ratings and movie list differ: run python -m preprocess.setup again")
    started = time.perf_counter()
    fitted = fit_gaussian(data, catalog, settings)
    seconds = time.perf_counter() - started
    print(
        f"{data.n_ratings:,} ratings, {fitted.n_users:,} users x {data.n_movies:,} movies; rank "
        f"{fitted.vectors.shape[1]}; {seconds:.1f} s"
    )
    save_gaussian(output, fitted, settings, data.movie_ids, "train" if arguments.train_only else "train+val+test")
    print(f"stored in {output}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
