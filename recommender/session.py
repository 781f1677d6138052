"""The session: name favourites, get a film, answer, get a better one.

A session is a value. `SessionState` holds what was said; `SessionEngine.step(state, answer)` gives the next state
and changes nothing. The programs, the replay in the evaluation and the library's `Session` drive the same steps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from .catalog import Catalog, Movie
from .errors import ChoiceError
from .policy import MovieFilter, PolicySettings, Terms
from .rules import FAVORITE, Event, LearningRule, check_answer


@dataclass(frozen=True)
class SessionState:
    """What was said so far, and the film on the table (a movie row, or None when nothing is left)."""

    favorites: tuple[int, ...]
    answers: tuple[Event, ...] = ()
    current: Optional[int] = None
    seed: int = 0

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(Event(row, FAVORITE) for row in self.favorites) + self.answers


class Reason(NamedTuple):
    """One term of a score. `kind`: "favorite", "like", "dislike" or "skip" (with the movie), or "average" (what
    the model gives the film without knowing the person), "genre", "popularity", "diversity" (without)."""

    kind: str
    movie: Optional[Movie]
    value: float


POLICY_KINDS = ("genre", "popularity", "diversity")


class SessionEngine:
    """Everything a session needs besides what the person says: catalogue, learning rule, policy, filter."""

    def __init__(
        self,
        catalog: Catalog,
        rule: LearningRule,
        policy: Optional[PolicySettings] = None,
        wanted: Optional[MovieFilter] = None,
    ) -> None:
        self.catalog = catalog
        self.rule = rule
        self.policy = policy or PolicySettings()
        self.wanted = wanted or MovieFilter()
        self._plan = functools.lru_cache(maxsize=1)(self._make_plan)

    def start(self, favorites: Sequence[int], seed: int = 0) -> SessionState:
        """Return the state after naming favourites (movie rows; repeats count once), with the first film."""
        rows = tuple(dict.fromkeys(int(row) for row in favorites))
        if not rows:
            raise ChoiceError("no favourites: name at least one film")
        return self._pick(SessionState(rows, seed=seed))

    def step(self, state: SessionState, answer: str) -> SessionState:
        """Return the state after `answer` ("like", "dislike", "skip") to the current film."""
        check_answer(answer)
        if state.current is None:
            raise ChoiceError(f"nothing to answer {answer!r} to: no film is left")
        answers = (*state.answers, Event(state.current, answer))
        return self._pick(SessionState(state.favorites, answers, seed=state.seed))

    def undo(self, state: SessionState) -> SessionState:
        """Return the state before the last answer, its film on the table again."""
        if not state.answers:
            raise ChoiceError("nothing to undo: no film was answered yet")
        return SessionState(state.favorites, state.answers[:-1], state.answers[-1].row, state.seed)

    def resume(self, state: SessionState) -> SessionState:
        """Return a state made elsewhere (from a file) with its film picked by this engine."""
        return self._pick(SessionState(state.favorites, state.answers, seed=state.seed))

    def explain(self, state: SessionState) -> list[Reason]:
        """Return the terms that add up to the score of the current film, in the order of the events.

        A term of the model says how much more this film gains from that answer than the average candidate does,
        in units of the candidates' standard deviation.
        """
        row = state.current
        if row is None:
            raise ChoiceError("nothing to explain: no film is left")
        plan = self._plan(state.favorites)
        events = state.events
        rest = plan.terms.allowed.copy()
        rest[[event.row for event in state.answers]] = False
        rest[row] = True  # a film taken back by undo may lie outside a filter given since
        candidates = np.flatnonzero(rest)
        table = self.rule.contributions(events, candidates)
        _, deviation = plan.moments(self.rule.scores(events), state.answers)
        here = int(np.searchsorted(candidates, row))
        values = (table[:, here] - table.mean(axis=1)) * (self._weight(state) / deviation)
        movies = [self.catalog.movie(event.row) for event in events]
        reasons = [Reason("average", None, float(values[0]))] if values[0] else []
        reasons += [
            Reason(event.answer, movie, float(value)) for event, movie, value in zip(events, movies, values[1:])
        ]
        reasons += [Reason(kind, None, float(getattr(plan.terms, kind)[row])) for kind in POLICY_KINDS]
        return reasons

    def affinity(self, state: SessionState) -> float:
        """Return the genre affinity of the current film to the favourites, 0 to 1."""
        return float(self._plan(state.favorites).terms.affinity[state.current])

    def _pick(self, state: SessionState) -> SessionState:
        plan = self._plan(state.favorites)
        scores = self.rule.scores(state.events)
        _, deviation = plan.moments(scores, state.answers)
        # The mean is the same for all candidates: it matters to the value of a score, not to the choice.
        total = scores * np.float32(self._weight(state) / deviation)
        total += plan.fixed
        total[[event.row for event in state.answers]] = -np.inf
        best = int(total.argmax())
        current = best if total[best] > -np.inf else None
        return SessionState(state.favorites, state.answers, current, state.seed)

    def _weight(self, state: SessionState) -> float:
        policy = self.policy
        if policy.exploration_rate > 0:
            # Seed and turn give the draw, so that undo and resume meet the same turn again.
            draw = np.random.default_rng([state.seed, len(state.answers)]).random()
            if draw < policy.exploration_rate:
                return policy.score_weight_model * policy.exploration_damping
        return policy.score_weight_model

    def _make_plan(self, favorites: tuple[int, ...]) -> _Plan:
        return _Plan(Terms.compute(self.policy, self.catalog, favorites, self.wanted))


class _Plan:
    """What stays the same while the favourites do."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.fixed = np.where(terms.allowed, terms.genre + terms.popularity + terms.diversity, -np.inf)
        self.fixed = self.fixed.astype(np.float32)
        self.weights = terms.allowed.astype(np.float32)
        self.n_allowed = int(terms.allowed.sum())

    def moments(self, scores: npt.NDArray[np.float32], answers: Sequence[Event]) -> tuple[float, float]:
        """Return mean and standard deviation of `scores` over the candidates: allowed and not yet answered."""
        told = np.array([event.row for event in answers if self.terms.allowed[event.row]], dtype=np.int64)
        n = max(1, self.n_allowed - len(told))
        gone = scores[told].astype(np.float64)
        mean = (float(self.weights @ scores) - float(gone.sum())) / n
        centred = scores - np.float32(mean)
        centred *= self.weights
        gone -= np.float32(mean)
        variance = max(0.0, float(centred @ centred) - float(gone @ gone)) / n
        return mean, float(np.sqrt(variance)) if variance > 1e-12 * mean * mean else 1.0


class Recommendation:
    """A film, its score, and why: `because` lists the terms, which add up to the score."""

    def __init__(self, engine: SessionEngine, state: SessionState) -> None:
        assert state.current is not None
        self._engine, self._state = engine, state
        self.movie = engine.catalog.movie(state.current)

    @functools.cached_property
    def because(self) -> tuple[Reason, ...]:
        return tuple(self._engine.explain(self._state))

    @property
    def score(self) -> float:
        return sum(reason.value for reason in self.because)

    @property
    def model_score(self) -> float:
        """The part of the score that the learning rule gave."""
        return sum(reason.value for reason in self.because if reason.kind not in POLICY_KINDS)

    def __repr__(self) -> str:
        return f"Recommendation({self.movie}, score={self.score:.2f})"


class Session:
    """A session as an object that remembers its state.

    `next()` gives the film on the table; a film left without an answer counts as skipped when `next()` is called
    again. `answer(...)` takes "like", "dislike" or "skip".
    """

    def __init__(self, engine: SessionEngine, state: SessionState) -> None:
        self.engine = engine
        self.state = state
        self._asked = False

    def next(self) -> Optional[Recommendation]:
        """Return the next film, or None when nothing is left."""
        if self._asked:
            self.answer("skip")
        if self.state.current is None:
            return None
        self._asked = True
        return Recommendation(self.engine, self.state)

    def answer(self, answer: str) -> None:
        """Answer the film that `next()` gave; raises `ChoiceError` for another word or when nothing was asked."""
        check_answer(answer)
        if not self._asked:
            raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
        self.state = self.engine.step(self.state, answer)
        self._asked = False

    def undo(self) -> None:
        """Take the last answer back; `next()` gives its film again."""
        self.state = self.engine.undo(self.state)
        self._asked = False

    @property
    def user_vector(self) -> npt.NDArray[np.float32]:
        """What was learned of the person, (k,) float32, a copy."""
        return self.engine.rule.user_vector(self.state.events)
