"""The fused vectors of movies, stored beside those of their texts.

Files of a folder: `fused_embeddings.npz`, `.csv` and `.parquet` (see `vector_files`), with the columns movie_id,
missing (the modalities that the movie lacks, joined by `;`) and embedding; and `fusion/`, the fitted fusion, which
places movies that come later. Movies of the folder that are embedded anew take the fused vectors away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, ChoiceError
from ..linalg.rows import unit_rows
from ..text.movie_embeddings import FUSED, KIND, MOVIES, USERS, MovieEmbeddings
from ..text.vector_files import DEFAULT_FORMS, check_forms, read_columns, write_table
from .fusion import Fused, Fusion, FusionSettings
from .modalities import TEXT, Modality

STEM = "fused_embeddings"
FILE = f"{STEM}.npz"
MODEL = "fusion"  # the folder of the fitted fusion
REMEDY = "python -m model.generate_embeddings with --fusion"


@dataclass(frozen=True)
class FusedEmbeddings:
    """Movies with fused vectors.

    movie_id: (n,) int64, ascending, of one source.  missing: (n,) texts.  embedding: (n, d) float32, rows of length 1.
    settings: how they were made, as the manifest keeps it.
    """

    movie_id: np.ndarray
    missing: np.ndarray
    embedding: np.ndarray
    settings: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path) -> FusedEmbeddings:
        """Read what `build_fused` stored; raises `ArtifactError` for files that are missing or damaged."""
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        if FILE not in manifest["files"] or FUSED not in manifest["settings"]:
            raise ArtifactError(f"{folder} holds no fused vectors: run {REMEDY}")
        artifacts.check_files(folder, manifest, [FILE], REMEDY)
        names = ("movie_id", "missing", "embedding")
        arrays = read_columns(folder / FILE, manifest["files"][FILE], names, REMEDY)
        embedding = unit_rows(arrays["embedding"].astype(np.float32))
        try:
            movie_id = arrays["movie_id"].astype(np.int64)
        except ValueError:
            raise ArtifactError(f"{folder / FILE} is damaged (a movie id is no number): run {REMEDY}") from None
        return cls(movie_id, arrays["missing"], embedding, manifest["settings"][FUSED])


def text_modality(movies: MovieEmbeddings, source: str) -> Modality:
    """Return the text vectors of the movies of one source; raises `ChoiceError` where their ids are no numbers."""
    of_source = movies.source == source
    ids = movies.movie_id[of_source].tolist()
    if not ids or not all(name.isascii() and name.isdecimal() for name in ids):
        raise ChoiceError(f"no movies of source {source!r} whose ids are numbers: name another source first")
    return Modality(TEXT, np.array([int(name) for name in ids], dtype=np.int64), movies.embedding[of_source])


def build_fused(
    folder: Path,
    source: str,
    others: Sequence[Modality],
    settings: FusionSettings,
    train_ids: Optional[np.ndarray] = None,
    forms: Sequence[str] = DEFAULT_FORMS,
    half: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> FusedEmbeddings:
    """Fuse the stored text vectors of `folder` with `others`, fitted on the movies of `train_ids`, and store them.

    Movies that only `others` know are placed too, unless `source` does not list them.
    Raises what `Fusion.fit` raises, before anything is written.
    """
    check_forms(forms)
    text = text_modality(MovieEmbeddings.load(folder), source)
    known = [_only(part, text.movie_ids) for part in others]
    for part, own in zip(others, known):
        if len(own.movie_ids) < len(part.movie_ids):
            say(f"{part.name}: {len(part.movie_ids) - len(own.movie_ids):,} vectors are of movies that are not listed")
    modalities = [text, *known]
    fusion = Fusion(**dataclasses.asdict(settings)).fit(modalities, train_ids)
    fused = fusion.transform(modalities)
    names = _missing(modalities, fused)
    said = ", ".join(f"{count:,} without {name}" for name, count in fused.missing.items() if count) or "none lacks any"
    say(f"{settings.method} of {', '.join(part.name for part in modalities)}, fitted on {fusion.n_train:,} movies:")
    say(f"  {len(names):,} movies, {fused.vectors.shape[1]} numbers each; {said}")
    fusion.save(folder / MODEL)
    described = {
        **dataclasses.asdict(settings),
        "modalities": [part.name for part in modalities],
        "source": source,
        "fusion_sha256": artifacts.sha256(folder / MODEL / artifacts.MANIFEST),
    }
    columns = {"movie_id": [str(movie_id) for movie_id in fused.movie_ids.tolist()], "missing": names}
    with artifacts.replace_set(folder, KIND, FUSED, described, keep_steps=(MOVIES, USERS)) as stage:
        write_table(stage, STEM, columns, fused.vectors, forms, half)
    return FusedEmbeddings(fused.movie_ids, np.array(names, dtype=np.str_), fused.vectors, described)


def load_fusion(folder: Path) -> Fusion:
    """Return the fusion that the stored vectors of `folder` were made with; raises `ArtifactError` for another one."""
    settings = FusedEmbeddings.load(folder).settings
    manifest = folder / MODEL / artifacts.MANIFEST
    if not manifest.is_file() or artifacts.sha256(manifest) != settings.get("fusion_sha256"):
        raise ArtifactError(f"{folder / MODEL} is not the fusion that made {folder / FILE}: run {REMEDY}")
    return Fusion.load(folder / MODEL)


def _only(modality: Modality, movie_ids: np.ndarray) -> Modality:
    kept = np.isin(modality.movie_ids, movie_ids)
    return modality._replace(movie_ids=modality.movie_ids[kept], vectors=modality.vectors[kept])


def _missing(modalities: Sequence[Modality], fused: Fused) -> list[str]:
    """Return for each fused movie the names of the modalities that do not know it."""
    lists: list[list[str]] = [[] for _ in fused.movie_ids]
    for modality in modalities:
        known = modality.movie_ids[modality.vectors.any(axis=1)]
        for row in np.flatnonzero(~np.isin(fused.movie_ids, known)):
            lists[row].append(modality.name)
    return [";".join(names) for names in lists]
