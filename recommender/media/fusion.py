"""One vector for a movie from several ways to know it: words, pictures, sound.

A view is a matrix (n, d) of one modality, row i for movie i; a row of zeros means that nothing is known. Each is first
centred on its training movies, each column of sound divided by its spread (those of MFCC differ hundredfold), and its
rows brought to length 1. Then

    concat     y = (x_1, ..., x_m)                        cosine = mean of the modalities' cosines
    pca        y = V' (x - mean) of the concatenation     128 numbers
    cca        y = sum_m r * A_m' (x_m - mean_m)          64 numbers; two modalities; r = canonical correlations
    average    y = sum_m R_m p_m / m                      p_m = pca of x_m, at length 1
    weighted   y = w R_1 p_1 + (1 - w) / (m - 1) sum_{m > 1} R_m p_m          w = 0.7, the first being the text

and y is brought to length 1. R_m is the rotation that brings the training movies' p_m nearest to their p_1, as an
average needs common axes: R_m = U Vt with P_m' P_1 = U diag(s) Vt (Schonemann 1966). Correlations weigh the canonical
directions because the late ones are noise (Gong et al. 2014, "A Multi-View Embedding Space", with a power of them).

A modality that a movie lacks adds nothing: the movie is placed by the others alone. Fused vectors are stored as the
table `fused_embeddings` (text/vectors.py); its .npz holds what was fitted too, so that later movies can be placed.

    X - mean    = U_x diag(s_x) V_x'                                       n rows, in float64
    pca         y = V_x' (x - mean)
    cca         max corr(A' x, B' y):   w_x = (s_x^2 / (n - 1) + ridge_x)^-1/2
                diag(w_x s_x) U_x' U_y diag(s_y w_y) / (n - 1) = P diag(r) Q'
                A = V_x diag(w_x) P,   B = V_y diag(w_y) Q

Pearson 1901; Hotelling 1936 in the form of Bach and Jordan, "Kernel Independent Component Analysis" (2002), appendix A.
ridge is `regularisation` mean eigenvalues of a view: with as many columns as rows every correlation would be 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..data.files import load_arrays
from ..data.settings import check_settings, setting
from ..linalg.ridge import left_singular
from ..linalg.rows import align, unit_rows
from ..text.base import Identity
from ..text.vectors import DEFAULT_FORMS, FUSED, VectorTable
from .vector_files import Vectors

TEXT, VISUAL, AUDIO = "text", "visual", "audio"
METHODS = ("concat", "pca", "cca", "average", "weighted")
Views = Mapping[str, np.ndarray]
# mean (d,), directions (d, k), strengths (k,) descending; all float64. A new row becomes (x - mean) @ directions.
Projection = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class FusionSettings:
    """How modalities become one vector."""

    method: str = setting("concat", "how the modalities of a movie become one vector", choices=METHODS)
    n_components: int = setting(128, "pca, average, weighted: numbers in a fused vector", 1)
    n_canonical: int = setting(64, "cca: numbers in a fused vector", 1)
    text_weight: float = setting(0.7, "weighted: share of the first modality; the others split the rest", 0.01, 0.99)
    regularisation: float = setting(0.1, "cca: added to each view's variances, in mean variances", 0, 1000)

    def __post_init__(self) -> None:
        check_settings(self)


class Part(NamedTuple):
    """What is fitted on one modality: x -> (unit((x - centre) / scale) - mean) @ directions.

    centre, scale, mean: (d,) float64.  directions: (d, k) float64; (d, 0) in concat, which takes x - mean as it is.
    """

    centre: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    directions: np.ndarray

    def apply(self, view: np.ndarray) -> np.ndarray:
        """Return (n, k) for a view (n, d), (n, d) in concat; zeros for rows of zeros."""
        known = view.any(axis=1)
        ready = unit_rows((view[known] - self.centre) / self.scale, np.float64) - self.mean
        placed = np.zeros((len(view), self.directions.shape[1] or len(self.centre)))
        placed[known] = ready @ self.directions if self.directions.size else ready
        return placed


def fit(views: Views, settings: FusionSettings) -> dict[str, Part]:
    """Return name -> what to do with a view, learned from `views` of training movies that every modality knows.

    The first is the one that `text_weight` weighs. Numbers of components are capped at the rank of the data.
    Raises `ChoiceError` for fewer than two views (or other than two for cca), `DataError` for fewer than two movies.
    Cost O(n d^2 + d^3) with d the summed (cca, average: the largest) width.
    """
    if len(views) < 2 or (settings.method == "cca" and len(views) != 2):
        n = "exactly two" if settings.method == "cca" else "two or more"
        raise ChoiceError(f"{settings.method} joins {n} modalities, given: {', '.join(views) or 'none'}")
    n_train = len(next(iter(views.values())))
    if n_train < 2:
        raise DataError(f"{n_train} training movies have all of {', '.join(views)}: fusion needs two, better hundreds")
    scalings, ready = [], []
    for name, view in views.items():
        X = view.astype(np.float64)
        centre, spread = X.mean(axis=0), X.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0) if name == AUDIO else np.ones(X.shape[1])
        scalings.append((centre, scale))
        ready.append(unit_rows((X - centre) / scale, np.float64))
    maps = _maps(ready, settings)
    return {name: Part(*scaling, *found) for name, scaling, found in zip(views, scalings, maps)}


def _maps(ready: list[np.ndarray], settings: FusionSettings) -> list[Any]:
    """Return (mean, directions) of each modality, whose prepared training rows are `ready` (n_train, d)."""
    if settings.method == "concat":
        return [(np.zeros(X.shape[1]), np.zeros((X.shape[1], 0))) for X in ready]
    if settings.method == "pca":
        mean, V, _ = pca(np.hstack(ready), settings.n_components)
        cuts = np.cumsum([X.shape[1] for X in ready])[:-1]
        return list(zip(np.split(mean, cuts), np.split(V, cuts)))
    if settings.method == "cca":
        return [(mean, A * r) for mean, A, r in cca(ready[0], ready[1], settings.n_canonical, settings.regularisation)]
    fitted = [pca(X, settings.n_components) for X in ready]
    k = min(len(s) for _, _, s in fitted)
    points = [unit_rows((X - mean) @ V[:, :k], np.float64) for X, (mean, V, _) in zip(ready, fitted)]  # p_m
    turns = [np.linalg.svd(p.T @ points[0]) for p in points]
    return [(mean, V[:, :k] @ (U @ Vt)) for (mean, V, _), (U, _, Vt) in zip(fitted, turns)]  # V_m R_m


def apply(parts: Mapping[str, Part], views: Views, settings: FusionSettings) -> np.ndarray:
    """Return the fused vectors (n, d) float32, rows of length 1; zeros for a movie that no view knows.

    parts: from `fit`; views: of the same modalities.  Cost O(n (summed d) k).
    """
    blocks = [part.apply(views[name]) for name, part in parts.items()]
    if settings.method == "concat":
        return unit_rows(np.hstack(blocks))
    if settings.method in ("average", "weighted"):
        blocks = [unit_rows(block, np.float64) for block in blocks]
    w = settings.text_weight if settings.method == "weighted" else 1 / len(blocks)
    return unit_rows(w * blocks[0] + (1 - w) / (len(blocks) - 1) * np.sum(blocks[1:], axis=0))


def build_fused(
    folder: Path,
    source: str,
    others: Mapping[str, Vectors],
    settings: FusionSettings,
    train_ids: Optional[np.ndarray] = None,
    forms: Sequence[str] = DEFAULT_FORMS,
    small: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> VectorTable:
    """Fuse the stored text vectors of `folder` with `others`, fitted on the movies of `train_ids`, and store them.

    others: modality -> its vectors.  Movies that only these know are placed too, unless `source` does not list them.
    Raises `ChoiceError` if the ids of `source` are not numbers, and what `fit` raises, before it writes.
    """
    stored = VectorTable.load(folder)
    of_source = stored["source"] == source
    ids = stored["movie_id"][of_source].tolist()
    if not ids or not all(name.isascii() and name.isdecimal() for name in ids):
        raise ChoiceError(f"no movies of source {source!r} whose ids are numbers: name another source first")
    movie_ids, rows = np.unique(np.array(ids, dtype=np.int64), return_index=True)
    views = {TEXT: stored.embedding[of_source][rows]}
    for name, (ids, vectors) in others.items():
        views[name] = align(movie_ids, ids, vectors)
        if n_unlisted := int((~np.isin(ids, movie_ids)).sum()):
            say(f"{name}: {n_unlisted:,} vectors are of movies that are not listed")
    known = np.array([view.any(axis=1) for view in views.values()])  # (m, n)
    common = known.all(axis=0)
    if train_ids is not None:
        common &= np.isin(movie_ids, train_ids)
    parts = fit({name: view[common] for name, view in views.items()}, settings)
    vectors, found = apply(parts, views, settings), known.any(axis=0)
    movie_ids, vectors, lacking = movie_ids[found], vectors[found], ~known[:, found].T
    n, dimension = vectors.shape
    counts = [f"{n_lacking:,} without {name}" for name, n_lacking in zip(views, lacking.sum(axis=0)) if n_lacking]
    say(f"{settings.method} of {', '.join(views)}, fitted on {common.sum():,} movies:")
    say(f"  {n:,} movies, {dimension} numbers each; {', '.join(counts) or 'none lacks any'}")
    missing = [";".join(name for name, lacks in zip(views, row) if lacks) for row in lacking]
    columns = {"movie_id": np.array(list(map(str, movie_ids))), "missing": np.array(missing, dtype=np.str_)}
    about = {**dataclasses.asdict(settings), "modalities": list(views), "source": source}
    fitted = {f"{name}/{field}": array for name, part in parts.items() for field, array in part._asdict().items()}
    table = VectorTable(FUSED, columns, vectors, Identity("fusion", settings.method, dimension), about)
    table.save(folder, forms, small, fitted=fitted)
    return table


def load_fitted(folder: Path) -> tuple[dict[str, Part], FusionSettings]:
    """Return what `build_fused` fitted, for `apply`; raises `ArtifactError` if it is missing or damaged."""
    about = dict(VectorTable.load(folder, FUSED).settings)
    names = about.pop("modalities")
    del about["source"]
    wanted = {f"{name}/{field}": np.float64 for name in names for field in Part._fields}
    arrays = load_arrays(folder / f"{FUSED}.npz", wanted)
    parts = {name: Part(*(arrays[f"{name}/{field}"] for field in Part._fields)) for name in names}
    return parts, FusionSettings(**about)


def pca(X: np.ndarray, k: int) -> Projection:
    """Return the first min(k, rank) principal directions of X (n, d), orthonormal columns; strengths: s.

    The largest entry by size of every direction is positive.  Cost O(n d min(n, d)).
    Raises `DataError` for rows that are all the same.

    >>> mean, directions, s = pca(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 2)
    >>> mean.tolist(), directions.round(3).tolist(), s.round(3).tolist()
    ([3.0, 4.0], [[0.6], [0.8]], [7.071])
    """
    mean, _, s, V = _svd(X)
    directions = V[:, :k]
    return mean, directions * _signs(directions), s[:k]


def cca(X: np.ndarray, Y: np.ndarray, k: int, regularisation: float) -> tuple[Projection, Projection]:
    """Return min(k, rank X, rank Y) pairs of directions, of greatest correlation between X and Y; strengths: r.

    X: (n, dx), Y: (n, dy), row i of both is the same thing.  regularisation: 0 or more, in mean eigenvalues.
    Without it, projected training rows have variance 1, no correlation within a view, and r between the two.
    Cost that of `pca`, and O(n dx dy).  Raises `DataError` as `pca` does.
    """
    views = []
    for view in (X, Y):
        mean, U, s, V = _svd(view)
        variances = s**2 / (len(view) - 1)
        w = 1 / np.sqrt(variances + regularisation * variances.mean())
        views.append((mean, U * (s * w / np.sqrt(len(view) - 1)), V * w))
    (mean_x, white_x, V_x), (mean_y, white_y, V_y) = views
    P, r, Qt = np.linalg.svd(white_x.T @ white_y, full_matrices=False)
    A, B, r = V_x @ P[:, :k], V_y @ Qt[:k].T, np.minimum(r[:k], 1.0)
    signs = _signs(A)  # a pair turns together
    return (mean_x, A * signs, r), (mean_y, B * signs, r)


def _svd(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, U, s (descending) and V of X - mean = U diag(s) V'."""
    mean = X.mean(axis=0, dtype=np.float64)
    U, squares = left_singular(X - mean)
    if not len(squares):
        raise DataError("all rows are the same: fitting needs rows that differ")
    U, s = U[:, ::-1], np.sqrt(squares[::-1])
    return mean, U, s, (X - mean).T @ (U / s)


def _signs(directions: np.ndarray) -> np.ndarray:
    largest = np.abs(directions).argmax(axis=0)
    return np.where(directions[largest, np.arange(directions.shape[1])] < 0, -1.0, 1.0)
