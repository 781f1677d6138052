"""EASE: a linear model in which every movie is predicted from all the others, in closed form.

    minimise |X - X B|^2 + regularisation |B|^2   with diag(B) = 0

Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data (WWW 2019), equations 8 and 11.
X holds, by `values`, 1 for each rating of at least 4 ("likes", as in the paper) or the rating itself ("ratings"),
which also uses what a user watched and did not like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.cholesky import inverse
from ..linalg.engine import Engine
from .item_weights import ItemWeights


class Ease(ItemWeights):
    """EASE."""

    name = "ease"
    by_blocks = True

    @dataclass(frozen=True)
    class Settings:
        values: str = setting("ratings", "what a rating counts as", choices=("likes", "ratings"))
        regularisation: float = setting(4000.0, "ridge penalty, in the units of X'X: about 150 for likes", 1e-6)

    def _weights(self, train: Interactions) -> np.ndarray:
        """Solve in closed form: O(sum of squared row lengths) for X'X, n_movies^3 for the inverse, float32."""
        return item_weights(gram(train, self._values(train.ratings), self.engine), self.settings.regularisation)

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        return ratings if self.settings.values == "ratings" else (ratings >= LIKED).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        x = self._values(ratings)
        used = np.flatnonzero(x)
        return self._weighted(x[used], movies[used])


def gram(data: Interactions, values: np.ndarray, engine: Engine) -> np.ndarray:
    """Return X'X (n_movies, n_movies) float32, X holding `values` (n_ratings,) in place of the ratings.

    The sum over blocks of people; each worker of the engine holds a matrix of this size, up to three while it adds.
    """
    bounds = engine.bounds(data.indptr)
    parts = [data.block(*users) for users in bounds]
    return engine.sum(block_gram, parts, [values[data.indptr[low] : data.indptr[high]] for low, high in bounds])


def block_gram(data: Interactions, values: np.ndarray) -> np.ndarray:
    """Return `gram` of one block.

    One small outer product for each user, its rows in ascending order so that the sums run through memory forwards.
    """
    G = np.zeros((data.n_movies, data.n_movies), dtype=np.float32)
    for user in range(data.n_users):
        rows, x = data.movie_rows[data.row(user)], values[data.row(user)]
        used = np.flatnonzero(x)
        order = used[np.argsort(rows[used])]
        rows, x = rows[order], x[order]
        G[np.ix_(rows, rows)] += np.outer(x, x)
    return G


def item_weights(G: np.ndarray, regularisation: float) -> np.ndarray:
    """Return EASE's B (n, n) from the Gram matrix X'X, which it overwrites."""
    G[np.diag_indices_from(G)] += regularisation
    P = inverse(G)  # inv(X'X + regularisation I)
    P /= -P.diagonal().copy()  # B_ij = -P_ij / P_jj
    np.fill_diagonal(P, 0)  # B_jj = 0: no movie predicts itself
    return P
