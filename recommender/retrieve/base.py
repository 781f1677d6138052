"""The contract of every index of vectors: build, add, search, save, load.

similarity = q . v             metric "inner"
similarity = q . v / |q| |v|   metric "cosine": both are normalised, so every index needs the inner product alone
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Optional, TypeVar

import numpy as np
import numpy.typing as npt

from ..data.errors import ChoiceError
from ..linalg.rows import unit_rows

METRICS = ("inner", "cosine")

AnyIndex = TypeVar("AnyIndex", bound="VectorIndex")


class VectorIndex(ABC):
    """Rows (n, d), numbered from 0 in the order in which they come; `dim` is d, `len(index)` is n."""

    def __init__(self, vectors: npt.ArrayLike, metric: str = "inner") -> None:
        """Build over `vectors` (n, d); raises `ChoiceError` for another shape, metric, or values not finite."""
        if metric not in METRICS:
            raise ChoiceError(f"metric {metric!r} is not one of {', '.join(METRICS)}: choose one of them")
        self.metric = metric
        shape = np.shape(vectors)
        self.dim = int(shape[1]) if len(shape) == 2 else 0
        self._add(self._prepare(vectors, "vectors"))

    def add(self, vectors: npt.ArrayLike) -> None:
        """Append `vectors` (m, d); they become rows n .. n + m - 1."""
        self._add(self._prepare(vectors, "vectors"))

    def search(
        self, queries: npt.ArrayLike, k: int, keep: Optional[npt.ArrayLike] = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the k rows most similar to each query: rows (B, k) int64 and similarities (B, k) float32.

        queries: (B, d).  keep: (n,) bool, the rows that may be returned; None = all.
        Most similar first, equal ones by ascending row. Where fewer than k rows can be returned, the rest is row -1,
        similarity -inf.  Raises `ChoiceError` for k < 1 and for arrays of another shape or that are not finite.
        """
        if k < 1:
            raise ChoiceError(f"k = {k}: ask for at least one row")
        prepared = self._prepare(queries, "queries")
        mask = None if keep is None else np.asarray(keep)
        if mask is not None and (mask.dtype != bool or mask.shape != (len(self),)):
            raise ChoiceError(
                f"a filter {mask.dtype} {mask.shape}: give one True or False for each of {len(self)} rows"
            )
        rows = np.full((len(prepared), k), -1, dtype=np.int64)
        similarities = np.full((len(prepared), k), -np.inf, dtype=np.float32)
        if len(self) and len(prepared):
            found, values = self._search(prepared, min(k, len(self)), mask)
            rows[:, : found.shape[1]] = np.where(np.isneginf(values), -1, found)
            similarities[:, : found.shape[1]] = values
        return rows, similarities

    def _prepare(self, vectors: npt.ArrayLike, what: str) -> np.ndarray:
        """Return `vectors` as checked float32 rows, normalised where the metric is cosine; zero rows stay zero."""
        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise ChoiceError(f"{what} of shape {array.shape}: give (number, {self.dim})")
        if not np.isfinite(array).all():
            raise ChoiceError(f"{what} hold values that are not numbers: leave those rows out")
        return unit_rows(array.astype(np.float64)) if self.metric == "cosine" else array

    @abstractmethod
    def __len__(self) -> int:
        """Return how many vectors there are."""

    @abstractmethod
    def _add(self, vectors: np.ndarray) -> None:
        """Append checked and prepared vectors; the first call builds the index."""

    @abstractmethod
    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute `search` for arguments already checked and prepared; 1 <= k <= n."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the index to `folder`, all files or none."""

    @classmethod
    @abstractmethod
    def load(cls: type[AnyIndex], folder: Path) -> AnyIndex:
        """Read what `save` wrote; raises `ArtifactError` for files that are missing or damaged."""
