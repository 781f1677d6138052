"""Train the two towers: loss and validation ranking after every epoch, the best epoch kept.

    python -m model.train_twotower                  fitted on train, stopped by the ranking on val
    python -m model.train_twotower --all-ratings    then fitted again on train + val + test, for as many epochs
    python -m model.train_twotower --preset recipe  64 wide, Linear + ReLU towers, MSE on the rating, 10 epochs

An interrupted training is stored in `<output>.checkpoint`: the same command resumes it after the last complete epoch,
with identical results. Each epoch stores parameters, Adam's moments, the step count, the curves and the best model.
The random numbers of an epoch depend only on the seed and the epoch number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli
from recommender.data import artifacts
from recommender.data.artifacts import MANIFEST
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError, SettingsError
from recommender.data.files import checksum, exclusive
from recommender.data.interactions import Interactions
from recommender.data.settings import override
from recommender.data.splits import load_all, load_split
from recommender.evaluate.protocols import Evaluation, from_known
from recommender.evaluate.run import ranking_quality
from recommender.learn.baselines import MostPopular
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.network import RECIPE, TwoTowerSettings
from recommender.models import cost

PRESETS = {"default": {}, "recipe": RECIPE}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
WIDTH = 60  # maximum number of bars of a curve
RANKED_USERS = 2_000  # maximum number of users ranked on val
KIND, FILE = "two_tower_training", "training.npz"  # of an unfinished training
REMEDY = "again with --restart, which starts over"
CURVES = ("losses", "quality", "final_losses")


class Run:
    """Fit on train with validation after each epoch and keep the best; optionally, refit on all ratings.

    losses, quality: of the epochs so far.  final_losses: of the epochs of the final fit.
    everything: all ratings, for the refit.  waiting: the folder of an unfinished training; to resume it, settings and
    `identity` must be equal.
    """

    def __init__(
        self,
        model: TwoTower,
        train: Interactions,
        everything: Optional[Interactions],
        case: Evaluation,
        patience: int,
        waiting: Path,
        **identity: Any,
    ) -> None:
        self.model, self.case, self.patience, self.waiting = model, case, patience, waiting
        self.training, self.everything = model.start(train), everything
        features = hashlib.sha256(self.training.features.tobytes()).hexdigest()
        self.identity = {"patience": patience, "features": features, "all_ratings": everything is not None, **identity}
        self.losses: list[float] = []
        self.quality: list[float] = []
        self.final_losses: list[float] = []
        self.best: dict[str, np.ndarray] = {}  # arrays of the model after the best epoch

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best ranking, counted from 1."""
        return int(np.argmax(self.quality)) + 1

    def resume(self) -> bool:
        """Resume an unfinished training; return False if there is none.

        Raises `ArtifactError` for a training with other settings, naming what differs, and for damaged files.
        """
        if not artifacts.has_manifest(self.waiting):
            return False
        stored = artifacts.restore(self.waiting, KIND, REMEDY, self.model.Settings)
        for name, value in {**dataclasses.asdict(self.model.settings), **self.identity}.items():
            if stored.about.get(name) != value:
                what = f"an unfinished training with {name} {stored.about.get(name)!r}, now {value!r}"
                raise ArtifactError(f"{self.waiting} has {what}: use the same value to resume, or --restart")
        found = stored.read({FILE: dict.fromkeys((*CURVES, *self.training.state(), *self.model.slots()))})
        self.losses, self.quality, self.final_losses = (found[name].tolist() for name in CURVES)
        self.best = {name: found[name] for name in self.model.slots()}
        if self.final_losses and self.everything is not None:
            self.training = self.model.start(self.everything)
        self.training.set_state(found)
        return True

    def keep(self) -> None:
        """Store the present state atomically."""
        curves = {name: np.array(getattr(self, name), dtype=np.float64) for name in CURVES}
        arrays = {**curves, **self.training.state(), **self.best}
        artifacts.store(self.waiting, KIND, self.model.settings, {FILE: arrays}, **self.identity)

    def epochs(self) -> Iterator[str]:
        """Train until all epochs are done or patience is out, then refit; yield a line after each stored epoch."""
        n_epochs = self.model.settings.epochs
        while not self.final_losses and len(self.losses) < n_epochs:
            if self.patience and self.losses and len(self.losses) - self.best_epoch >= self.patience:
                break
            self.losses.append(self.training.run_epoch())
            self.model.take_over(self.training)
            self.quality.append(ranking_quality(self.model, self.case))
            done, mark = len(self.losses), ""
            if self.best_epoch == done:
                self.best, mark = self.model.arrays(), "  best so far"
            self.keep()
            yield f"  epoch {done}/{n_epochs}  loss {self.losses[-1]:.4f}  nDCG@10 {self.quality[-1]:.4f}{mark}"
        if self.everything is None:
            return
        if not self.final_losses:
            self.training = self.model.start(self.everything)
            yield f"train+val+test: {self.everything.n_ratings:,} ratings, {self.best_epoch} epochs"
        while len(self.final_losses) < self.best_epoch:
            self.final_losses.append(self.training.run_epoch())
            self.keep()
            yield f"  epoch {len(self.final_losses)}/{self.best_epoch}  loss {self.final_losses[-1]:.4f}"

    def store(self, output: Path) -> None:
        """Write the final model, or else that of the best epoch."""
        seen, losses = "train+val+test", self.final_losses
        if losses:
            self.model.take_over(self.training)
        else:
            seen, losses = "train", self.losses[: self.best_epoch]
            self.model.restore(self.best)
        self.model.save(output, seen, epochs_trained=len(losses), losses=losses)
        shutil.rmtree(self.waiting, ignore_errors=True)


def make_parser() -> cli.Parser:
    """Return the parser of the flags."""
    parser = cli.Parser("model.train_twotower", __doc__.split("\n")[0], renamed={"--final": "--all-ratings"})
    parser.add_folders(TwoTower.folder)
    parser.epilog = "The same command resumes an interrupted training."
    parser.add_common("all-ratings", help="then refit on train + val + test and store this model")
    parser.add_common("threads", help="threads of the matrix products; may change the last digits (default: numpy's)")
    parser.add_argument("--preset", choices=PRESETS, default="default", help="preset of settings: %(choices)s")
    parser.add_argument("--restart", action="store_true", help="start over, ignoring an unfinished training")
    when = "epochs without a better validation ranking after which training stops; 0 = never (default: %(default)s)"
    parser.add_argument("--patience", type=cli.whole_number, default=3, metavar="N", help=when)
    parser.add_settings(TwoTowerSettings)
    return parser


def use_threads(n: Optional[int], argv: Sequence[str]) -> None:
    """Rerun the program with `n` threads and exit with its code, unless set already: numpy reads them at import."""
    wanted = dict.fromkeys(THREADS, str(n))
    if n is None or wanted.items() <= os.environ.items():
        return
    if n < 1:
        raise SettingsError(f"--threads {n}: give a whole number from 1")
    command = [sys.executable, __file__, *argv]
    raise SystemExit(subprocess.call(command, env={**os.environ, **wanted}))


def curve(values: Sequence[float], label: str) -> str:
    """Return the values as a line of bars, the lowest to the highest; every second or third one if they are many."""
    bars, low = "▁▂▃▄▅▆▇█", min(values)
    step = (len(bars) - 1) / ((max(values) - low) or 1)
    shown = "".join(bars[round((value - low) * step)] for value in values[:: 1 + len(values) // WIDTH])
    return f"{label:<15}{values[0]:8.4f} {shown} {values[-1]:.4f}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Train, report, store."""
    arguments = make_parser().parse_args(argv)
    use_threads(arguments.threads, sys.argv[1:] if argv is None else argv)
    chosen = override(TwoTowerSettings(**PRESETS[arguments.preset]), arguments)
    output = cli.output_folder(arguments, TwoTower.folder, TwoTower.name).resolve()
    folder = arguments.processed
    catalog = Catalog.load(folder)
    data, val = (load_split(folder, name) for name in ("train", "val"))
    if not np.array_equal(catalog.movie_ids, data.movie_ids):
        raise ArtifactError(f"{folder}: ratings and movie list differ: run python -m preprocess.setup again")
    case = from_known(data, val, "val").sample(RANKED_USERS)
    if not case.n_users:
        why = "no user likes a movie of val (rating >= 4), which early stopping needs"
        raise DataError(f"{folder}: {why}: add ratings")
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with exclusive(output.with_name(f".{output.name}.lock"), f"the training of {output}"):
        waiting, model = output.with_name(output.name + ".checkpoint"), TwoTower(catalog, **vars(chosen))
        identity = {"threads": arguments.threads, "data": checksum(folder / MANIFEST)}
        everything = load_all(folder) if arguments.all_ratings else None
        seen = everything or data
        cli.check_cost("two-tower, an epoch", seen, cost("epoch", seen, chosen.factors), "give fewer --factors")
        run = Run(model, data, everything, case, arguments.patience, waiting, **identity)
        if arguments.restart:
            shutil.rmtree(waiting, ignore_errors=True)
        what = f"objective {chosen.objective}, {chosen.factors} factors, batch {chosen.batch}"
        print(f"train: {data.n_ratings:,} ratings; {what}, at most {chosen.epochs} epochs")
        popular = ranking_quality(MostPopular().fit(data), case)
        print(f"val: nDCG@10 over {case.n_users:,} users; popularity: {popular:.4f}", flush=True)
        try:
            if run.resume():
                done = f"epoch {len(run.losses)} and {len(run.final_losses)} of the final fit"
                print(f"resuming after {done}", flush=True)
            for line in run.epochs():
                print(line, flush=True)
        except KeyboardInterrupt:
            print("\nstopped: the same command resumes after the last complete epoch", file=sys.stderr)
            raise
        print(curve(run.losses, "loss"))
        print(curve(run.quality, "nDCG@10 on val"))
        run.store(output)
    print(f"stored in {output} after {time.perf_counter() - started:.0f} s: the model of epoch {run.best_epoch}")


if __name__ == "__main__":
    cli.run(main)
