"""Embedding backends, their base class, and the text of a movie that they embed.

    embed_texts(texts) -> (n, d) float32, every row of length 1

so the inner product of two rows is their cosine. A text without known content (for a bag of words: no known word) may
give a row of zeros. The text of a movie:

    Title: The Matrix (1999).
    Genres: Action, Sci-Fi.
    Plot: ....
    Cast: Keanu Reeves, Laurence Fishburne.
    Keywords: cyberpunk, dystopia.

Unknown fields have no line. Every line ends with one full stop.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from ..data.catalog import Movie

_LINE = re.compile(r"(Title|Genres|Plot|Cast|Keywords): ")


class Identity(NamedTuple):
    """Identifies the vectors: those of different identities are not comparable.

    backend: a name of `recommender.text.registry`.  model: with a version or hash if the name alone is ambiguous.
    dimension: d.
    """

    backend: str
    model: str
    dimension: int


class BaseEmbeddingBackend(ABC):
    """An embedding backend. A subclass sets `name` and implements `identity` and `embed_texts`."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """The identity of the vectors; may embed a probe to find the dimension."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 with rows of length 1 (or 0), in the order of `texts`; (0, d) for no texts."""

    def embed_known(self, texts: Sequence[str], names: Sequence[str] = ()) -> np.ndarray:
        """Return what `embed_texts` does, with zeros for texts that a service refuses, which are named on stderr."""
        return self.embed_texts(texts)


def movie_text(movie: Movie) -> str:
    """Return the text of a movie.

    >>> print(movie_text(Movie(1, "Heat", 1995, ("Action", "Crime"), overview="A thief and a policeman.")))
    Title: Heat (1995).
    Genres: Action, Crime.
    Plot: A thief and a policeman.
    """
    fields = (
        ("Title", str(movie)),
        ("Genres", ", ".join(movie.genres)),
        ("Plot", movie.overview),
        ("Cast", ", ".join(movie.cast)),
        ("Keywords", ", ".join(movie.keywords)),
    )
    return "\n".join(f"{name}: {' '.join(value.split()).rstrip('.')}." for name, value in fields if value.strip())


def text_fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each line of what `movie_text` wrote; any other line has the name "".

    >>> list(text_fields("Title: Heat (1995).\\nsomething else"))
    [('Title', 'Heat (1995).'), ('', 'something else')]
    """
    for line in text.split("\n"):
        match = _LINE.match(line)
        yield (match.group(1), line[match.end() :]) if match else ("", line)


def text_hash(text: str) -> str:
    """Return the sha256 of a text in hexadecimal, used to detect changed texts."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
