"""How much a person will like a movie, 1 to 5, from what they rated: offline, or by a chat model.

predictor   `SCALE` turns the stars that learn/rating_predictor.py expects, a ridge of a person's ratings on vectors
            of movies, into 1 .. 5, half stars rounded half up
chat model  the mean of the digits 1 to 5 by their probability, or where it gives none the number that it says
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from .. import ranking
from ..data.artifacts import has_manifest
from ..data.catalog import Catalog, Movie
from ..data.interactions import Interactions
from ..learn.base import Ranker
from ..learn.rating_predictor import RatingPredictor
from .preferences import messages
from .prompts import Rated, profile_of

if TYPE_CHECKING:
    from ..facade import Recommender
    from .client import ChatClient

SCALE = (0.36, 0.94)  # whole stars = 0.36 + 0.94 expected stars, by least squares over people of MovieLens
NAMED = 4.5  # stars of a favorite: with 5, who names some and rates nothing would seem to love most, up to the limit
NEUTRAL = 3.0
Person = Union[Mapping[str, Any], Rated]  # a profile as `read_profile` returns it, or movies and stars, oldest first


class LikePredictor(RatingPredictor):
    """A rating predictor learned from the examples of model/finetune_movie_pref.py, and stored beside the others."""

    name, program = "like", "train_like_model"


class Likes:
    """The offline `predict_like_score`; scores of the last person asked for are kept."""

    def __init__(self, model: Ranker, catalog: Catalog) -> None:
        self.model, self.catalog = model, catalog
        self._last: tuple[object, np.ndarray] = (None, np.zeros(0))

    @classmethod
    def open(cls, recommender: Recommender) -> Likes:
        """Return the predictor, opened or fitted on first use, where the folder has ratings, else the stored one.

        Raises `ArtifactError` where there is neither.
        """
        if has_manifest(recommender.folder):
            return cls(recommender.models.get(RatingPredictor.name), recommender.catalog)
        stored = recommender.folder / "artifacts" / LikePredictor.name
        return cls(LikePredictor.load(stored, recommender.catalog), recommender.catalog)

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
        expected = self.model.score(history, np.arange(history.n_users))
        return np.clip(np.float32(SCALE[0]) + np.float32(SCALE[1]) * expected, 1, 5)

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
