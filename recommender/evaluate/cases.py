"""Protocols by name: what `--protocol` takes, and the cases that each stands for.

A case that asks for no model of its own (returning visitors) is answered from the lists of another: its root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

from ..data.artifacts import read_manifest
from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from ..data.interactions import Interactions, concat
from ..data.splits import KIND, REMEDY, load_split, split_per_user
from .protocols import DAY, Evaluation, from_parts, global_time

PROTOCOLS = {
    "per-user": "the last part of each person's ratings",
    "returning": "of per-user, the people who were away for more than a day",
    "returning-minute": "of per-user, the people who were away for more than a minute",
    "strict-time": "per-user, models fitted only on what had been rated before each moment",
    "strict-time-returning": "of strict-time, the people who were away for more than a day",
    "global-time": "one moment for everybody",
}
ROOTS = {
    "returning": "per-user",
    "returning-minute": "per-user",
    "strict-time-returning": "strict-time",
}
_AWAY = {"returning": DAY, "returning-minute": 60, "strict-time-returning": DAY}


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


class Case(NamedTuple):
    """One protocol: its evaluation, and the name of the protocol whose lists answer it."""

    protocol: str
    evaluation: Evaluation
    root: str


def build(source: Source, protocol: str, part: str, n_stages: int = 20) -> Case:
    """Return the case of one protocol on `part`, val or test."""
    if protocol not in PROTOCOLS:
        raise ChoiceError(f"no protocol is called {protocol!r}: choose from {', '.join(PROTOCOLS)}")
    root = ROOTS.get(protocol, protocol)
    if root == "global-time":
        everything = concat(source.train, source.val, source.test)
        evaluation = global_time(everything, part)
    else:
        evaluation = from_parts(source.train, source.val, source.test, part, "per user")
        if root == "strict-time":
            evaluation = evaluation.strict_time(n_stages)
    if protocol in _AWAY:
        evaluation = evaluation.returning(_AWAY[protocol])
    return Case(protocol, evaluation, root)


def build_all(source: Source, protocols: Sequence[str], part: str, n_stages: int = 20) -> list[Case]:
    """Return the cases of several protocols, each once, in the order named; raises `ChoiceError` where one is empty."""
    cases = [build(source, protocol, part, n_stages) for protocol in dict.fromkeys(protocols)]
    for case in cases:
        if not case.evaluation.n_users:
            raise ChoiceError(
                f"protocol {case.protocol} has nobody to evaluate on {part}: leave it out or use more data"
            )
    return cases
