"""Embedding backends, their base class, and the text of a movie that they embed.

    embed_texts(texts) -> (n, d) float32, every row of length 1

so the inner product of two rows is their cosine. A text without known content (for a bag of words: no known word) may
give a row of zeros. A sentence model knows a movie better by three texts than by one (`movie_text`, `movie_parts`):

    D = normalise(u(text) + u(plot) + u("genres, keywords"))       u: vector of a text, of length 1; 0 for an empty text
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..data.catalog import Movie
from ..data.errors import ChoiceError
from ..data.settings import NoSettings, check_value
from ..linalg.rows import unit_rows

MOVIELENS = "movielens"  # the source of a processed folder
LINES = ("Title", "Genres", "Plot", "Cast", "Keywords")  # of the text of a movie


class Identity(NamedTuple):
    """Identifies the vectors: those of different identities are not comparable.

    backend: a name of `recommender.text.registry`.  model: with a version or hash if the name alone is ambiguous.
    dimension: d.
    """

    backend: str
    model: str
    dimension: int


class BaseEmbeddingBackend:
    """An embedding backend.

    A subclass sets `name`, has a class `Settings` where there is something to choose (each field is a flag of
    model/generate_embeddings.py), and implements `_raw_vectors`. It overrides `identity` where a probe is expensive, or
    where the vectors depend on less than all settings, or on more. text/registry.py lists it.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[Any]] = NoSettings
    in_parts: ClassVar[bool] = False  # whether movies are embedded by three texts, and keywords apart

    def __init__(self, **settings: Any) -> None:
        """Raises `SettingsError` for an unknown setting or a value out of range."""
        self.settings = self.Settings(**{key: check_value(self.Settings, key, settings[key]) for key in settings})

    @property
    def identity(self) -> Identity:
        """The identity of the vectors, by default all settings; may embed a probe to find the dimension."""
        settings = ",".join(f"{key}={value}" for key, value in vars(self.settings).items())
        return Identity(self.name, settings, self.embed_texts(["movie"]).shape[1])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 with rows of length 1 (or 0), in the order of `texts`; (0, d) for no texts."""
        if not len(check_texts(texts)):
            return np.zeros((0, self.identity.dimension), dtype=np.float32)
        return unit_rows(np.asarray(self._raw_vectors(texts), dtype=np.float32))

    def embed_movies(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors (n, d) of movies by their texts."""
        if not self.in_parts:
            return self.embed_known(texts)
        parts = [part for text in check_texts(texts) for part in movie_parts(text)]
        known = np.array([bool(part) for part in parts])[:, None]
        shape = (len(texts), 3, self.identity.dimension)
        return unit_rows((self.embed_texts(parts) * known).reshape(shape).sum(axis=1))

    def knows(self, text: str) -> bool:
        """Return whether anything of `text` is known to the model."""
        return True

    def _raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return a row (n, d) of any length for each of at least one text."""
        raise NotImplementedError

    def embed_known(self, texts: Sequence[str], names: Sequence[str] = ()) -> np.ndarray:
        """Return what `embed_texts` does, with zeros for texts that a service refuses, which are named on stderr."""
        return self.embed_texts(texts)


def check_texts(texts: Sequence[str]) -> Sequence[str]:
    """Return `texts`; raises `ChoiceError` for what is no list of str."""
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise ChoiceError(f"{texts!r:.60} is not a list of texts: give a list of str")
    return texts


def movie_text(movie: Movie) -> str:
    """Return the text of a movie: a line for each of `LINES` that is known, ended by one full stop.

    >>> print(movie_text(Movie(1, "Heat", 1995, ("Action", "Crime"), overview="A thief and a policeman.")))
    Title: Heat (1995).
    Genres: Action, Crime.
    Plot: A thief and a policeman.
    """
    values = (str(movie), ", ".join(movie.genres), movie.overview, ", ".join(movie.cast), ", ".join(movie.keywords))
    lines = ((name, " ".join(value.split()).rstrip(".")) for name, value in zip(LINES, values) if value.strip())
    return "\n".join(f"{name}: {value}." for name, value in lines)


def movie_parts(text: str) -> tuple[str, str, str]:
    """Return the text of a movie, its plot alone, and its genres and keywords; "" for what it lacks.

    >>> movie_parts("Title: Heat (1995).\\nGenres: Action, Crime.\\nPlot: A thief.\\nKeywords: heist.")[1:]
    ('A thief.', 'Action, Crime, heist')
    """
    lines = dict(line.partition(": ")[::2] for line in text.split("\n"))
    named = ", ".join(lines[name].rstrip(".") for name in ("Genres", "Keywords") if name in lines)
    return text, lines.get("Plot", ""), named


def text_hash(text: str) -> str:
    """Return the sha256 of a text in hexadecimal, used to detect changed texts."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
