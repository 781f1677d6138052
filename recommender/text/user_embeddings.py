"""The vectors of people, stored beside those of the movies they were made from.

Files of a folder: `user_embeddings.npz`, `.csv` and `.parquet` (see `vector_files`), with the columns user_id, origin
("ratings", "text" or "both") and embedding. They belong to the folder's `movie_embeddings`: writing movies anew removes
people, because their vectors would be sums of vectors that are gone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, ChoiceError
from ..linalg.rows import unit_rows
from .base import Identity
from .mix import Mixed
from .movie_embeddings import FUSED, KIND, MOVIES, USERS, refuse_mismatch
from .vector_files import DEFAULT_FORMS, check_forms, read_columns, write_table

STEM = "user_embeddings"
FILE = f"{STEM}.npz"
REMEDY = "python -m model.generate_embeddings"


@dataclass(frozen=True)
class UserEmbeddings:
    """People with vectors.

    user_id, origin: (n,) texts.  embedding: (n, d) float32, rows of length 1.
    settings: how they were made, as the manifest keeps it.
    """

    identity: Identity
    user_id: np.ndarray
    origin: np.ndarray
    embedding: np.ndarray
    settings: Mapping[str, Any]

    @classmethod
    def from_mixed(cls, identity: Identity, mixed: Mixed, settings: Mapping[str, Any]) -> UserEmbeddings:
        """Return what `mix.mix_people` gave, ready to be saved; vectors are those of backend `identity`."""
        ids, origins = np.array(mixed.ids, dtype=np.str_), np.array(mixed.origins, dtype=np.str_)
        return cls(identity, ids, origins, mixed.vectors, settings)

    def __len__(self) -> int:
        return len(self.user_id)

    def save(self, folder: Path, forms: Sequence[str] = DEFAULT_FORMS, half: bool = False) -> None:
        """Write all files or none beside the folder's movies; raises `ArtifactError` where those are of another model.

        forms: of `vector_files.FORMS`.  half: store vectors in 16 bits.
        """
        check_forms(forms)
        said = artifacts.read_manifest(folder, KIND, REMEDY)["settings"].get(MOVIES, {})
        if said != self.identity._asdict():
            refuse_mismatch(folder, Identity(*(said.get(name) for name in Identity._fields)), self.identity)
        columns = {"user_id": self.user_id.tolist(), "origin": self.origin.tolist()}
        described = {**self.identity._asdict(), **self.settings}
        with artifacts.replace_set(folder, KIND, USERS, described, keep_steps=(MOVIES, FUSED)) as stage:
            write_table(stage, STEM, columns, self.embedding, forms, half)

    @classmethod
    def load(cls, folder: Path, identity: Optional[Identity] = None) -> UserEmbeddings:
        """Read what `save` wrote; raises `ArtifactError` for files missing, damaged, or of another backend or model."""
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        settings = dict(manifest["settings"].get(USERS, {}))
        if FILE not in manifest["files"] or any(name not in settings for name in Identity._fields):
            raise ArtifactError(f"{folder} holds no vectors of people: run {REMEDY}")
        stored = Identity(*(settings.pop(name) for name in Identity._fields))
        if identity is not None:
            refuse_mismatch(folder, stored, identity)
        artifacts.check_files(folder, manifest, [FILE], REMEDY)
        entry = manifest["files"][FILE]
        arrays = read_columns(folder / FILE, entry, ("user_id", "origin", "embedding"), REMEDY)
        embedding = unit_rows(arrays.pop("embedding").astype(np.float32))
        if embedding.shape[1] != stored.dimension:
            raise ArtifactError(f"{folder / FILE} is damaged (vectors of shape {embedding.shape}): run {REMEDY}")
        return cls(stored, **arrays, embedding=embedding, settings=settings)

    @functools.cached_property
    def _rows(self) -> dict[str, int]:
        return {user_id: row for row, user_id in enumerate(self.user_id.tolist())}

    def vector(self, user_id: object) -> np.ndarray:
        """Return the vector (d,) of a person; raises `ChoiceError` for somebody who has none."""
        row = self._rows.get(str(user_id))
        if row is None:
            raise ChoiceError(f"no vector for user {user_id!r}: too few liked movies, or nothing said")
        found = self.embedding[row]
        return found
