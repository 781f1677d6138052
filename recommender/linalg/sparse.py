"""Products with a sparse matrix in plain numpy, at about the speed of a compiled CSR product.

    A X  and  A' (A X)      A (n_rows, n_cols) sparse, X (n_cols, b) dense, b a few dozen

In plain words: (A X)[row] = sum over the row's values of value * X[column]. Numpy has no sparse product, but it gathers
rows (`np.take`) and multiplies many small matrices (`np.matmul`) at full speed, so rows of similar length are padded to
one length L, and a batch of g rows is one gather and one product (g, 1, L) @ (g, L, b). Two things keep it fast:

- Ranges of rows, both A_r and A_r' kept: one sweep gives A' (A X) = sum_r A_r' (A_r X), never holding A X whole, and
  what is gathered from stays in the processor's cache.
- A dense head: the most popular columns are so full that a plain dense product is cheaper than gathering.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

RANGE_ENTRIES = 2_000_000  # stored values in a range
GATHER_BYTES = 1 << 19  # size of the gather buffer: half of a usual L2 cache
HEAD_SHARE = 1 / 8  # a column goes to the dense head when it is at least this full
PADDING = 1.06  # how much longer than its shortest row a batch may be


class Batch(NamedTuple):
    """Padded rows: out[rows] = values . X[columns]; padding has value 0 and column 0."""

    rows: np.ndarray  # (g,)
    columns: np.ndarray  # (g, L)
    values: np.ndarray  # (g, L)


class Range(NamedTuple):
    """The rows `low:high` of A: its full columns, and the rest by row and by column."""

    low: int
    high: int
    head: np.ndarray  # (high - low, n_head)
    by_row: list[Batch]
    by_column: list[Batch]


class SparseMatrix:
    """A sparse float32 matrix that can be multiplied; built from compressed rows in O(n_values).

    indptr: (n_rows + 1,) int64.  columns: (n_values,) int32, no column twice in a row.  values: (n_values,) float32.
    Memory: 16 bytes a value and some padding, or 4 bytes a cell in the dense head.

    >>> A = SparseMatrix(np.array([0, 2, 3]), np.array([2, 0, 1], np.int32), np.array([5, 1, 4], np.float32), 3)
    >>> A.dense().tolist()
    [[1.0, 0.0, 5.0], [0.0, 4.0, 0.0]]
    >>> A.times(np.ones((3, 1), np.float32)).tolist()
    [[6.0], [4.0]]
    """

    def __init__(self, indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, n_columns: int) -> None:
        self.shape = (len(indptr) - 1, n_columns)
        self._energy = float(np.dot(values, values))
        counts = np.bincount(columns, minlength=n_columns)
        # Inside, columns are numbered by how full they are: what is gathered often lies together.
        self.order = np.argsort(-counts, kind="stable")
        self.rank = np.empty(n_columns, dtype=np.int32)
        self.rank[self.order] = np.arange(n_columns, dtype=np.int32)
        n_head = int(np.count_nonzero(counts >= max(HEAD_SHARE * self.shape[0], 1)))
        n_ranges = max(1, round(len(columns) / RANGE_ENTRIES))
        cuts = np.searchsorted(indptr, np.linspace(0, len(columns), n_ranges + 1)[1:-1])
        edges = np.unique([0, *cuts, self.shape[0]]).tolist()
        most = 1 << (32 - max(n_columns - 1, 1).bit_length())  # rows of a range: `_by` has 32 bits for both
        edges = [cut for low, high in zip(edges, edges[1:]) for cut in range(low, high, most)] + edges[-1:]
        arrays = indptr, columns, values, self.rank, n_head
        self.ranges = [_build_range(*arrays, low, high) for low, high in zip(edges, edges[1:])]

    def __sizeof__(self) -> int:
        """Return the bytes of all arrays: an engine that knows how large a block is does not send it about."""
        batches = [batch for part in self.ranges for batch in (*part.by_row, *part.by_column)]
        return sum(part.head.nbytes for part in self.ranges) + sum(array.nbytes for one in batches for array in one)

    def times(self, X: np.ndarray) -> np.ndarray:
        """Return A X, (n_rows, b) float32, for X (n_cols, b) float32."""
        X = X[self.order]
        out = np.zeros((self.shape[0], X.shape[1]), dtype=np.float32)
        for part in self.ranges:
            _add_times(part, X, out[part.low : part.high])
        return out

    def transposed_times(self, Y: np.ndarray) -> np.ndarray:
        """Return A' Y, (n_cols, b) float32, for Y (n_rows, b) float32."""
        out = np.zeros((self.shape[1], Y.shape[1]), dtype=np.float32)
        for part in self.ranges:
            _add_transposed_times(part, Y[part.low : part.high], out)
        return out[self.rank]

    def gram_times(self, X: np.ndarray) -> np.ndarray:
        """Return A' (A X), (n_cols, b) float32, for X (n_cols, b) float32, in one sweep."""
        X = X[self.order]
        out = np.zeros(X.shape, dtype=np.float32)
        for part in self.ranges:
            Y = np.zeros((part.high - part.low, X.shape[1]), dtype=np.float32)
            _add_times(part, X, Y)  # A_r X
            _add_transposed_times(part, Y, out)  # A_r' (A_r X)
        return out[self.rank]

    def energy(self) -> float:
        """Return ||A||_F^2, the sum of the squared values; NaN or infinite where a value is."""
        return self._energy

    def dense(self) -> np.ndarray:
        """Return A as one dense array: the readable twin, for small matrices and tests."""
        full = np.zeros(self.shape, dtype=np.float32)
        for part in self.ranges:
            rows = full[part.low : part.high]
            rows[:, : part.head.shape[1]] = part.head
            for batch in part.by_row:
                np.add.at(rows, (batch.rows[:, None], batch.columns), batch.values)
        return full[:, self.rank]


def _add_times(part: Range, X: np.ndarray, out: np.ndarray) -> None:
    """Write A_r X into `out`, which holds zeros."""
    np.matmul(part.head, X[: part.head.shape[1]], out=out)
    _gather_add(part.by_row, X, out)


def _add_transposed_times(part: Range, Y: np.ndarray, out: np.ndarray) -> None:
    """Add A_r' Y to `out`."""
    _gather_add(part.by_column, Y, out)
    out[: part.head.shape[1]] += part.head.T @ Y


def _gather_add(batches: list[Batch], X: np.ndarray, out: np.ndarray) -> None:
    """Add, for every padded row, `values . X[columns]` to its row of `out`; a row is in one batch only."""
    width = X.shape[1]
    n_slots = max(GATHER_BYTES // (4 * width), max((batch.columns.shape[1] for batch in batches), default=1))
    buffer = np.empty((n_slots, width), dtype=np.float32)
    for rows, columns, values in batches:
        step = n_slots // columns.shape[1]  # rows whose vectors fit into the buffer
        for low in range(0, len(rows), step):
            some = slice(low, low + step)  # plainly: out[rows[some]] += sum over L of values[some] X[columns[some]]
            index = columns[some]  # (g, L)
            # mode="clip" writes straight into the buffer; the default mode would go through a copy
            gathered = X.take(index, 0, buffer[: index.size].reshape(*index.shape, width), "clip")  # (g, L, b)
            out[rows[some]] += np.matmul(values[some, None, :], gathered)[:, 0, :]


def _build_range(
    indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, rank: np.ndarray, n_head: int, low: int, high: int
) -> Range:
    """Cut rows `low:high` out of A and lay them out for both products, columns renumbered by `rank`."""
    part = slice(indptr[low], indptr[high])
    rows = np.repeat(np.arange(high - low, dtype=np.int32), np.diff(indptr[low : high + 1]))
    columns, values = rank.take(columns[part]), values[part]
    full, rest = np.flatnonzero(columns < n_head), np.flatnonzero(columns >= n_head)
    head = np.zeros((high - low, n_head), dtype=np.float32)
    head[rows.take(full), columns.take(full)] = values.take(full)
    rows, columns, values = rows.take(rest), columns.take(rest), values.take(rest)
    # In both what is gathered from ascends along a line: that is twice as fast.
    by_row = _pad(np.bincount(rows, minlength=high - low), *_by(rows, columns, values))
    by_column = _pad(np.bincount(columns, minlength=len(rank)), *_by(columns, rows, values))
    return Range(low, high, head, by_row, by_column)


def _by(keys: np.ndarray, others: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `others` and `values` ordered by `keys` and then `others`; together these have 32 bits.

    Each cell is one number, key, other and value side by side: numpy sorts such much faster than it finds an order.
    """
    bits = int(others.max(initial=0)).bit_length()
    cells = keys.astype(np.uint64)
    for shift, low in ((bits, others.view(np.uint32)), (32, values.view(np.uint32))):
        cells <<= np.uint64(shift)
        cells |= low
    cells.sort()
    values = cells.astype(np.uint32).view(np.float32)
    cells >>= np.uint64(32)
    others = cells.astype(np.uint32).view(np.int32)
    others &= (1 << bits) - 1
    return others, values


def _pad(lengths: np.ndarray, columns: np.ndarray, values: np.ndarray) -> list[Batch]:
    """Lay compressed rows out as batches of rows of similar length, longest first."""
    starts = np.cumsum(lengths) - lengths
    by_length = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
    ascending = -lengths[by_length]
    batches, first = [], 0
    while first < len(by_length):
        length = -int(ascending[first])
        # all rows down to this length share the batch; short rows end up with their exact length
        last = int(np.searchsorted(ascending, -math.ceil(length / PADDING), side="right"))
        rows, offset = by_length[first:last], np.arange(length)
        position = starts[rows, None] + offset  # (g, L)
        index, entries = columns.take(position, mode="clip"), values.take(position, mode="clip")
        if ascending[last - 1] != -length:
            padding = offset >= lengths[rows, None]
            index[padding], entries[padding] = 0, 0
        batches.append(Batch(rows, index, entries))
        first = last
    return batches
