"""The exact index: all inner products, then the k largest. The default, and the reference for other indexes.

    similarities = Q V'          one matrix product for a block of queries
    rows = top_n(similarities)   linalg/rows.py

62,000 movies of 50 dimensions take about half a millisecond a query; an approximate index pays off for far more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from ..data import artifacts
from ..data.settings import setting
from ..linalg.rows import top_n
from .base import METRICS, VectorIndex

BLOCK_CELLS = 1 << 22  # similarities in a block of queries: 16 MB
KIND, FILE, REMEDY = "exact_index", "vectors.npy", "the program that builds this index"


@dataclass(frozen=True)
class ExactSettings:
    metric: str = setting("inner", "similarity of two vectors", choices=METRICS)


class ExactIndex(VectorIndex):
    """Exact search; O(n d) a query, `add` copies all rows to keep them together.

    >>> index = ExactIndex(np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), metric="cosine")
    >>> rows, similarities = index.search([[0.0, 5.0]], k=2)
    >>> rows.tolist(), similarities.round(2).tolist()
    ([[2, 1]], [[1.0, 0.800000011920929]])
    """

    vectors = np.empty((0, 0), dtype=np.float32)  # (n, d)

    def __len__(self) -> int:
        return len(self.vectors)

    def _add(self, vectors: np.ndarray) -> None:
        self.vectors = np.concatenate((self.vectors, vectors)) if len(self) else vectors

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.empty((len(queries), k), dtype=np.int64)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        step = max(1, BLOCK_CELLS // len(self))
        for low in range(0, len(queries), step):
            part = slice(low, low + step)
            block = queries[part] @ self.vectors.T  # (step, n)
            if keep is not None:
                block[:, ~keep] = -np.inf
            rows[part] = top_n(block, k)
            similarities[part] = np.take_along_axis(block, rows[part], axis=1)
        return rows, similarities

    def save(self, folder: Path) -> None:
        artifacts.store(folder, KIND, ExactSettings(self.metric), {FILE: self.vectors}, step="build")

    @classmethod
    def load(cls, folder: Path) -> ExactIndex:
        stored, index = artifacts.restore(folder, KIND, REMEDY, ExactSettings, step="build"), cls.__new__(cls)
        index.vectors, index.metric = stored.read({FILE: np.float32})["vectors"], stored.settings.metric
        index.dim = index.vectors.shape[1]
        return index
