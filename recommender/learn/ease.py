"""EASE: a linear model in which every movie is predicted from all the others, in closed form.

    minimise |X - X B|^2 + regularisation |B|^2   with diag(B) = 0
    P = inv(X'X + regularisation I)
    B_ij = -P_ij / P_jj  (i != j),  B_jj = 0
    score = x B          x: the person's row of X

Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data (WWW 2019), equations 8 and 11.
X holds, by `values`, 1 for each rating of at least 4 ("likes", as in the paper) or the rating itself ("ratings"),
which also uses what a person watched and did not like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

import numpy as np

from ..data.interactions import LIKED, Interactions
from ..data.settings import setting
from ..linalg.cholesky import inverse
from .base import Fitted, Ranker


@dataclass(frozen=True)
class EaseSettings:
    values: str = setting("ratings", "what a rating counts as", choices=("likes", "ratings"))
    regularisation: float = setting(4000.0, "ridge penalty, in the units of X'X: about 150 for likes", 1e-6)


class Ease(Ranker):
    """EASE; `item_weights` is B, (n_movies, n_movies) float32, row = known movie, column = predicted movie."""

    name = "ease"
    Settings = EaseSettings
    fitted: ClassVar[Fitted] = {"item_weights": np.float32}

    item_weights: np.ndarray

    def fit(self, train: Interactions) -> Ease:
        """Solve in closed form: O(sum of squared row lengths) for X'X, n_movies^3 for the inverse, float32."""
        self.movie_ids = train.movie_ids
        G = gram(train, self._values(train.ratings))
        G[np.diag_indices_from(G)] += self.settings.regularisation
        P = inverse(G)
        B = P
        B /= -P.diagonal().copy()
        np.fill_diagonal(B, 0)
        self.item_weights = B
        return self

    def _values(self, ratings: np.ndarray) -> np.ndarray:
        if self.settings.values == "ratings":
            return ratings
        return (ratings >= LIKED).astype(np.float32)

    def _score(self, history: Interactions, user_rows: np.ndarray, at: Optional[np.ndarray]) -> np.ndarray:
        return fold_in(history, user_rows, self._values(history.ratings), self.item_weights)


def gram(data: Interactions, values: np.ndarray) -> np.ndarray:
    """Return X'X (n_movies, n_movies) float32, X holding `values` (n_ratings,) in place of the ratings.

    One small outer product for each user, its rows in ascending order so that the sums run through memory forwards.
    """
    G = np.zeros((data.n_movies, data.n_movies), dtype=np.float32)
    for start, end in zip(data.indptr[:-1], data.indptr[1:]):
        x = values[start:end]
        used = np.flatnonzero(x)
        order = used[np.argsort(data.movie_rows[start:end][used])]
        rows, x = data.movie_rows[start:end][order], x[order]
        G[np.ix_(rows, rows)] += np.outer(x, x)
    return G


def fold_in(history: Interactions, user_rows: np.ndarray, values: np.ndarray, item_weights: np.ndarray) -> np.ndarray:
    """Return x B for each of `user_rows`, x holding `values` (n_ratings,); O(row length x n_movies) each."""
    scores = np.zeros((len(user_rows), item_weights.shape[1]), dtype=np.float32)
    for line, row in enumerate(user_rows):
        start, end = history.indptr[row], history.indptr[row + 1]
        used = start + np.flatnonzero(values[start:end])
        scores[line] = values[used] @ item_weights[history.movie_rows[used]]
    return scores
