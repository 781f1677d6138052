"""How much a person will like a movie, 1 to 5, from what they rated: offline, or by a chat model.

    predictor   1 .. 5 from `SCALE` and the stars that learn/rating_predictor.py expects, half stars rounded half up
    ridge       w . (b_u, b_t, sum_i k_it e_i / (1 + sum_i k_it), sum_i e_i v_i . v_t / sqrt(n)) + c
    chat model  the mean of the digits 1 to 5 by their probability, or where it gives none the number that it says

e_i = r_i - mu - b_i - b_u: what rating i of the person says beyond the movie and the person;  b_t, b_u: damped means of
movies and person;  v: text vectors, at length 1;  k_it = max(v_i . v_t, 0)^3.  The ridge needs no ratings once fitted,
and knows a new movie by its text. On held-out people the predictor is better (model/train_like_model.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from .. import ranking
from ..data.artifacts import has_manifest
from ..data.catalog import Catalog, Movie
from ..data.interactions import Interactions
from ..learn.base import Ranker
from ..learn.rating_predictor import RatingPredictor, damped_means
from ..linalg.ridge import fit_ridge
from ..linalg.rows import unit_rows
from .preferences import LEAST_RATINGS, messages
from .prompts import Rated, profile_of

if TYPE_CHECKING:
    from ..facade import Recommender
    from .client import ChatClient

SCALE = (0.36, 0.94)  # whole stars = 0.36 + 0.94 expected stars, by least squares over people of MovieLens
DAMPING = 5.0  # average ratings added to those of each movie and person
NAMED = 4.5  # stars of a favorite: with 5, who names some and rates nothing would seem to love most, up to the limit
MOST_EXAMPLES = 20  # of a person, the last ratings, at most half
NEUTRAL = 3.0
Person = Union[Mapping[str, Any], Rated]  # a profile as `read_profile` returns it, or movies and stars, oldest first


class LikeRidge(Ranker):
    """The ridge above; a score is a rating from 1 to 5, half stars rounded half up, not cut to it."""

    name = "like"
    program = "train_like_model"
    scores_are_ratings = True
    mean_: np.ndarray  # (1,), mu
    movie_bias_: np.ndarray  # (M,), b
    weights_: np.ndarray  # (5,), w and c

    def __init__(self, catalog: Optional[Catalog] = None, vectors: Optional[np.ndarray] = None) -> None:
        """vectors: (n_movies, d) of texts; set them after `load`."""
        super().__init__(catalog)
        self.vectors = np.zeros((len(self.catalog), 1), np.float32) if vectors is None else unit_rows(vectors)

    def _fit(self, train: Interactions) -> None:
        """Learn how the last ratings of each person follow from the earlier ones."""
        self.mean_, self.movie_bias_, _ = damped_means(train, DAMPING, DAMPING)
        X, y = [np.zeros((0, 4))], [np.zeros(0)]
        for user in np.flatnonzero(np.diff(train.indptr) >= LEAST_RATINGS).tolist():
            known = train.row(user)
            movies, stars = train.movie_rows[known], train.ratings[known]
            n = min(MOST_EXAMPLES, len(movies) // 2)
            X.append(self._features(movies[:-n], stars[:-n], movies[-n:]))
            y.append(np.clip(np.floor(stars[-n:] + 0.5), 1, 5))
        targets = np.concatenate(y)[:, None]
        ridge = fit_ridge(np.concatenate(X), targets, np.ones(len(targets)))
        self.weights_ = np.append(ridge.coef, ridge.intercept).astype(np.float32)

    def _score_user(self, movies: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        X = self._features(movies, ratings, np.arange(len(self.movie_ids)))
        return X @ self.weights_[:-1] + self.weights_[-1]

    def _features(self, movies: np.ndarray, stars: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Return (n wanted, 4) for somebody who gave `stars` to `movies`, all rows."""
        e = stars - self.mean_ - self.movie_bias_[movies]
        b_u = e.sum() / (len(e) + DAMPING)
        e = e - b_u
        cosines = self.vectors[wanted] @ self.vectors[movies].T  # (n wanted, n movies)
        k = np.maximum(cosines, 0) ** 3
        own, taste = (k @ e) / (1 + k.sum(axis=1)), cosines @ e / math.sqrt(max(len(e), 1))
        return np.column_stack((np.full(len(wanted), b_u), self.movie_bias_[wanted], own, taste))


class Likes:
    """The offline `predict_like_score`; scores of the last person asked for are kept."""

    def __init__(self, model: Ranker, catalog: Catalog) -> None:
        """model: a `LikeRidge`, or a `RatingPredictor`."""
        self.model, self.catalog = model, catalog
        self._last: tuple[object, np.ndarray] = (None, np.zeros(0))

    @classmethod
    def open(cls, recommender: Recommender) -> Likes:
        """Return the predictor, opened or fitted on first use, where the folder has ratings, else the stored ridge.

        Raises `ArtifactError` where there is neither.
        """
        if has_manifest(recommender.folder):
            return cls(recommender.models.get(RatingPredictor.name), recommender.catalog)
        from ..session.cold_start import load_texts

        model = LikeRidge.load(recommender.folder / "artifacts" / LikeRidge.name, recommender.catalog)
        model.vectors = load_texts(recommender.folder, recommender.catalog, recommender.backend)
        return cls(model, recommender.catalog)

    def scores(self, person: Person) -> np.ndarray:
        """Return how much a person will like each movie, (n_movies,) float32, 1 to 5; of nobody known, the average."""
        if isinstance(person, Mapping):
            named = [(movie_id, NAMED, "") for movie_id in person["favorites"]]  # unless it was rated
            given = ranking.ratings_of({**person, "ratings": [*named, *person.get("ratings", ())]}, self.catalog)[0]
        else:
            given = list(person)
        last = self._last
        if given != last[0]:
            ids = self.catalog.movie_ids
            history = Interactions.from_columns([], [], [], [], ids, np.zeros(1, np.int64))
            if given:
                history = ranking.history_of(given, self.catalog.row_of, ids, ranking.moment(None))
            last = self._last = (given, self.of_history(history)[0])
        return last[1]

    def of_history(self, history: Interactions) -> np.ndarray:
        """Return the same for everybody in `history`, (n_users, n_movies)."""
        scores = self.model.score(history, np.arange(history.n_users))
        if not isinstance(self.model, LikeRidge):
            scores = np.float32(SCALE[0]) + np.float32(SCALE[1]) * scores
        return np.clip(scores, 1, 5)

    def predict_like_score(self, person: Person, movie: Union[Movie, int]) -> float:
        """Return how much a person will like a movie, or a movie id: 1 to 5."""
        movie_id = movie.movie_id if isinstance(movie, Movie) else movie
        return float(self.scores(person)[self.catalog.row_of(movie_id)])


class ChatLikes:
    """`predict_like_score` by a chat model, tuned on such questions or not."""

    def __init__(self, client: ChatClient, catalog: Catalog, shots: Sequence[Mapping[str, str]] = ()) -> None:
        """shots: questions and answers of other people that go before each question."""
        self.client, self.catalog, self.shots = client, catalog, shots

    def predict_like_score(self, person: Person, movie: Union[Movie, int]) -> float:
        """Return 1 to 5, 3 where the answer holds no such number; raises `WebError` where there is no answer."""
        given = ranking.ratings_of(person, self.catalog)[0] if isinstance(person, Mapping) else person
        about = profile_of([(one[0], one[1]) for one in given], self.catalog)
        movie_id = movie.movie_id if isinstance(movie, Movie) else movie
        task, question = messages(about, movie_id, self.catalog)
        answer = self.client.ask([task, *self.shots, question], max_tokens=16, n_first=20)
        return expected_digit(answer.first, answer.text)


def expected_digit(first: Mapping[str, float], text: str) -> float:
    """Return the mean of the digits 1 to 5 among the first tokens by probability, else the first number in `text`.

    first: token -> log-probability.

    >>> round(expected_digit({"4": math.log(0.6), " 5": math.log(0.2), "The": math.log(0.2)}, "4"), 2)
    4.25
    >>> expected_digit({}, "I'd say 2 of 5."), expected_digit({}, "No idea.")
    (2.0, 3.0)
    """
    chances = [(int(token), math.exp(min(p, 0.0))) for token, p in first.items() if token.strip() in set("12345")]
    total = sum(p for _, p in chances)
    if total > 0.01:
        return sum(digit * p for digit, p in chances) / total
    found = re.search(r"(?<![\d.])[1-5](?:\.\d+)?(?!\d)", text)
    return min(float(found[0]), 5.0) if found else NEUTRAL
