"""Fit a ranking model on all ratings and store it, so that `Recommender.recommend` need not fit it first."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from recommender import cli, models
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.data.interactions import Interactions
from recommender.data.splits import load_all
from recommender.learn import registry
from recommender.learn.base import DEFAULT_METHOD

ALTERNATIVES = ("stacker", "directed_ease", "ease", "ials")  # the best first


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit, store and say how long it took."""
    parser = cli.Parser("model.train_ranking_model", __doc__ or "", renamed={"--model": "--method"})
    parser.add_folders("NAME")
    known = ", ".join(registry.names())
    parser.add_common("method", default=DEFAULT_METHOD, help=f"{known} (default: %(default)s)")
    parser.add_engine()
    arguments = parser.parse_args(argv)
    chosen = registry.model_class(arguments.method)  # an unknown name is refused before the data are read
    method = chosen.name
    if chosen.program:
        raise ChoiceError(f"--method {method}: its artifact has a program of its own, {chosen.command()}")
    if arguments.engine != "numpy" and not chosen.by_blocks:
        others = ", ".join(name for name in registry.names() if registry.model_class(name).by_blocks)
        raise ChoiceError(f"--method {method} is fitted in one process: --engine dask goes with {others}")
    output = cli.output_folder(arguments, method)
    history = load_all(arguments.processed)
    instead = f"give {smaller(history)}"
    cli.check_cost(method, history, models.cost(method, history), instead, arguments.engine)
    model = registry.make(method, Catalog.load(arguments.processed))
    model.progress = cli.Progress(method, "steps")
    started = time.perf_counter()
    with cli.open_engine(arguments) as model.engine:
        model.fit(history)
    for line in model.notes():
        print(line)
    model.save(output, "train+val+test")
    print(
        f"{method}: fitted on {history.n_ratings:,} ratings of {history.n_users:,} users and "
        f"{history.n_movies:,} movies in {time.perf_counter() - started:.1f} s, written to {output}"
    )


def smaller(history: Interactions) -> str:
    """Return the best method whose fit the free memory holds, as a flag."""
    methods = [name for name in ALTERNATIVES if models.cost(name, history)[1] <= (models.free_memory() or 0)]
    return f"--method {[*methods, 'popularity'][0]}"


if __name__ == "__main__":
    cli.run(main)
