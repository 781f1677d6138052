"""Train the SVD, report prediction and ranking quality, and store it.

    python -m model.train_svd_model                     fitted on train, reported on val
    python -m model.train_svd_model --all-ratings       the same report, then refitted on train + val + test
    python -m model.train_svd_model --signal weighted   the values that preprocessing writes to train_transformed.csv

The report compares the ranking of every signal with popularity, and its RMSE with trivial predictions.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli
from recommender.data import artifacts, weighting
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.data.settings import override
from recommender.data.splits import KIND, REMEDY, load_all, load_split
from recommender.evaluate.metrics import rmse
from recommender.evaluate.protocols import from_known
from recommender.evaluate.run import ranking_quality
from recommender.learn.baselines import MostPopular
from recommender.learn.svd import SIGNALS, SvdModel
from recommender.linalg.randomized_svd import captured_energy, spectral_error
from recommender.models import cost

COMPARE_UP_TO = 2_000_000  # ratings; above, only the chosen signal and `weighted` are fitted for the report
RMSE_BLOCK = 1 << 17
RANKED_USERS = 2_000  # maximum number of users ranked for the report


def signal_errors(model: SvdModel, train: Interactions, held_out: Interactions) -> tuple[float, float, float]:
    """Return the RMSE of u . m, of 0 and of train's mean against the signal of `held_out`, weighted as in `train`."""
    means, _ = weighting.user_means(train)
    wanted, known = model.values(held_out, means), model.values(train, means)
    users, predicted, zero = held_out.user_rows(), np.empty_like(wanted), np.zeros_like(wanted)
    for low in range(0, held_out.n_ratings, RMSE_BLOCK):
        part = slice(low, low + RMSE_BLOCK)
        movies = model.movie_embeddings_[held_out.movie_rows[part]]
        predicted[part] = np.einsum("ij,ij->i", model.user_embeddings_[users[part]], movies)
    return rmse(predicted, wanted), rmse(zero, wanted), rmse(zero + known.mean(dtype=np.float64), wanted)


def report(model: SvdModel, train: Interactions, held_out: Interactions) -> None:
    """Print the table of signals: ranking on val, and RMSE beside the trivial predictions."""
    case = from_known(train, held_out, "val").sample(RANKED_USERS)
    chosen = model.settings.signal
    signals = SIGNALS if train.n_ratings <= COMPARE_UP_TO else tuple(dict.fromkeys((chosen, "weighted")))
    print(f"val: nDCG@10 over {case.n_users:,} users; RMSE of u . m, of always 0, of always the mean of train")
    print(f"  {'signal':<12}{'nDCG@10':>9}{'u . m':>9}{'0':>9}{'mean':>9}")
    print(f"  {'popularity':<12}{ranking_quality(MostPopular().fit(train), case):>9.4f}")
    for signal in signals:
        fitted = model
        try:
            if signal != chosen:
                fitted = SvdModel(**{**vars(model.settings), "signal": signal})
                fitted.engine = model.engine
                fitted.fit(train)
        except DataError as error:  # no such signal: no rating above 4, or all at the mean
            print(f"  {signal:<12}  {error}")
            continue
        values = (ranking_quality(fitted, case), *signal_errors(fitted, train, held_out))
        mark = "  <- chosen" if signal == chosen else ""
        print(f"  {signal:<12}" + "".join(f"{value:>9.4f}" for value in values) + mark, flush=True)


def fit(model: SvdModel, data: Interactions, what: str) -> None:
    """Fit on `data`, printing settings, time, and the captured energy."""
    settings, weights = model.settings, ""
    if settings.signal == "weighted":
        weights = f" (half-life {settings.half_life_days:g} days, popularity power {settings.popularity_power:g})"
    print(f"{what}: {data.n_ratings:,} ratings, signal {settings.signal}{weights}, rank {settings.rank}", flush=True)
    started = time.perf_counter()
    matrix, factors = model.fit_matrix(data)
    seconds = time.perf_counter() - started
    error = spectral_error(matrix, factors, np.random.default_rng(settings.seed))
    print(
        f"  {seconds:.1f} s; {captured_energy(matrix, factors.s):.1%} of the energy; singular values "
        f"{factors.s[0]:.4g} to {factors.s[-1]:.4g}; largest omitted one about {error:.4g}",
        flush=True,
    )


def preprocessed_settings(folder: Path) -> SvdModel.Settings:
    """Return the default settings with the weights that the preprocessing of `folder` used."""
    used = artifacts.read_manifest(folder, KIND, REMEDY)["settings"].get("transform", {})
    return SvdModel.Settings(**{name: used[name] for name in ("half_life_days", "popularity_power") if name in used})


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Train, report, store."""
    parser = cli.Parser("model.train_svd_model", __doc__.split("\n")[0], renamed={"--final": "--all-ratings"})
    parser.add_folders("svd")
    parser.epilog = "--half-life-days and --popularity-power default to those of the preprocessing."
    parser.add_common("all-ratings", help="after the report, refit on train + val + test and store this model")
    parser.add_engine()
    parser.add_settings(SvdModel.Settings)
    given = parser.parse_args(argv)
    output = cli.output_folder(given, "svd")
    settings = override(preprocessed_settings(given.processed), given)
    train, val = (load_split(given.processed, name) for name in ("train", "val"))
    most = min(train.n_users, train.n_movies)
    if settings.rank > most:
        size = f"{train.n_users} users and {train.n_movies} movies"
        raise DataError(f"--rank {settings.rank} for {size}: give a rank from 1 to {most}")
    cli.check_cost("svd", train, cost("svd", train, settings.rank), "give a smaller --rank", given.engine)
    model, fitted_on = SvdModel(**vars(settings)), "train"
    with cli.open_engine(given) as model.engine:
        fit(model, train, fitted_on)
        report(model, train, val)
        if given.all_ratings:
            fitted_on = "train+val+test"
            fit(model, load_all(given.processed), fitted_on)
    model.save(output, fitted_on)
    print(f"stored in {output}")


if __name__ == "__main__":
    cli.run(main)
