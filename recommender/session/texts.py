"""How movies fit a person's own words.

Words of a person's own are read for facts first (text/requests.py); what is left is compared by meaning and by word:

    fit_i       = z(x_q . x_i + share_i / n) + min(2, (4 / n)^2) z(max over the keywords and genres k of i of x_q . x_k)
                  + min(1, (4 / n)^2) (how much i is of genres and tones asked for) - max(0, z) of each unwanted word
                  + min(1, (4 / n)^2) / 2 z(ln(1 + ratings_i)) where share_i = 1
    contradictions_i = facts that i contradicts, a tone counting min(1, (4 / n)^2) (text/requests.py)
                       + share_i of each unwanted word + 1 for a movie that is named itself
    pseudo-item = bridge(x_q) - mean, at a fixed length      a vector like the rule's movie vectors

x: text vectors of request, movie and keyword; share: word_match.py; n: content words that are left, without which the
first two terms are 0; z: standardised over all movies. "Like TITLE" adds the mean z of how similar i is (similar.py),
and after a no takes max(0, z) away. The fit knows what a movie is about; the pseudo-item knows who likes what. A
session adds both to its score (engine.py).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
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
from ..text.requests import Request, RequestReader
from ..text.vectors import KEYWORDS, VectorTable
from ..text.word_match import STOP_WORDS, KeywordMatch, WordMatch, content_words
from .cold_start import rating_weights
from .rules import VectorRule
from .state import PseudoItem, TextSignal

LENGTH = 3.0  # of a pseudo-item's vector, in mean lengths of a movie's: a few words predict little, but are meant
MOST_LETTERS = 1000
GUESSED = 5  # letters from which on an unknown word may be a known one misspelt
CONTRADICTION = 12.0  # points, at least, for each fact that a movie contradicts
FAME_WEIGHT = 0.3
FAME_OF_EQUALS = 0.5  # among movies that hold every word; chosen on the tune part of everyday_requests.yaml
ALL_WORDS = 0.999  # share from which on a movie holds them, but for rounding


@dataclass(eq=False)
class FreeText:
    """Encodes words about the movies of one catalogue."""

    catalog: Catalog
    rule: VectorRule
    backend: BaseEmbeddingBackend
    vectors: np.ndarray  # (n_movies, d) of the backend, zeros for a movie without a text
    keywords: Optional[KeywordMatch] = None  # of the same backend, where it has them
    # for "like TITLE": the row of the movie of this name, and how much all movies are like that of a row
    find_title: Callable[[str], Optional[int]] = lambda name: None
    similar: Callable[[int], np.ndarray] = lambda row: np.zeros(1)

    @classmethod
    def load(
        cls,
        folder: Path,
        catalog: Catalog,
        rule: VectorRule,
        backend: str,
        settings: Mapping[str, Any],
        find_title: Callable[[str], Optional[int]],
        similar: Callable[[int], np.ndarray],
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
        keywords = None
        with contextlib.suppress(ArtifactError):  # only some backends have them
            table = VectorTable.load(where, KEYWORDS, made.identity, as_stored=True)
            keywords = KeywordMatch(catalog, table["keyword"].tolist(), table.embedding)
        return cls(catalog, rule, made, stored.vectors_for(catalog.movie_ids.tolist()), keywords, find_title, similar)

    def encode(self, text: str) -> TextSignal:
        """Return what `text` says of the movies; raises `ChoiceError` where it says nothing."""
        bridge = self.bridge  # before the model is read: each takes memory
        fit, contradictions, x, request = self._read(text)
        item = self._pseudo_item(bridge, x) if x.any() else None
        return TextSignal(fit, contradictions, item, request.read_as(), "; ".join(request.unknown), x)

    def rank(self, text: str) -> np.ndarray:
        """Return fit_i + 0.3 z(ln(1 + ratings)) - c contradictions_i, (n_movies,) float32, for somebody unknown.

        c = max(12, the best fit): a fit does not make up for a contradiction.
        """
        fit, contradictions, *_ = self._read(text)
        cost = max(np.float32(CONTRADICTION), fit.max())
        return fit + np.float32(FAME_WEIGHT) * self._fame() - cost * contradictions

    def _read(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Request]:
        """Return fit_i and contradictions_i (n_movies,), x_q (d,) and the request."""
        if not isinstance(text, str) or not text.strip():
            raise ChoiceError(f"words {shown(text)}: give a few, such as slow atmospheric science fiction")
        text = " ".join(text[:MOST_LETTERS].split())
        request = self.reader.read(text)
        words = content_words(request.left)
        x = self.embed(request.text)
        for like in request.likes:
            x = x + self.vectors[like.row] if like.wanted else x
        sharp = np.float32((4 / max(len(words), 1)) ** 2)  # few words are meant exactly, many tell a story
        of_tones = min(sharp, np.float32(1))
        fit = of_tones * request.degrees(len(self.vectors))
        contradictions = request.contradictions(len(self.vectors), float(of_tones))
        n_likes = max(1, sum(like.wanted for like in request.likes))
        for like in request.likes:
            near = standardised(self.similar(like.row))
            fit += near / np.float32(n_likes) if like.wanted else -np.maximum(near, 0)
            contradictions[like.row] += 1
        if words:
            share = self.words.share(request.left)
            near = self.vectors @ x + share / np.float32(max(len(words), 1))
            if near.max(initial=0) > 0:
                fit += standardised(near)
            fit += np.float32(FAME_OF_EQUALS) * of_tones * self._fame() * (share > ALL_WORDS)
            if self.keywords is not None:
                fit += min(sharp, np.float32(2)) * standardised(self.keywords.best(x))
        for phrase in request.unwanted:
            fit -= np.maximum(standardised(self.vectors @ self.embed(phrase)), 0)
            contradictions += self.words.share(phrase)
        if not (fit.any() or request.facts):
            if request.unknown:
                raise ChoiceError(f"{'; '.join(request.unknown)}: add a genre, a mood or a title")
            raise ChoiceError(f"no movie here has anything of {text[:60]!r}: try other words")
        return fit, contradictions, x, request

    def _fame(self) -> np.ndarray:
        return standardised(np.log1p(self.catalog.n_ratings))

    def is_word(self, word: str) -> bool:
        """Return whether `word` (folded) stands in the text of a movie, or is a common one."""
        return word in STOP_WORDS or word in self.words.beginning_like(word)

    def embed(self, text: str) -> np.ndarray:
        """Return the vector of a text, (d,) float32, of length 1, or zeros where no word is known."""
        if self.backend.name == LOCAL:
            # It counts words, so it gets those that are meant. Of a short word that no movie holds, the letters are
            # those of other words: of sad, those of dead.
            words = content_words(text)
            text = " ".join(word for word in words if len(word) >= GUESSED or len(self.words.rows_with(word)))
        known = bool(text) and self.backend.knows(text)
        return self.backend.embed_texts([text])[0] if known else np.zeros(self.vectors.shape[1], dtype=np.float32)

    @functools.cached_property
    def reader(self) -> RequestReader:
        """What finds the facts of a request."""
        return RequestReader(self.catalog, self.find_title, lambda word: self.words.beginning_like(word))

    @functools.cached_property
    def words(self) -> WordMatch:
        """Where words stand in what is known of the movies."""
        return WordMatch(self.catalog.lines())

    @functools.cached_property
    def bridge(self) -> Ridge:
        """The map from text vectors to the rule's vectors, fitted when it is first asked for."""
        weights = rating_weights(self.catalog.n_ratings) * self.vectors.any(axis=1)
        return fit_ridge(self.vectors, self.rule.movie_vectors, weights)

    def _pseudo_item(self, bridge: Ridge, x: np.ndarray) -> Optional[PseudoItem]:
        # What sets the words apart from the average movie: that people watch movies at all is not asked for.
        vector = bridge(x[None])[0] - bridge.target_mean
        length = float(np.linalg.norm(vector))
        if length == 0:
            return None
        usual = float(np.linalg.norm(self.rule.movie_vectors, axis=1).mean())
        noise = 0.0 if self.rule.movie_noise is None else float(np.median(self.rule.movie_noise))
        noise += float(bridge.residual_variance.sum())
        return PseudoItem(vector * np.float32(LENGTH * usual / length), noise)


def standardised(values: np.ndarray) -> np.ndarray:
    """Return (values - mean) / deviation, float32; 0 where all are equal."""
    deviation = float(values.std())
    return ((values - values.mean()) / np.float32(deviation or 1)).astype(np.float32)
