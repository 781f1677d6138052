"""What texts tell a session: how movies fit a person's own words, and where movies that nobody rated lie.

Words of a person's own:

    fit_i       = x_q . x_i + share_i / n_words      x: text vectors of the request and the movie; share: word_match.py
    pseudo-item = bridge(x_q) - mean, at a fixed length      a vector like the rule's movie vectors

The first knows what a movie is about and finds it by name; the second knows who likes what, and so reaches movies that
share no word with the request. A session adds both to its score (engine.py). The fewer words, the more each is meant
exactly. A movie of a genre that the request says no to loses 1 of its fit, as much as any words can be worth.

Cold start: movies without ratings get vectors predicted from their texts.

    y_i = bridge(x_i)       for the movies i without a rating; the bridge is a ridge regression (linalg/ridge.py) on
                            all others, each weighing n_i / (n_i + 20) by its number of ratings

For the conditional Gaussian y is a movie's vector, its mean and its base; its noise is the median of the others'.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..data.artifacts import has_manifest
from ..data.catalog import Catalog
from ..data.errors import ArtifactError, ChoiceError, shown
from ..linalg.ridge import Ridge, fit_ridge
from ..text.base import BaseEmbeddingBackend
from ..text.registry import LOCAL, make_backend, names
from ..text.vectors import VectorTable
from ..text.word_match import WordMatch, take_out_unwanted, telling_words
from .gaussian import Gaussian
from .rules import LearningRule
from .state import PseudoItem, TextSignal

LENGTH = 3.0  # of a pseudo-item's vector, in mean lengths of a movie's: a few words predict little, but are meant
MOST_LETTERS = 1000
GUESSED = 5  # letters from which on an unknown word may be a known one misspelt
FEW_RATINGS = 20.0  # number of ratings at which the weight is 1/2


@dataclass(eq=False)
class FreeText:
    """Encodes words about the movies of one catalogue."""

    catalog: Catalog
    rule: LearningRule
    backend: BaseEmbeddingBackend
    vectors: np.ndarray  # (n_movies, d) of the backend, zeros for a movie without a text

    @classmethod
    def load(
        cls, folder: Path, catalog: Catalog, rule: LearningRule, backend: str, settings: Mapping[str, Any]
    ) -> FreeText:
        """Read what `model.generate_embeddings` left in `folder`/artifacts/text/`backend`.

        settings: of the backend, such as base_url and model of "http".  Raises `ArtifactError` where the vectors are
        missing, damaged, or made by another model than the backend is now, `ChoiceError` for another setting.
        """
        where = folder / "artifacts" / "text" / backend
        if backend in names() and not has_manifest(where):
            command = f"python -m model.generate_embeddings --processed {folder} --backend {backend}"
            raise ArtifactError(f"no text vectors of movies in {where}: run {command}")
        own = {"folder": where / "model"} if backend == LOCAL else {}
        made = make_backend(backend, **{**own, **settings})
        stored = VectorTable.load(where, identity=made.identity)
        return cls(catalog, rule, made, stored.vectors_for(catalog.movie_ids.tolist()))

    def encode(self, text: str) -> TextSignal:
        """Return what `text` says of the movies; raises `ChoiceError` where it says nothing."""
        fit, x = self.fit(text)
        return TextSignal(fit, self._pseudo_item(x) if self.rule.accepts_text and x.any() else None)

    def fit(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return fit_i of every movie (n_movies,) float32, and x_q (d,)."""
        if not isinstance(text, str) or not text.strip():
            raise ChoiceError(f"words {shown(text)}: give a few, such as slow atmospheric science fiction")
        text = " ".join(text[:MOST_LETTERS].split())
        wanted, unwanted = take_out_unwanted(text, self.catalog.genre_names)
        words = telling_words(wanted)
        embedded = wanted if words or not unwanted else ""
        if self.backend.name == LOCAL:
            # It counts words, so it gets those that are meant. Of a short word that no movie holds, the letters are
            # those of other words: of sad, those of dead.
            embedded = " ".join(word for word in words if len(word) >= GUESSED or len(self.words.rows_with(word)))
        x = self.backend.embed_texts([embedded])[0] if embedded else np.zeros(self.vectors.shape[1], dtype=np.float32)
        fit = self.vectors @ x + self.words.share(wanted) / np.float32(max(len(words), 1))
        if not unwanted and fit.max(initial=0) <= 0:
            raise ChoiceError(f"no movie here has anything of {text[:60]!r}: try other words")
        fit -= self.catalog.genres[:, unwanted].any(axis=1)
        return fit, x

    @functools.cached_property
    def words(self) -> WordMatch:
        """Where words stand in what is known of the movies."""
        return WordMatch(self.catalog.lines())

    @functools.cached_property
    def bridge(self) -> Ridge:
        """The map from text vectors to the rule's vectors, fitted when it is first asked for."""
        weights = rating_weights(self.catalog.n_ratings) * self.vectors.any(axis=1)
        return fit_ridge(self.vectors, self.rule.movie_vectors, weights)

    def _pseudo_item(self, x: np.ndarray) -> Optional[PseudoItem]:
        # What sets the words apart from the average movie: that people watch movies at all is not asked for.
        vector = self.bridge(x[None])[0] - self.bridge.target_mean
        length = float(np.linalg.norm(vector))
        if length == 0:
            return None
        usual = float(np.linalg.norm(self.rule.movie_vectors, axis=1).mean())
        noise = 0.0 if self.rule.movie_noise is None else float(np.median(self.rule.movie_noise))
        noise += float(self.bridge.residual_variance.sum())
        return PseudoItem(vector * np.float32(LENGTH * usual / length), noise)


def rating_weights(n_ratings: np.ndarray) -> np.ndarray:
    """Return the weight of movies by number of ratings, 0 to 1."""
    return np.asarray(n_ratings / (n_ratings + FEW_RATINGS))


def load_texts(folder: Path, catalog: Catalog, backend: str) -> np.ndarray:
    """Return the movies' vectors of `backend` (n_movies, d); raises `ArtifactError` if they are missing."""
    return VectorTable.load(folder / "artifacts" / "text" / backend).vectors_for(catalog.movie_ids.tolist())


def fill(texts: np.ndarray, targets: np.ndarray, n_ratings: np.ndarray) -> np.ndarray:
    """Return `targets` (n_movies, k) with predicted rows for movies that have a text in `texts` and no ratings."""
    has_text = texts.any(axis=1)
    unrated, known = has_text & (n_ratings == 0), has_text & (n_ratings > 0)
    filled = targets.copy()
    if unrated.any() and known.sum() > 1:
        filled[unrated] = fit_ridge(texts, targets, rating_weights(n_ratings) * has_text)(texts[unrated])
    return filled


def fill_gaussian(texts: np.ndarray, fitted: Gaussian, n_ratings: np.ndarray) -> Gaussian:
    """Return `fitted` with predictions for movies without ratings."""
    filled = fill(texts, np.column_stack((fitted.vectors, fitted.means, fitted.base)), n_ratings)
    noise, unrated = fitted.noise.copy(), n_ratings == 0
    if unrated.any() and not unrated.all():
        noise[unrated] = np.median(noise[~unrated])
    vectors, means, base = np.ascontiguousarray(filled[:, :-2]), np.maximum(filled[:, -2], 0), filled[:, -1].copy()
    return Gaussian(vectors, means, noise, base, fitted.n_users)
