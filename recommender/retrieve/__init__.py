"""Vector indexes by name. A new one needs a file beside exact.py and a line here.

tests/test_retrieve.py compares every index with the exact rows; mark an approximate index there.
"""

from .base import VectorIndex as VectorIndex
from .exact import ExactIndex

INDEXES: dict[str, type[VectorIndex]] = {"exact": ExactIndex}
