"""Where a two-tower model is kept: `twotower_model.npz` and a manifest, in `artifacts/twotower`.

The manifest's settings say how the network was set, which parts of the data it has seen, and after how many epochs.
A session needs the movie tower's vectors alone, so they can be read without the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

import numpy as np

from ...data import artifacts
from ...data.catalog import Catalog
from ...data.errors import ArtifactError, SettingsError
from ..base import Ranker

KIND = "two_tower"
STEP = "train"
FOLDER = "twotower"
MODEL_FILE = "twotower_model.npz"
REMEDY = "python -m model.train_twotower"
Model = TypeVar("Model", bound=Ranker)


def save_model(model: Ranker, folder: Path, fitted_on: str = "train", losses: Optional[Sequence[float]] = None) -> None:
    """Write the artifact, both files or none.

    fitted_on: the parts of the data that the model has seen.  losses: those of the epochs that it was trained, which
    may be fewer than planned; None where they were not kept.
    """
    settings = {
        **dataclasses.asdict(model.settings),
        "fitted_on": fitted_on,
        "epochs_trained": model.settings.epochs if losses is None else len(losses),
        "losses": None if losses is None else list(losses),
        "movies_sha256": artifacts.ids_sha256(model.movie_ids),
    }
    arrays: dict[str, Any] = {**model.arrays()}
    with artifacts.replace_set(folder, model.name, STEP, settings) as stage:
        np.savez(stage / MODEL_FILE, **arrays)


def load_model(cls: type[Model], folder: Path, catalog: Optional[Catalog] = None) -> Model:
    """Read what `save_model` wrote; raises `ArtifactError` for files missing, damaged, or not of one network."""
    remedy = REMEDY if cls.name == KIND else f"python -m model.train_ranking_model --method {cls.name}"
    manifest = _checked(folder, cls.name, remedy)
    stored = manifest["settings"].get(STEP, {})
    names = [field.name for field in dataclasses.fields(cls.Settings)]
    try:
        model = cls(catalog, **{name: stored[name] for name in names})
    except (KeyError, SettingsError) as error:
        what = f"{folder / artifacts.MANIFEST} is damaged (its settings: {error})"
        raise ArtifactError(f"{what}: run {remedy}") from None
    arrays = artifacts.load_npz(
        folder / MODEL_FILE, {name: np.int64 if name == "movie_ids" else np.float32 for name in cls.fitted()}
    )
    if stored.get("movies_sha256") != artifacts.ids_sha256(arrays["movie_ids"]):
        raise ArtifactError(f"{folder / MODEL_FILE} lists other movies than its manifest: run {remedy}")
    model.restore(arrays)
    return model


def load_movie_tower(folder: Path, catalog_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the movie tower's vectors (n_movies, k) and biases (n_movies,) of the movies `catalog_ids`, float32.

    Raises `ArtifactError` as `load_model`, and for a model of another movie list.
    """
    manifest = _checked(folder)
    if manifest["settings"].get(STEP, {}).get("movies_sha256") != artifacts.ids_sha256(catalog_ids):
        raise ArtifactError(f"{folder} was trained on another movie list: run {REMEDY}")
    arrays = artifacts.load_npz(folder / MODEL_FILE, {"movie_vectors": np.float32, "movie_biases": np.float32})
    vectors, biases = arrays["movie_vectors"], arrays["movie_biases"]
    fits = vectors.ndim == 2 and len(vectors) == len(catalog_ids) and biases.shape == (len(catalog_ids),)
    if not fits or not np.isfinite(vectors).all() or not np.isfinite(biases).all():
        raise ArtifactError(f"{folder / MODEL_FILE} does not fit its movies: run {REMEDY}")
    return vectors, biases


def _checked(folder: Path, kind: str = KIND, remedy: str = REMEDY) -> dict[str, Any]:
    manifest = artifacts.read_manifest(folder, kind, remedy)
    artifacts.check_files(folder, manifest, [MODEL_FILE], remedy)
    return manifest
