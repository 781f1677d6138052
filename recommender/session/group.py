"""A session for several people who watch together.

    z_pi           = (points_pi - mean_p) / deviation_p    over the movies that everybody can be shown
    average        : score_i = mean over p of z_pi
    least misery   : score_i = min over p of z_pi
    fair share     : score_i = (mean over p of z_pi + z_qi) / 2

points_pi: what the session of person p alone gives movie i (engine.py); q: who got least so far, by the sum of z over
the movies shown. Average and least misery are of Masthoff 2011, "Group recommender systems: combining individual
models". Everybody keeps favorites, answers and words of their own; what is said in the session counts for all. What
somebody has for later, or skipped, can be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..data.errors import ChoiceError, shown
from .engine import SessionEngine
from .state import NOT_SEEN, Reason, SessionState

AVERAGE, LEAST_MISERY, FAIR_SHARE = STRATEGIES = ("average", "least-misery", "fair-share")
MOST_MEMBERS = 8


class Member(NamedTuple):
    """A person of a group: a name, and the state of a session of their own."""

    name: str
    state: SessionState


@dataclass(eq=False)
class GroupEngine(SessionEngine):
    """The engine of a session for `members`, 2 to 8; otherwise used as that of one person."""

    members: Sequence[Member] = ()
    strategy: str = AVERAGE

    def __post_init__(self) -> None:
        if not 2 <= len(self.members) <= MOST_MEMBERS:
            raise ChoiceError(f"a group of {len(self.members)}: give 2 to {MOST_MEMBERS} people")
        if self.strategy not in STRATEGIES:
            raise ChoiceError(f"strategy {shown(self.strategy)}: choose from {', '.join(STRATEGIES)}")
        super().__post_init__()

    def start_group(self, seed: int = 0) -> SessionState:
        """Return the state before anything is said, with the first movie; the favorites are those of all."""
        rows = dict.fromkeys(row for member in self.members for row in member.state.favorites)
        return self.resume(SessionState(tuple(rows), seed=seed))

    def scores(self, state: SessionState) -> np.ndarray:
        z, candidates = self._suits(state)
        weights = self._weights(state, z)
        total = z.min(axis=0) if self.strategy == LEAST_MISERY else (weights[:, None] * z).sum(axis=0)
        return np.where(candidates, total, -np.inf).astype(np.float32)

    def explain(self, state: SessionState) -> list[Reason]:
        """Return a term for each person, "member", with how well the movie suits them; they add up to the score."""
        if state.current is None:
            raise ChoiceError("nothing to explain: no movie is left")
        z, _ = self._suits(state)
        suits = np.nan_to_num(z[:, state.current], neginf=0.0)  # -inf: undo brought back what a filter now keeps out
        least = suits == suits.min()
        weights = least / least.sum() if self.strategy == LEAST_MISERY else self._weights(state, z)
        texts = [f"for {member.name}, whom it suits {value:+.2f}" for member, value in zip(self.members, suits)]
        return [Reason("member", None, float(w * value), text) for w, value, text in zip(weights, suits, texts)]

    def _suits(self, state: SessionState) -> tuple[np.ndarray, np.ndarray]:
        """Return z (n_members, n_movies), -inf for what somebody cannot be shown, and the candidates (n_movies,)."""
        points = np.array([self.points(self._own(member, state)) for member in self.members])
        candidates = np.isfinite(points).all(axis=0)
        seen = [one for member in self.members for one in member.state.answers if one.answer not in NOT_SEEN]
        candidates[[event.row for event in (*seen, *state.answers)]] = False
        of_candidates = points[:, candidates]
        if not of_candidates.size:
            return points, candidates
        deviations = np.maximum(of_candidates.std(axis=1, keepdims=True), 1e-9)
        return (points - of_candidates.mean(axis=1, keepdims=True)) / deviations, candidates

    def _weights(self, state: SessionState, z: np.ndarray) -> np.ndarray:
        """Return what each person's z counts, (n_members,)."""
        weights = np.full(len(z), 1 / len(z))
        if self.strategy == FAIR_SHARE:
            shown = z[:, [event.row for event in state.answers]]
            got = np.where(np.isfinite(shown), shown, 0).sum(axis=1)
            weights /= 2
            weights[got.argmin()] += 0.5
        return weights

    def _own(self, member: Member, state: SessionState) -> SessionState:
        """Return the state of one person's session after what all said."""
        own, of_all = member.state, {row for one in self.members for row in one.state.favorites}
        favorites = [row for row in own.favorites if row in state.favorites]
        favorites += [row for row in state.favorites if row not in of_all]
        said = (words._replace(after=words.after + len(own.answers)) for words in state.utterances)
        return own._replace(
            favorites=tuple(favorites),
            answers=(*own.answers, *state.answers),
            utterances=(*own.utterances, *said),
            wanted=own.wanted if state.wanted is None else state.wanted,
            familiarity=own.familiarity if state.familiarity is None else state.familiarity,
        )
