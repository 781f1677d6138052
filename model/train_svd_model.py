"""Train the SVD on what preprocess wrote, report how well it predicts and ranks, and store it.

    python -m model.train_svd_model                     fitted on train, reported on val
    python -m model.train_svd_model --final             the same report, then fitted anew on train + val + test
    python -m model.train_svd_model --signal weighted   another value for the cells

The weights of the `weighted` signal are those that the preprocessing of the data used, unless flags say otherwise:
the signal is then what `train_transformed` holds. The report holds this recipe beside the trivial predictions and
every signal's ranking beside popularity, so that nobody has to take a signal on trust.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from model import program as common
from recommender import cli as command
from recommender.data import artifacts, weighting
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.data.settings import check_value, override
from recommender.data.splits import KIND, REMEDY, load_all, load_split
from recommender.evaluate.metrics import rmse
from recommender.learn.popularity import MostPopular
from recommender.learn.signals import SIGNALS
from recommender.learn.svd import SvdModel, SvdSettings
from recommender.linalg.randomized_svd import captured_energy, spectral_error

COMPARE_UP_TO = 2_000_000  # ratings; above, only the chosen signal and `weighted` are fitted for the report
WEIGHTS = ("half_life_days", "popularity_power")
RMSE_BLOCK = 1 << 17


class Errors(NamedTuple):
    """RMSE on held-out ratings of the signal, by what is predicted."""

    model: float
    zero: float
    mean: float


def signal_errors(model: SvdModel, train: Interactions, held_out: Interactions) -> Errors:
    """Return the RMSE of u . m, of 0 and of the mean against the signal of `held_out`, weighed as `train` says."""
    means, _ = weighting.user_means(train)
    wanted, known = model.values(held_out, means), model.values(train, means)
    users = held_out.user_rows()
    predicted = np.empty(held_out.n_ratings, dtype=np.float32)
    for low in range(0, held_out.n_ratings, RMSE_BLOCK):
        part = slice(low, low + RMSE_BLOCK)
        rows = model.movie_embeddings[held_out.movie_rows[part]]
        predicted[part] = np.einsum("ij,ij->i", model.user_embeddings[users[part]], rows)
    zero = np.zeros_like(wanted)
    return Errors(rmse(predicted, wanted), rmse(zero, wanted), rmse(zero + known.mean(dtype=np.float64), wanted))


def report(model: SvdModel, train: Interactions, held_out: Interactions) -> None:
    """Print the table of signals: ranking on val, and RMSE beside the trivial predictions."""
    case = common.validation_case(train, held_out)
    chosen = model.settings.signal
    signals = SIGNALS if train.n_ratings <= COMPARE_UP_TO else tuple(dict.fromkeys((chosen, "weighted")))
    print(f"val: nDCG@10 over {case.n_users:,} people; RMSE of u . m, of always 0, of always the mean of train")
    print(f"  {'signal':<12}{'nDCG@10':>9}{'u . m':>9}{'0':>9}{'mean':>9}")
    print(f"  {'popularity':<12}{common.ranking_quality(MostPopular().fit(train), case):>9.4f}")
    for signal in signals:
        other = model
        if signal != chosen:
            try:
                other = SvdModel(**{**vars(model.settings), "signal": signal}).fit(train)
            except DataError as error:  # these ratings have no such signal: nobody above 4, everybody at the mean
                print(f"  {signal:<12}  {error}")
                continue
        errors = signal_errors(other, train, held_out)
        mark = "  <- chosen" if signal == chosen else ""
        print(
            f"  {signal:<12}{common.ranking_quality(other, case):>9.4f}"
            f"{errors.model:>9.4f}{errors.zero:>9.4f}{errors.mean:>9.4f}{mark}",
            flush=True,
        )


def fit_and_tell(model: SvdModel, data: Interactions, what: str) -> None:
    """Fit on `data`, printing sizes, time, and how much of the matrix the factors hold."""
    chosen = model.settings
    weights = f" (half-life {chosen.half_life_days:g} days, popularity power {chosen.popularity_power:g})"
    print(
        f"{what}: {data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies; "
        f"signal {chosen.signal}{weights if chosen.signal == 'weighted' else ''}, rank {chosen.rank}",
        flush=True,
    )
    started = time.perf_counter()
    matrix, factors = model.fit_matrix(data)
    seconds = time.perf_counter() - started
    error = spectral_error(matrix, factors, np.random.default_rng(model.settings.seed))
    print(
        f"  {seconds:.1f} s; {captured_energy(matrix, factors.s):.1%} of the energy; singular values "
        f"{factors.s[0]:.4g} to {factors.s[-1]:.4g}; largest one left out about {error:.4g}",
        flush=True,
    )


def preprocessed_settings(folder: Path) -> SvdSettings:
    """Return the default settings with the weights that the preprocessing of `folder` used."""
    used = artifacts.read_manifest(folder, KIND, REMEDY)["settings"].get("transform", {})
    where = f"{folder / artifacts.MANIFEST}: "
    given = {name: check_value(SvdSettings, name, used[name], where + name) for name in WEIGHTS if name in used}
    return SvdSettings(**given)


def check_rank(rank: int, train: Interactions) -> None:
    """Raise `DataError` for a rank that the data do not have, before anything is printed about them."""
    most = min(train.n_users, train.n_movies)
    if rank > most:
        raise DataError(
            f"--rank {rank} for {train.n_users} users and {train.n_movies} movies: give a rank from 1 to {most}"
        )


def make_parser() -> command.Parser:
    """Return the parser of the flags."""
    parser = common.make_parser("train_svd_model", __doc__.split("\n")[0], "svd")
    parser.epilog = "Where the data were weighted otherwise, --half-life-days and --popularity-power default to that."
    parser.add_argument(
        "--final", action="store_true", help="after the report, fit on train + val + test and store that"
    )
    parser.add_settings(SvdSettings)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Train, report, store."""
    arguments = make_parser().parse_args(argv)
    output = common.output_folder(arguments, "svd")
    settings = override(preprocessed_settings(arguments.processed), arguments)
    train, val = (load_split(arguments.processed, name) for name in ("train", "val"))
    check_rank(settings.rank, train)
    model = SvdModel(**vars(settings))
    fit_and_tell(model, train, "train")
    report(model, train, val)
    fitted_on = "train"
    if arguments.final:
        everything = load_all(arguments.processed)
        fitted_on = "train+val+test"
        fit_and_tell(model, everything, fitted_on)
    model.save(output, fitted_on)
    print(f"stored in {output}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
