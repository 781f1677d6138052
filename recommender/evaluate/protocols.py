"""Evaluation protocols: which ratings are known, which are held out, and for which users.

Per user, the last part of each user's ratings is held out; `PROTOCOLS` lists the variants, `build` makes a case by
name. Movies are held out in `held_out_movies`, whole users in `replay`. In each, models are tuned on val (fitted on
train) and reported on test once (fitted on train + val); all movies that the user has not rated are ranked; a target is
relevant at 4 stars or more; users without a relevant target are left out and counted.

Leaks               prevented by
    others' future  only under strict time; models per user are fitted on ratings that others gave later
    tuning          settings are chosen on val, never on test
    counts          rankers count the ratings that they are fitted on; Trending: before the moment
    weighted signal user means, counts and newest time come from train; the stacker splits inside train
    not prevented   users and movies are filtered by counts before the split; texts and tags have no date
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from ..data.artifacts import read_manifest
from ..data.catalog import Catalog
from ..data.errors import ChoiceError, DataError
from ..data.interactions import LIKED, Interactions, concat
from ..data.splits import KIND, PARTS, REMEDY, in_parts, load_all, load_split, part_by_time, part_per_user
from ..learn.base import last_times
from .metrics import accuracy, find_hits

DAY = 86_400
_BREAKS = {DAY: "1 day", 60: "1 minute"}
_MOST_ENDS = 600  # possible ends of a run in `cut_runs`: 600^2 costs take 3 MB
# name: (the protocol whose lists it uses, the least absence of its users in seconds, meaning)
PROTOCOLS = {
    "per-user": ("per-user", 0, "the last part of each user's ratings"),
    "returning": ("per-user", DAY, "of per-user, the users who were away for more than a day"),
    "returning-minute": ("per-user", 60, "of per-user, the users who were away for more than a minute"),
    "strict-time": ("strict-time", 0, "per-user, models fitted only on ratings from before each moment"),
    "strict-time-returning": ("strict-time", DAY, "of strict-time, the users who were away for more than a day"),
    "global-time": ("global-time", 0, "one moment for everybody"),
}


class Source(NamedTuple):
    """The ratings to evaluate on, split per user; `catalog` lists the same movies, or is None."""

    train: Interactions
    val: Interactions
    test: Interactions
    catalog: Optional[Catalog] = None

    @classmethod
    def from_ratings(cls, data: Interactions, catalog: Optional[Catalog] = None) -> Source:
        """Split all ratings by the default rule."""
        return cls(*in_parts(data, part_per_user(data.indptr)), catalog)

    @classmethod
    def load(cls, folder: Path) -> Source:
        """Read the processed data of `folder`; a global-time split is merged and split per user.

        Raises `ArtifactError` if a file is missing or damaged.
        """
        if read_manifest(folder, KIND, REMEDY)["settings"].get("split", {}).get("split") == "global-time":
            return cls.from_ratings(load_all(folder), Catalog.load(folder))
        train, val, test = (load_split(folder, name) for name in PARTS)
        return cls(train, val, test, Catalog.load(folder))

    def case(self, part: str = "test", name: str = "per user") -> Evaluation:
        """Return the case for `part`: val after train, or test after train and val."""
        if part not in ("val", "test"):
            raise ChoiceError(f"split {part!r} is not one of val, test: tune on val, report on test")
        known, held_out = (self.train, self.val) if part == "val" else (concat(self.train, self.val), self.test)
        return from_known(known, held_out, name)


@dataclass(frozen=True)
class Evaluation:
    """One case, the same for every model.

    known: the history that models are given (for test: train and val), all users of the data.
    held_out: the ratings to be predicted, same vocabularies; likes (4 stars or more) are relevant.
    user_rows: (n,) int64, who is evaluated.  at: (n,) int64 seconds, the moment at which each is ranked for.
    left_out: how many users are not evaluated, by reason.
    fit_before: (n,) int64, for each user the moment before which ratings reach their model, see `strict_time`; None =
    models are fitted once, on `known`.  missed: the mean share of the ratings before `at` that this leaves out.
    candidates: the movie rows that are ranked, equal scores in this order; None = all movies, equal scores by id.
    root: the case with more users whose lists are reused, or None.
    """

    name: str
    known: Interactions
    held_out: Interactions
    user_rows: np.ndarray
    at: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)
    fit_before: Optional[np.ndarray] = None
    missed: float = 0.0
    candidates: Optional[np.ndarray] = None
    root: Optional[Evaluation] = None

    @property
    def n_users(self) -> int:
        return len(self.user_rows)

    @property
    def n_stages(self) -> int:
        """How many models are fitted in strict time, otherwise 0."""
        return 0 if self.fit_before is None else len(np.unique(self.fit_before))

    def relevant(self, among: Optional[np.ndarray] = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the relevant movies of those evaluated: indptr (n + 1,) and movie rows, in order of `user_rows`.

        among: (n_movies,) bool, the only movies that count, such as cold-start movies.
        """
        counts = self.held_out.ratings >= LIKED
        if among is not None:
            counts &= among[self.held_out.movie_rows]
        liked = self.held_out.take(counts).select(self.user_rows)
        return liked.indptr, liked.movie_rows.astype(np.int64)

    def accuracy(
        self, rows: np.ndarray, ks: Sequence[int], among: Optional[np.ndarray] = None
    ) -> dict[str, np.ndarray]:
        """Return the metrics of the lists `rows` (n_users, n) at each of `ks`: `ndcg@10` -> (n_users,), and so on."""
        indptr, relevant = self.relevant(among)
        hits = find_hits(rows.astype(np.int64), indptr, relevant, self.known.n_movies)
        return {f"{name}@{k}": each for k in ks for name, each in accuracy(hits, np.diff(indptr), k).items()}

    def select(self, keep: np.ndarray, name: str, reason: str) -> Evaluation:
        """Return the case for the users where `keep` (n,) is True; the others are counted under `reason`."""
        dropped = self.n_users - int(keep.sum())
        left_out = {**self.left_out, reason: self.left_out.get(reason, 0) + dropped}
        before = None if self.fit_before is None else self.fit_before[keep]
        kept = {"user_rows": self.user_rows[keep], "at": self.at[keep], "fit_before": before}
        return dataclasses.replace(self, name=name, left_out=left_out, root=self.root or self, **kept)

    def sample(self, n: int) -> Evaluation:
        """Return the same for n of its users, evenly chosen, or for all if there are fewer."""
        chosen = np.linspace(0, self.n_users - 1, min(n, self.n_users)).astype(int)
        keep = np.isin(np.arange(self.n_users), chosen)
        return self if keep.all() else self.select(keep, self.name, "not in the sample")

    def gap(self) -> np.ndarray:
        """Return the seconds from each user's last known rating to the moment of ranking, (n,)."""
        return self.at - last_times(self.known, self.user_rows)

    def returning(self, seconds: int = DAY) -> Evaluation:
        """Return the case for users who come back after a break of more than a day or a minute.

        Most held-out parts continue a sitting, in the order in which the site lists movies, and a model can gain by
        guessing the listing. These users were away, so it cannot.
        """
        away = _BREAKS[seconds]
        return self.select(self.gap() > seconds, f"{self.name}, away > {away}", f"away {away} or less")

    def strict_time(self, n_stages: int = 20) -> Evaluation:
        """Return the case in which nothing rated at or after a user's moment reaches the model.

        A per-user split gives the model other users' ratings from the future. Here users are sorted by their
        moment and cut into at most `n_stages` runs (`cut_runs`); the models of a run are fitted on everybody's ratings,
        held-out ones included, from before its *first* moment. That costs the later users of a run the share of
        ratings that `missed` says. A user's own known ratings are all given as history.
        """
        order = np.argsort(self.at, kind="stable")
        moments = self.at[order]
        times = np.sort(np.concatenate([self.known.times, self.held_out.times]))
        begins, missed = cut_runs(np.searchsorted(times, moments), n_stages)
        fit_before = np.empty_like(moments)
        fit_before[order] = np.repeat(moments[begins], np.diff(begins, append=self.n_users))
        name = f"{self.name}, strict time"
        return dataclasses.replace(self, name=name, fit_before=fit_before, missed=missed, root=None)

    def stages(self) -> Iterator[tuple[Interactions, np.ndarray]]:
        """Yield what to fit on and whom to rank for, positions in `user_rows`; together all, each once."""
        if self.fit_before is None:
            yield self.known, np.arange(self.n_users)
            return
        everything, order = concat(self.known, self.held_out), np.argsort(self.at, kind="stable")
        for moment in np.unique(self.fit_before):
            yield everything.take(everything.times < moment), order[self.fit_before[order] == moment]


def build(source: Source, protocol: str, part: str = "test", n_stages: int = 20) -> Evaluation:
    """Return the case of a protocol of `PROTOCOLS` on `part`, val or test.

    Raises `ChoiceError` for an unknown name and where nobody can be evaluated, `DataError` if the protocol needs
    dates and the ratings have none (`Interactions.has_times`); then per-user goes by the order of the ratings.
    """
    if protocol not in PROTOCOLS:
        raise ChoiceError(f"unknown protocol {protocol!r}: choose from {', '.join(PROTOCOLS)}")
    root, away, _ = PROTOCOLS[protocol]
    if protocol != "per-user" and not (source.train.has_times and source.test.has_times):
        raise DataError(f"these ratings have no times, which protocol {protocol} needs: use per-user")
    if root == "global-time":  # who had rated nothing by the moment where the part begins is left out and counted
        data = concat(*source[:3])
        case = Source(*in_parts(data, part_by_time(data.times))).case(part, "global time")
        first = case.held_out.times.min(initial=np.iinfo(np.int64).max)
        case = dataclasses.replace(case, at=np.full_like(case.at, first))
    else:
        case = source.case(part)
        case = case.strict_time(n_stages) if root == "strict-time" and case.n_users else case
    case = case.returning(away) if away else case
    if not case.n_users:
        raise ChoiceError(f"protocol {protocol} has no users to evaluate on {part}: omit it or use more data")
    return case


def from_known(known: Interactions, held_out: Interactions, name: str) -> Evaluation:
    """Return the case of any known and held-out ratings; each user's list is of the time of their first one.

    Where held-out ratings are older than known ones (random folds), the moment is the last known rating instead.
    """
    if not np.array_equal(known.user_ids, held_out.user_ids) or not np.array_equal(known.movie_ids, held_out.movie_ids):
        raise DataError("known and held-out ratings have different users or movies: use one vocabulary for both")
    n_known, n_held_out = np.diff(known.indptr), np.diff(held_out.indptr)
    liked = np.bincount(held_out.user_rows()[held_out.ratings >= LIKED], minlength=known.n_users)
    user_rows = np.flatnonzero((n_known > 0) & (liked > 0))
    first = held_out.times[held_out.indptr[user_rows]]  # times ascend within a user
    left_out = {
        "no known rating": int(((n_known == 0) & (n_held_out > 0)).sum()),
        "nothing held out": int((n_held_out == 0).sum()),
        "no relevant target": int(((n_known > 0) & (n_held_out > 0) & (liked == 0)).sum()),
    }
    at = np.maximum(first, last_times(known, user_rows))
    return Evaluation(name, known, held_out, user_rows, at, left_out)


def cut_runs(n_before: npt.ArrayLike, n_runs: int) -> tuple[np.ndarray, float]:
    """Return where each run of users begins, at most `n_runs`, the first at 0; and the mean share of ratings missed.

    n_before: (n,) ratings from before each user's moment, ascending. A run from i to j shares a model of n_i
    ratings, so user u in it misses 1 - n_i / n_u. The runs with the least total loss come from dynamic programming:

        least(g, j) = min over i < j of least(g - 1, i) + sum for u in i..j-1 of (1 - n_i / n_u)

    Runs of equal size lose 13% on MovieLens small with 20 models, these 9%. Exact up to 600 users; above, runs begin
    at one of 600 evenly spaced users. Cost O(n_runs 600^2).

    >>> begins, missed = cut_runs([1, 10, 11, 100], 3)
    >>> begins.tolist(), round(missed * 4, 4) == round(1 - 10 / 11, 4)
    ([0, 1, 3], True)
    """
    n = np.asarray(n_before, dtype=np.float64)
    ends = np.unique(np.linspace(0, len(n), min(len(n), _MOST_ENDS) + 1).astype(np.int64))
    starts, n_cuts = ends[:-1], min(n_runs, len(ends) - 1)
    # A user before whom nobody rated anything misses nothing: 0 of 0.
    inverse = np.concatenate(([0.0], np.cumsum(np.divide(1.0, n, out=np.zeros_like(n), where=n > 0))))
    present = np.concatenate(([0], np.cumsum(n > 0)))
    cost = (present[ends] - present[starts][:, None]) - n[starts][:, None] * (inverse[ends] - inverse[starts][:, None])
    cost[ends <= starts[:, None]] = np.inf  # (n_starts, n_ends)
    least = cost[0].copy()  # of one run up to each end
    choices = []
    for _ in range(1, n_cuts):
        total = least[:-1, None] + cost
        choices.append(np.argmin(total, axis=0))
        least = np.take_along_axis(total, choices[-1][None], axis=0)[0]
    end, begins = len(ends) - 1, []
    for choice in reversed(choices):
        end = int(choice[end])
        begins.append(int(ends[end]))
    return np.array([0, *reversed(begins)], dtype=np.int64), float(max(least[-1], 0.0) / len(n))
