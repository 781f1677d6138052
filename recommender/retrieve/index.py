"""Vector indexes: the contract, what every index shares, and the exact one.

similarity = q . v             metric "inner"
similarity = q . v / |q| |v|   metric "cosine": both are normalised, so every index needs the inner product alone

The exact index takes all products of a block of queries and the k largest of each (`top_n`). 62,000 movies of 50
dimensions take about half a millisecond a query; an approximate index pays off for far more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..data.errors import ChoiceError
from ..data.settings import check_value, setting
from ..linalg.rows import top_n, unit_rows

METRICS = ("inner", "cosine")
BLOCK_CELLS = 1 << 22  # similarities in a block of queries: 16 MB
FILE, REMEDY = "index.npz", "the program that builds this index"
AnyIndex = TypeVar("AnyIndex", bound="VectorIndex")


@dataclass(frozen=True)
class IndexSettings:
    """What every index can be told; one with more to choose inherits it."""

    metric: str = setting("inner", "similarity of two vectors", choices=METRICS)


class VectorIndex(ABC):
    """Rows (n, d), numbered from 0 in the order in which they come; `len(index)` is n.

    A subclass sets `name`, and `Settings` where there is more to choose than the metric, and implements `_near`. What
    speeds this up is put into `arrays` by `_build`, and is stored beside the vectors. An approximate index sets
    `recall`, the least share of the true nearest that it finds, to which tests/test_retrieve.py holds it.
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
        """Append `vectors` (m, d); they become rows n .. n + m - 1. Raises `ChoiceError` for another shape."""
        new = self._prepare(vectors)
        if len(new):
            self.vectors = np.concatenate((self.vectors, new)) if len(self) else new
            self._build()

    def search(
        self, queries: npt.ArrayLike, k: int, keep: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each query: rows (B, k) int64 and similarities (B, k) float32.

        queries: (B, d), finite.  k: 1 or more.  keep: (n,) bool, the rows that may be returned; None = all.
        Most similar first, ties by row. If fewer than k rows are found, the rest is row -1, similarity -inf.
        """
        prepared = self._prepare(queries)
        rows = np.full((len(prepared), k), -1, dtype=np.int64)
        similarities = np.full((len(prepared), k), -np.inf, dtype=np.float32)
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
        return unit_rows(array.astype(np.float64)) if self.settings.metric == "cosine" else array

    def _build(self) -> None:  # noqa: B027
        """Fill `arrays` from `vectors`; called after every `add`, for an index that needs it."""

    @abstractmethod
    def _near(self, query: np.ndarray) -> np.ndarray:
        """Return the rows, int64 in any order, among which `search` looks for those nearest to a prepared `query`."""

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute `search` for prepared queries; 1 <= k <= n; similarity -inf where nothing is found."""
        rows, values = np.zeros((len(queries), k), dtype=np.int64), np.full((len(queries), k), -np.inf, np.float32)
        for line, query in enumerate(queries):
            near = np.unique(self._near(query))  # ascending, as ties go by row
            found, similarities = best((self.vectors[near] @ query)[None], k, keep if keep is None else keep[near])
            rows[line, : found.shape[1]], values[line, : found.shape[1]] = near[found], similarities
        return rows, values


def best(similarities: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return columns and values (B, k) of the k largest of `similarities` (B, n), changed, that `keep` (n,) allows."""
    if keep is not None:
        similarities[:, ~keep] = -np.inf
    columns = top_n(similarities, k)
    return columns, np.take_along_axis(similarities, columns, axis=1)


class ExactIndex(VectorIndex):
    """All products; O(n d) a query, `add` copies all rows to keep them together.

    >>> index = ExactIndex(np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), metric="cosine")
    >>> rows, similarities = index.search([[0.0, 5.0]], k=2)
    >>> rows.tolist(), similarities.round(2).tolist()
    ([[2, 1]], [[1.0, 0.800000011920929]])
    """

    name = "exact"

    def _near(self, query: np.ndarray) -> np.ndarray:
        return np.arange(len(self))

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        step = max(1, BLOCK_CELLS // len(self))
        parts = [queries[low : low + step] for low in range(0, len(queries), step)]
        rows, similarities = zip(*[best(part @ self.vectors.T, k, keep) for part in parts])
        return np.concatenate(rows), np.concatenate(similarities)
