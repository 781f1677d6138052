"""One vector for a movie from several ways to know it: words, pictures, sound.

Each modality is first prepared with what its training movies say: x -> x - centre, each column divided by its spread
where columns have units of their own, rows at length 1. Then

    concat     y = (x_1, ..., x_m)                        cosine = mean of the modalities' cosines
    pca        y = V' (x - mean) of the concatenation     128 numbers
    cca        y = sum_m r * A_m' (x_m - mean_m)          64 numbers; two modalities; r = canonical correlations
    average    y = sum_m R_m p_m / m                      p_m = pca of x_m, at length 1
    weighted   y = w R_1 p_1 + (1 - w) / (m - 1) sum_{m > 1} R_m p_m          w = 0.7, the first being the text

and y is brought to length 1. An average needs common axes, which the components of different modalities are not: R_m is
the rotation that brings the training movies' p_m nearest to their p_1. Modalities that share their axes from the start
(those of a model of texts and pictures) are averaged without components and rotation with `shared_space`. Correlations
weigh the canonical directions because the late ones are noise, as in Gong et al., "A Multi-View Embedding Space for
Modeling Internet Images, Tags, and their Semantics" (2014), whose weight is a power of them.

A modality that a movie lacks adds nothing: the movie is placed by the others alone (in pca, as if it were average in
what is missing). How many lack what is part of the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data import artifacts
from ..data.errors import ArtifactError, ChoiceError, DataError
from ..data.settings import check_settings, check_value, setting
from ..linalg.rows import unit_rows
from ..text.people import align
from .modalities import Modality
from .projections import cca, pca, procrustes

CONCAT, PCA, CCA, AVERAGE, WEIGHTED = "concat", "pca", "cca", "average", "weighted"
METHODS = (CONCAT, PCA, CCA, AVERAGE, WEIGHTED)
KIND = "fusion"
REMEDY = "the program that fits the fusion again (python -m model.generate_embeddings --fusion METHOD)"

_ARRAYS = {"centre": 1, "scale": 1, "mean": 1, "directions": 2}  # of each part, with the number of axes


@dataclasses.dataclass(frozen=True)
class FusionSettings:
    """How modalities become one vector."""

    method: str = setting(CONCAT, "how the modalities of a movie become one vector", choices=METHODS)
    n_components: int = setting(128, "pca, average, weighted: numbers in a fused vector", 1)
    n_canonical: int = setting(64, "cca: numbers in a fused vector", 1)
    text_weight: float = setting(0.7, "weighted: share of the first modality; the others split the rest", 0.01, 0.99)
    regularisation: float = setting(0.1, "cca: added to each view's variances, in mean variances", 0, 1000)
    shared_space: bool = setting(False, "average, weighted: the modalities' vectors have the same axes already")

    def __post_init__(self) -> None:
        check_settings(self)


class Fused(NamedTuple):
    """Movies with their fused vectors.

    movie_ids: (n,) int64, ascending: every movie that some modality knows.  vectors: (n, d) float32, rows of length 1.
    missing: modality -> how many of the n movies it does not know.
    """

    movie_ids: np.ndarray
    vectors: np.ndarray
    missing: dict[str, int]


class Part(NamedTuple):
    """What `fit` learned of one modality: y = prepared((x - centre) / scale) -> (. - mean) @ directions.

    centre, scale, mean: (d,) float64.  directions: (d, k) float64; (d, 0) where the vector is taken as it is.
    """

    name: str
    centre: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    directions: np.ndarray

    def prepared(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, d): centred, scaled, rows at length 1."""
        return _unit((vectors - self.centre) / self.scale)

    def projected(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, k)."""
        ready = self.prepared(vectors) - self.mean
        return ready @ self.directions if self.directions.shape[1] else ready


class Fusion:
    """A fitted way to make one vector of several; `parts` and `n_train` are set by `fit`."""

    parts: tuple[Part, ...]
    n_train: int

    def __init__(self, **settings: Any) -> None:
        """Set it; raises `SettingsError` for an unknown name or a value out of range (see `FusionSettings`)."""
        self.settings = FusionSettings(**{key: check_value(FusionSettings, key, settings[key]) for key in settings})

    def fit(self, modalities: Sequence[Modality], train_ids: Optional[np.ndarray] = None) -> Fusion:
        """Learn from the movies that every modality knows, of `train_ids` if given, and return self.

        The first modality is the one that `text_weight` weighs. Numbers of components are capped at the rank of the
        data.  Raises `ChoiceError` for fewer than two modalities (or other than two for cca), `DataError` where fewer
        than two movies are known to all.  Cost O(n d^2 + d^3) with d the summed (cca, average: the largest) width.
        """
        self._check_modalities(modalities)
        common = modalities[0].movie_ids if train_ids is None else np.unique(train_ids)
        for part in modalities:
            common = np.intersect1d(common, part.movie_ids[part.vectors.any(axis=1)])
        if len(common) < 2:
            names = ", ".join(part.name for part in modalities)
            raise DataError(
                f"{len(common)} training movies have all of {names}: fusion needs two or more, better hundreds"
            )
        rows = [align(common, part.movie_ids, part.vectors) for part in modalities]
        parts = [_prepare(part, own) for part, own in zip(modalities, rows)]
        self.parts = tuple(self._project(parts, [part.prepared(own) for part, own in zip(parts, rows)]))
        self.n_train = len(common)
        return self

    def transform(self, modalities: Sequence[Modality]) -> Fused:
        """Return every movie that one of `modalities` knows; any of the fitted ones may be left out.

        Raises `DataError` for a modality that was not fitted, occurs twice or has another width.
        Cost O(n (summed d) k).
        """
        given = {part.name: part for part in modalities}
        fitted = {part.name: part for part in self.parts}
        for modality in modalities:
            known = fitted.get(modality.name)
            if known is None or len(given) < len(modalities):
                names = ", ".join(part.name for part in modalities)
                raise DataError(f"modalities {names} for a fusion of {', '.join(fitted)}: give each of these once")
            if modality.vectors.shape[1] != len(known.centre):
                widths = f"{modality.vectors.shape[1]} numbers, the fitted ones {len(known.centre)}"
                raise DataError(f"{modality.name} vectors have {widths}: make them the same way")
        present = [part.movie_ids[part.vectors.any(axis=1)] for part in modalities]
        movie_ids = np.unique(np.concatenate(present)) if present else np.empty(0, dtype=np.int64)
        missing, blocks = {}, []
        for part in self.parts:
            width = part.directions.shape[1] or len(part.centre)
            block = np.zeros((len(movie_ids), width))
            if part.name in given:
                own = align(movie_ids, given[part.name].movie_ids, given[part.name].vectors)
                known_rows = own.any(axis=1)
                block[known_rows] = self._finished(part.projected(own[known_rows]))
            else:
                known_rows = np.zeros(len(movie_ids), dtype=bool)
            missing[part.name] = int((~known_rows).sum())
            blocks.append(block)
        return Fused(movie_ids, unit_rows(self._joined(blocks)), missing)

    def save(self, folder: Path) -> None:
        """Write it to `folder`, all files or none."""
        described = {
            **dataclasses.asdict(self.settings),
            "modalities": [part.name for part in self.parts],
            "n_train": self.n_train,
        }
        with artifacts.replace_set(folder, KIND, "fit", described) as stage:
            for part in self.parts:
                for name in _ARRAYS:
                    np.save(stage / f"{part.name}_{name}.npy", getattr(part, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Fusion:
        """Read what `save` wrote; raises `ArtifactError` for files that are missing, damaged or of another run."""
        manifest = artifacts.read_manifest(folder, KIND, REMEDY)
        described = dict(manifest["settings"].get("fit", {}))
        try:
            names, n_train = [str(name) for name in described.pop("modalities")], int(described.pop("n_train"))
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{folder} does not say which modalities it joins: run {REMEDY}") from None
        fusion = cls(**described)
        artifacts.check_files(folder, manifest, [f"{name}_{array}.npy" for name in names for array in _ARRAYS], REMEDY)
        fusion.parts = tuple(
            Part(name, *(_array(folder, name, array, n_axes) for array, n_axes in _ARRAYS.items())) for name in names
        )
        fusion.n_train = n_train
        return fusion

    def _check_modalities(self, modalities: Sequence[Modality]) -> None:
        names = [part.name for part in modalities]
        listed = ", ".join(names) or "none"
        if len(names) < 2 or len(set(names)) < len(names):
            raise ChoiceError(f"fusion joins two or more different modalities, given: {listed}")
        if any(not name.isidentifier() for name in names):
            raise ChoiceError(f"a modality is called {listed!r}: use letters, digits and _")
        if self.settings.method == CCA and len(names) != 2:
            raise ChoiceError(f"cca relates two modalities, given: {listed}: leave one out or choose pca")
        widths = {part.vectors.shape[1] for part in modalities}
        if self.settings.shared_space and len(widths) > 1:
            raise ChoiceError(
                f"modalities {listed} have widths {sorted(widths)}: without shared_space they are aligned"
            )

    def _project(self, parts: list[Part], rows: list[np.ndarray]) -> list[Part]:
        """Return the parts with the mean and the directions that the method takes; rows: (n, d_m) prepared."""
        method, settings = self.settings.method, self.settings
        if method == PCA:
            joint = pca(np.hstack(rows), settings.n_components)
            cuts = np.cumsum([part.shape[1] for part in rows])[:-1]
            split = zip(parts, np.split(joint.mean, cuts), np.split(joint.directions, cuts))
            return [part._replace(mean=mean, directions=directions) for part, mean, directions in split]
        if method == CCA:
            views = cca(rows[0], rows[1], settings.n_canonical, settings.regularisation)
            return [
                part._replace(mean=view.mean, directions=view.directions * view.strengths)
                for part, view in zip(parts, views)
            ]
        if method == CONCAT or settings.shared_space:
            return parts
        fitted = [pca(own, settings.n_components) for own in rows]
        k = min(len(each.strengths) for each in fitted)
        points = [_unit(each.apply(own)[:, :k]) for each, own in zip(fitted, rows)]
        return [
            part._replace(mean=each.mean, directions=each.directions[:, :k] @ procrustes(own, points[0]))
            for part, each, own in zip(parts, fitted, points)
        ]

    def _finished(self, projected: np.ndarray) -> np.ndarray:
        return _unit(projected) if self.settings.method in (AVERAGE, WEIGHTED) else projected

    def _joined(self, blocks: list[np.ndarray]) -> np.ndarray:
        if self.settings.method == CONCAT:
            return np.hstack(blocks)
        weights = [1.0] * len(blocks)
        if self.settings.method == WEIGHTED:
            rest = (1.0 - self.settings.text_weight) / (len(blocks) - 1)
            weights = [self.settings.text_weight] + [rest] * (len(blocks) - 1)
        return sum((weight * block for weight, block in zip(weights, blocks)), np.zeros_like(blocks[0]))


def _prepare(modality: Modality, rows: np.ndarray) -> Part:
    """Return a part that centres, scales and takes vectors as they are."""
    exact = rows.astype(np.float64)
    spread = exact.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0) if modality.units_differ else np.ones(rows.shape[1])
    return Part(modality.name, exact.mean(axis=0), scale, np.zeros(rows.shape[1]), np.empty((rows.shape[1], 0)))


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1.0)
    return unit


def _array(folder: Path, name: str, array: str, n_axes: int) -> np.ndarray:
    return artifacts.load_npy(folder / f"{name}_{array}.npy", np.float64, [None] * n_axes)
