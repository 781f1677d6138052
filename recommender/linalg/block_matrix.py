"""A sparse matrix cut into blocks of rows, each a `SparseMatrix` that an engine keeps and multiplies.

    (A X)[block] = A_block X        A' Y = sum over blocks of A_block' Y_block        A' (A X) likewise

With the engine of one process it is one block, and the products are exactly those of `SparseMatrix`. With others sums
are added in another order: equal within float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .engine import Engine
from .sparse import SparseMatrix


class BlockMatrix:
    """What `SparseMatrix` is, by an engine: the arguments are the same, cost and memory are divided by its workers.

    What enters and leaves a product is held here whole, (n_rows, b) and (n_columns, b).
    """

    def __init__(self, blocks: list[Any], bounds: list[tuple[int, int]], n_columns: int, engine: Engine) -> None:
        """blocks: a `SparseMatrix` for the rows of each of `bounds`, as the engine's `place` returns them."""
        self.shape, self.engine = (bounds[-1][1], n_columns), engine
        self.bounds, self.blocks = bounds, blocks
        self._energy = float(engine.sum(SparseMatrix.energy, blocks))

    def times(self, X: np.ndarray) -> np.ndarray:
        """Return A X, (n_rows, b) float32, for X (n_cols, b) float32."""
        return np.concatenate(list(self.engine.map(SparseMatrix.times, self.blocks, shared=(X,))))

    def transposed_times(self, Y: np.ndarray) -> np.ndarray:
        """Return A' Y, (n_cols, b) float32, for Y (n_rows, b) float32."""
        parts = [Y[low:high] for low, high in self.bounds]
        return self.engine.sum(SparseMatrix.transposed_times, self.blocks, parts)

    def gram_times(self, X: np.ndarray) -> np.ndarray:
        """Return A' (A X), (n_cols, b) float32, for X (n_cols, b) float32."""
        return self.engine.sum(SparseMatrix.gram_times, self.blocks, shared=(X,))

    def energy(self) -> float:
        """Return ||A||_F^2, the sum of the squared values; NaN or infinite where a value is."""
        return self._energy

    def dense(self) -> np.ndarray:
        """Return A as one dense array, for small matrices and tests."""
        return np.concatenate(list(self.engine.map(SparseMatrix.dense, self.blocks)))


def place_rows(
    indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, n_columns: int, engine: Engine
) -> tuple[list[Any], list[tuple[int, int]]]:
    """Return the blocks and bounds of a `BlockMatrix` of compressed rows, which are those of `SparseMatrix`."""
    bounds = engine.bounds(indptr)
    cells = [slice(indptr[low], indptr[high]) for low, high in bounds]
    rows = [indptr[low : high + 1] - indptr[low] for low, high in bounds]
    parts = [columns[part] for part in cells], [values[part] for part in cells]
    return engine.place(SparseMatrix, rows, *parts, shared=(n_columns,)), bounds
