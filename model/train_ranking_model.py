"""Fit a ranking model on all ratings and keep it, so that `Recommender.recommend` need not fit it first."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from recommender import command
from recommender.catalog import Catalog
from recommender.errors import ChoiceError
from recommender.known_users import DEFAULT_METHOD, load_history
from recommender.learn import registry
from recommender.settings import default_folder


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit, save and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processed", type=Path, default=default_folder("processed"), metavar="DIR")
    parser.add_argument("--model", default=DEFAULT_METHOD, metavar="NAME", help=", ".join(registry.names()))
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: artifacts/NAME under --processed")
    arguments = parser.parse_args(argv)
    if arguments.model == "svd":
        raise ChoiceError("--model svd: its artifact has a program of its own, python -m model.train_svd_model")
    history = load_history(arguments.processed)
    model = registry.make(arguments.model, Catalog.load(arguments.processed))
    started = time.perf_counter()
    model.fit(history)
    output = arguments.output or arguments.processed / "artifacts" / arguments.model
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
