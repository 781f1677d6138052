"""The session: name favorites, get a movie, answer, get a better one.

A session is a value. `SessionState` holds what was said; `SessionEngine` has the steps (state, what was said) -> state:
`step` for an answer, `tell` for words, `undo`. They change nothing, so the programs, the replay in the evaluation and
the library's `Session` drive the same code.

    score_i = w s_i + sum of the policy's terms_i (policy.py) + sum over utterances t of  f decay_t fit_ti

s, fit: the rule's score and how well the movie fits the words, standardised over the movies that can be shown.
decay_t = words_fade ^ (how many later moments, each after a further answer, had words).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from .policy import TERMS, Given, MovieFilter, PolicySettings, allowed_movies, genre_affinity
from .rules import NO_ROW, TEXT, Event, LearningRule, check_answer
from .state import Reason, SessionState, TextEncoder, TextSignal, Utterance


class SessionEngine:
    """All that a session needs besides what the person says; encoder: for words of the person's own."""

    def __init__(
        self,
        catalog: Catalog,
        rule: LearningRule,
        policy: Optional[PolicySettings] = None,
        wanted: Optional[MovieFilter] = None,
        encoder: Optional[TextEncoder] = None,
    ) -> None:
        self.catalog, self.rule, self.encoder = catalog, rule, encoder
        self.policy, self.wanted = policy or PolicySettings(), wanted or MovieFilter()
        self._context_of = functools.lru_cache(maxsize=2)(functools.partial(SessionContext, self))
        self._signal = functools.lru_cache(maxsize=64)(self._encode)

    def __reduce__(self) -> tuple[Any, ...]:
        return SessionEngine, (self.catalog, self.rule, self.policy, self.wanted, self.encoder)

    def start(self, favorites: Sequence[int], seed: int = 0, words: Sequence[str] = ()) -> SessionState:
        """Return the state after naming favorites (movie rows; repeats count once), with the first movie.

        words: what the person wants in words of their own, instead of favorites or beside them.
        """
        rows = tuple(dict.fromkeys(int(row) for row in favorites))
        if not rows and not words:
            raise ChoiceError("no favorites: name at least one movie, or say in words what is wanted")
        return self.resume(SessionState(rows, seed=seed, utterances=tuple(Utterance(text) for text in words)))

    def step(self, state: SessionState, answer: str) -> SessionState:
        """Return the state after `answer` ("like", "dislike", "skip") to the current movie."""
        check_answer(answer)
        if state.current is None:
            raise ChoiceError(f"nothing to answer {answer!r} to: no movie is left")
        answers = (*state.answers, Event(state.current, answer))
        return self.resume(SessionState(state.favorites, answers, None, state.seed, state.utterances))

    def tell(self, state: SessionState, text: str) -> SessionState:
        """Return the state after the person said `text`; the movie on the table may be another one then.

        Raises `ChoiceError` where nothing can be made of it, `ArtifactError` where what reads words is not there.
        """
        return self.resume(replace(state, utterances=(*state.utterances, Utterance(text, len(state.answers)))))

    def undo(self, state: SessionState) -> SessionState:
        """Return the state before what was said last: an answer, whose movie is on the table again, or words.

        Words that a session without favorites began with stay.
        """
        said = state.utterances
        if said and said[-1].after == len(state.answers) and (state.favorites or len(said) > 1):
            return self.resume(replace(state, utterances=said[:-1]))
        if not state.answers:
            raise ChoiceError("nothing to undo: no movie was answered yet")
        return replace(state, answers=state.answers[:-1], current=state.answers[-1].row)

    def resume(self, state: SessionState) -> SessionState:
        """Return `state`, which may come from a file, with the movie of the highest score on the table."""
        total = self.scores(state)
        best = int(total.argmax())
        current = best if total[best] > -np.inf else None
        return SessionState(state.favorites, state.answers, current, state.seed, state.utterances)

    def scores(self, state: SessionState) -> np.ndarray:
        """Return the score of every movie (n_movies,) float32, up to one constant; -inf for those not to be shown."""
        context, answered = self._context(state), [event.row for event in state.answers]
        scores = self.rule.scores(self._events(state)[0])
        _, deviation = context.moments(scores, answered)
        # The mean is the same for all candidates: it matters to the value of a score, not to the choice.
        total = scores * np.float32(self._model_weight(state) / deviation)
        total += context.fixed
        for weight, fit in self._fits(state, context) if state.utterances else ():
            total += np.float32(weight) * fit
        total[answered] = -np.inf
        return np.asarray(total)

    def explain(self, state: SessionState) -> list[Reason]:
        """Return the terms that add up to the score of the current movie, in the order of the events.

        A term of the model says how much more this movie gains from that answer than the average candidate does,
        in units of the candidates' standard deviation.
        """
        if state.current is None:
            raise ChoiceError("nothing to explain: no movie is left")
        context, row, answered = self._context(state), state.current, [event.row for event in state.answers]
        candidates = context.allowed.copy()
        candidates[answered] = False
        candidates[row] = True  # a movie taken back by undo may lie outside a filter given since
        rows = np.flatnonzero(candidates)
        column = int(np.searchsorted(rows, row))
        events, sources = self._events(state)
        table = self.rule.contributions(events, rows)  # (1 + n_events, n_candidates)
        totals = np.zeros(len(context.allowed), dtype=np.float32)
        totals[rows] = table.sum(axis=0)
        _, deviation = context.moments(totals, answered)
        values = (table[:, column] - table.mean(axis=1)) * (self._model_weight(state) / deviation)
        reasons = [Reason("average", None, float(values[0]))] if values[0] else []
        said = [weight * float(fit[row]) for weight, fit in self._fits(state, context)]
        for event, source, value in zip(events, sources, values[1:].tolist()):
            if source is None:
                reasons.append(Reason(event.answer, self.catalog.movie(event.row), value))
            else:
                said[source] += value
        reasons += [Reason("words", None, value, said_by.text) for said_by, value in zip(state.utterances, said)]
        return reasons + [Reason(kind, None, float(points[row])) for kind, points in context.terms.items()]

    def affinity(self, state: SessionState) -> float:
        """Return the genre affinity of the current movie to the favorites, 0 to 1."""
        return float(self._context(state).given.affinity[state.current])

    def _context(self, state: SessionState) -> SessionContext:
        return self._context_of(state.favorites, bool(state.utterances))

    def _events(self, state: SessionState) -> tuple[list[Event], list[Optional[int]]]:
        """Return the events that the rule hears, in order; and for each the index of its utterance, if it has one."""
        events = list(state.events)
        sources: list[Optional[int]] = [None] * len(events)
        if not state.utterances:
            return events, sources
        for index, (said, decay) in reversed(list(enumerate(zip(state.utterances, self._decays(state))))):
            item, weight = self._signal(said.text).item, self.policy.words_taste_weight * decay
            if item is not None and weight > 0 and self.rule.accepts_text:
                place = len(state.favorites) + said.after
                events.insert(place, Event(NO_ROW, TEXT, item._replace(weight=weight)))
                sources.insert(place, index)
        return events, sources

    def _fits(self, state: SessionState, context: SessionContext) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the weight of each utterance and its fit, standardised over the movies allowed."""
        for said, decay in zip(state.utterances, self._decays(state)):
            fit = self._signal(said.text).fit
            mean, deviation = context.moments(fit, ())
            yield self.policy.words_fit_weight * decay, (fit - np.float32(mean)) / np.float32(deviation)

    def _decays(self, state: SessionState) -> list[float]:
        """Return what is left of each utterance: those after a further answer take from earlier ones."""
        moments = sorted({said.after for said in state.utterances}, reverse=True)
        return [self.policy.words_fade ** moments.index(said.after) for said in state.utterances]

    def _encode(self, text: str) -> TextSignal:
        if self.encoder is None:
            raise ChoiceError("this session can't read words: start it with Recommender.session")
        return self.encoder.encode(text)

    def _model_weight(self, state: SessionState) -> float:
        weight, rate = self.policy.score_weight_model, self.policy.exploration_rate
        # Seed and turn give the draw, so that undo and resume meet the same turn again.
        if rate > 0 and np.random.default_rng([state.seed, len(state.answers)]).random() < rate:
            weight *= self.policy.exploration_damping
        return weight


class SessionContext:
    """What stays the same while the favorites do, and while there are words or none.

    allowed: (n_movies,) bool.  terms: the points of each term of the policy.  fixed: their sum, -inf where not allowed.
    """

    def __init__(self, engine: SessionEngine, favorites: tuple[int, ...], any_genre: bool) -> None:
        affinity = genre_affinity(engine.catalog.genres, favorites)
        self.given = Given(engine.policy, engine.catalog, favorites, affinity)
        self.allowed = allowed_movies(self.given, engine.wanted, any_genre)
        self.terms = {kind: term(self.given) for kind, term in TERMS.items()}
        self.fixed = np.where(self.allowed, sum(self.terms.values()), -np.inf).astype(np.float32)
        self._weights = self.allowed.astype(np.float32)
        self._n_allowed = int(self.allowed.sum())

    def moments(self, scores: np.ndarray, answered: Sequence[int]) -> tuple[float, float]:
        """Return mean and standard deviation of `scores` over the candidates: allowed and not yet answered; 1 where
        they are all alike. Taken over all movies allowed, less what the few answered ones add: nothing copied out."""
        rows = np.array([row for row in answered if self.allowed[row]], dtype=np.int64)
        n = max(1, self._n_allowed - len(rows))
        taken_out = scores[rows].astype(np.float64)
        mean = (float(self._weights @ scores) - float(taken_out.sum())) / n
        centred = scores - np.float32(mean)
        centred *= self._weights
        taken_out -= np.float32(mean)
        variance = max(0.0, float(centred @ centred) - float(taken_out @ taken_out)) / n
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
        return sum(reason.value for reason in self.because if reason.kind not in TERMS)

    def __repr__(self) -> str:
        return f"Recommendation({self.movie}, score={self.score:.2f})"


class Session:
    """A session as an object that remembers its state, which is all that changes: `state` is a value to keep or send.

    `next()` gives the movie on the table; a movie left without an answer counts as skipped when `next()` is called
    again. `answer(...)` takes "like", "dislike" or "skip". A session can be pickled, and shared by threads: each call
    is one whole step, and an answer is heard once, for the movie on the table, or refused.
    """

    def __init__(self, engine: SessionEngine, state: SessionState, asked: bool = False) -> None:
        self.engine = engine
        self.state = state
        self._asked = asked
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Session, (self.engine, self.state, self._asked)

    def next(self) -> Optional[Recommendation]:
        """Return the next movie, or None when nothing is left."""
        with self._lock:
            state = self.engine.step(self.state, "skip") if self._asked else self.state
            self.state, self._asked = state, state.current is not None
        return Recommendation(self.engine, state) if state.current is not None else None

    def answer(self, answer: str) -> None:
        """Answer the movie that `next()` gave; raises `ChoiceError` for another word or when nothing was asked."""
        check_answer(answer)
        with self._lock:
            if not self._asked:
                raise ChoiceError(f"nothing to answer {answer!r} to: call next() first")
            self.state, self._asked = self.engine.step(self.state, answer), False

    def tell(self, text: str) -> None:
        """Say in words of your own what you want; `next()` gives the movie that fits now, the last one not answered.

        Raises `ChoiceError` where nothing can be made of them; nothing changes then.
        """
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
