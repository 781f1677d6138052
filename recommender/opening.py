"""Opens a processed folder: the parts of a `Recommender` by name of its field, and what it opens on first use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from .data import artifacts
from .data.catalog import Catalog
from .data.errors import ArtifactError, ChoiceError, shown
from .data.settings import default_folder, path_of, read_settings
from .data.splits import load_all
from .learn.svd import USERS, SvdModel
from .linalg.rows import unit_rows
from .session import gaussian
from .session.policy import CONDITIONAL_GAUSSIAN, MOVING_AVERAGE, PolicySettings
from .session.rules import MovingAverage, VectorRule
from .session.similar import SimilarMovies
from .text.registry import stored_backend

if TYPE_CHECKING:  # imported on first use
    from .retrieve import VectorIndex

SVD, TWO_TOWER = VECTORS = ("svd", "two_tower")


def open_parts(
    path: Union[str, Path, None],
    policy: Union[PolicySettings, str, Path, None],
    backend: Optional[str],
    vectors: str,
    settings: Optional[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the fields of a `Recommender`; see `Recommender.load` for the arguments."""
    if not isinstance(vectors, str) or vectors not in VECTORS:
        raise ChoiceError(f"vectors {shown(vectors)}: give one of {', '.join(VECTORS)}")
    folder = path_of(path, "folder") or default_folder("processed")
    if not isinstance(policy, PolicySettings):
        file = path_of(policy, "policy") or default_folder("config") / "recommender_policy.yaml"
        policy = read_settings(PolicySettings, file)
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise ChoiceError(f"backend_settings {shown(settings)}: give a dict, such as base_url and model")
    catalog, backend = Catalog.load(folder), stored_backend(folder) if backend is None else backend
    found = (_with_svd if vectors == SVD else _with_two_tower)(folder, catalog, policy, backend)
    return {"folder": folder, "backend": backend, "backend_settings": settings, **found}


def _with_svd(folder: Path, catalog: Catalog, policy: PolicySettings, backend: str) -> dict[str, Any]:
    """Return the vectors of the SVD and the learning rule of the policy."""
    model = SvdModel.load(folder / "artifacts" / "svd", catalog, without=(*USERS, "movie_map.json"))
    counts, vectors = model.movie_counts_, model.movie_vectors(policy.vector_scaling)
    notes, texts = [], None
    if not counts.all():
        from .session.cold_start import fill, fill_gaussian, load_texts

        try:
            texts = load_texts(folder, catalog, backend)
            vectors = fill(texts, vectors, counts)
        except ArtifactError as error:
            notes.append(f"movies without ratings come last: {error}")
    rule: Optional[VectorRule] = None
    artifact = folder / "artifacts" / "session"
    if policy.learning_rule == CONDITIONAL_GAUSSIAN and artifact.is_dir():
        fitted, how = gaussian.load_gaussian(artifact, catalog.movie_ids)
        if texts is not None:
            fitted = fill_gaussian(texts, fitted, counts)
        rule = gaussian.ConditionalGaussian(fitted, how, policy)
    elif policy.learning_rule == CONDITIONAL_GAUSSIAN:
        remedy = f"run {artifacts.command(gaussian.REMEDY, artifact)} for the conditional Gaussian"
        notes.append(f"no {artifact}: sessions learn by the moving average; {remedy}")
    catalog = catalog.with_counts(counts, model.movie_means_ if model.movie_means_.size else None)
    rule = rule or MovingAverage(vectors, policy)
    return {"catalog": catalog, "movie_vectors": vectors, "policy": policy, "rule": rule, "notes": notes}


def _with_two_tower(folder: Path, catalog: Catalog, policy: PolicySettings, backend: str) -> dict[str, Any]:
    """Return the vectors of the movie tower, with the moving average as learning rule."""
    from .learn.two_tower.model import TwoTower
    from .session.fitted_rules import two_tower_rule

    model = TwoTower.load(folder / "artifacts" / TwoTower.folder, catalog)
    if artifacts.has_manifest(folder):
        data = load_all(folder)
        catalog = catalog.with_counts(data.movie_counts(), data.movie_means())
    policy = replace(policy, learning_rule=MOVING_AVERAGE)
    rule = two_tower_rule(model, policy)
    return {"catalog": catalog, "movie_vectors": model.movie_vectors_, "policy": policy, "rule": rule, "notes": []}


def open_similar(
    folder: Path, catalog: Catalog, vectors: np.ndarray, rule: VectorRule, backends: Sequence[str]
) -> SimilarMovies:
    """Return the search for similar movies: by the rule's Gaussian, or else by `vectors`, and by all texts stored."""
    from .session.cold_start import load_texts

    people, texts = unit_rows(vectors), []
    if isinstance(rule, gaussian.ConditionalGaussian):
        people = rule.unit_vectors()
    for backend in dict.fromkeys(backends):
        with contextlib.suppress(ArtifactError):
            texts.append(load_texts(folder, catalog, backend))
    known = np.where(catalog.n_ratings[:, None] > 0, people, 0)
    return SimilarMovies(known, np.hstack(texts) if texts else None)


def open_index(
    folder: Path, catalog: Catalog, backend: str, vectors: np.ndarray, tell: Callable[[str], object]
) -> tuple[VectorIndex, str]:
    """Return the index of the movies' text vectors, by cosine, and their backend; without any, that of `vectors`.

    One that takes time to build is stored beside the vectors.  tell: receives what stands in, and what takes time.
    """
    from .retrieve import INDEXES, ExactIndex, choose  # which the start of a session would wait for
    from .session.cold_start import load_texts

    try:
        texts = load_texts(folder, catalog, backend)
    except ArtifactError as error:
        tell(f"no text vectors here ({error}): those of the ratings instead")
        return ExactIndex(vectors, "cosine"), SVD
    name, reason = choose(len(texts))
    if name == ExactIndex.name:
        return ExactIndex(texts, "cosine"), backend
    where = folder / "artifacts" / "text" / backend / "index"
    with contextlib.suppress(ArtifactError):
        stored = INDEXES[name].load(where)
        if stored.vectors.shape == texts.shape and np.allclose(stored.vectors, unit_rows(texts), atol=1e-6):
            return stored, backend
    tell(f"{reason}; it is built once, which takes minutes, and kept in {where}")
    index = INDEXES[name](texts, "cosine")
    index.save(where)
    return index, backend
