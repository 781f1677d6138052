"""Base class of embedding backends.

    embed_texts(texts) -> (n, d) float32, every row of length 1

so the inner product of two rows is their cosine. A text without known content (for a bag of words: no known word) may
give a row of zeros.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np


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
