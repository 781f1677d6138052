"""Indexes of nearest vectors by name. A new one is a file beside exact.py and a line here."""

from .base import VectorIndex as VectorIndex
from .exact import ExactIndex

INDEXES: dict[str, type[VectorIndex]] = {"exact": ExactIndex}
