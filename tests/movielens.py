"""MovieLens latest-small where it lies beside the clone; tests that need it are skipped elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from recommender.data.interactions import Interactions
from recommender.data.splits import active_mask

ZIP = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-latest-small.zip"


def load_small() -> Interactions:
    if not ZIP.is_file():
        pytest.skip(f"{ZIP.name} is not beside this clone")
    with zipfile.ZipFile(ZIP) as archive, archive.open("ml-latest-small/ratings.csv") as file:
        columns = np.loadtxt(file, delimiter=",", skiprows=1)
    return Interactions.from_columns(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3].astype(np.int64))


def load_set(name: str) -> Interactions:
    """Set A: movies with 50 ratings or more, then users with 20 of what is left; set B: movies with 5 or more."""
    min_user, min_movie = {"A": (20, 50), "B": (0, 5)}[name]
    data = load_small()
    users = data.user_rows()
    keep = active_mask(users, data.movie_rows, min_user, min_movie, True, False)
    ids = data.user_ids[users[keep]], data.movie_ids[data.movie_rows[keep]]
    return Interactions.from_columns(*ids, data.ratings[keep], data.times[keep])
