"""Fit a ranking model on all ratings and keep it, so that `Recommender.recommend` need not fit it first."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from model import program as common
from recommender import cli as command
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.data.splits import load_all
from recommender.learn import registry
from recommender.learn.known_users import DEFAULT_METHOD

PROGRAMS = {"svd": "train_svd_model", "two_tower": "train_twotower"}


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit, save and say how long it took."""
    parser = common.make_parser("train_ranking_model", __doc__, "NAME")
    names = ", ".join(registry.names())
    parser.add_argument("--model", default=DEFAULT_METHOD, metavar="NAME", help=f"{names} (default: %(default)s)")
    arguments = parser.parse_args(argv)
    if arguments.model in PROGRAMS:
        own = f"python -m model.{PROGRAMS[arguments.model]}"
        raise ChoiceError(f"--model {arguments.model}: its artifact has a program of its own, {own}")
    registry.model_class(arguments.model)  # an unknown name is refused before the data are read
    output = common.output_folder(arguments, arguments.model)
    history = load_all(arguments.processed)
    model = registry.make(arguments.model, Catalog.load(arguments.processed))
    started = time.perf_counter()
    model.fit(history)
    model.save(output)
    print(
        f"{arguments.model}: fitted on {history.n_ratings:,} ratings of {history.n_users:,} people and "
        f"{history.n_movies:,} movies in {time.perf_counter() - started:.1f} s, written to {output}"
    )


def program() -> None:
    """Run as a command."""
    command.run(main)


if __name__ == "__main__":
    program()
