"""Stored embeddings: a table of text columns and vectors, and the model that made them.

    movie_embeddings   movie_id, source, key, metadata (JSON), embedding_text, embedding; in the .npz text_hash too
    user_embeddings    user_id, origin ("ratings", "text" or "both"), embedding
    fused_embeddings   movie_id, missing (the modalities that the movie lacks, joined by `;`), embedding
    keyword_embeddings keyword, embedding: of every genre and keyword, for requests that are little more than one

In a `.csv` an embedding is a JSON list with six digits; `.parquet` needs the extra. The tables of a folder share a
manifest. Storing new movies deletes the user and fused vectors made from the old ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, ChoiceError, DataError
from ..data.files import LARGE, load_arrays
from ..linalg.rows import align, unit_rows
from .base import MOVIELENS, BaseEmbeddingBackend, Identity

KIND = "taste-embeddings"
REMEDY = "python -m model.generate_embeddings --force"
MOVIES, USERS, FUSED, KEYWORDS = "movie_embeddings", "user_embeddings", "fused_embeddings", "keyword_embeddings"
FORMS = ("npz", "csv", "parquet")
DEFAULT_FORMS = FORMS[:2]
TEXTS = ("metadata", "embedding_text")  # optional columns, read only on request
_STEPS = {MOVIES: "movies", USERS: "users", FUSED: "fused", KEYWORDS: "keywords"}  # of the manifest
LARGEST = 2 << 30  # bytes of published vectors, packed


@dataclass(frozen=True)
class VectorTable:
    """Rows with vectors.

    name: MOVIES, USERS, FUSED or KEYWORDS.  columns: name -> (n,) texts, the ids first; also as `table["movie_id"]`.
    embedding: (n, d) float32, rows of length 1, or 0 if nothing is known.  settings: how they were made.
    """

    name: str
    columns: Mapping[str, np.ndarray]
    embedding: np.ndarray
    identity: Identity
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.embedding)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str = MOVIES,
        identity: Optional[Identity] = None,
        texts: bool = False,
        as_stored: bool = False,
    ) -> VectorTable:
        """Read the table `name` of `folder`.

        identity: of the backend to compare the vectors with.  texts: also read the columns TEXTS, if stored.
        as_stored: leave vectors in 8 bits as they are, of any length.
        Raises `ArtifactError` for files that are missing, damaged, or of another backend, model or dimension.
        """
        file = f"{name}.npz"
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        settings = dict(manifest["settings"].get(_STEPS[name], {}))
        if file not in manifest["files"] or any(part not in settings for part in Identity._fields):
            again = artifacts.command(REMEDY, folder)
            raise ArtifactError(f"{folder} has no {name}, or does not name their model: run {again}")
        stored = Identity(*(settings.pop(part) for part in Identity._fields))
        if identity is not None:
            refuse_mismatch(folder, stored, identity)
        artifacts.check_files(folder, manifest, [file], REMEDY)
        listed = manifest["files"][file].get("arrays", {})
        wanted = [column for column in listed if "/" not in column and (texts or column not in TEXTS)]
        dtypes = {"embedding": None, **{column: listed[column]["dtype"] for column in wanted}}
        columns = load_arrays(folder / file, dtypes, f"run {REMEDY}")
        embedding = columns.pop("embedding")
        if embedding.dtype != np.float32 and not as_stored:
            embedding = embedding.astype(np.float32)
            for block in np.array_split(embedding, 1 + len(embedding) // 1024):  # in place: it may be large
                block[:] = unit_rows(block)
        return cls(name, columns, embedding, stored, settings)

    @staticmethod
    def check_output(folder: Path) -> None:
        """Raise `ArtifactError` if tables cannot be written to `folder`, the value of --output."""
        artifacts.need_folder(folder, kind=KIND, names=[f"{name}.{form}" for name in _STEPS for form in FORMS])

    def save(
        self,
        folder: Path,
        forms: Sequence[str] = DEFAULT_FORMS,
        small: bool = False,
        with_texts: bool = True,
        fitted: Optional[Mapping[str, np.ndarray]] = None,
    ) -> None:
        """Write the table atomically.

        forms: of FORMS.  small: round vectors to 8 bits, which changes a cosine by less than 0.01.  with_texts: also
        store the columns TEXTS, half of the size.  fitted: more arrays for the .npz.
        """
        made_of_movies = (USERS, FUSED) if self.name == MOVIES else ()
        keep = [step for name, step in _STEPS.items() if name not in (self.name, *made_of_movies)]
        described = {**self.identity._asdict(), **self.settings}
        columns = {name: column for name, column in self.columns.items() if with_texts or name not in TEXTS}
        vectors = self.embedding
        if small:  # whole numbers in the same directions; readers restore the length 1
            largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
            vectors = np.rint(vectors * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
        with artifacts.replace_set(folder, KIND, {_STEPS[self.name]: described}, keep) as stage:
            arrays: dict[str, Any] = {**columns, "embedding": vectors, **(fitted or {})}
            # Many vectors hardly shrink, and take long to compress.
            save = np.savez if vectors.nbytes > LARGE else np.savez_compressed
            save(stage / f"{self.name}.npz", **arrays)
            if len(forms) > 1:
                import pandas as pd

                frame = pd.DataFrame({name: column for name, column in columns.items() if name != "text_hash"})
            if "csv" in forms:
                lists = [f"[{', '.join(f'{value:.6g}' for value in vector)}]" for vector in self.embedding.tolist()]
                frame.assign(embedding=lists).to_csv(stage / f"{self.name}.csv", index=False, lineterminator="\r\n")
            if "parquet" in forms:
                frame.assign(embedding=list(self.embedding)).to_parquet(stage / f"{self.name}.parquet", index=False)

    def vectors_for(self, ids: Sequence[object], source: str = MOVIELENS) -> np.ndarray:
        """Return (len(ids), d) float32: the vector of each movie of `source`, or user; zeros if there is none."""
        own = next(iter(self.columns.values()))
        wanted, vectors = np.array([str(ident) for ident in ids], dtype=np.str_), self.embedding
        if "source" in self.columns and not (of_source := self["source"] == source).all():
            own, vectors = own[of_source], vectors[of_source]
        return align(wanted, own, vectors)


def store_keywords(
    folder: Path, metadata: Iterable[str], backend: BaseEmbeddingBackend, small: bool = False, force: bool = False
) -> int:
    """Store the vectors of all genres and keywords of movies, and return how many were embedded.

    metadata: of the movies, JSON.  small: in 8 bits.  force: embed those that are stored too.
    """
    movies = map(json.loads, metadata)
    words = sorted({word for movie in movies for name in ("genres", "keywords") for word in movie.get(name, ())})
    known: dict[str, np.ndarray] = {}
    if not force:
        with contextlib.suppress(ArtifactError):  # none are stored, or those of another model
            table = VectorTable.load(folder, KEYWORDS, backend.identity, as_stored=True)
            known = dict(zip(table["keyword"].tolist(), table.embedding))
    missing = [word for word in words if word not in known]
    if missing or len(known) > len(words):
        known.update(zip(missing, backend.embed_texts(missing)))
        vectors = unit_rows(np.array([known[word] for word in words]).reshape(-1, backend.identity.dimension))
        table = VectorTable(KEYWORDS, {"keyword": np.array(words, np.str_)}, vectors, backend.identity)
        table.save(folder, ("npz",), small)
    return len(missing)


def check_forms(forms: Sequence[str]) -> None:
    """Raise `ChoiceError` for forms that cannot be written."""
    if "npz" not in forms or set(forms) - set(FORMS):
        raise ChoiceError(f"formats {','.join(forms)!r}: give npz, and optionally csv and parquet")
    if "parquet" in forms and importlib.util.find_spec("pyarrow") is None:
        raise ChoiceError("a .parquet file needs pyarrow: pip install 'tastevec[parquet]', or omit it")


def refuse_mismatch(folder: Path, stored: Identity, wanted: Identity) -> None:
    """Raise `ArtifactError`, with the difference, if vectors of `stored` and `wanted` are not comparable."""
    for name, old, new in zip(Identity._fields, stored, wanted):
        if old != new:
            what = f"{folder} has vectors of {name} {old}, not {new}, which are not comparable"
            raise ArtifactError(f"{what}: embed all movies again with --force, or give another --output")


def fetch_vectors(url: str, sha256: str, folder: Path, say: Callable[[str], object] = str) -> VectorTable:
    """Download and unpack the .zip at `url` to `folder`, which must not exist; return its movies.

    sha256: of the .zip, hexadecimal.  Raises `ServiceError` if the download fails, `DataError` for a wrong
    sha256 or a file that is not a .zip, `ArtifactError` if the vectors do not match the manifest.
    """
    from ..net.web import Client

    if folder.exists():
        raise ArtifactError(f"{folder} exists: give another --output, or delete it")
    content = Client(url, max_bytes=LARGEST, timeout=3600, say=say).get("")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.strip().lower():
        raise DataError(f"{url} has sha256 {found}, expected {sha256}: check both with the publisher")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder.parent) as stage:
        whole = Path(stage, "all")
        try:
            zipfile.ZipFile(io.BytesIO(content)).extractall(whole)  # keeps every name inside the folder
        except (zipfile.BadZipFile, RuntimeError) as error:  # RuntimeError: encrypted
            raise DataError(f"{url} is not a valid .zip ({error}): check the address") from None
        if not artifacts.has_manifest(whole):
            whole = next((path for path in whole.iterdir() if path.is_dir()), whole)
        table = VectorTable.load(whole, MOVIES)
        whole.rename(folder)
    return table
