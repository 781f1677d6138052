"""The session: name favorites, get a movie, answer, get a better one.

A session is a value. `SessionState` holds what was said; `SessionEngine.step(state, answer)` gives the next state
and changes nothing. The programs, the replay in the evaluation and the library's `Session` drive the same steps.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from .policy import MovieFilter, PolicySettings, Terms
from .rules import Event, LearningRule, Wish, check_answer
from .state import Heard, Listener, Reason, SessionState, Words

__all__ = ["Heard", "Listener", "Reason", "Recommendation", "Session", "SessionEngine", "SessionState", "Words"]

POLICY_KINDS = ("genre", "popularity", "diversity")
WORDS = "words"


class SessionEngine:
    """Everything a session needs besides what the person says: catalogue, learning rule, policy, filter, and, for
    words of the person's own, a listener."""

    def __init__(
        self,
        catalog: Catalog,
        rule: LearningRule,
        policy: Optional[PolicySettings] = None,
        wanted: Optional[MovieFilter] = None,
        listener: Optional[Listener] = None,
    ) -> None:
        self.catalog = catalog
        self.rule = rule
        self.policy = policy or PolicySettings()
        self.wanted = wanted or MovieFilter()
        self._plan = functools.lru_cache(maxsize=2)(self._make_plan)
        self.listener = listener
        self._heard = functools.lru_cache(maxsize=64)(self._hear)

    def start(self, favorites: Sequence[int], seed: int = 0, words: Sequence[str] = ()) -> SessionState:
        """Return the state after naming favorites (movie rows; repeats count once), with the first movie.

        words: what the person wants in words of their own, instead of favorites or beside them.
        """
        rows = tuple(dict.fromkeys(int(row) for row in favorites))
        if not rows and not words:
            raise ChoiceError("no favorites: name at least one movie, or say in words what is wanted")
        return self._pick(SessionState(rows, seed=seed, words=tuple(self._said(text, 0) for text in words)))

    def step(self, state: SessionState, answer: str) -> SessionState:
        """Return the state after `answer` ("like", "dislike", "skip") to the current movie."""
        check_answer(answer)
        if state.current is None:
            raise ChoiceError(f"nothing to answer {answer!r} to: no movie is left")
        answers = (*state.answers, Event(state.current, answer))
        return self._pick(SessionState(state.favorites, answers, None, state.seed, state.words))

    def tell(self, state: SessionState, text: str) -> SessionState:
        """Return the state after the person said `text`; the movie on the table may be another one then.

        Raises `ChoiceError` where nothing can be made of it, `ArtifactError` where what hears words is not there.
        """
        return self._pick(replace(state, words=(*state.words, self._said(text, len(state.answers)))))

    def undo(self, state: SessionState) -> SessionState:
        """Return the state before what was said last: an answer, whose movie is on the table again, or words.

        Words that a session without favorites began with stay.
        """
        if state.words and state.words[-1].after == len(state.answers) and (state.favorites or len(state.words) > 1):
            return self._pick(replace(state, words=state.words[:-1]))
        if not state.answers:
            raise ChoiceError("nothing to undo: no movie was answered yet")
        return replace(state, answers=state.answers[:-1], current=state.answers[-1].row)

    def resume(self, state: SessionState) -> SessionState:
        """Return a state made elsewhere (from a file) with its movie picked by this engine."""
        return self._pick(state)

    def explain(self, state: SessionState) -> list[Reason]:
        """Return the terms that add up to the score of the current movie, in the order of the events.

        A term of the model says how much more this movie gains from that answer than the average candidate does,
        in units of the candidates' standard deviation.
        """
        row = state.current
        if row is None:
            raise ChoiceError("nothing to explain: no movie is left")
        plan = self._plan(state.favorites, bool(state.words))
        rest = plan.terms.allowed.copy()
        rest[[event.row for event in state.answers]] = False
        rest[row] = True  # a movie taken back by undo may lie outside a filter given since
        candidates = np.flatnonzero(rest)
        told = self._told(state)
        events = [event for event, _ in told]
        table = self.rule.contributions(events, candidates)
        _, deviation = plan.moments(self.rule.scores(events), state.answers)
        here = int(np.searchsorted(candidates, row))
        values = (table[:, here] - table.mean(axis=1)) * (self._weight(state) / deviation)
        reasons = [Reason("average", None, float(values[0]))] if values[0] else []
        said = [weight * float(plan.standard(fit)[row]) for weight, fit in self._fits(state)]
        for (event, place), value in zip(told, values[1:].tolist()):
            if place is None:
                reasons.append(Reason(event.answer, self.catalog.movie(event.row), value))
            else:
                said[place] += value
        reasons += [Reason(WORDS, None, value, words.text) for words, value in zip(state.words, said)]
        reasons += [Reason(kind, None, float(getattr(plan.terms, kind)[row])) for kind in POLICY_KINDS]
        return reasons

    def affinity(self, state: SessionState) -> float:
        """Return the genre affinity of the current movie to the favorites, 0 to 1."""
        return float(self._plan(state.favorites, bool(state.words)).terms.affinity[state.current])

    def scores(self, state: SessionState) -> np.ndarray:
        """Return the score of every movie (n_movies,) float32, up to one constant; -inf for those not to be shown."""
        plan = self._plan(state.favorites, bool(state.words))
        events = [event for event, _ in self._told(state)] if state.words else state.events
        scores = self.rule.scores(events)
        _, deviation = plan.moments(scores, state.answers)
        # The mean is the same for all candidates: it matters to the value of a score, not to the choice.
        total = scores * np.float32(self._weight(state) / deviation)
        total += plan.fixed
        for weight, fit in self._fits(state) if state.words else ():
            total += np.float32(weight) * plan.standard(fit)
        total[[event.row for event in state.answers]] = -np.inf
        return total

    def _pick(self, state: SessionState) -> SessionState:
        total = self.scores(state)
        best = int(total.argmax())
        current = best if total[best] > -np.inf else None
        return SessionState(state.favorites, state.answers, current, state.seed, state.words)

    def _told(self, state: SessionState) -> list[tuple[Event, Optional[int]]]:
        """Return the events that the rule hears, in order; for a wish, the place of its words in the state."""
        told: list[tuple[Event, Optional[int]]] = [(event, None) for event in state.events]
        left = self._left(state)
        for place in range(len(state.words) - 1, -1, -1):
            wish = self._heard(state.words[place].text).wish
            if wish is not None and left[place]:
                faded = Wish(wish.vector, wish.noise, wish.weight * left[place])
                told.insert(len(state.favorites) + state.words[place].after, (faded, place))
        return told

    def _fits(self, state: SessionState) -> list[tuple[float, np.ndarray]]:
        """Return the weight and the fit of each of the words."""
        full = self.policy.words_fit_weight
        return [(full * left, self._heard(words.text).fit) for left, words in zip(self._left(state), state.words)]

    def _left(self, state: SessionState) -> list[float]:
        """Return what is left of each of the words: those said after a further answer take from earlier ones."""
        moments = sorted({words.after for words in state.words}, reverse=True)
        return [self.policy.words_fade ** moments.index(words.after) for words in state.words]

    def _said(self, text: str, after: int) -> Words:
        """Return `text` as words; raises where nothing can be made of it."""
        self._heard(text)
        return Words(text, after)

    def _hear(self, text: str) -> Heard:
        if self.listener is None:
            raise ChoiceError("this session has nobody to hear words: start it with Recommender.session")
        heard = self.listener.hear(text)
        weight = self.policy.words_taste_weight
        if heard.wish is None or weight == 0 or not self.rule.hears_wishes:
            return Heard(heard.fit, None)
        return Heard(heard.fit, Wish(heard.wish.vector, heard.wish.noise, weight))

    def _weight(self, state: SessionState) -> float:
        policy = self.policy
        if policy.exploration_rate > 0:
            # Seed and turn give the draw, so that undo and resume meet the same turn again.
            draw = np.random.default_rng([state.seed, len(state.answers)]).random()
            if draw < policy.exploration_rate:
                return policy.score_weight_model * policy.exploration_damping
        return policy.score_weight_model

    def _make_plan(self, favorites: tuple[int, ...], any_genre: bool) -> _Plan:
        return _Plan(Terms.compute(self.policy, self.catalog, favorites, self.wanted, any_genre))


class _Plan:
    """What stays the same while the favorites do, and while there are words or none."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.fixed = np.where(terms.allowed, terms.genre + terms.popularity + terms.diversity, -np.inf)
        self.fixed = self.fixed.astype(np.float32)
        self.weights = terms.allowed.astype(np.float32)
        self.n_allowed = int(terms.allowed.sum())

    def standard(self, fit: np.ndarray) -> np.ndarray:
        """Return `fit` with mean 0 and deviation 1 over the movies allowed; 0 where they are all alike."""
        mean, deviation = self.moments(fit, ())
        standard = (fit - np.float32(mean)) / np.float32(deviation)
        return standard

    def moments(self, scores: np.ndarray, answers: Sequence[Event]) -> tuple[float, float]:
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
    """A movie, its score, and why: `because` lists the terms, which add up to the score."""

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

    `next()` gives the movie on the table; a movie left without an answer counts as skipped when `next()` is called
    again. `answer(...)` takes "like", "dislike" or "skip".
    """

    def __init__(self, engine: SessionEngine, state: SessionState) -> None:
        self.engine = engine
        self.state = state
        self._asked = False

    def next(self) -> Optional[Recommendation]:
        """Return the next movie, or None when nothing is left."""
        if self._asked:
            self.answer("skip")
        if self.state.current is None:
            return None
        self._asked = True
        return Recommendation(self.engine, self.state)

    def answer(self, answer: str) -> None:
        """Answer the movie that `next()` gave; raises `ChoiceError` for another word or when nothing was asked."""
        check_answer(answer)
        if not self._asked:
            raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
        self.state = self.engine.step(self.state, answer)
        self._asked = False

    def tell(self, text: str) -> None:
        """Say in words of your own what you want; `next()` gives the movie that fits now, the last one not answered.

        Raises `ChoiceError` where nothing can be made of them; nothing changes then.
        """
        self.state = self.engine.tell(self.state, text)
        self._asked = False

    def undo(self) -> None:
        """Take back what was said last: an answer, whose movie `next()` gives again, or words."""
        self.state = self.engine.undo(self.state)
        self._asked = False

    @property
    def user_vector(self) -> np.ndarray:
        """What was learned of the person, (k,) float32, a copy."""
        return self.engine.rule.user_vector(self.state.events)
