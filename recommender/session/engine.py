"""The session: name favorites, get a movie, answer, get a better one.

`SessionState` is an immutable record of what was said; the methods of `SessionEngine` return a new state: `step` and
`answer` for answers, `tell` for words, others for favorites, filters and familiarity. The programs, the evaluation and
`Session`, which remembers its states and so can undo them, share it.

    score_i = w s_i + sum of the policy's terms_i (policy.py)
              + sum over utterances t of  f decay_t (fit_ti - 4 (facts_ti - mean of facts_t))

s, fit: the rule's score and how well the movie fits the words, standardised over the movies that can be shown (a
deviation of the fit below 1 is not scaled up, or facts would outweigh taste); facts: how many of those stated in the
words it contradicts. Beside words s is 3 tanh(s / 3), so that what everybody likes cannot drown them. decay_t =
words_fade ^ (number of later utterances): the newest lead. Ties: the lowest row.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import itemgetter
from typing import Any, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError, shown
from .gaussian import ConditionalGaussian
from .policy import BESIDE_WORDS, NEAREST, TURNS, MovieFilter, PolicySettings, SessionContext, genre_columns
from .rules import LearningRule
from .similar import likeness
from .state import ANSWERS, DISLIKE, LIKE, NO_ROW, SKIP, TEXT, Event, Reason, SessionState, TextSignal, Utterance

AGAINST = 4.0  # points of the fit that a contradicted fact takes away
# what the traits of an answered movie count; 1 = as of a favorite
TRAITS_COUNT = {**dict.fromkeys(ANSWERS, 0.0), LIKE: 0.5, DISLIKE: -0.25}
BOUND = 3.0  # of the model's score beside words, in standard deviations


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
        context = functools.partial(SessionContext, self.policy, self.catalog)
        self._context = functools.lru_cache(maxsize=64)(context)
        self.signal = functools.lru_cache(maxsize=64)(self.encode)
        self._rule = functools.lru_cache(maxsize=2)(lambda familiarity: self.with_familiarity(familiarity).rule)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, one.name) for one in fields(self))  # without what is cached

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
        """Return the state after `answer`, one of `ANSWERS`, to the current movie."""
        if state.current is None:
            raise ChoiceError(f"nothing to answer {answer!r} to: no movie is left")
        return self.answer(state, {state.current: answer})

    def answer(self, state: SessionState, answers: Mapping[int, str]) -> SessionState:
        """Return the state after answers to several movies, row -> answer; all are recorded, or none."""
        for row, answer in answers.items():
            if not isinstance(answer, str) or answer not in ANSWERS:
                raise ChoiceError(f"{shown(answer)} is not an answer: give one of {', '.join(ANSWERS)}")
            if row in state.favorites or row in map(itemgetter(0), state.answers):
                what = "a favorite" if row in state.favorites else "answered"
                raise ChoiceError(f"{self.catalog.movie(row)} is {what} already: no answer was recorded")
        events = [Event(row, str(answer)) for row, answer in answers.items()]
        return self.resume(state._replace(answers=(*state.answers, *events)))

    def add_favorite(self, state: SessionState, row: int) -> SessionState:
        """Return the state with one more favorite, which replaces an answer to this movie."""
        if row in state.favorites:
            raise ChoiceError(f"{self.catalog.movie(row)} is a favorite already")
        place = next((i for i, event in enumerate(state.answers) if event.row == row), len(state.answers))
        said = tuple(words._replace(after=words.after - (place < words.after)) for words in state.utterances)
        answers = (*state.answers[:place], *state.answers[place + 1 :])
        return self.resume(state._replace(favorites=(*state.favorites, row), answers=answers, utterances=said))

    def drop_favorite(self, state: SessionState, row: int) -> SessionState:
        """Return the state without a favorite."""
        if row not in state.favorites:
            raise ChoiceError(f"{self.catalog.movie(row)} is not one of the favorites")
        left = tuple(other for other in state.favorites if other != row)
        if not left and not state.utterances:
            raise ChoiceError("a session needs a favorite, or words: add another one before this one goes")
        return self.resume(state._replace(favorites=left))

    def set_filter(self, state: SessionState, wanted: MovieFilter) -> SessionState:
        """Return the state with another filter; raises `ChoiceError` if it leaves no movie."""
        genres, without = (
            tuple(self.catalog.genre_names[column] for column in genre_columns(self.catalog, names))
            for names in (wanted.genres, wanted.exclude_genres)
        )
        after = self.resume(state._replace(wanted=replace(wanted, genres=genres, exclude_genres=without)))
        if after.current is None:
            raise ChoiceError("no movie that is left passes these filters: widen them")
        return after

    def set_familiarity(self, state: SessionState, familiarity: float) -> SessionState:
        """Return the state with another familiarity, 0 to 1; raises `ChoiceError` if the rule has none."""
        if not self.rule.has_familiarity:
            raise ChoiceError("this learning rule has no familiarity: only conditional-gaussian has")
        return self.resume(state._replace(familiarity=replace(self.policy, familiarity=familiarity).familiarity))

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

    def best(self, state: SessionState, n: int = 5) -> list[int]:
        """Return up to n movies (rows): the current one, then what would come if each were skipped; cost n turns."""
        rows: list[int] = []
        while len(rows) < n and state.current is not None:
            rows.append(state.current)
            state = self.step(state, SKIP)
        return rows

    def scores(self, state: SessionState) -> np.ndarray:
        """Return the score of every movie (n_movies,) float32, up to one constant; -inf for excluded movies."""
        total = self.points(state, answered := state.answered)
        if turn := self._turn(state):
            total += turn[1]
        total[answered] = -np.inf
        return total

    def points(self, state: SessionState, answered: Optional[np.ndarray] = None) -> np.ndarray:
        """Return what `scores` does without turns, with finite values for movies answered; answered: theirs."""
        context, answered = self.context(state), state.answered if answered is None else answered
        scores = self.rule_of(state).scores(self._events(state))
        mean, deviation = context.moments(scores, answered)
        if state.utterances:
            total = np.tanh((scores - np.float32(mean)) / np.float32(BOUND * deviation))
            total *= np.float32(BOUND * self._model_weight(state))
        else:  # the mean, the same for all, does not change the choice
            total = scores * np.float32(self._model_weight(state) / deviation)
        total += context.fixed
        traits = self._traits(state, context, answered)
        if traits is not None:
            total += traits
        for points in self.fits(state):
            total += points
        return np.asarray(total)

    def explain(self, state: SessionState) -> list[Reason]:
        """Return the terms that add up to the score of the current movie, in the order of the events.

        A term of the model says how much more this movie gains from that answer than the average candidate does,
        in standard deviations of the candidates.
        """
        if state.current is None:
            raise ChoiceError("nothing to explain: no movie is left")
        return self.explain_all(state, [state.current])[0]

    def explain_all(self, state: SessionState, rows: Sequence[int]) -> list[list[Reason]]:
        """Return what `explain` does for each of several movies, of which one table is made."""
        context, answered = self.context(state), state.answered
        candidates = context.allowed.copy()
        candidates[answered] = False
        candidates[[*rows]] = True  # a movie restored by undo may be outside a later filter
        listed, events, rule = np.flatnonzero(candidates), self._events(state), self.rule_of(state)
        _, deviation = context.moments(rule.scores(events), answered)
        table = rule.contributions(events, listed)  # (1 + n_events, n_candidates)
        mean, fits = table.mean(axis=1), [*zip(state.utterances, self.fits(state))]
        terms, traits = context.terms, self._traits(state, context, answered)
        if traits is not None:
            terms = {**terms, "traits": traits}
        turn, explained = self._turn(state), []
        for row in rows:
            gains = (table[:, np.searchsorted(listed, row)] - mean) / deviation
            if state.utterances and (z := gains.sum()):
                gains *= BOUND * np.tanh(z / BOUND) / z
            gains *= self._model_weight(state)
            reasons = [Reason("average", None, float(gains[0]))] if gains[0] else []
            for event, gain in zip(events, gains[1:].tolist()):
                movie = None if event.item else self.catalog.movie(event.row)
                text = state.utterances[event.item.utterance].text if event.item else ""
                reasons.append(Reason(event.answer, movie, gain, text))
            reasons += [Reason("words", None, float(points[row]), said.text) for said, points in fits]
            reasons += [Reason(kind, None, float(points[row])) for kind, points in terms.items()]
            reasons += [Reason("turn", None, float(turn[1][row]), str(self.catalog.movie(turn[0])))] if turn else []
            explained.append(reasons)
        return explained

    def _traits(self, state: SessionState, context: SessionContext, answered: np.ndarray) -> Optional[np.ndarray]:
        """Return the points (n_movies,) of what is shared, None for none; they step back beside words."""
        weight = self.policy.shared_traits_weight * (BESIDE_WORDS if state.utterances else 1)
        if not state.favorites or weight <= 0:
            return None
        counted = np.fromiter(map(TRAITS_COUNT.__getitem__, map(itemgetter(1), state.answers)), np.float32)
        if not counted.any():
            return np.float32(weight) * context.traits_at_first
        return context.traits(weight, answered, counted)

    def _turn(self, state: SessionState) -> Optional[tuple[int, np.ndarray]]:
        """Return the favorite whose turn it is, a row, and its points (n_movies,); None if none has one."""
        n_heard = len([*itertools.islice((one for one in state.answers if one.answer != SKIP), TURNS)])
        weight = self.policy.favorite_turn_weight * (1 - n_heard / TURNS)
        if not state.favorites or weight <= 0 or not isinstance(self.rule, ConditionalGaussian):
            return None
        favorite = state.favorites[len(state.answers) % len(state.favorites)]
        weight *= BESIDE_WORDS if state.utterances else 1
        return favorite, np.float32(weight) * np.minimum(likeness(self.rule, favorite), np.float32(NEAREST))

    def context(self, state: SessionState) -> SessionContext:
        """Return the cached context of the favorites and filter of `state`."""
        wanted = self.wanted if state.wanted is None else state.wanted
        return self._context(state.favorites, bool(state.utterances or wanted.genres), wanted)

    def rule_of(self, state: SessionState) -> LearningRule:
        """Return the learning rule under the familiarity of `state`."""
        familiarity = self.familiarity(state)
        return self.rule if familiarity == self.policy.familiarity else self._rule(familiarity)

    def familiarity(self, state: SessionState) -> float:
        """Return the familiarity in force: that of `state`, or else of the policy."""
        return self.policy.familiarity if state.familiarity is None else state.familiarity

    def _words(self, state: SessionState) -> list[tuple[float, TextSignal]]:
        """Return the decay and the signal of each utterance."""
        last, fade = len(state.utterances) - 1, self.policy.words_fade
        return [(fade ** (last - place), self.signal(said.text)) for place, said in enumerate(state.utterances)]

    def _events(self, state: SessionState) -> list[Event]:
        """Return the events for the rule, in order, with words as pseudo-items."""
        events, words = list(state.events), self._words(state)
        for index in reversed(range(len(words))):
            decay, signal = words[index]
            weight = self.policy.words_taste_weight * decay
            if signal.item is not None and weight > 0:
                item = signal.item._replace(weight=weight, utterance=index)
                events.insert(len(state.favorites) + state.utterances[index].after, Event(NO_ROW, TEXT, item))
        return events

    def fits(self, state: SessionState) -> list[np.ndarray]:
        """Return the points (n_movies,) of each utterance: its fit, standardised over the allowed movies, and `AGAINST`
        off for each fact that a movie contradicts."""
        context, points = self.context(state), []
        for decay, signal in self._words(state):
            mean, deviation = context.moments(signal.fit)
            fit = (signal.fit - np.float32(mean)) / np.float32(max(deviation, 1.0))
            fit -= np.float32(AGAINST) * (signal.contradictions - np.float32(context.moments(signal.contradictions)[0]))
            points.append(np.float32(self.policy.words_fit_weight * decay) * fit)
        return points

    def _model_weight(self, state: SessionState) -> float:
        weight, rate = self.policy.score_weight_model, self.policy.exploration_rate
        # The draw depends on seed and turn only, so undo and resume reproduce it.
        if rate > 0 and np.random.default_rng([state.seed, len(state.answers)]).random() < rate:
            weight *= self.policy.exploration_damping
        return weight
