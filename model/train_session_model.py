"""Fit what a session learns with: the covariance of tastes behind the conditional-gaussian rule."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli
from recommender.data import artifacts
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError
from recommender.data.settings import override
from recommender.data.splits import load_all, load_split
from recommender.models import cost
from recommender.session.gaussian import GaussianSettings
from recommender.session.taste_covariance import fit_gaussian, save_gaussian


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit, report, store."""
    parser = cli.Parser("model.train_session_model", __doc__ or "", renamed={"--train-only": "--no-all-ratings"})
    parser.add_folders("session")
    why = "fit on all ratings, since a session is held with somebody new, not on the training split alone"
    parser.add_common("all-ratings", action=argparse.BooleanOptionalAction, default=True, help=why)
    parser.add_engine()
    parser.add_settings(GaussianSettings)
    given = parser.parse_args(argv)
    settings, output = override(GaussianSettings(), given), cli.output_folder(given, "session")
    catalog = Catalog.load(given.processed)
    data = load_all(given.processed) if given.all_ratings else load_split(given.processed, "train")
    if not np.array_equal(catalog.movie_ids, data.movie_ids):
        again = artifacts.command("python -m preprocess.setup", given.processed)
        raise ArtifactError(f"{given.processed}: ratings and movie list differ: run {again}")
    cli.check_cost("session", data, cost("session", data, settings.rank), "give a smaller --rank", given.engine)
    started = time.perf_counter()
    with cli.open_engine(given) as engine:
        fitted = fit_gaussian(data, catalog, settings, engine)
    seconds = time.perf_counter() - started
    print(f"fitted on {fitted.n_users:,} users; rank {fitted.vectors.shape[1]}; {seconds:.1f} s")
    save_gaussian(output, fitted, settings, data.movie_ids, "train+val+test" if given.all_ratings else "train")
    print(f"stored in {output}")


if __name__ == "__main__":
    cli.run(main)
