"""The map of tastes: all movies on a plane, and where in it a person stands.

    x_i      = (unit(v_i / sd_i), unit(t_i))         v, sd: vectors and deviations of the session's Gaussian; t: texts
    point_i  = (x_i - mean) @ D                      D: the first two principal directions (media/fusion.py)
    person   = mean of point_i over the N_BEST movies i of the highest scores now, unseen or not

Both halves of x have length 1, so people and texts count alike, and the distance of two movies is that of their
cosines. A person stands where the best movies for them are, which words, filters and the familiarity move too: a
weighted mean of the answered movies would not hear those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..data import artifacts
from ..data.catalog import NO_GENRES, Catalog
from ..data.errors import ArtifactError, DataError
from ..linalg.rows import top_n, unit_rows
from ..media.fusion import pca
from ..session.engine import SessionEngine
from ..session.state import SessionState

KIND, REMEDY = "map", "python -m model.draw_map"
N_BEST = 20
LEAST_OF_GENRE = 0.03  # share of all movies, for a name on the map
GRID, PRIOR = 24, 20.0  # cells a side; movies of the whole map that every cell gets


@dataclass(frozen=True)
class MapSettings:
    """Nothing can be set."""


def plane(people: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Return the points (n_movies, 2) float32 of movies by `people` (n_movies, k) and `texts` (n_movies, d).

    A row of zeros, where nothing is known, adds nothing. Cost O(n (k + d)^2).  Raises `DataError` for movies
    that differ in less than two directions.
    """
    joined = np.hstack((unit_rows(people), unit_rows(texts)))
    mean, directions, _ = pca(joined, 2)
    if directions.shape[1] < 2:
        raise DataError("the movies' vectors differ in less than two directions: a map needs two")
    return np.asarray((joined - mean) @ directions, dtype=np.float32)


class TasteMap:
    """points: (n_movies, 2) float32, row i for movie i of the catalogue."""

    def __init__(self, catalog: Catalog, points: np.ndarray) -> None:
        self.catalog, self.points = catalog, points

    @classmethod
    def load(cls, folder: Path, catalog: Catalog) -> TasteMap:
        """Read the map stored in the processed `folder`; raises `ArtifactError` if there is none for these movies."""
        kept = artifacts.restore(folder / "artifacts" / KIND, KIND, REMEDY, MapSettings, "draw", catalog.movie_ids)
        points = kept.read({"points.npy": np.float32})["points"]
        if points.shape != (len(catalog), 2):
            raise ArtifactError(f"{kept.folder} has points {points.shape}, not {(len(catalog), 2)}: run {kept.remedy}")
        return cls(catalog, points)

    def save(self, folder: Path) -> None:
        """Write the map to `folder`."""
        artifacts.store(folder, KIND, MapSettings(), {"points.npy": self.points}, "draw", self.catalog.movie_ids)

    def as_dict(self) -> dict[str, Any]:
        """Return what the page draws, a list of n_movies for each key, and `names`."""
        catalog = self.catalog
        return {
            "movie_ids": catalog.movie_ids.tolist(),
            "titles": [str(catalog.movie(row)) for row in range(len(catalog))],
            "x": _short(self.points[:, 0]),
            "y": _short(self.points[:, 1]),
            "n_ratings": catalog.n_ratings.tolist(),
            "genres": self.names(),
        }

    def names(self) -> list[dict[str, Any]]:
        """Return the genres, the largest first; those with `LEAST_OF_GENRE` of all movies with the place where their
        share is highest.

        Shares are of a grid's cells, each with what lies within some cells' widths, by a Gaussian, and some movies of
        the whole map, so that a lonely one is no peak.
        """
        catalog, genres = self.catalog, self.catalog.genres.astype(np.float64)
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        steps = np.linspace(low, high, GRID)  # (GRID, 2)
        away = (steps[:, None] - self.points) / ((high - low) / GRID)  # (GRID, n_movies, 2)
        across, up = np.exp(-(away[..., 0] ** 2) / 4), np.exp(-(away[..., 1] ** 2) / 4)
        n_near, names = across @ up.T, list[dict[str, Any]]()  # (GRID, GRID)
        for j in np.argsort(-genres.sum(axis=0), kind="stable").tolist():
            if catalog.genre_names[j] == NO_GENRES:
                continue
            names.append({"name": catalog.genre_names[j]})
            if genres[:, j].mean() >= LEAST_OF_GENRE:
                shares = (across @ (up * genres[:, j]).T + PRIOR * genres[:, j].mean()) / (n_near + PRIOR)
                column, row = np.unravel_index(shares.argmax(), shares.shape)
                x, y = _short(np.array([steps[column, 0], steps[row, 1]]))
                names[-1].update(x=x, y=y)
        return names

    def point_of(self, engine: SessionEngine, state: SessionState) -> Optional[list[float]]:
        """Return [x, y] of the person whose session this is, None if no movie is allowed; cost that of one turn."""
        scores = engine.points(state)
        best = top_n(scores[None], N_BEST)[0]
        best = best[scores[best] > -np.inf]
        return _short(self.points[best].mean(axis=0)) if len(best) else None


def _short(values: np.ndarray) -> list[float]:
    """Return floats with the four decimals that a screen can show."""
    return [round(value, 4) for value in values.tolist()]
