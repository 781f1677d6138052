"""A training of the two towers that can be killed at any moment and goes on to the same bytes.

After every epoch all that the rest depends on is written aside and renamed into place: parameters, Adam's moments,
the count of steps, the curves so far, the best model. The draws of an epoch depend on the seed and its number alone.
So an epoch that was cut off is run again, and the result is that of a training that was never stopped.
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
from recommender.data.settings import setting
from recommender.evaluate.protocols import Evaluation
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.training import Training

Arrays = dict[str, np.ndarray]
KIND = "two_tower_training"
STEP = "run"
TRAINING_FILE, BEST_FILE = "training.npz", "best.npz"
SEARCH, FINAL = "search", "final"


@dataclasses.dataclass(frozen=True)
class StoppingSettings:
    patience: int = setting(3, "epochs without a better validation ranking after which training stops; 0 = never", 0)


@dataclasses.dataclass
class Progress:
    """What was reached: the curves, the best epoch counted from 1 (0 = none yet), and which of the two fits runs."""

    losses: list[float] = dataclasses.field(default_factory=list)
    quality: list[float] = dataclasses.field(default_factory=list)
    best: int = 0
    phase: str = SEARCH
    final_losses: list[float] = dataclasses.field(default_factory=list)

    def is_sound(self) -> bool:
        """Tell whether types and lengths fit each other, as they may not where somebody edited them."""
        curves = (self.losses, self.quality, self.final_losses)
        numbers = all(isinstance(curve, list) and all(isinstance(value, float) for value in curve) for curve in curves)
        places = isinstance(self.best, int) and 0 < self.best <= len(self.quality) == len(self.losses)
        return numbers and places and self.phase in (SEARCH, FINAL) and len(self.final_losses) <= self.best


class Checkpoint:
    """The folder in which an unfinished training waits; `identity` is what must be the same to go on."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self.identity = folder, identity

    def read(self) -> Optional[tuple[Progress, Arrays, Arrays]]:
        """Return progress, the training's arrays and the best model's; None where nothing waits.

        Raises `ArtifactError` for a training with another identity, naming what differs, and for damaged files.
        """
        if not artifacts.has_manifest(self.folder):
            return None
        remedy = "again with --restart, which starts over"
        manifest = artifacts.read_manifest(self.folder, KIND, remedy)
        artifacts.check_files(self.folder, manifest, [TRAINING_FILE, BEST_FILE], remedy)
        try:
            stored = manifest["settings"][STEP]
            progress, identity = Progress(**stored["progress"]), dict(stored["identity"])
            if not progress.is_sound():
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{self.folder} is damaged (no progress): run {remedy}") from None
        for name, value in self.identity.items():
            if identity.get(name) != value:
                what = f"{name} {identity.get(name)!r}, now {value!r}" if name != "data" else "other data"
                raise ArtifactError(
                    f"{self.folder} holds an unfinished training with {what}: give the same to go on, or --restart"
                )
        arrays = []
        for name in (TRAINING_FILE, BEST_FILE):
            with np.load(self.folder / name, allow_pickle=False) as file:
                arrays.append({key: file[key] for key in file.files})
        return progress, arrays[0], arrays[1]

    def write(self, progress: Progress, training: Arrays, best: Arrays) -> None:
        """Replace what waits, all or nothing."""
        stored = {"identity": self.identity, "progress": dataclasses.asdict(progress)}
        with artifacts.replace_set(self.folder, KIND, STEP, stored) as stage:
            np.savez(stage / TRAINING_FILE, **training)
            np.savez(stage / BEST_FILE, **best)

    def remove(self) -> None:
        """Delete the folder: the training is finished or not wanted."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Run:
    """Fit on train with a look at validation after each epoch, keep the best; then, if asked, fit on everything."""

    def __init__(self, model: TwoTower, train: Interactions, case: Evaluation, patience: int) -> None:
        self.model, self.case, self.patience = model, case, patience
        self.training: Training = model.start(train)
        self.progress = Progress()
        self.best: Arrays = {}

    def identity(self, data: Path, final: bool, threads: Optional[int]) -> dict[str, Any]:
        """Return what decides the result, for a `Checkpoint`; data: the processed folder."""
        digest = hashlib.sha256((data / artifacts.MANIFEST).read_bytes())
        digest.update(np.ascontiguousarray(self.training.features).tobytes())
        chosen = dataclasses.asdict(self.model.settings)
        return {**chosen, "patience": self.patience, "final": final, "threads": threads, "data": digest.hexdigest()}

    def take_over(self, progress: Progress, training: Arrays, best: Arrays) -> None:
        """Go on from what a `Checkpoint` held; in the final phase `training` waits for `final_epochs`."""
        self.progress, self.best = progress, best
        if progress.phase == SEARCH:
            self.training.set_state(training)

    def search_epochs(self, checkpoint: Checkpoint) -> Iterator[Progress]:
        """Train until the planned epochs are done or patience is out; yields after each epoch, once it is kept."""
        progress = self.progress
        while progress.phase == SEARCH and not self._ended():
            progress.losses.append(self.training.run_epoch())
            self.model.take_over(self.training)
            progress.quality.append(ranking_quality(self.model, self.case))
            if not progress.best or progress.quality[-1] > progress.quality[progress.best - 1]:
                progress.best = len(progress.quality)
                self.best = self.model.arrays()
            checkpoint.write(progress, self.training.state(), self.best)
            yield progress

    def _ended(self) -> bool:
        done, best = len(self.progress.losses), self.progress.best
        return done >= self.model.settings.epochs or bool(self.patience and best and done - best >= self.patience)

    def final_epochs(self, everything: Interactions, checkpoint: Checkpoint, stored: Arrays) -> Iterator[Progress]:
        """Fit anew on `everything`, as many epochs as were best; stored: the arrays of a final phase that was cut."""
        progress = self.progress
        self.training = self.model.start(everything)
        if progress.phase == FINAL:
            self.training.set_state(stored)
        progress.phase = FINAL
        while len(progress.final_losses) < progress.best:
            progress.final_losses.append(self.training.run_epoch())
            checkpoint.write(progress, self.training.state(), self.best)
            yield progress

    def best_model(self) -> TwoTower:
        """Return the model as after the best epoch."""
        self.model.restore(self.best)
        return self.model

    def final_model(self) -> TwoTower:
        """Return the model fitted on everything."""
        return self.model.take_over(self.training)
