"""One vector for a movie from several ways to know it: words, pictures, sound.

Each modality is first prepared with what its training movies say: x -> x - centre, each column divided by its spread
where columns have units of their own, rows at length 1. Then

    concat     y = (x_1, ..., x_m)                        cosine = mean of the modalities' cosines
    pca        y = V' (x - mean) of the concatenation     128 numbers
    cca        y = sum_m r * A_m' (x_m - mean_m)          64 numbers; two modalities; r = canonical correlations
    average    y = sum_m R_m p_m / m                      p_m = pca of x_m, at length 1
    weighted   y = w R_1 p_1 + (1 - w) / (m - 1) sum_{m > 1} R_m p_m          w = 0.7, the first being the text

and y is brought to length 1. An average needs common axes, which the components of different modalities are not: R_m is
the rotation that brings the training movies' p_m nearest to their p_1. Correlations weigh the canonical directions
because the late ones are noise, as in Gong et al., "A Multi-View Embedding Space for Modeling Internet Images, Tags,
and their Semantics" (2014), whose weight is a power of them.

A modality that a movie lacks adds nothing: the movie is placed by the others alone (in pca, as if it were average in
what is missing). How many lack what is part of the result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..data.settings import check_settings, setting
from ..linalg.rows import unit_rows
from ..text.people import align
from .modalities import Modality
from .projections import cca, pca, procrustes

CONCAT, PCA, CCA, AVERAGE, WEIGHTED = "concat", "pca", "cca", "average", "weighted"
METHODS = (CONCAT, PCA, CCA, AVERAGE, WEIGHTED)


@dataclasses.dataclass(frozen=True)
class FusionSettings:
    """How modalities become one vector."""

    method: str = setting(CONCAT, "how the modalities of a movie become one vector", choices=METHODS)
    n_components: int = setting(128, "pca, average, weighted: numbers in a fused vector", 1)
    n_canonical: int = setting(64, "cca: numbers in a fused vector", 1)
    text_weight: float = setting(0.7, "weighted: share of the first modality; the others split the rest", 0.01, 0.99)
    regularisation: float = setting(0.1, "cca: added to each view's variances, in mean variances", 0, 1000)

    def __post_init__(self) -> None:
        check_settings(self)


class Fused(NamedTuple):
    """Movies with their fused vectors.

    movie_ids: (n,) int64, ascending: every movie that some modality knows.  vectors: (n, d) float32, rows of length 1.
    missing: modality -> (n,) bool, the movies that it does not know.
    """

    movie_ids: np.ndarray
    vectors: np.ndarray
    missing: dict[str, np.ndarray]


class Part(NamedTuple):
    """What `fit` learned of one modality: x -> unit((x - centre) / scale) - mean, times directions.

    centre, scale, mean: (d,) float64.  directions: (d, k) float64; None where the vector is taken as it is.
    """

    centre: np.ndarray
    scale: np.ndarray
    mean: Any = 0.0
    directions: Optional[np.ndarray] = None

    def prepared(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, d): centred, scaled, rows at length 1."""
        return unit_rows((vectors - self.centre) / self.scale, np.float64)

    def projected(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, k)."""
        ready = self.prepared(vectors) - self.mean
        return ready if self.directions is None else ready @ self.directions


class Fusion:
    """A way to make one vector of several; `fit` sets `parts` (modality -> Part) and `n_train`."""

    parts: dict[str, Part]
    n_train: int

    def __init__(self, **settings: Any) -> None:
        """settings: of `FusionSettings`; raises `SettingsError` for a value out of range."""
        self.settings = FusionSettings(**settings)

    def fit(self, modalities: Sequence[Modality], train_ids: Optional[np.ndarray] = None) -> Fusion:
        """Learn from the movies that every modality knows, of `train_ids` if given, and return self.

        The first modality is the one that `text_weight` weighs. Numbers of components are capped at the rank of the
        data.  Raises `ChoiceError` for fewer than two modalities (or other than two for cca), `DataError` where fewer
        than two movies are known to all.  Cost O(n d^2 + d^3) with d the summed (cca, average: the largest) width.
        """
        names = [modality.name for modality in modalities]
        if len(set(names)) < max(2, len(names)) or (self.settings.method == CCA and len(names) != 2):
            n = "exactly two" if self.settings.method == CCA else "two or more"
            raise ChoiceError(f"{self.settings.method} joins {n} modalities, given: {', '.join(names) or 'none'}")
        common = modalities[0].movie_ids if train_ids is None else np.unique(train_ids)
        for modality in modalities:
            common = np.intersect1d(common, modality.movie_ids[modality.vectors.any(axis=1)])
        if len(common) < 2:
            known = ", ".join(names)
            raise DataError(f"{len(common)} training movies have all of {known}: fusion needs two, better hundreds")
        rows = [align(common, modality.movie_ids, modality.vectors).astype(np.float64) for modality in modalities]
        parts = []
        for modality, X in zip(modalities, rows):  # (n_train, d)
            spread = X.std(axis=0)
            scale = np.where(spread > 0, spread, 1.0) if modality.units_differ else np.ones(X.shape[1])
            parts.append(Part(X.mean(axis=0), scale))
        ready = [part.prepared(X) for part, X in zip(parts, rows)]
        self.parts = dict(zip(names, self._project(parts, ready)))
        self.n_train = len(common)
        return self

    def transform(self, modalities: Sequence[Modality]) -> Fused:
        """Return every movie that one of `modalities` knows; any of the fitted ones may be left out.

        Raises `DataError` for a modality that was not fitted or has another width.  Cost O(n (summed d) k).
        """
        given = {modality.name: modality for modality in modalities}
        for name, modality in given.items():
            if name not in self.parts or modality.vectors.shape[1] != len(self.parts[name].centre):
                widths = ", ".join(f"{fitted} of {len(part.centre)} numbers" for fitted, part in self.parts.items())
                raise DataError(f"{name} of {modality.vectors.shape[1]} numbers: this fusion joins {widths}")
        present = [modality.movie_ids[modality.vectors.any(axis=1)] for modality in modalities]
        movie_ids = np.unique(np.concatenate(present))
        missing, blocks = {}, []
        for name, part in self.parts.items():
            width = len(part.centre) if part.directions is None else part.directions.shape[1]
            block = np.zeros((len(movie_ids), width))
            if name in given:
                own = align(movie_ids, given[name].movie_ids, given[name].vectors)
                known = own.any(axis=1)
                projected = part.projected(own[known])
                averaged = self.settings.method in (AVERAGE, WEIGHTED)
                block[known] = unit_rows(projected, np.float64) if averaged else projected
            else:
                known = np.zeros(len(movie_ids), dtype=bool)
            missing[name] = np.asarray(~known)
            blocks.append(block)
        return Fused(movie_ids, unit_rows(self._joined(blocks)), missing)

    def _project(self, parts: list[Part], rows: list[np.ndarray]) -> list[Part]:
        """Return the parts with the mean and the directions that the method takes; rows: (n, d_m) prepared."""
        method, settings = self.settings.method, self.settings
        if method == PCA:
            joint = pca(np.hstack(rows), settings.n_components)
            cuts = np.cumsum([X.shape[1] for X in rows])[:-1]
            split = zip(parts, np.split(joint.mean, cuts), np.split(joint.directions, cuts))
            return [part._replace(mean=mean, directions=V) for part, mean, V in split]
        if method == CCA:
            views = cca(rows[0], rows[1], settings.n_canonical, settings.regularisation)
            weighted = [(view.mean, view.directions * view.strengths) for view in views]  # A diag(r)
            return [part._replace(mean=mean, directions=A) for part, (mean, A) in zip(parts, weighted)]
        if method == CONCAT:
            return parts
        fitted = [pca(X, settings.n_components) for X in rows]
        k = min(len(each.strengths) for each in fitted)
        points = [unit_rows(each.apply(X)[:, :k], np.float64) for each, X in zip(fitted, rows)]  # p_m
        turned = [each.directions[:, :k] @ procrustes(p, points[0]) for each, p in zip(fitted, points)]  # V_m R_m
        return [part._replace(mean=each.mean, directions=V) for part, each, V in zip(parts, fitted, turned)]

    def _joined(self, blocks: list[np.ndarray]) -> np.ndarray:
        if self.settings.method == CONCAT:
            return np.hstack(blocks)
        weights = [1.0] * len(blocks)
        if self.settings.method == WEIGHTED:
            w = self.settings.text_weight
            weights = [w] + [(1.0 - w) / (len(blocks) - 1)] * (len(blocks) - 1)
        return sum((weight * block for weight, block in zip(weights, blocks)), np.zeros_like(blocks[0]))
