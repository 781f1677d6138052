"""Base class of vector indexes: build, add, search, save, load.

similarity = q . v             metric "inner"
similarity = q . v / |q| |v|   metric "cosine": both are normalised, so every index needs the inner product alone
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Optional

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError
from ..linalg.rows import unit_rows

METRICS = ("inner", "cosine")


class VectorIndex(ABC):
    """Rows (n, d), numbered from 0 in the order in which they come; `dim` is d, `len(index)` is n."""

    def __init__(self, vectors: npt.ArrayLike, metric: str = "inner") -> None:
        """Build over finite `vectors` (n, d); raises `ChoiceError` for another shape or metric."""
        if metric not in METRICS:
            raise ChoiceError(f"metric {metric!r} is not one of {', '.join(METRICS)}: choose one of them")
        self.metric, self.dim = metric, int(np.shape(vectors)[-1])
        self.add(vectors)

    def add(self, vectors: npt.ArrayLike) -> None:
        """Append `vectors` (m, d); they become rows n .. n + m - 1."""
        self._add(self._prepare(vectors))

    def search(
        self, queries: npt.ArrayLike, k: int, keep: Optional[np.ndarray] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each query: rows (B, k) int64 and similarities (B, k) float32.

        queries: (B, d), finite.  k: 1 or more.  keep: (n,) bool, the rows that may be returned; None = all.
        Most similar first, ties by row. If fewer than k rows are allowed, the rest is row -1, similarity -inf.
        """
        prepared = self._prepare(queries)
        rows = np.full((len(prepared), k), -1, dtype=np.int64)
        similarities = np.full((len(prepared), k), -np.inf, dtype=np.float32)
        if len(self) and len(prepared):
            found, values = self._search(prepared, min(k, len(self)), keep)
            rows[:, : found.shape[1]] = np.where(np.isneginf(values), -1, found)
            similarities[:, : found.shape[1]] = values
        return rows, similarities

    def _prepare(self, vectors: npt.ArrayLike) -> np.ndarray:
        """Return `vectors` as float32 rows, normalised for the metric cosine; zero rows stay zero."""
        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise ChoiceError(f"vectors of shape {array.shape}: give (number, {self.dim})")
        return unit_rows(array.astype(np.float64)) if self.metric == "cosine" else array

    @abstractmethod
    def __len__(self) -> int:
        """Return how many vectors there are."""

    @abstractmethod
    def _add(self, vectors: np.ndarray) -> None:
        """Append prepared vectors; the first call builds the index."""

    @abstractmethod
    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute `search` for prepared queries; 1 <= k <= n."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the index to `folder` atomically."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> VectorIndex:
        """Read what `save` wrote; raises `ArtifactError` for files that are missing or damaged."""
