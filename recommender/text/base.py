"""The contract of everything that turns texts into vectors.

    embed_texts(texts) -> (n, d) float32, every row of length 1

so that the inner product of two rows is their cosine. A text without anything to go by (for a bag of words: none of
its words known) may give a row of zeros, which is near nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np


class Identity(NamedTuple):
    """Which vectors these are: vectors of different identities must never be compared.

    backend: a name of `recommender.text.registry`.  model: which model of it, with its version or hash where the
    name alone does not settle the vectors.  dimension: d.
    """

    backend: str
    model: str
    dimension: int


class BaseEmbeddingBackend(ABC):
    """A way to embed texts. A subclass sets `name` and writes `identity` and `embed_texts`."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Say which vectors these are; may have to embed a probe to learn the dimension."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 with rows of length 1 (or 0), in the order of `texts`; (0, d) for no texts."""
