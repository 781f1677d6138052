"""Movies like one movie, by what people like together and by what is written about both.

    score = (z_people + h_people) / 2 + h_texts

    z     = u_i . u_j, standardised over all j for each i          u: vectors
    h     = the same after standardising over all i for each j

of people, u_i = v_i / sd_i with the vectors and deviations of the session's Gaussian (gaussian.py), so that u_i . u_j
is the correlation of the answers to both; of texts, the unit vectors of the stored embeddings, side by side. What
everybody rated goes with everything: it has a high mean, which h takes away (a hub in Radovanovic, Nanopoulos and
Ivanovic 2010, "Hubs in Space"); h alone prefers what hardly anybody has seen. The half, and the equal weights, were
chosen on series: the other parts of a movie's series among its first ten (`model.replay_sessions --tastes`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from ..linalg.rows import top_n
from .gaussian import ConditionalGaussian

PEOPLE, TEXTS = "people", "texts"


class Neighbor(NamedTuple):
    row: int
    score: float  # in standard deviations over all movies
    by: str  # "people" or "texts": which part of the score is larger


class SimilarMovies:
    """Search by one or both sides; people, texts: (n_movies, d), a row of zeros where nothing is known of a movie.

    Cost: O(n_movies d^2) once, O(n_movies d) a search.
    """

    def __init__(self, people: np.ndarray, texts: Optional[np.ndarray]) -> None:
        self._sides: Sequence[Side] = [Side(people), *([] if texts is None else [Side(texts)])]

    def scores(self, row: int) -> np.ndarray:
        """Return how much every movie is like the one in `row`, (n_movies,) float32; 0 where nothing is known."""
        return np.asarray(sum(self._parts(row)), dtype=np.float32)

    def _parts(self, row: int) -> list[np.ndarray]:
        parts = [self._sides[0].scores(row, corrected=0.5)]
        return parts + [side.scores(row) for side in self._sides[1:]]

    def search(self, row: int, n: int) -> list[Neighbor]:
        """Return the n movies most like the one in `row`, best first, ties by row; none of which nothing is known."""
        parts = self._parts(row)
        known = np.logical_or.reduce([side.known & side.known[row] for side in self._sides])
        known[row] = False
        total = np.where(known, sum(parts), -np.inf).astype(np.float32)
        rows = top_n(total[None], min(n, int(known.sum())))[0].tolist()
        return [Neighbor(i, float(total[i]), TEXTS if parts[-1][i] > parts[0][i] else PEOPLE) for i in rows]


class Side:
    """The vectors of one side, and mean and deviation of u_i . u_j over all i for each j."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors.astype(np.float32, copy=False)
        self.known = np.asarray(self.vectors.any(axis=1))  # (n_movies,)
        n = np.float32(max(1, self.known.sum()))  # the others are 0
        mean = self.vectors.sum(axis=0) / n
        covariance = self.vectors.T @ self.vectors / n - np.outer(mean, mean)  # (d, d)
        self._means = self.vectors @ mean
        blocks = np.array_split(self.vectors, 1 + len(vectors) // 1024)  # a product of all is as large as they are
        variances = np.concatenate([np.einsum("nd,nd->n", block @ covariance, block) for block in blocks])
        self._deviations = np.sqrt(np.maximum(variances, 1e-12))

    def scores(self, row: int, corrected: float = 1.0) -> np.ndarray:
        """Return z + corrected (h - z) of every movie (n_movies,) float32; 0 where it or that in `row` is unknown."""
        others = self.known & (np.arange(len(self.known)) != row)
        if not self.known[row] or not others.any():
            return np.zeros(len(self.known), dtype=np.float32)
        products = self.vectors @ self.vectors[row]
        z, h = (
            (scores - scores[others].mean()) / max(float(scores[others].std()), 1e-6)
            for scores in (products, (products - self._means) / self._deviations)
        )
        return np.where(others, z + corrected * (h - z), 0).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _people(rule: ConditionalGaussian) -> Side:
    return Side(rule.unit_vectors())


@functools.lru_cache(maxsize=64)
def likeness(rule: ConditionalGaussian, row: int) -> np.ndarray:
    """Return h of people: how much every movie is like the one in `row`, (n_movies,) float32, standardised."""
    return _people(rule).scores(row)
