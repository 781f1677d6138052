"""The folds that came with MovieLens 100K: `u1.base` and `u1.test` hold tab-separated user, item, rating, timestamp.

u1 to u5 are random (80 / 20), ua and ub hold out ten ratings of each user. They ignore time, so users are ranked
for at their last known rating, and values compare with older papers, not with the protocols that go by time.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..data.interactions import Interactions
from .protocols import Evaluation, from_known

OFFICIAL_FOLDS = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")


def official_fold(path: Path, fold: str) -> Evaluation:
    """Return the case of one fold, from the folder or the .zip of ml-100k.

    Raises `ChoiceError` for another fold name and `DataError` for files that are missing or not such lists.
    """
    if fold not in OFFICIAL_FOLDS:
        raise ChoiceError(f"no official fold is called {fold!r}: choose from {', '.join(OFFICIAL_FOLDS)}")
    base, test = (_read_fold(path, f"{fold}.{part}") for part in ("base", "test"))
    users, movies = (np.unique(np.concatenate([base[:, column], test[:, column]])) for column in (0, 1))
    known, held_out = (
        Interactions.from_columns(part[:, 0], part[:, 1], part[:, 2], part[:, 3], movies, users)
        for part in (base, test)
    )
    return from_known(known, held_out, f"official fold {fold}")


def _read_fold(path: Path, name: str) -> np.ndarray:
    """Return the lines of one file of ml-100k, (n, 4) int64."""
    try:
        if path.is_dir():
            folder = path if (path / name).is_file() else path / "ml-100k"
            text = (folder / name).read_text(encoding="latin-1")
        else:
            with zipfile.ZipFile(path) as archive:
                members = [member for member in archive.namelist() if member.rsplit("/", 1)[-1] == name]
                text = archive.read(members[0]).decode("latin-1")
        lines = [line.split("\t") for line in text.splitlines() if line] or [["an empty file"]]
        return np.array(lines, dtype=np.int64).reshape(len(lines), 4)
    except (FileNotFoundError, IndexError):
        raise DataError(f"{path} has no {name}: give the folder or the .zip of MovieLens 100K") from None
    except zipfile.BadZipFile:
        raise DataError(f"{path} is not a .zip, or a damaged one: download it again") from None
    except ValueError as error:
        raise DataError(f"{path}: {name} is not a list of ratings ({error}): unpack ml-100k again") from None
