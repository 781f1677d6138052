"""The contract of every index of vectors.

Index(vectors, metric)         build over (n, d) rows; row numbers count on from 0
search(queries, k, keep)       (B, d) -> rows (B, k) and similarities (B, k), most similar first
add(vectors)                   append; the new rows get the next numbers
save(folder), load(folder)

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

METRICS = ("inner", "cosine")

AnyIndex = TypeVar("AnyIndex", bound="VectorIndex")


class VectorIndex(ABC):
    """An index under the contract above; `dim` is d, `len(index)` is n."""

    metric: str
    dim: int

    @abstractmethod
    def __len__(self) -> int:
        """Return how many vectors there are."""

    @abstractmethod
    def add(self, vectors: npt.ArrayLike) -> None:
        """Append `vectors` (m, d); they become rows n .. n + m - 1."""

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
        mask = None
        if keep is not None:
            mask = np.asarray(keep)
            if mask.dtype != bool or mask.shape != (len(self),):
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
        if self.metric == "cosine":
            lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))[:, None]
            array = (array / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
        return array


def check_metric(metric: str) -> str:
    """Return `metric`, or raise `ChoiceError` for one that does not exist."""
    if metric not in METRICS:
        raise ChoiceError(f"metric {metric!r} is not one of {', '.join(METRICS)}: choose one of them")
    return metric
