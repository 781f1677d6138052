"""The exact index: all products, by tiles that stay near the processor.

    for each tile of vectors and block of queries:  S = Q V_tile'              (B, T)
        candidates = the k best of each line of S, while they are in the cache
    result = the k best of all candidates

The vectors are read once for a block of queries.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from ..linalg.rows import top_n
from .base import VectorIndex

QUERIES = 128  # in a block
TILE_CELLS = 1 << 19  # similarities in a tile: 2 MB
LEAST_TILE, MOST_TILE = 2048, 1 << 15  # vectors


class ExactIndex(VectorIndex):
    """All products; O(n d) a query, `add` copies all rows to keep them together.

    >>> index = ExactIndex(np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), metric="cosine")
    >>> rows, similarities = index.search([[0.0, 5.0]], k=2)
    >>> rows.tolist(), similarities.round(2).tolist()
    ([[2, 1]], [[1.0, 0.800000011920929]])
    """

    name = "exact"

    def _build(self, first: int) -> None:
        self.vectors = np.asfortranarray(self.vectors)  # by columns, as one query is faster so

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        blocks = [queries[low : low + QUERIES] for low in range(0, len(queries), QUERIES)]
        rows, similarities = zip(*[self._search_block(block, k, keep) for block in blocks])
        return np.concatenate(rows), np.concatenate(similarities)

    def _search_block(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        T = max(k, min(max(TILE_CELLS // len(queries), LEAST_TILE), MOST_TILE))
        found = []  # columns (B, k) and similarities (B, k) of the best of each tile
        for low in range(0, len(self), T):
            S = queries @ self.vectors[low : low + T].T  # (B, T)
            if keep is not None:
                S[:, ~keep[low : low + T]] = -np.inf
            best = top_n(S, k)
            found.append((low + best, np.take_along_axis(S, best, axis=1)))
        if len(found) == 1:
            return found[0]
        rows, similarities = (np.concatenate(part, axis=1) for part in zip(*found))
        best = top_n(similarities, k)  # of equal ones the first, which is in an earlier row
        return np.take_along_axis(rows, best, axis=1), np.take_along_axis(similarities, best, axis=1)
