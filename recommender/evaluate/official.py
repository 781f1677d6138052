"""The folds that came with MovieLens 100K: u1 to u5 (random, 80 / 20) and ua, ub (ten test ratings a person).

`u1.base` and `u1.test` hold tab-separated lines: user, item, rating, timestamp. The folds ignore time, so people are
ranked for at their last known rating (`protocols.from_known`); figures on them compare with older papers, not with
the protocols that go by time.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..data.interactions import Interactions
from .protocols import Evaluation, from_known

FOLDS = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")


def official_fold(path: Path, fold: str) -> Evaluation:
    """Return the case of one fold, from the folder or the .zip of ml-100k.

    Raises `ChoiceError` for another fold name and `DataError` for files that are missing or not such lists.
    """
    if fold not in FOLDS:
        raise ChoiceError(f"no official fold is called {fold!r}: choose from {', '.join(FOLDS)}")
    base, test = (_read(path, f"{fold}.{part}") for part in ("base", "test"))
    users, movies = (np.unique(np.concatenate([base[:, column], test[:, column]])) for column in (0, 1))
    known, held_out = (
        Interactions.from_columns(part[:, 0], part[:, 1], part[:, 2], part[:, 3], movies, users)
        for part in (base, test)
    )
    return from_known(known, held_out, f"official fold {fold}")


def _read(path: Path, name: str) -> np.ndarray:
    text = _text(path, name)
    if not text.strip():
        raise DataError(f"{path}: {name} is empty: unpack ml-100k again")
    try:
        columns = np.loadtxt(io.StringIO(text), dtype=np.int64, delimiter="\t", ndmin=2)
    except ValueError as error:
        raise DataError(f"{path}: {name} is not a list of ratings ({error}): unpack ml-100k again") from None
    if columns.shape[1] != 4:
        raise DataError(f"{path}: {name} has {columns.shape[1]} columns, expected 4: unpack ml-100k again")
    return columns


def _text(path: Path, name: str) -> str:
    missing = DataError(f"{path} holds no {name}: give the folder or the .zip of MovieLens 100K")
    if path.is_dir():
        found = [file for file in (path / name, path / "ml-100k" / name) if file.is_file()]
        if not found:
            raise missing
        return found[0].read_text(encoding="latin-1")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if member.rsplit("/", 1)[-1] == name]
            if not members:
                raise missing
            return archive.read(members[0]).decode("latin-1")
    except FileNotFoundError:
        raise missing from None
    except zipfile.BadZipFile:
        raise DataError(f"{path} is not a .zip, or a damaged one: download it again") from None
