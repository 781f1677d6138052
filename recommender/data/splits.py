"""Read what the preprocessing wrote: train, val, test, and the `weighted` signal of each rating.

Every file is checked against the manifest first, so that a damaged file, or one left from another run, is refused
by name. The binary form is read where it is there, else the CSV, which needs pandas and is many times slower.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from .artifacts import check_files, load_npz, read_manifest
from .errors import ArtifactError, ChoiceError
from .interactions import Interactions, concat

PARTS = ("train", "val", "test")
KIND = "processed"
REMEDY = "python -m preprocess.setup"


def load_split(folder: Path, name: str) -> Interactions:
    """Return the part `name` (train, val or test) of the processed data in `folder`.

    All parts share their user and movie vocabularies: row i is the same person or movie in each. Raises
    `ArtifactError` where a file is missing, damaged, or from another run.
    """
    _check_name(name)
    return _load(folder, name)


def load_all(folder: Path) -> Interactions:
    """Return train, val and test of `folder` together: all that is known of the people in it."""
    return concat(*(load_split(folder, name) for name in PARTS))


def load_ratings(folder: Path) -> Interactions:
    """Return all filtered ratings of `folder`, before they were split; raises `ArtifactError` as `load_split`."""
    return _load(folder, "ratings_filtered")


def load_final_rating(folder: Path, name: str) -> np.ndarray:
    """Return the `weighted` signal of the part `name`, (n_ratings,) float32, in the order of `load_split`."""
    _check_name(name)
    stem = f"{name}_transformed"
    manifest = read_manifest(folder, KIND, REMEDY)
    if f"{stem}.npz" in manifest["files"]:
        check_files(folder, manifest, [f"{stem}.npz"], REMEDY)
        return load_npz(folder / f"{stem}.npz", {"final_rating": np.float32})["final_rating"]
    check_files(folder, manifest, [f"{stem}.csv"], REMEDY)
    frame = _read_csv(folder / f"{stem}.csv", ("final_rating",))
    values = frame["final_rating"].to_numpy(np.float32)
    return values


def load_movies(folder: Path) -> tuple[np.ndarray, list[str], list[str]]:
    """Return ids (ascending), raw titles and genres of the filtered movie list, `movies_filtered.csv`."""
    name = "movies_filtered.csv"
    check_files(folder, read_manifest(folder, KIND, REMEDY), [name], REMEDY)
    with open(folder / name, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = np.array([int(row["movieId"]) for row in rows], dtype=np.int64)
    return ids, [row["title"] for row in rows], [row["genres"] for row in rows]


def _load(folder: Path, stem: str) -> Interactions:
    manifest = read_manifest(folder, KIND, REMEDY)
    if f"{stem}.npz" in manifest["files"]:
        check_files(folder, manifest, [f"{stem}.npz"], REMEDY)
        return Interactions.load(folder / f"{stem}.npz")
    # The CSV names only the users it holds: the shared vocabulary is that of the filtered ratings.
    check_files(folder, manifest, [f"{stem}.csv", "ratings_filtered.csv"], REMEDY)
    users = np.unique(_read_csv(folder / "ratings_filtered.csv", ("userId",))["userId"].to_numpy(np.int64))
    frame = _read_csv(folder / f"{stem}.csv", ("userId", "movieId", "rating", "timestamp"))
    return Interactions.from_columns(
        frame["userId"].to_numpy(np.int64),
        frame["movieId"].to_numpy(np.int64),
        frame["rating"].to_numpy(np.float32),
        frame["timestamp"].to_numpy("datetime64[s]").astype(np.int64),
        movie_vocabulary=load_movies(folder)[0],
        user_vocabulary=users,
    )


def _read_csv(path: Path, columns: tuple[str, ...]) -> Any:
    import pandas as pd

    dates = ["timestamp"] if "timestamp" in columns else []
    try:
        return pd.read_csv(path, usecols=list(columns), parse_dates=dates)
    except (ValueError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ArtifactError(f"{path} is damaged ({first}): run {REMEDY}") from None


def _check_name(name: str) -> None:
    if name not in PARTS:
        raise ChoiceError(f"no part called {name!r}: the parts are {', '.join(PARTS)}")
