"""The exact index: all products, by tiles that stay near the processor.

    for each tile of vectors and block of queries:  S = Q V_tile'              (B, T)
        candidates = where S >= floor                           few, once the floor is near the k-th best
    floor  = at first the k-th largest of the maxima of blocks of S, so that at least k are as large; then what lies
             above the k-th best so far, as earlier rows win ties
    result = the k best of all candidates

A tile's products are compared while they are in the cache, and the vectors are read once for a block of queries.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from .base import VectorIndex

QUERIES = 128  # in a block
TILE_CELLS = 1 << 19  # similarities in a tile: 2 MB
LEAST_TILE, MOST_TILE = 2048, 1 << 15  # vectors
_LEAST = np.finfo(np.float32).min


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
        if len(queries) <= QUERIES:
            return self._search_block(queries, k, keep)
        blocks = [queries[low : low + QUERIES] for low in range(0, len(queries), QUERIES)]
        rows, similarities = zip(*[self._search_block(block, k, keep) for block in blocks])
        return np.concatenate(rows), np.concatenate(similarities)

    def _search_block(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        B, n = len(queries), len(self)
        T = max(k, min(max(TILE_CELLS // B, LEAST_TILE), MOST_TILE))
        rows, values = np.full((B, k), -1), np.full((B, k), -np.inf, np.float32)
        found: list[tuple[np.ndarray, ...]] = []  # line, row and value of candidates
        n_found, floor = 0, None
        for low in range(0, n, T):
            S = queries @ self.vectors[low : low + T].T  # (B, T)
            if keep is not None:
                S[:, ~keep[low : low + T]] = -np.inf
            floor = _floor(S, k) if floor is None else floor
            hits = np.flatnonzero(floor <= S)
            if not len(hits):
                continue
            lines, columns = np.divmod(hits, S.shape[1]) if B > 1 else (hits, hits)  # of one line all are
            found.append((lines, low + columns, S.reshape(-1)[hits]))
            n_found += len(hits)
            if n_found > B * k:
                rows, values = _merged(rows, values, found)
                floor = np.maximum(np.nextafter(values[:, -1:], np.float32(np.inf)), _LEAST)
                found, n_found = [], 0
        return _merged(rows, values, found) if found else (rows, values)


def _floor(S: np.ndarray, k: int) -> np.ndarray:
    """Return a value that at least k of each line of S (B, T) reach, (B, 1); above -inf, which no candidate has."""
    n_blocks = min(S.shape[1], 4 * k)
    block = S.shape[1] // n_blocks
    maxima = S[:, : block * n_blocks].reshape(len(S), block, n_blocks).max(axis=1)
    floor = np.partition(maxima, n_blocks - k, axis=1)[:, n_blocks - k] if n_blocks >= k else np.full(len(S), _LEAST)
    return np.maximum(floor, _LEAST)[:, None]


def _merged(rows: np.ndarray, values: np.ndarray, found: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the best (B, k) of `rows` and `values` (B, k) and of what was found later, best first, ties by row."""
    B, k = rows.shape
    lines, more_rows, more_values = map(np.concatenate, zip(*found)) if len(found) > 1 else found[0]
    rows, values = np.concatenate((rows.reshape(-1), more_rows)), np.concatenate((values.reshape(-1), more_values))
    if B == 1:
        best = np.argsort(-values, kind="stable")[None, :k]  # stable: of equal values the earlier rows come first
    else:
        lines = np.concatenate((np.repeat(np.arange(B), k), lines))
        order = np.lexsort((-values, lines))
        best = order[np.searchsorted(lines, np.arange(B), sorter=order)[:, None] + np.arange(k)]
    return rows[best], values[best]
