"""The exact index: all inner products, then the k largest. The default, and the truth for every other index.

    similarities = Q V'          one matrix product for a block of queries
    rows = top_n(similarities)   recommender/linalg/top_n.py

62,000 movies of 50 dimensions cost about half a millisecond a query; an approximate index pays off only far beyond.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import numpy.typing as npt

from ..data import artifacts
from ..linalg.top_n import top_n
from .base import VectorIndex, check_metric

KIND = "exact_index"
REMEDY = "the program that builds this index again"
VECTORS_FILE = "vectors.npy"
BLOCK_CELLS = 1 << 22  # similarities held at once: 16 MB


class ExactIndex(VectorIndex):
    """Exact search over (n, d) float32 vectors; what is stored is normalised where the metric is cosine.

    >>> index = ExactIndex(np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), metric="cosine")
    >>> rows, similarities = index.search([[0.0, 5.0]], k=2)
    >>> rows.tolist(), similarities.round(2).tolist()
    ([[2, 1]], [[1.0, 0.800000011920929]])
    """

    def __init__(self, vectors: npt.ArrayLike, metric: str = "inner") -> None:
        """Build over `vectors` (n, d); raises `ChoiceError` for another shape, metric, or values not finite."""
        self.metric = check_metric(metric)
        array = np.asarray(vectors)
        self.dim = array.shape[1] if array.ndim == 2 else 0
        self.vectors = self._prepare(vectors, "vectors")

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, vectors: npt.ArrayLike) -> None:
        """Append `vectors` (m, d); cost O((n + m) d), for the rows are copied to stay together."""
        self.vectors = np.concatenate((self.vectors, self._prepare(vectors, "vectors")))

    def _search(self, queries: np.ndarray, k: int, keep: Optional[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.empty((len(queries), k), dtype=np.int64)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        step = max(1, BLOCK_CELLS // len(self))
        for low in range(0, len(queries), step):
            part = slice(low, low + step)
            block = queries[part] @ self.vectors.T
            if keep is not None:
                block[:, ~keep] = -np.inf
            rows[part] = top_n(block, k)
            similarities[part] = np.take_along_axis(block, rows[part], axis=1)
        return rows, similarities

    def save(self, folder: Path) -> None:
        """Write `vectors.npy` and a manifest, both or none."""
        with artifacts.replace_set(folder, KIND, "build", {"metric": self.metric}) as stage:
            np.save(stage / VECTORS_FILE, self.vectors)

    @classmethod
    def load(cls, folder: Path) -> ExactIndex:
        """Read what `save` wrote; raises `ArtifactError` for files that are missing, damaged or of another kind."""
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        artifacts.check_files(folder, manifest, [VECTORS_FILE], REMEDY)
        index = cls.__new__(cls)
        index.metric = check_metric(manifest["settings"]["build"]["metric"])
        index.vectors = artifacts.load_npy(folder / VECTORS_FILE, np.float32, (None, None))
        index.dim = index.vectors.shape[1]
        return index
