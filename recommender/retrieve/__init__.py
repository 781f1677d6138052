"""Vector indexes by name.

A new one needs a file beside base.py and a line in `INDEXES`; tests/test_retrieve.py tries it. What is built without a
name is up to `choose`.
"""

from .base import VectorIndex as VectorIndex
from .exact import ExactIndex as ExactIndex
from .hnsw import HnswIndex

INDEXES: dict[str, type[VectorIndex]] = {index.name: index for index in (ExactIndex, HnswIndex)}
EXACT_UP_TO = 200_000  # vectors: at 64 dimensions a query reads 50 MB, in a few milliseconds


def choose(n_vectors: int) -> tuple[str, str]:
    """Return the name of the index to build over so many vectors, and why in a few words, to be printed.

    >>> choose(6_136)
    ('exact', 'exact index: 6,136 vectors, up to 200,000 are searched in a few milliseconds')
    """
    limit = f"up to {EXACT_UP_TO:,} are searched in a few milliseconds"
    if n_vectors <= EXACT_UP_TO:
        return ExactIndex.name, f"exact index: {n_vectors:,} vectors, {limit}"
    return HnswIndex.name, f"HNSW index: {n_vectors:,} vectors, only {limit} by the exact one"
