"""Vector indexes: the contract, and what every index shares.

similarity = q . v             metric "inner"
similarity = q . v / |q| |v|   metric "cosine": both are normalised, so every index needs the inner product alone
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..data.errors import ChoiceError, whole
from ..data.settings import check_value, setting
from ..linalg.rows import top_n, unit_rows

METRICS = ("inner", "cosine")
FILE, REMEDY = "index.npz", "the program that builds this index"
AnyIndex = TypeVar("AnyIndex", bound="VectorIndex")


@dataclass(frozen=True)
class IndexSettings:
    """What every index can be told; one with more to choose inherits it."""

    metric: str = setting("inner", "similarity of two vectors", choices=METRICS)


class VectorIndex:
    """Rows (n, d), numbered from 0 in the order in which they come; `len(index)` is n.

    A subclass sets `name`, and `Settings` where there is more to choose than the metric, and implements `_near`, or
    `_search` whole. What speeds it up is made by `_build`, and put into `arrays` where it is to be stored. An
    approximate index sets `recall`, the least share of the true nearest that it finds; tests/test_retrieve.py holds it
    to that.
    """

    name: ClassVar[str]
    recall: ClassVar[float] = 1.0
    Settings: ClassVar[type[Any]] = IndexSettings
    vectors: np.ndarray  # (n, d) float32, of length 1 for the metric cosine

    def __init__(self, vectors: npt.ArrayLike, metric: str = "inner", **settings: Any) -> None:
        """Build over finite `vectors` (n, d); raises `SettingsError` for another metric or setting of `Settings`."""
        given = {"metric": metric, **settings}
        self.settings = self.Settings(**{key: check_value(self.Settings, key, given[key]) for key in given})
        self.arrays: dict[str, np.ndarray] = {}
        self.vectors = np.empty((0, int(np.shape(vectors)[-1])), dtype=np.float32)
        self.add(vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, vectors: npt.ArrayLike) -> None:
        """Append `vectors` (m, d); they become rows n .. n + m - 1.

        Raises `ChoiceError` for another shape, and for NaN. Cost: all vectors are copied, to keep them together.
        """
        new = self._prepare(vectors)
        if len(new):
            self.vectors = np.concatenate((self.vectors, new))  # a copy: the caller's array may change
            self._build(len(self) - len(new))

    def search(
        self, queries: npt.ArrayLike, k: int, keep: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each query: rows (B, k) int64 and similarities (B, k) float32.

        queries: (B, d), or one (d,), which gives (k,) and (k,); finite.  k: 1 or more.  keep: (n,) bool, the rows that
        may be returned; None = all. Most similar first, ties by row. If there are fewer than k, the rest is row -1,
        similarity -inf. Equal vectors tie but for rounding: products by blocks can differ in the last bit. Raises
        `ChoiceError` for another shape, for a `keep` that is not bool, and for queries that are not finite.
        """
        if np.ndim(queries) == 1:
            rows, similarities = self.search(np.asarray(queries)[None], k, keep)
            return rows[0], similarities[0]
        keep = None if keep is None else np.asarray(keep)
        if keep is not None and (keep.shape != (len(self),) or keep.dtype != bool):
            raise ChoiceError(f"keep of shape {keep.shape}, {keep.dtype}: give ({len(self)},), bool")
        prepared, k = self._prepare(queries), whole("k", k)
        rows = np.full((len(prepared), k), -1, dtype=np.int64)
        similarities = np.full(rows.shape, -np.inf, dtype=np.float32)
        if len(self) and len(prepared):
            found, values = self._search(prepared, min(k, len(self)), keep)
            rows[:, : found.shape[1]] = np.where(np.isneginf(values), -1, found)
            similarities[:, : found.shape[1]] = values
        return rows, similarities

    def save(self, folder: Path) -> None:
        """Write the index to `folder` atomically."""
        files = {FILE: {"vectors": self.vectors, **self.arrays}}
        artifacts.store(folder, f"{self.name}_index", self.settings, files, step="build")

    @classmethod
    def load(cls: type[AnyIndex], folder: Path) -> AnyIndex:
        """Read what `save` wrote; raises `ArtifactError` for files that are missing or damaged."""
        stored, index = artifacts.restore(folder, f"{cls.name}_index", REMEDY, cls.Settings, "build"), cls.__new__(cls)
        dtypes = {**dict.fromkeys(stored.manifest["files"].get(FILE, {}).get("arrays", {})), "vectors": np.float32}
        index.settings, index.arrays = stored.settings, stored.read({FILE: dtypes})
        index.vectors = index.arrays.pop("vectors")
        return index

    def _prepare(self, vectors: npt.ArrayLike) -> np.ndarray:
        """Return `vectors` as float32 rows, normalised for the metric cosine; zero rows stay zero."""
        array, dimension = np.ascontiguousarray(vectors, dtype=np.float32), self.vectors.shape[1]
        if array.ndim != 2 or array.shape[1] != dimension:
            raise ChoiceError(f"vectors of shape {array.shape}: give (number, {dimension})")
        if not np.isfinite(array).all():
            raise ChoiceError("vectors with NaN or infinity: give finite ones, zeros where nothing is known")
        return unit_rows(array.astype(np.float64)) if self.settings.metric == "cosine" else array

    def _build(self, first: int) -> None:
        """Take in the vectors from row `first` on; called after every `add`, for an index that needs it."""

    def _near(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Return rows (B, c) int64, k <= c <= n, different ones, in which those nearest to each prepared query are."""
        return np.broadcast_to(np.arange(len(self)), (len(queries), len(self)))

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute `search` for prepared queries; 1 <= k <= n; similarity -inf where nothing is found.

        Beside a filter as many more are asked for as it takes away, and a query that still lacks some is answered from
        all that the filter keeps.
        """
        kept = np.arange(len(self)) if keep is None else np.flatnonzero(keep)
        wanted = min(k, len(kept))
        enough = k if keep is None else 2 * k * len(self) // max(1, len(kept))
        if enough > len(self) // 4:  # all products are as quick
            return self._best_of(queries, np.broadcast_to(kept, (len(queries), len(kept))), wanted)
        near = self._near(queries, enough)
        rows, similarities = self._best_of(queries, near, wanted, keep)
        for line in np.flatnonzero(np.isneginf(similarities).any(axis=1)):
            rows[line], similarities[line] = self._best_of(queries[line : line + 1], kept[None], wanted)
        return rows, similarities

    def _best_of(
        self, queries: np.ndarray, near: np.ndarray, k: int, keep: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and similarities (B, k) of the best of the rows `near` (B, c); -inf for those not kept."""
        near = np.sort(near, axis=1)  # ties go by row
        similarities = np.empty(near.shape, np.float32)
        for line, query in enumerate(queries):
            np.matmul(self.vectors[near[line]], query, out=similarities[line])
        if keep is not None:
            similarities[~keep[near]] = -np.inf
        columns = top_n(similarities, k)
        return np.take_along_axis(near, columns, axis=1), np.take_along_axis(similarities, columns, axis=1)
