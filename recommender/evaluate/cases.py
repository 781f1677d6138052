"""Protocols by name, what they are applied to, and the folds that came with MovieLens 100K.

`u1.base` and `u1.test` of ml-100k hold tab-separated lines: user, item, rating, timestamp; u1 to u5 are random (80 /
20), ua and ub hold out ten ratings of each person. They ignore time, so people are ranked for at their last known
rating, and figures compare with older papers, not with the protocols that go by time.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from ..data.artifacts import read_manifest
from ..data.catalog import Catalog
from ..data.errors import ChoiceError, DataError
from ..data.interactions import Interactions, concat
from ..data.splits import KIND, REMEDY, load_split, split_per_user
from .protocols import DAY, Evaluation, from_known, from_parts, global_time

PROTOCOLS = {
    "per-user": "the last part of each person's ratings",
    "returning": "of per-user, the people who were away for more than a day",
    "returning-minute": "of per-user, the people who were away for more than a minute",
    "strict-time": "per-user, models fitted only on what had been rated before each moment",
    "strict-time-returning": "of strict-time, the people who were away for more than a day",
    "global-time": "one moment for everybody",
}
_AWAY = {"returning": DAY, "returning-minute": 60, "strict-time-returning": DAY}
OFFICIAL_FOLDS = ("u1", "u2", "u3", "u4", "u5", "ua", "ub")


@dataclass(frozen=True)
class Source:
    """The ratings to evaluate on, cut per user; `catalog` lists the same movies, None where there is no list."""

    train: Interactions
    val: Interactions
    test: Interactions
    catalog: Optional[Catalog] = None

    @classmethod
    def from_ratings(cls, data: Interactions, catalog: Optional[Catalog] = None) -> Source:
        """Cut all ratings by the default rule."""
        return cls(*split_per_user(data), catalog)

    @classmethod
    def load(cls, folder: Path) -> Source:
        """Read the processed data of `folder`; what was cut by one date is joined and cut per user.

        Raises `ArtifactError` where a file is missing or damaged.
        """
        train, val, test = (load_split(folder, name) for name in ("train", "val", "test"))
        split = read_manifest(folder, KIND, REMEDY).get("settings", {}).get("split", {}).get("split")
        if split == "global-time":
            train, val, test = split_per_user(concat(train, val, test))
        return cls(train, val, test, Catalog.load(folder))


def build(source: Source, protocols: Sequence[str], part: str, n_stages: int = 20) -> list[Evaluation]:
    """Return the cases of the protocols named, each once, on `part`, val or test.

    Raises `ChoiceError` for an unknown name and where nobody can be evaluated, `DataError` where a protocol needs
    dates and the ratings have none (`Interactions.has_times`); then per-user goes by the order of the ratings.
    """
    roots: dict[str, Evaluation] = {}
    cases = []
    for protocol in dict.fromkeys(protocols):
        if protocol not in PROTOCOLS:
            raise ChoiceError(f"no protocol is called {protocol!r}: choose from {', '.join(PROTOCOLS)}")
        if protocol != "per-user" and not (source.train.has_times and source.test.has_times):
            raise DataError(f"these ratings have no times, and protocol {protocol} needs them: use per-user")
        root = "strict-time" if protocol.startswith("strict") else protocol if protocol == "global-time" else "per-user"
        if root not in roots:
            if root == "global-time":
                roots[root] = global_time(concat(source.train, source.val, source.test), part)
            else:
                roots[root] = from_parts(source.train, source.val, source.test, part, "per user")
            if root == "strict-time":
                roots[root] = roots[root].strict_time(n_stages)
        case = roots[root].returning(_AWAY[protocol]) if protocol in _AWAY else roots[root]
        if not case.n_users:
            raise ChoiceError(f"protocol {protocol} has nobody to evaluate on {part}: leave it out or use more data")
        cases.append(case)
    return cases


def official_fold(path: Path, fold: str) -> Evaluation:
    """Return the case of one fold, from the folder or the .zip of ml-100k.

    Raises `ChoiceError` for another fold name and `DataError` for files that are missing or not such lists.
    """
    if fold not in OFFICIAL_FOLDS:
        raise ChoiceError(f"no official fold is called {fold!r}: choose from {', '.join(OFFICIAL_FOLDS)}")
    base, test = (_read_fold(path, f"{fold}.{part}") for part in ("base", "test"))
    users, movies = (np.unique(np.concatenate([base[:, column], test[:, column]])) for column in (0, 1))
    parts = [
        Interactions.from_columns(columns[0], columns[1], columns[2], columns[3], movies, users)
        for columns in (base.T, test.T)
    ]
    return from_known(parts[0], parts[1], f"official fold {fold}")


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
        if not text.strip():
            raise ValueError("it is empty")
        columns = np.loadtxt(io.StringIO(text), dtype=np.int64, delimiter="\t", ndmin=2)
    except (FileNotFoundError, IndexError):
        raise DataError(f"{path} holds no {name}: give the folder or the .zip of MovieLens 100K") from None
    except zipfile.BadZipFile:
        raise DataError(f"{path} is not a .zip, or a damaged one: download it again") from None
    except ValueError as error:
        raise DataError(f"{path}: {name} is not a list of ratings ({error}): unpack ml-100k again") from None
    if columns.shape[1] != 4:
        raise DataError(f"{path}: {name} is not a list of ratings with 4 columns: unpack ml-100k again")
    return columns
