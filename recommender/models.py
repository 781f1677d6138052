"""The ranking models of one processed folder: each is opened or fitted once, whoever asks first.

A model that `python -m model.train_ranking_model` has stored is read; another is fitted on the ratings of the folder.
Before a fit of more than `PATIENCE` seconds the estimate of time and memory is reported, and a fit too large for memory
is refused; both name the command that stores the model.

    seconds = a sum over users of n_u^2 + b n_movies^3 + (c + f k) n_ratings
    bytes   = 4 d n_movies^2 + e n_ratings + g k (n_users + n_movies)             k: length of the vectors
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, TypeVar

import numpy as np

from .data.artifacts import command, has_manifest
from .data.catalog import Catalog
from .data.errors import ArtifactError, ChoiceError, listed, shown, whole
from .data.interactions import Interactions
from .data.splits import REMEDY, load_all
from .learn.base import Ranker

if TYPE_CHECKING:  # imported on first use
    from .hybrid import Blend

T = TypeVar("T")
PATIENCE = 5.0  # seconds
POPULARITY, SVD, EMBEDDING, CONTENT = "popularity", "svd", "embedding", "content"
DEFAULTS = ("stacker", "two_tower", "directed_ease", "ease")  # the best first
NEXT = {EMBEDDING: CONTENT, SVD: POPULARITY}  # what stands in for a method; for one of DEFAULTS the next, else the SVD


class Cost(NamedTuple):
    """What fitting takes: the coefficients a to g of the head of this module, measured on one core."""

    pairs: float = 0.0
    cubes: float = 0.0
    ratings: float = 0.0
    squares: float = 0.0
    bytes_a_rating: float = 200.0
    ratings_by_k: float = 0.0
    rows_by_k: float = 0.0


COSTS = {
    "item_knn": Cost(2e-8, 0, 0, 5),
    "ease": Cost(7e-9, 1.1e-11, 0, 1.3, 60),
    "directed_ease": Cost(2e-8, 2.8e-11, 0, 2.3, 60),
    "ials": Cost(0, 0, 2.3e-6, 0, 50),
    "svd": Cost(0, 0, 1.5e-7, 0, 60, 1e-9, 13),
    "session": Cost(0, 0, 2.3e-7, 0, 80, 1e-9, 10),
    "two_tower": Cost(0, 0, 2.9e-4, 0),
    "users": Cost(0, 0, 1e-6, 0, 60, 0, 16),  # as vectors
    "epoch": Cost(0, 0, 3e-6, 0, 60, 1.1e-7, 48),  # of the two towers
    "rating_predictor": Cost(2e-8, 0, 0, 0),
    "content": Cost(0, 0, 0, 1.6),
    "stacker": Cost(1.8e-7, 2.1e-10, 2e-6, 5.3, 100),
    "text_ridge": Cost(1e-8, 3e-11, 0, 7.5),
}


class Missing(ArtifactError):
    """What a method needs is not here, or its stored model is damaged, and another can stand in."""


class Models:
    """The models of one folder; threads may share it."""

    def __init__(self, folder: Path, catalog: Catalog, backend: str, tell: Callable[[str], object]) -> None:
        """backend: whose text vectors "embedding" compares.  tell: called when something is slow or missing."""
        self.folder, self.catalog, self.backend, self.tell = folder, catalog, backend, tell
        self._made: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` makes, by whoever asks for `name` first; other threads wait for it."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    @property
    def history(self) -> Interactions:
        """The ratings, train, val and test; raises `ArtifactError` where the folder has none."""
        return self.once("ratings of all", self._read)

    def _read(self) -> Interactions:
        if not has_manifest(self.folder):
            raise Missing(f"no ratings in {self.folder}: run {command(REMEDY, self.folder)}")
        return load_all(self.folder)

    def user_row(self, user_id: int) -> int:
        """Return the row of a user in `history`; raises `ChoiceError` if there is none."""
        ids = self.history.user_ids
        found = np.flatnonzero(ids == user_id)
        if not len(found):
            raise ChoiceError(f"no user {shown(user_id)} in these ratings: their ids run from {ids[0]} to {ids[-1]}")
        return int(found[0])

    def user_rows(self, users: Any) -> Sequence[int]:
        """Return the rows of users by id, each once; None: of all."""
        if users is None:
            return range(self.history.n_users)
        ids = [whole("user", user, None) for user in listed("users", users, "ids of users in the data")]
        return [self.user_row(user_id) for user_id in dict.fromkeys(ids)]

    def name_of(self, method: object) -> str:
        """Return the name of a method in learn/registry.py, None: the default; raises `ChoiceError` for another."""
        from . import hybrid  # imported late, so that a session starts sooner
        from .learn import registry

        hybrid.register()
        if method is None:
            return self.once("the default", lambda: self._default(DEFAULTS))
        name = method if isinstance(method, str) else shown(method)
        return registry.model_class(name).name

    def _default(self, names: Sequence[str]) -> str:
        """Return the best method that needs no long wait: the first of `names` that is stored, or quick to fit."""
        from .learn import registry

        for name in names:
            kind = registry.model_class(name)
            if has_manifest(self.folder / "artifacts" / (kind.folder or name)):
                return name
            if has_manifest(self.folder) and cost(name, self.history)[0] < PATIENCE:
                return name
        return SVD

    def get(self, name: str) -> Ranker:
        """Return the model called `name` in learn/registry.py, or its substitute, which is reported."""
        return self.once(f"{name} or another", lambda: self._found(name))

    def _found(self, name: str) -> Ranker:
        try:
            return self._opened(name)
        except Missing as error:
            if name == POPULARITY:  # nothing is simpler
                raise
            later = DEFAULTS[DEFAULTS.index(name) + 1 :] if name in DEFAULTS else ()
            instead = NEXT.get(name) or self._default(later)
            self.tell(f"no {name} here ({error}): {instead} instead")
            return self.get(instead)

    def _opened(self, name: str) -> Ranker:
        return self.once(name, lambda: self._open(name))

    def _open(self, name: str) -> Ranker:
        from .hybrid import Blend
        from .learn import registry

        kind, has_ratings = registry.model_class(name), has_manifest(self.folder)
        folder = self.folder / "artifacts" / (kind.folder or name)
        if issubclass(kind, Blend):
            return self._blend(kind(self.catalog))
        # The stored SVD serves sessions and may be fitted on train alone, so it is the last resort.
        if has_manifest(folder) and not (name == SVD and has_ratings):
            try:
                return kind.load(folder, self.catalog)
            except ArtifactError as error:
                raise Missing(error) from None
        if name == POPULARITY and not has_ratings:
            model = kind()
            model.movie_ids = self.catalog.movie_ids
            model.restore({"likes": self.catalog.n_ratings.astype(np.float32)})
            return model
        if name == EMBEDDING:
            return self._embedding()
        seconds, size = cost(name, self.history)
        remedy, is_read = command(kind.command(), folder), name != SVD
        needs = f"fitting {name} takes about {seconds:.0f} s and {size / 1e9:.1f} GB"
        if (free := free_memory()) is not None and size > free:
            where = f"run {remedy} where there is more" if is_read else "use a larger machine"
            raise ArtifactError(f"{needs}, and {free / 1e9:.1f} GB are free: {where}")
        if seconds > PATIENCE:
            self.tell(needs + f"; {remedy} stores it for the next time" * is_read)
        return kind(self.catalog).fit(self.history)

    def _blend(self, model: Blend) -> Ranker:
        for name in model.names:
            try:
                model.parts[name] = self._opened(name)
            except ArtifactError as error:
                del model.parts[name]
                self.tell(f"{model.name} without {name}: {error}")
        if not model.parts:
            raise Missing("none of its parts is available")
        return model.joined(self.catalog)

    def _embedding(self) -> Ranker:
        from .learn.content import Embedding
        from .session.cold_start import load_texts

        try:
            vectors = load_texts(self.folder, self.catalog, self.backend)
        except ArtifactError as error:
            raise Missing(error) from None
        return Embedding(vectors=vectors).fit(self.history)


def cost(name: str, history: Interactions, k: int = 64) -> tuple[float, float]:
    """Return the seconds and bytes that fitting takes, by `COSTS`."""
    of, n = COSTS.get(name, Cost()), float(history.n_movies)
    pairs = float((np.diff(history.indptr).astype(np.float64) ** 2).sum())
    seconds = 0.0
    if name == "stacker":
        from .learn.stacker import Stacker

        limits = Stacker.Settings()
        people = min(limits.people, history.n_users)  # used by two of its three rounds and by its networks
        pairs *= (1 + 2 * people / max(history.n_users, 1)) / 3
        seconds, n = people * (4e-3 + 6e-7 * n), min(n, float(limits.movies))
        of = of._replace(squares=2.5) if history.n_movies > limits.dense else of
    seconds += of.pairs * pairs + of.cubes * n**3 + (of.ratings + k * of.ratings_by_k) * history.n_ratings
    size = 4 * of.squares * n**2 + of.bytes_a_rating * history.n_ratings
    return seconds, size + k * of.rows_by_k * (history.n_users + history.n_movies)


def free_memory() -> Optional[int]:
    """Return the bytes that this process can still take, None where the system does not tell."""
    found = []
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with contextlib.suppress(OSError, StopIteration, ValueError):
        found.append(container_memory(Path("/sys/fs/cgroup")))
    return min(found, default=None)


def container_memory(folder: Path) -> int:
    """Return the bytes that a container can still take: its limit, less what it holds beyond idle pages of files.

    folder: of its memory controller (cgroup v2).  Raises `OSError` or `ValueError` where it has no limit.
    """
    most, taken = (int((folder / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
    lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    idle = next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(most - taken + idle, 0)
