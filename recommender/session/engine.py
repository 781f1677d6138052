"""The session: name favorites, get a movie, answer, get a better one.

`SessionState` is an immutable record of what was said; the methods of `SessionEngine` return a new state: `step` for
an answer, `tell` for words, `undo`. The programs, the evaluation and `Session`, which remembers its state, share it.

    score_i = w s_i + sum of the policy's terms_i (policy.py) + sum over utterances t of  f decay_t fit_ti

s, fit: the rule's score and how well the movie fits the words, standardised over the movies that can be shown.
decay_t = words_fade ^ (number of later answer counts at which the person also typed words). Ties: first row by argmax.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError, shown
from .policy import TERMS, MovieFilter, PolicySettings, SessionContext
from .rules import LearningRule
from .state import ANSWERS, NO_ROW, SKIP, TEXT, Event, Reason, SessionState, TextSignal, Utterance


def no_words(text: str) -> TextSignal:
    """Reject words: the default encoder."""
    raise ChoiceError("this session has no text encoder: start it with Recommender.session")


def _said(text: str, after: int = 0) -> Utterance:
    if not isinstance(text, str):
        raise ChoiceError(f"words {shown(text)}: give a string")
    return Utterance(text, after)


@dataclass(eq=False)
class SessionEngine:
    """The parts of a session that do not change: data, rule and policy."""

    catalog: Catalog
    rule: LearningRule
    policy: PolicySettings = field(default_factory=PolicySettings)
    wanted: MovieFilter = field(default_factory=MovieFilter)
    encode: Callable[[str], TextSignal] = no_words  # raises `ChoiceError` for words without known content

    def __post_init__(self) -> None:
        context = functools.partial(SessionContext, self.policy, self.catalog, self.wanted)
        self._context = functools.lru_cache(maxsize=2)(context)
        self._signal = functools.lru_cache(maxsize=64)(self.encode)

    def __reduce__(self) -> tuple[Any, ...]:
        return SessionEngine, (self.catalog, self.rule, self.policy, self.wanted, self.encode)

    def with_familiarity(self, familiarity: float) -> SessionEngine:
        """Return the same engine with another `familiarity`, 0 to 1, in its policy."""
        policy = replace(self.policy, familiarity=familiarity)
        return replace(self, policy=policy, rule=self.rule.with_policy(policy))

    def start(self, favorites: Sequence[int], seed: int = 0, words: Sequence[str] = ()) -> SessionState:
        """Return the state after naming favorites (movie rows, repeats ignored), with the first movie.

        words: free text, instead of favorites or in addition.
        """
        rows = tuple(dict.fromkeys(int(row) for row in favorites))
        if not rows and not words:
            raise ChoiceError("no favorites: name at least one movie, or describe what you want")
        return self.resume(SessionState(rows, seed=seed, utterances=tuple(map(_said, words))))

    def step(self, state: SessionState, answer: str) -> SessionState:
        """Return the state after `answer` ("like", "dislike", "skip") to the current movie."""
        if not isinstance(answer, str) or answer not in ANSWERS:
            raise ChoiceError(f"{shown(answer)} is not an answer: give one of {', '.join(ANSWERS)}")
        if state.current is None:
            raise ChoiceError(f"nothing to answer {answer!r} to: no movie is left")
        return self.resume(state._replace(answers=(*state.answers, Event(state.current, str(answer)))))

    def tell(self, state: SessionState, text: str) -> SessionState:
        """Return the state after the person said `text`; the current movie may change."""
        return self.resume(state._replace(utterances=(*state.utterances, _said(text, len(state.answers)))))

    def undo(self, state: SessionState) -> SessionState:
        """Return the state before the last input: an answer, whose movie is current again, or words.

        The initial words of a session without favorites are kept.
        """
        said = state.utterances
        if said and said[-1].after == len(state.answers) and (state.favorites or len(said) > 1):
            return self.resume(state._replace(utterances=said[:-1]))
        if not state.answers:
            raise ChoiceError("nothing to undo: no movie has been answered")
        return state._replace(answers=state.answers[:-1], current=state.answers[-1].row)

    def resume(self, state: SessionState) -> SessionState:
        """Return `state`, e.g. from a file, with the movie of the highest score as current."""
        total = self.scores(state)
        best = int(total.argmax())
        return state._replace(current=best if total[best] > -np.inf else None)

    def scores(self, state: SessionState) -> np.ndarray:
        """Return the score of every movie (n_movies,) float32, up to one constant; -inf for excluded movies."""
        context, answered = self.context(state), np.array([event.row for event in state.answers], dtype=np.int64)
        scores = self.rule.scores(self._events(state))
        _, deviation = context.moments(scores, answered)
        # The mean is the same for all candidates, so it does not change the choice.
        total = scores * np.float32(self._model_weight(state) / deviation)
        total += context.fixed
        for points in self._fits(state, context):
            total += points
        total[answered] = -np.inf
        return np.asarray(total)

    def explain(self, state: SessionState) -> list[Reason]:
        """Return the terms that add up to the score of the current movie, in the order of the events.

        A term of the model says how much more this movie gains from that answer than the average candidate does,
        in standard deviations of the candidates.
        """
        if state.current is None:
            raise ChoiceError("nothing to explain: no movie is left")
        context, row, answered = self.context(state), state.current, [event.row for event in state.answers]
        candidates = context.allowed.copy()
        candidates[answered] = False
        candidates[row] = True  # a movie restored by undo may be outside a later filter
        rows, events = np.flatnonzero(candidates), self._events(state)
        table = self.rule.contributions(events, rows)  # (1 + n_events, n_candidates)
        totals = np.zeros(len(candidates), dtype=np.float32)
        totals[rows] = table.sum(axis=0)
        _, deviation = context.moments(totals, answered)
        gains = (table[:, np.searchsorted(rows, row)] - table.mean(axis=1)) * (self._model_weight(state) / deviation)
        reasons = [Reason("average", None, float(gains[0]))] if gains[0] else []
        said = [float(points[row]) for points in self._fits(state, context)]
        for event, gain in zip(events, gains[1:].tolist()):
            if event.item is None:
                reasons.append(Reason(event.answer, self.catalog.movie(event.row), gain))
            else:
                said[event.item.utterance] += gain
        reasons += [Reason("words", None, value, words.text) for words, value in zip(state.utterances, said)]
        return reasons + [Reason(kind, None, float(points[row])) for kind, points in context.terms.items()]

    def context(self, state: SessionState) -> SessionContext:
        """Return the cached context of the favorites of `state`."""
        return self._context(state.favorites, bool(state.utterances))

    def _words(self, state: SessionState) -> list[tuple[float, TextSignal]]:
        """Return the decay and the signal of each utterance."""
        if not state.utterances:
            return []
        moments = sorted({said.after for said in state.utterances}, reverse=True)
        fade = self.policy.words_fade
        return [(fade ** moments.index(said.after), self._signal(said.text)) for said in state.utterances]

    def _events(self, state: SessionState) -> list[Event]:
        """Return the events for the rule, in order, with words as pseudo-items."""
        events, words = list(state.events), self._words(state)
        for index in reversed(range(len(words))):
            decay, signal = words[index]
            weight = self.policy.words_taste_weight * decay
            if signal.item is not None and weight > 0 and self.rule.accepts_text:
                item = signal.item._replace(weight=weight, utterance=index)
                events.insert(len(state.favorites) + state.utterances[index].after, Event(NO_ROW, TEXT, item))
        return events

    def _fits(self, state: SessionState, context: SessionContext) -> list[np.ndarray]:
        """Return the points (n_movies,) of each utterance: its fit, standardised over the allowed movies."""
        points = []
        for decay, signal in self._words(state):
            mean, deviation = context.moments(signal.fit)
            fit = (signal.fit - np.float32(mean)) / np.float32(deviation)
            points.append(np.float32(self.policy.words_fit_weight * decay) * fit)
        return points

    def _model_weight(self, state: SessionState) -> float:
        weight, rate = self.policy.score_weight_model, self.policy.exploration_rate
        # The draw depends on seed and turn only, so undo and resume reproduce it.
        if rate > 0 and np.random.default_rng([state.seed, len(state.answers)]).random() < rate:
            weight *= self.policy.exploration_damping
        return weight


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
        return sum(reason.value for reason in self.because if reason.kind not in TERMS)

    def __repr__(self) -> str:
        return f"Recommendation({self.movie}, score={self.score:.2f})"


class Session:
    """A session as an object that remembers its state, which is all that changes: `state` is a value to keep or send.

    It can be pickled, and shared by threads: each call is one whole step, and an answer is heard once, for the movie
    on the table, or refused.
    """

    def __init__(self, engine: SessionEngine, state: SessionState, asked: bool = False) -> None:
        self.engine, self.state, self._asked = engine, state, asked
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.engine, self.state, self._asked)

    def next(self) -> Optional[Recommendation]:
        """Return the next movie, or None when nothing is left; a movie left without an answer counts as skipped."""
        with self._lock:
            state = self.engine.step(self.state, SKIP) if self._asked else self.state
            self.state, self._asked = state, state.current is not None
        return Recommendation(self.engine, state) if state.current is not None else None

    def answer(self, answer: str) -> None:
        """Answer the movie that `next()` gave by "like", "dislike" or "skip"; raises `ChoiceError` for other words."""
        with self._lock:
            if not self._asked:
                raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
            self.state, self._asked = self.engine.step(self.state, answer), False

    def tell(self, text: str) -> None:
        """Say in words of your own what you want; raises `ChoiceError`, and changes nothing, where they say nothing."""
        with self._lock:
            self.state, self._asked = self.engine.tell(self.state, text), False

    def undo(self) -> None:
        """Take back what was said last: an answer, whose movie `next()` gives again, or words."""
        with self._lock:
            self.state, self._asked = self.engine.undo(self.state), False

    @property
    def user_vector(self) -> np.ndarray:
        """What was learned of the person, (k,) float32, a copy."""
        return self.engine.rule.user_vector(self.state.events)
