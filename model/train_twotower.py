"""Train the two towers: loss and validation ranking after every epoch, the best epoch kept.

    python -m model.train_twotower                  fitted on train, stopped by the ranking on val
    python -m model.train_twotower --final          then fitted anew on train + val + test, for as many epochs
    python -m model.train_twotower --preset recipe  64 wide, Linear + ReLU towers, MSE on the rating, 10 epochs

A training that was stopped, by Ctrl-C or harder, waits in `<output>.checkpoint`: the same command goes on with it
after the last whole epoch and ends with the same bytes as if it had never been stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from model import program as common
from model import text_plot
from model.threads import restart_with
from model.two_tower_run import FINAL, Checkpoint, Progress, Run, StoppingSettings
from recommender import cli as command
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.files import exclusive
from recommender.data.interactions import Interactions
from recommender.data.settings import override
from recommender.data.splits import load_all, load_split
from recommender.evaluate import plots
from recommender.learn.baselines import MostPopular
from recommender.learn.two_tower.artifact import FOLDER, KIND
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.settings import RECIPE, TwoTowerSettings

PRESETS = {"default": {}, "recipe": RECIPE}


def make_parser() -> command.Parser:
    """Return the parser of the flags."""
    parser = common.make_parser("train_twotower", __doc__.split("\n")[0], FOLDER)
    parser.epilog = (
        "A training that was stopped goes on where the same command is given again. --threads sets how many threads "
        "the matrix products use, by starting this program anew; everything else runs on one, so 1 is often as fast. "
        "Another number of threads can change the last digits."
    )
    parser.add_argument("--final", action="store_true", help="afterwards fit on train + val + test and store that")
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="default",
        help="settings to begin with; recipe: the squared error of ratings (default: %(default)s)",
    )
    parser.add_argument("--restart", action="store_true", help="start over, whatever an unfinished training has done")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves as PNG; needs tastevec[plots]")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the matrix products (default: numpy's)")
    parser.add_settings(StoppingSettings, title="when to stop")
    parser.add_settings(TwoTowerSettings)
    return parser


def use_threads(n: Optional[int], argv: Optional[Sequence[str]]) -> None:
    """Start anew with `n` threads where this is the program itself (argv None); a caller's process is left alone."""
    if n is None:
        return
    if n < 1:
        raise SettingsError(f"--threads {n}: give a whole number from 1")
    if argv is not None:
        raise SettingsError(f"--threads {n} acts only on the program: run it as python -m model.train_twotower")
    start = ["-m", "model.train_twotower"] if __package__ else [str(Path(__file__).resolve())]
    restart_with(n, [sys.executable, *start, *sys.argv[1:]])


def tell_start(run: Run, train: Interactions) -> None:
    """Print what is trained on what, and the ranking to beat."""
    chosen = run.model.settings
    print(
        f"train: {train.n_ratings:,} ratings, {train.n_users:,} users x {train.n_movies:,} movies; objective "
        f"{chosen.objective}, {chosen.factors} factors, batch {chosen.batch}, at most {chosen.epochs} epochs"
    )
    popular = common.ranking_quality(MostPopular().fit(train), run.case)
    print(f"val: nDCG@10 over {run.case.n_users:,} people; popularity has {popular:.4f}", flush=True)


def tell_epoch(progress: Progress, n_epochs: int) -> None:
    """Print the line of the last epoch."""
    done = len(progress.losses)
    better = "  best so far" if progress.best == done else ""
    print(
        f"  epoch {done}/{n_epochs}  loss {progress.losses[-1]:.4f}  nDCG@10 {progress.quality[-1]:.4f}{better}",
        flush=True,
    )


def tell_final_epoch(progress: Progress) -> None:
    """Print the line of the last epoch on everything."""
    losses = progress.final_losses
    print(f"  epoch {len(losses)}/{progress.best}  loss {losses[-1]:.4f}", flush=True)


def reached(progress: Progress) -> str:
    """Return the last epoch of each fit in words."""
    more = len(progress.final_losses)
    return f"epoch {len(progress.quality)}" + (f" and {more} of the final fit" if more else "")


def tell_curves(progress: Progress) -> None:
    """Print both curves."""
    print(text_plot.curve(progress.losses, "loss", progress.best - 1))
    print(text_plot.curve(progress.quality, "nDCG@10 on val; O: the epoch that was kept", progress.best - 1))


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Train, report, store."""
    arguments = make_parser().parse_args(argv)
    use_threads(arguments.threads, argv)
    if arguments.plot is not None:
        plots.need_matplotlib("--plot")
        if arguments.plot.is_dir():
            raise ChoiceError(f"--plot {arguments.plot} is a folder: give the name of a file")
    settings = override(TwoTowerSettings(**PRESETS[arguments.preset]), arguments)
    patience = override(StoppingSettings(), arguments).patience
    output = common.output_folder(arguments, FOLDER, KIND).resolve()
    folder = arguments.processed
    catalog = Catalog.load(folder)
    train, val = (load_split(folder, name) for name in ("train", "val"))
    if not np.array_equal(catalog.movie_ids, train.movie_ids):
        raise ArtifactError(f"{folder}: ratings and movie list differ: run python -m preprocess.setup again")
    case = common.validation_case(train, val)
    if not case.n_users:
        raise DataError(
            f"{folder}: nobody likes a movie of val (rating >= 4), so nothing tells when to stop: add ratings"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    lock = output.with_name(f".{output.name}.lock")
    with exclusive(lock, f"the training of {output}"):
        run = Run(TwoTower(catalog=catalog, **vars(settings)), train, case, patience)
        train_and_store(run, train, output, arguments)


def train_and_store(run: Run, train: Interactions, output: Path, arguments: argparse.Namespace) -> None:
    """Do the whole work of the program, or what an earlier one left of it."""
    started = time.perf_counter()
    identity = run.identity(arguments.processed, arguments.final, arguments.threads)
    checkpoint = Checkpoint(output.with_name(output.name + ".checkpoint"), identity)
    if arguments.restart:
        checkpoint.remove()
    waiting = checkpoint.read()
    tell_start(run, train)
    if waiting is not None:
        run.take_over(*waiting)
        print(f"going on after {reached(run.progress)}", flush=True)
    try:
        for progress in run.search_epochs(checkpoint):
            tell_epoch(progress, run.model.settings.epochs)
        progress = run.progress
        tell_curves(progress)
        if arguments.plot is not None:
            plots.training_curve(arguments.plot, progress.losses, progress.quality, progress.best, "two towers")
        if arguments.final:
            everything = load_all(arguments.processed)
            print(f"train+val+test: {everything.n_ratings:,} ratings, {progress.best} epochs", flush=True)
            stored = waiting[1] if waiting is not None and progress.phase == FINAL else {}
            for _ in run.final_epochs(everything, checkpoint, stored):
                tell_final_epoch(progress)
    except KeyboardInterrupt:
        print(f"\nstopped: the same command goes on after {reached(run.progress)}", file=sys.stderr)
        raise
    if arguments.final:
        run.final_model().save(output, "train+val+test", progress.final_losses)
    else:
        run.best_model().save(output, "train", progress.losses[: progress.best])
    checkpoint.remove()
    print(f"stored in {output} after {time.perf_counter() - started:.0f} s: the model of epoch {progress.best}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
