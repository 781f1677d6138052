"""The fused vectors of movies, stored beside those of their texts as the table `fused_embeddings` (text/vectors.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from ..data.errors import ChoiceError
from ..text.base import Identity
from ..text.vectors import DEFAULT_FORMS, FUSED, VectorTable
from .fusion import Fusion, FusionSettings
from .modalities import TEXT, Modality


def build_fused(
    folder: Path,
    source: str,
    others: Sequence[Modality],
    settings: FusionSettings,
    train_ids: Optional[np.ndarray] = None,
    forms: Sequence[str] = DEFAULT_FORMS,
    half: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> VectorTable:
    """Fuse the stored text vectors of `folder` with `others`, fitted on the movies of `train_ids`, and store them.

    Movies that only `others` know are placed too, unless `source` does not list them.
    Raises `ChoiceError` where the ids of `source` are not numbers, and what `Fusion.fit` raises, before it writes.
    """
    modalities = [text_modality(VectorTable.load(folder), source)]
    for part in others:
        listed = np.isin(part.movie_ids, modalities[0].movie_ids)
        if not listed.all():
            say(f"{part.name}: {(~listed).sum():,} vectors are of movies that are not listed")
        modalities.append(part._replace(movie_ids=part.movie_ids[listed], vectors=part.vectors[listed]))
    fusion = Fusion(**dataclasses.asdict(settings)).fit(modalities, train_ids)
    fused = fusion.transform(modalities)
    n, dimension = fused.vectors.shape
    counts = [f"{lacks.sum():,} without {name}" for name, lacks in fused.missing.items() if lacks.any()]
    names = [part.name for part in modalities]
    say(f"{settings.method} of {', '.join(names)}, fitted on {fusion.n_train:,} movies:")
    say(f"  {n:,} movies, {dimension} numbers each; {', '.join(counts) or 'none lacks any'}")
    lacking = [";".join(name for name in names if fused.missing[name][row]) for row in range(n)]
    columns = {
        "movie_id": np.array(list(map(str, fused.movie_ids.tolist()))),
        "missing": np.array(lacking, dtype=np.str_),
    }
    about = {**dataclasses.asdict(settings), "modalities": names, "source": source}
    table = VectorTable(FUSED, columns, fused.vectors, Identity("fusion", settings.method, dimension), about)
    table.save(folder, forms, half)
    return table


def text_modality(movies: VectorTable, source: str) -> Modality:
    """Return the text vectors of the movies of one source; raises `ChoiceError` where their ids are not numbers."""
    of_source = movies["source"] == source
    ids = movies["movie_id"][of_source].tolist()
    if not ids or not all(name.isascii() and name.isdecimal() for name in ids):
        raise ChoiceError(f"no movies of source {source!r} whose ids are numbers: name another source first")
    return Modality(TEXT, np.array([int(name) for name in ids], dtype=np.int64), movies.embedding[of_source])
