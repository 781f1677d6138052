"""The backend `local`: hashed TF-IDF, reduced by this project's own SVD. Offline, deterministic, fitted in seconds.

    tf_ij  = weight_ij (1 + ln count_ij)                    of feature j in text i
    idf_j  = (ln((1 + n) / (1 + n_texts_j)) + 1)^rarity
    A_i    = (tf_ij idf_j)_j, scaled to length 1
    A      ~ U diag(s) V'
    vector = A_i V diag(s)^-flattening, scaled to length 1

Features are the words of a text, and the groups of three letters in them, which know where a word begins (<) and ends
(>) and let words meet that are related or misspelt (Bojanowski et al. 2017, "Enriching word vectors with subword
information"): "Space pirate" -> space, <sp, spa, ... ce>, pirate, <pi ... A feature is known by its CRC-32 alone, so no
list of words has to be kept (Weinberger et al. 2009, "Feature hashing").

So texts are close if they share words, or words that co-occur with the same others. Deerwester et al. 1990, "Indexing
by latent semantic analysis"; tf and idf as in Manning, Raghavan and Schütze 2008, "Introduction to Information
Retrieval", section 6.4. Differences: the exponents rarity (theirs is 1) and flattening (theirs is 0; 1 weighs all
directions equally), and V diag(s)^-flattening is stored as 8-bit integers.

Features in fewer than `fewest_texts` texts, or in more than the share `most_texts` (stop words), are dropped. A text
without a kept feature gives a row of zeros.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from ...data.artifacts import command, restore, store
from ...data.errors import ArtifactError, DataError
from ...data.settings import default_folder, setting
from ...linalg.randomized_svd import randomized_svd
from ...linalg.sparse import SparseMatrix
from ..base import LINES, BaseEmbeddingBackend, Identity, check_texts, text_hash
from ..word_match import fold, stem

KIND = "local-text-model"
REMEDY = "python -m model.generate_embeddings --force"
_DTYPES = {"hashes": np.uint32, "idf": np.float32, "projection": np.int8, "scales": np.float32}
_WORD = re.compile(r"\w+")
GROUP = 3  # letters
VERSION = 1  # of the feature extraction; models of another version are rejected


@dataclass(frozen=True)
class LocalSettings:
    """How texts become vectors; each is a flag of the programs."""

    dimension: int = setting(256, "local: length of a vector; at most the rank of the texts", 1, 4096)
    fewest_texts: int = setting(2, "local: minimum number of texts with a feature", 1)
    most_texts: float = setting(0.2, "local: maximum share of texts with a feature", 0, 1)
    rarity: float = setting(1.0, "local: exponent of the inverse document frequency", 0, 10)
    flattening: float = setting(0.25, "local: exponent of the singular values; 1: all directions count alike", 0, 1)
    title_weight: float = setting(1.5, "local: weight of a word of the title; of the plot: 1", 0)
    genres_weight: float = setting(1.0, "local: weight of a word of the genres", 0)
    cast_weight: float = setting(1.0, "local: weight of a name of the cast", 0)
    keywords_weight: float = setting(1.5, "local: weight of a word of the keywords", 0)
    letters_weight: float = setting(0.4, "local: weight of a letter group; of its word: 1", 0)

    def weights(self) -> dict[str, float]:
        """Return the weight of each line of a movie's text by name."""
        return {name: getattr(self, f"{name.lower()}_weight") for name in ("Title", "Genres", "Cast", "Keywords")}


class LocalBackend(BaseEmbeddingBackend):
    """`LocalBackend()` loads the shipped model; `LocalBackend.fit(texts)` fits a new one.

    hashes (n_features,) ascending, idf (n_features,), projection (n_features, d) and scales (n_features,): a row for
    each kept feature; scales[:, None] * projection = V diag(s)^-flattening.  fitted_on: sha256 of settings and texts.
    """

    name, Settings = "local", LocalSettings
    settings: LocalSettings
    hashes: np.ndarray
    idf: np.ndarray
    projection: np.ndarray
    scales: np.ndarray
    fitted_on: str

    def __init__(self, folder: Union[str, Path, None] = None) -> None:
        """Load a saved model, by default the shipped one.

        Raises `ArtifactError` for files that are missing, damaged or of another version.
        """
        where = Path(folder) if folder else default_folder("processed") / "artifacts" / "text" / "local" / "model"
        stored = restore(where, KIND, REMEDY, LocalSettings, "fit")
        if (found := stored.about.get("version")) != VERSION:
            again = command(REMEDY, where)
            raise ArtifactError(f"{where} has a text model of version {found!r}, not {VERSION}: run {again}")
        for name, array in stored.read({f"{name}.npy": dtype for name, dtype in _DTYPES.items()}).items():
            setattr(self, name, array)
        self.settings, self.fitted_on = stored.settings, str(stored.about.get("fitted_on"))

    @classmethod
    def fit(cls, texts: Sequence[str], **settings: Any) -> LocalBackend:
        """Fit on `texts`; deterministic.

        Raises `SettingsError` for an unknown or invalid setting, `DataError` if no feature is left.
        Cost: about 0.3 ms a text of 60 words, and the SVD of a sparse (n_texts, n_features) matrix.
        """
        model = cls.__new__(cls)
        super(LocalBackend, model).__init__(**settings)
        model._fit(check_texts(texts))
        return model

    def _fit(self, texts: Sequence[str]) -> None:
        some, n = self.settings, len(texts)
        lines = [_term_frequencies(text, some) for text in texts]
        every = np.concatenate([np.empty(0, np.uint32), *(keys for keys, _ in lines)])
        hashes, n_holding = np.unique(every, return_counts=True)
        kept = (n_holding >= some.fewest_texts) & (n_holding <= max(some.most_texts * n, 1))
        self.hashes, n_holding = hashes[kept], n_holding[kept]
        if not len(self.hashes):
            what = f"no word occurs in at least {some.fewest_texts} and at most {some.most_texts:.0%} of {n} texts"
            raise DataError(f"{what}: give more texts, or a smaller fewest_texts")
        self.idf = ((np.log((1 + n) / (1 + n_holding)) + 1) ** some.rarity).astype(np.float32)
        cells = [_known(keys, tf, self.hashes) for keys, tf in lines]
        rows = [tf * self.idf[columns] for columns, tf in cells]
        rows = [row / max(float(np.linalg.norm(row)), 1e-9) for row in rows]
        indptr = np.cumsum([0, *(len(row) for row in rows)])
        columns = np.concatenate([columns for columns, _ in cells]).astype(np.int32)
        A = SparseMatrix(indptr, columns, np.concatenate(rows).astype(np.float32), len(self.hashes))
        _, s, Vt = randomized_svd(A, min(some.dimension, *A.shape), np.random.default_rng(0))
        held = s > 1e-4 * s[0]
        projection = (Vt[held] * (s[held] / s[0])[:, None] ** -some.flattening).T  # (n_features, d)
        self.scales = (np.abs(projection).max(axis=1) / 127).astype(np.float32)  # 8 bits a number
        rounded = np.rint(projection / np.where(self.scales > 0, self.scales, 1)[:, None]).astype(np.int8)
        self.projection = np.ascontiguousarray(rounded)
        digest = hashlib.sha256(json.dumps([VERSION, dataclasses.asdict(some)]).encode())
        for text in texts:
            digest.update(text_hash(text).encode())
        self.fitted_on = digest.hexdigest()

    @property
    def identity(self) -> Identity:
        return Identity(self.name, f"tfidf-svd-{self.fitted_on[:16]}", self.projection.shape[1])

    def _raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32; about 0.3 ms for the text of a movie."""
        scales = self.idf * self.scales  # (n_features,)
        vectors = np.zeros((len(texts), self.projection.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            columns, values = _known(*_term_frequencies(text, self.settings), self.hashes)
            # tf_j idf_j V_j. diag(s)^-flattening, summed over the features j of the text
            vectors[row] = (values * scales[columns]) @ self.projection[columns].astype(np.float32)
        return vectors

    def save(self, folder: Path) -> None:
        """Write the model to `folder` atomically."""
        files = {f"{name}.npy": getattr(self, name) for name in _DTYPES}
        store(folder, KIND, self.settings, files, "fit", version=VERSION, fitted_on=self.fitted_on)


def features(text: str, weights: Mapping[str, float], letters_weight: float) -> dict[int, tuple[int, float]]:
    """Return the features of `text` by hash, 0 to 2^32 - 1: how often each occurs, and its weight.

    weights: of a line by its name ("Title"), 1 for other lines and a plain text; a feature of several lines has the
    largest.  letters_weight: of a group of letters, relative to its word.
    Cost: linear in the length of the text.

    >>> sorted(features("Ox! The ox.", {}, 0.5).values())
    [(1, 0.5), (1, 0.5), (1, 0.5), (1, 1.0), (2, 0.5), (2, 0.5), (2, 1.0)]
    """
    found: dict[int, tuple[int, float]] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(": ")
        named = bool(colon) and name in LINES
        weight = weights.get(name, 1.0) if named else 1.0
        for word in _WORD.findall(fold(value if named else line)):
            own = weight
            for key in _hashes(word) if letters_weight else _hashes(word)[:1]:
                n_times, largest = found.get(key, (0, 0.0))
                found[key] = n_times + 1, own if own > largest else largest
                own = letters_weight * weight  # of all that follow the word itself
    return found


@functools.lru_cache(maxsize=1 << 16)
def _hashes(word: str) -> tuple[int, ...]:
    """Return the hash of the word, and of its groups of letters."""
    marked = f"<{word}>"
    groups = (f"#{marked[start : start + GROUP]}" for start in range(len(marked) - GROUP + 1))
    return tuple(zlib.crc32(feature.encode("utf-8", "surrogatepass")) for feature in (stem(word), *groups))


def _term_frequencies(text: str, settings: LocalSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the features of `text` and tf of each."""
    found = features(text, settings.weights(), settings.letters_weight)
    keys = np.fromiter(found, dtype=np.uint32, count=len(found))
    counts, weights = np.array(list(found.values()), dtype=np.float32).reshape(-1, 2).T
    return keys, weights * (1 + np.log(counts))


def _known(keys: np.ndarray, values: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in `hashes` of the `keys` found there, and their values."""
    places = np.searchsorted(hashes, keys)
    known = hashes[np.minimum(places, len(hashes) - 1)] == keys
    return places[known], values[known]
