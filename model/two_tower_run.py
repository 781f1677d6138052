"""A training of the two towers that can be killed at any moment and goes on to the same bytes.

After every epoch all that the rest depends on is written aside and renamed into place: parameters, Adam's moments, the
count of steps, the curves so far, the best model. The draws of an epoch depend on the seed and its number alone, so an
epoch that was cut off is run again, and the result is that of a training that was never stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np

from model.program import ranking_quality
from recommender.data import artifacts
from recommender.data.errors import ArtifactError
from recommender.data.interactions import Interactions
from recommender.evaluate.protocols import Evaluation
from recommender.learn.two_tower.model import TwoTower

Arrays = dict[str, np.ndarray]
KIND, FILE = "two_tower_training", "training.npz"
REMEDY = "again with --restart, which starts over"
CURVES = ("losses", "quality", "final_losses")


class Checkpoint:
    """The folder in which an unfinished training waits; settings and `identity` must be the same to go on."""

    def __init__(self, folder: Path, settings: Any, **identity: Any) -> None:
        self.folder, self.settings, self.identity = folder, settings, identity

    def read(self, dtypes: dict[str, Any]) -> Optional[Arrays]:
        """Return what `write` was given, None where nothing waits.

        Raises `ArtifactError` for a training with other settings, naming what differs, and for damaged files.
        """
        if not artifacts.has_manifest(self.folder):
            return None
        stored = artifacts.restore(self.folder, KIND, REMEDY, type(self.settings))
        for name, value in {**dataclasses.asdict(self.settings), **self.identity}.items():
            if stored.about.get(name) != value:
                what = f"{name} {stored.about.get(name)!r}, now {value!r}" if name != "data" else "other data"
                raise ArtifactError(
                    f"{self.folder} holds an unfinished training with {what}: give the same to go on, or --restart"
                )
        return stored.read({FILE: dtypes})

    def write(self, arrays: Arrays) -> None:
        """Replace what waits, all or nothing."""
        artifacts.store(self.folder, KIND, self.settings, {FILE: arrays}, **self.identity)

    def remove(self) -> None:
        """Delete the folder: the training is finished or not wanted."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Run:
    """Fit on train with a look at validation after each epoch, keep the best; then, if asked, fit on everything.

    losses, quality: of the epochs so far.  final_losses: of the epochs of the fit on everything.
    """

    def __init__(self, model: TwoTower, train: Interactions, case: Evaluation, patience: int) -> None:
        self.model, self.case, self.patience = model, case, patience
        self.training = model.start(train)
        self.losses: list[float] = []
        self.quality: list[float] = []
        self.final_losses: list[float] = []
        self.best: Arrays = {}  # of the model after the best epoch
        self._waiting: Arrays = {}

    def data_sha256(self, processed: Path) -> str:
        """Return a digest of the folder's manifest and of what the movie tower reads."""
        digest = hashlib.sha256((processed / artifacts.MANIFEST).read_bytes())
        digest.update(np.ascontiguousarray(self.training.features).tobytes())
        return digest.hexdigest()

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best ranking, counted from 1."""
        return int(np.argmax(self.quality)) + 1

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Go on from what waits in `checkpoint`; returns False where nothing does."""
        state = {name: part.dtype for name, part in self.training.state().items()}
        found = checkpoint.read({**dict.fromkeys(CURVES, np.float64), **state, **self.model.dtypes()})
        if found is None:
            return False
        self.losses, self.quality, self.final_losses = (found[name].tolist() for name in CURVES)
        self.best = {name: found[name] for name in self.model.dtypes()}
        self._waiting = {name: found[name] for name in state}
        if not self.final_losses:
            self.training.set_state(self._waiting)
        return True

    def _keep(self, checkpoint: Checkpoint) -> None:
        curves = {name: np.array(getattr(self, name), dtype=np.float64) for name in CURVES}
        checkpoint.write({**curves, **self.training.state(), **self.best})

    def search(self, checkpoint: Checkpoint) -> Iterator[None]:
        """Train until the planned epochs are done or patience is out; yields after each epoch, once it is kept."""
        planned = self.model.settings.epochs
        while not self.final_losses and len(self.losses) < planned:
            if self.patience and self.losses and len(self.losses) - self.best_epoch >= self.patience:
                break
            self.losses.append(self.training.run_epoch())
            self.model.take_over(self.training)
            self.quality.append(ranking_quality(self.model, self.case))
            if self.best_epoch == len(self.quality):
                self.best = self.model.arrays()
            self._keep(checkpoint)
            yield

    def fit_all(self, everything: Interactions, checkpoint: Checkpoint) -> Iterator[None]:
        """Fit from the start on `everything`, as many epochs as were best; yields after each epoch, once it is kept."""
        self.training = self.model.start(everything)
        if self.final_losses:
            self.training.set_state(self._waiting)
        while len(self.final_losses) < self.best_epoch:
            self.final_losses.append(self.training.run_epoch())
            self._keep(checkpoint)
            yield

    def store(self, output: Path) -> None:
        """Write the model fitted on everything, or else that of the best epoch."""
        if self.final_losses:
            self.model.take_over(self.training).save(output, "train+val+test", self.final_losses)
        else:
            self.model.restore(self.best)
            self.model.save(output, "train", self.losses[: self.best_epoch])
