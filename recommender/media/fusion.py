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
what is missing). Fused vectors are stored beside those of the texts, as the table `fused_embeddings` (text/vectors.py);
its .npz holds what was fitted too, as arrays called `NAME/centre` and so on: movies that come later can be placed.
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
from ..linalg.rows import unit_rows
from ..text.base import Identity
from ..text.people import align
from ..text.vectors import DEFAULT_FORMS, FUSED, VectorTable
from .modalities import TEXT, Modality
from .projections import cca, pca, procrustes

METHODS = ("concat", "pca", "cca", "average", "weighted")


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

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, k) for the vectors (n, d) of a modality; (n, d) in concat."""
        ready = unit_rows((vectors - self.centre) / self.scale, np.float64) - self.mean
        return ready @ self.directions if self.directions.size else ready


def common_movies(modalities: Sequence[Modality], train_ids: Optional[np.ndarray] = None) -> np.ndarray:
    """Return the ids of the movies that every modality knows, of `train_ids` if given; (n,) int64, ascending.

    Raises `DataError` if they are fewer than two.
    """
    common = modalities[0].movie_ids if train_ids is None else np.unique(train_ids)
    for modality in modalities:
        common = np.intersect1d(common, modality.movie_ids[modality.vectors.any(axis=1)])
    if len(common) < 2:
        known = ", ".join(modality.name for modality in modalities)
        raise DataError(f"{len(common)} training movies have all of {known}: fusion needs two, better hundreds")
    return common


def fit(
    modalities: Sequence[Modality], settings: FusionSettings, train_ids: Optional[np.ndarray] = None
) -> dict[str, Part]:
    """Learn from `common_movies(modalities, train_ids)` and return name -> what to do with the modality's vectors.

    The first modality is the one that `text_weight` weighs. Numbers of components are capped at the rank of the data.
    Raises `ChoiceError` for fewer than two modalities (or other than two for cca), `DataError` if fewer than two
    movies are known to all.  Cost O(n d^2 + d^3) with d the summed (cca, average: the largest) width.
    """
    names = [modality.name for modality in modalities]
    if len(set(names)) < max(2, len(names)) or (settings.method == "cca" and len(names) != 2):
        n = "exactly two" if settings.method == "cca" else "two or more"
        raise ChoiceError(f"{settings.method} joins {n} modalities, given: {', '.join(names) or 'none'}")
    common = common_movies(modalities, train_ids)
    scalings, ready = [], []
    for modality in modalities:
        X = align(common, modality.movie_ids, modality.vectors).astype(np.float64)  # (n_train, d)
        centre, spread = X.mean(axis=0), X.std(axis=0)
        scale = np.where(spread > 0, spread, 1.0) if modality.units_differ else np.ones(X.shape[1])
        scalings.append((centre, scale))
        ready.append(unit_rows((X - centre) / scale, np.float64))
    maps = _MAPS[settings.method](ready, settings)
    return {name: Part(*scaling, *found) for name, scaling, found in zip(names, scalings, maps)}


def _as_it_is(rows: list[np.ndarray], settings: FusionSettings) -> list[Any]:
    return [(np.zeros(X.shape[1]), np.zeros((X.shape[1], 0))) for X in rows]


def _of_all(rows: list[np.ndarray], settings: FusionSettings) -> list[Any]:
    joint = pca(np.hstack(rows), settings.n_components)
    cuts = np.cumsum([X.shape[1] for X in rows])[:-1]
    return list(zip(np.split(joint.mean, cuts), np.split(joint.directions, cuts)))


def _of_pairs(rows: list[np.ndarray], settings: FusionSettings) -> list[Any]:
    views = cca(rows[0], rows[1], settings.n_canonical, settings.regularisation)
    return [(view.mean, view.directions * view.strengths) for view in views]  # A diag(r)


def _of_each(rows: list[np.ndarray], settings: FusionSettings) -> list[Any]:
    fitted = [pca(X, settings.n_components) for X in rows]
    k = min(len(each.strengths) for each in fitted)
    points = [unit_rows(each.apply(X)[:, :k], np.float64) for each, X in zip(fitted, rows)]  # p_m
    rotations = [procrustes(p, points[0]) for p in points]  # R_m
    return [(each.mean, each.directions[:, :k] @ R) for each, R in zip(fitted, rotations)]


# method -> (prepared rows (n_train, d_m), settings) -> (mean, directions) of each modality
_MAPS = {
    "concat": _as_it_is,
    "pca": _of_all,
    "cca": _of_pairs,
    "average": _of_each,
    "weighted": _of_each,
}


def apply(
    parts: Mapping[str, Part], modalities: Sequence[Modality], settings: FusionSettings
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return every movie that one of `modalities` knows: ids, vectors, and modality -> which movies lack it.

    parts: from `fit`; any of its modalities may be left out.  ids: (n,) int64, ascending.  vectors: (n, d) float32,
    rows of length 1.  Raises `DataError` for a modality that was not fitted or has another width.
    Cost O(n (summed d) k).
    """
    given = {modality.name: modality for modality in modalities}
    for name, modality in given.items():
        width = modality.vectors.shape[1]
        if name not in parts or width != len(parts[name].centre):
            widths = ", ".join(f"{fitted} of {len(part.centre)} numbers" for fitted, part in parts.items())
            raise DataError(f"{name} of {width} numbers: this fusion joins {widths}")
    movie_ids = np.unique(np.concatenate([part.movie_ids[part.vectors.any(axis=1)] for part in modalities]))
    lacking, blocks = {}, []
    for name, part in parts.items():
        none = Modality(name, movie_ids[:0], np.zeros((0, len(part.centre)), np.float32))
        own = align(movie_ids, *given.get(name, none)[1:3])
        known = np.asarray(own.any(axis=1))
        block = np.zeros((len(movie_ids), part.directions.shape[1] or len(part.centre)))
        block[known] = part.apply(own[known])
        if settings.method in ("average", "weighted"):
            block = unit_rows(block, np.float64)
        lacking[name] = ~known
        blocks.append(block)
    if settings.method == "concat":
        return movie_ids, unit_rows(np.hstack(blocks)), lacking
    weights = [1.0] * len(blocks)
    if settings.method == "weighted":
        w = settings.text_weight
        weights = [w] + [(1.0 - w) / (len(blocks) - 1)] * (len(blocks) - 1)
    joined = sum((weight * block for weight, block in zip(weights, blocks)), np.zeros_like(blocks[0]))
    return movie_ids, unit_rows(joined), lacking


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
    Raises `ChoiceError` if the ids of `source` are not numbers, and what `fit` raises, before it writes.
    """
    modalities = [_text_modality(VectorTable.load(folder), source)]
    for part in others:
        listed = np.isin(part.movie_ids, modalities[0].movie_ids)
        if not listed.all():
            say(f"{part.name}: {(~listed).sum():,} vectors are of movies that are not listed")
        modalities.append(part._replace(movie_ids=part.movie_ids[listed], vectors=part.vectors[listed]))
    parts = fit(modalities, settings, train_ids)
    movie_ids, vectors, lacking = apply(parts, modalities, settings)
    n, dimension = vectors.shape
    counts = [f"{lacks.sum():,} without {name}" for name, lacks in lacking.items() if lacks.any()]
    n_train = len(common_movies(modalities, train_ids))
    say(f"{settings.method} of {', '.join(parts)}, fitted on {n_train:,} movies:")
    say(f"  {n:,} movies, {dimension} numbers each; {', '.join(counts) or 'none lacks any'}")
    missing = [";".join(name for name in parts if lacking[name][row]) for row in range(n)]
    columns = {"movie_id": np.array(list(map(str, movie_ids))), "missing": np.array(missing, dtype=np.str_)}
    about = {**dataclasses.asdict(settings), "modalities": list(parts), "source": source}
    fitted = {f"{name}/{field}": array for name, part in parts.items() for field, array in part._asdict().items()}
    table = VectorTable(FUSED, columns, vectors, Identity("fusion", settings.method, dimension), about)
    table.save(folder, forms, half, fitted=fitted)
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


def _text_modality(movies: VectorTable, source: str) -> Modality:
    """Return the text vectors of the movies of one source."""
    of_source = movies["source"] == source
    ids = movies["movie_id"][of_source].tolist()
    if not ids or not all(name.isascii() and name.isdecimal() for name in ids):
        raise ChoiceError(f"no movies of source {source!r} whose ids are numbers: name another source first")
    return Modality(TEXT, np.array([int(name) for name in ids], dtype=np.int64), movies.embedding[of_source])
