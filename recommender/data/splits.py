"""Train, val and test: the split rules, and the one stored history that holds all three.

    history_*.npy        the filtered ratings (`Interactions.FILES`), large arrays mapped, not copied
    history_parts.npy    (n_ratings,) int8, the part of each: TRAIN, VAL, TEST or SKIPPED

Per user: each user's ratings in order of time, equal times by movie id; of n ratings the first floor(a n) are train,
the next floor(b n) val, the rest test, for fractions a, b, c that add up to 1; each part has at least one. So
n = 20 gives 14 / 3 / 3, n = 10 gives 7 / 1 / 2, n = 3 gives 1 / 1 / 1.

Global time: one moment for all. A per-user split lets a model learn from ratings that others gave after the moment of
prediction (Ji, Sun, Zhang and Li 2023, "A critical study on data leakage in recommender system offline evaluation");
this one does not.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .artifacts import check_files, read_manifest
from .errors import ArtifactError, ChoiceError
from .files import load_arrays
from .interactions import FILES, Interactions

PARTS = ("train", "val", "test")
KIND = "processed"
REMEDY = "python -m preprocess.setup"
TRAIN, VAL, TEST, SKIPPED = 0, 1, 2, -1
PARTS_FILE = "history_parts.npy"
FRACTIONS = (0.70, 0.15, 0.15)
# 0.7 * 90 is 62.99999999999999: far closer to its whole number than any fraction of a count can be.
_ROUNDING = 1e-9


def active_mask(
    user_rows: np.ndarray,
    movie_rows: np.ndarray,
    min_user: int,
    min_movie: int,
    movies_first: bool = False,
    iterative: bool = False,
) -> np.ndarray:
    """Return the mask (n_ratings,) of ratings whose user and movie have enough ratings.

    Users first, then movies by what is left, or `movies_first`; `iterative` repeats both until nothing changes (the
    k-core). user_rows, movie_rows: (n_ratings,) whole numbers from 0. Cost O(n_ratings) a pass.

    >>> active_mask(np.array([0, 0, 1]), np.array([0, 1, 1]), min_user=2, min_movie=1)
    array([ True,  True, False])
    """
    limits = [(user_rows, min_user), (movie_rows, min_movie)]
    keep = np.ones(len(user_rows), dtype=bool)
    while True:
        before = int(keep.sum())
        for rows, least in reversed(limits) if movies_first else limits:
            counts = np.bincount(rows[keep], minlength=int(rows.max(initial=-1)) + 1)
            keep &= counts[rows] >= least
        if not iterative or int(keep.sum()) == before:
            return keep


def part_per_user(indptr: np.ndarray, fractions: Sequence[float] = FRACTIONS, min_ratings: int = 3) -> np.ndarray:
    """Return the part of each rating: TRAIN, VAL or TEST, SKIPPED for users with fewer than `min_ratings` (>= 3).

    indptr: (n_users + 1,) bounds of each user's ratings, which are in order of time, then movie id.
    Returns (n_ratings,) int8; cost O(n_ratings).

    >>> part_per_user(np.array([0, 10, 12]))
    array([ 0,  0,  0,  0,  0,  0,  0,  1,  2,  2, -1, -1], dtype=int8)
    """
    n = np.diff(indptr)  # (n_users,)
    n_train, n_val = (
        np.maximum(np.floor(share * n + _ROUNDING).astype(np.int64), 1)  # max(floor(a n), 1)
        for share in fractions[:2]
    )
    # If test would be empty, val is shortened, to one rating at least, then train.
    n_val = np.minimum(n_val, np.maximum(n - n_train - 1, 1))
    n_train = np.minimum(n_train, n - n_val - 1)
    lengths = np.column_stack((n_train, n_val, n - n_train - n_val, np.zeros_like(n)))  # (n_users, 4)
    skipped = n < min_ratings
    lengths[skipped] = 0
    lengths[skipped, 3] = n[skipped]
    labels = np.tile(np.array([TRAIN, VAL, TEST, SKIPPED], dtype=np.int8), len(n))
    return np.repeat(labels, lengths.reshape(-1))


def part_by_time(times: np.ndarray, fractions: Sequence[float] = FRACTIONS) -> np.ndarray:
    """Return the part of each rating by two moments shared by all users, (n_ratings,) int8.

    The moments are the times of the ratings at floor(a n) and floor((a + b) n) in order of time; a rating at
    exactly such a moment belongs to the later part, so every known rating is earlier than every held-out one.
    times: (n_ratings,) int64 seconds, any order.  Cost O(n log n).

    >>> part_by_time(np.array([50, 10, 20, 30, 30, 40, 60, 70, 80, 90]), (0.3, 0.4, 0.3))
    array([1, 0, 0, 1, 1, 1, 1, 2, 2, 2], dtype=int8)
    """
    part = np.full(len(times), TEST, dtype=np.int8)
    in_order = np.sort(times)
    for share, name in ((fractions[0] + fractions[1], VAL), (fractions[0], TRAIN)) if len(times) else ():
        first = min(int(np.floor(share * len(times) + _ROUNDING)), len(times) - 1)
        part[times < in_order[first]] = name
    return part


def in_parts(data: Interactions, part: np.ndarray) -> tuple[Interactions, Interactions, Interactions]:
    """Return train, val and test, `part` (n_ratings,) being the part of each rating; each keeps both vocabularies."""
    return data.take(part == TRAIN), data.take(part == VAL), data.take(part == TEST)


def load_split(folder: Path, name: str) -> Interactions:
    """Return the part `name` (train, val or test) of the processed data in `folder`.

    All parts share their user and movie vocabularies: row i is the same user or movie in each. Raises `ArtifactError`
    if a file is missing, damaged, or from another run.
    """
    if name not in PARTS:
        raise ChoiceError(f"no part called {name!r}: the parts are {', '.join(PARTS)}")
    data, part = _labelled(folder)
    return data.take(part == PARTS.index(name))


def load_all(folder: Path) -> Interactions:
    """Return train, val and test of `folder` together, memory-mapped if the split skipped nobody."""
    data, part = _labelled(folder)
    split = part != SKIPPED
    return data if split.all() else data.take(split)


def load_ratings(folder: Path) -> Interactions:
    """Return all filtered ratings of `folder`, before they were split; raises `ArtifactError` as `load_split`."""
    check_files(folder, read_manifest(folder, KIND, REMEDY), FILES, REMEDY)
    return Interactions.load(folder)


def _labelled(folder: Path) -> tuple[Interactions, np.ndarray]:
    """Return all filtered ratings and the part of each, (n_ratings,) int8, both of one run of preprocess."""
    manifest = read_manifest(folder, KIND, REMEDY)
    check_files(folder, manifest, [*FILES, PARTS_FILE], REMEDY)
    data = Interactions.load(folder)
    part = load_arrays(folder / PARTS_FILE, {"history_parts": np.int8})["history_parts"]
    if read_manifest(folder, KIND, REMEDY) != manifest or len(part) != data.n_ratings:
        raise ArtifactError(f"{folder} was rewritten while it was read: run this again")
    return data, part


def load_movies(folder: Path) -> dict[int, tuple[str, str]]:
    """Return movie id -> raw title and genres, ids ascending, of the filtered movies, `movies_filtered.csv`."""
    name = "movies_filtered.csv"
    check_files(folder, read_manifest(folder, KIND, REMEDY), [name], REMEDY)
    with open(folder / name, encoding="utf-8", newline="") as file:
        return {int(row["movieId"]): (row["title"], row["genres"]) for row in csv.DictReader(file)}
