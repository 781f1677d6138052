"""A training of the two towers that can be killed at any moment and goes on to the same bytes.

After every epoch all that the rest depends on is stored: parameters, Adam's moments, the count of steps, the curves so
far, the best model. The draws of an epoch depend on the seed and its number alone, so an epoch that was cut off is run
again, and the result is that of a training that was never stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recommender.data import artifacts
from recommender.data.errors import ArtifactError
from recommender.data.interactions import Interactions
from recommender.evaluate.protocols import Evaluation, ranking_quality
from recommender.learn.two_tower.model import TwoTower

KIND, FILE = "two_tower_training", "training.npz"
REMEDY = "again with --restart, which starts over"
CURVES = ("losses", "quality", "final_losses")


class Run:
    """Fit on train with a look at validation after each epoch, keep the best; then, if asked, fit on everything.

    losses, quality: of the epochs so far.  final_losses: of the epochs of the fit on everything.
    waiting: the folder of an unfinished training; settings and `identity` must be the same to go on with it.
    """

    def __init__(
        self, model: TwoTower, train: Interactions, case: Evaluation, patience: int, waiting: Path, **identity: Any
    ) -> None:
        self.model, self.case, self.patience, self.waiting = model, case, patience, waiting
        self.training = model.start(train)
        features = hashlib.sha256(self.training.features.tobytes()).hexdigest()
        self.identity = {"patience": patience, "features": features, **identity}
        self.losses: list[float] = []
        self.quality: list[float] = []
        self.final_losses: list[float] = []
        self.best: dict[str, np.ndarray] = {}  # arrays of the model after the best epoch
        self.state: dict[str, np.ndarray] = {}  # of the training that was resumed

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best ranking, counted from 1."""
        return int(np.argmax(self.quality)) + 1

    def resume(self) -> bool:
        """Go on from what waits; returns False where nothing does.

        Raises `ArtifactError` for a training with other settings, naming what differs, and for damaged files.
        """
        if not artifacts.has_manifest(self.waiting):
            return False
        stored = artifacts.restore(self.waiting, KIND, REMEDY, self.model.Settings)
        for name, value in {**dataclasses.asdict(self.model.settings), **self.identity}.items():
            if stored.about.get(name) != value:
                what = f"an unfinished training with {name} {stored.about.get(name)!r}, now {value!r}"
                raise ArtifactError(f"{self.waiting} holds {what}: give the same to go on, or --restart")
        state = {name: part.dtype for name, part in self.training.state().items()}
        found = stored.read({FILE: {**dict.fromkeys(CURVES, np.float64), **state, **self.model.dtypes()}})
        self.losses, self.quality, self.final_losses = (found[name].tolist() for name in CURVES)
        self.best = {name: found[name] for name in self.model.dtypes()}
        self.state = {name: found[name] for name in state}
        if not self.final_losses:
            self.training.set_state(self.state)
        return True

    def keep(self) -> None:
        """Replace what waits by the present state, all or nothing."""
        curves = {name: np.array(getattr(self, name), dtype=np.float64) for name in CURVES}
        arrays = {**curves, **self.training.state(), **self.best}
        artifacts.store(self.waiting, KIND, self.model.settings, {FILE: arrays}, **self.identity)

    def discard(self) -> None:
        """Delete what waits: it is finished or not wanted."""
        shutil.rmtree(self.waiting, ignore_errors=True)

    def search(self) -> Iterator[None]:
        """Train until the planned epochs are done or patience is out; yields after each epoch, once it is kept."""
        while not self.final_losses and len(self.losses) < self.model.settings.epochs:
            if self.patience and self.losses and len(self.losses) - self.best_epoch >= self.patience:
                break
            self.losses.append(self.training.run_epoch())
            self.model.take_over(self.training)
            self.quality.append(ranking_quality(self.model, self.case))
            if self.best_epoch == len(self.quality):
                self.best = self.model.arrays()
            self.keep()
            yield

    def fit_all(self, everything: Interactions) -> Iterator[None]:
        """Fit from the start on `everything`, as many epochs as were best; yields after each epoch, once it is kept."""
        self.training = self.model.start(everything)
        if self.final_losses:
            self.training.set_state(self.state)
        while len(self.final_losses) < self.best_epoch:
            self.final_losses.append(self.training.run_epoch())
            self.keep()
            yield

    def store(self, output: Path) -> None:
        """Write the model fitted on everything, or else that of the best epoch."""
        if self.final_losses:
            self.model.take_over(self.training).save(output, "train+val+test", self.final_losses)
        else:
            self.model.restore(self.best)
            self.model.save(output, "train", self.losses[: self.best_epoch])
        self.discard()
