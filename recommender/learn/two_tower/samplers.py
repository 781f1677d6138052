"""What a step of training draws: shuffled batches, negatives beside the batch, and how often each movie turns up.

All kernels take `rng`; the same generator gives the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...data.errors import DataError


def shuffled_batches(n_rows: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield every row of 0..n_rows-1 once, in random order, `batch` at a time; the last batch may be shorter.

    >>> [len(rows) for rows in shuffled_batches(5, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    order = np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)
    rng.shuffle(order)
    for low in range(0, n_rows, batch):
        yield order[low : low + batch]


class NegativeSampler:
    """Draws movies with a chance that grows with their count: P(i) = (count_i + 1)^power / sum.

    power 0 draws all movies alike, 1 as often as people rate them; Mikolov et al. (2013) use 3/4 for words.

    counts: (n_movies,) ratings of each movie.  Cost: O(n_movies) once, O(log n_movies) a draw.
    """

    def __init__(self, counts: npt.ArrayLike, power: float) -> None:
        weights = (np.asarray(counts, dtype=np.float64) + 1) ** power
        self.chances: np.ndarray = weights / weights.sum()
        self._edges = np.cumsum(self.chances)
        self._edges[-1] = 1.0

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n movie rows, (n,) int64, with repetitions."""
        return np.searchsorted(self._edges, rng.random(n), side="right")


def log_frequencies(counts: npt.ArrayLike, batch: int, drawn: int = 0, chances: npt.ArrayLike = 0.0) -> np.ndarray:
    """Return ln q_i, (n_movies,) float64: q_i is how often movie i is in a batch on average.

        q_i = batch count_i / sum(counts) + drawn chances_i

    counts: (n_movies,) examples of each movie in training.  drawn, chances: how many negatives are drawn beside the
    batch, and with which chances. A movie that can't turn up gets the least value that another has.
    Yi et al. (2019), section 3.2, estimate q from a stream; here it is known. Raises `DataError` for no examples.

    >>> np.exp(log_frequencies([3, 1], batch=8)).tolist()
    [6.0, 2.0]
    """
    examples = np.asarray(counts, dtype=np.float64)
    total = examples.sum()
    if total <= 0:
        raise DataError("no examples to count movies in: give ratings to train on")
    q = batch * examples / total + drawn * np.asarray(chances, dtype=np.float64)
    result = np.log(np.where(q > 0, q, q[q > 0].min()))
    return result
