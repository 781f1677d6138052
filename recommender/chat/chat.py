"""A conversation about movies: a pure step (state, message) -> (state, five movies with reasons).

    e    the text vector of the words of a message, with those of the movies it likes less those it refuses, length 1
    u_t  = .8 u_(t-1) + .2 e, at length 1; u = e at first           the taste (people/store.py)
    score = (1 - l) m + l m' + w fit + TASTE_WEIGHT (u . v)         l = LEAD FADE^n, n messages after a movie was named
    m     = s + sum over liked movies i of  TEXT_WEIGHT (v_i . v)   m': the same, of those named last and liked since

s: of the session (engine.py) without words.  v: text vectors of movies.  w fit: of the words, the newest lead, as in
a session. All terms are standardised over the movies. Beside words a session bounds s; here many words are small talk.

The 20 movies of the highest score that were neither named nor answered are re-ranked to five (rerank.py). The session
holds what was said exactly, movies, answers and words; u remembers the drift of it all, over many visits. All products
are exact, as they join a score of all movies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from ..data.catalog import Movie
from ..data.errors import ChoiceError
from ..data.interactions import LIKED
from ..facade import Recommender
from ..linalg.rows import top_n, unit_rows
from ..people.filters import filters_after, refusals, restored, tells
from ..people.store import Remembered
from ..session.state import DISLIKE, FAVORITE, LATER, SKIP, STARS, Event, Reason, SessionState, Utterance
from ..session.texts import standardised
from ..text.requests import Request
from ..text.word_match import content_words
from . import explain
from .prompts import N_NAMES, in_own_words, profile_of
from .rerank import Candidate, LLMReranker, Reranker, ScoreReranker
from .turns import ChatState, Suggestion, Turn
from .understanding import Understood, read
from .verdicts import OFF, WATCHLIST

LEAD, FADE = 0.6, 0.5  # share of the newest named movies; of it, what a message later is left
TEXT_WEIGHT, TASTE_WEIGHT = 2.0, 0.5  # by dialogues of ReDial: tests/benchmarks/chat_redial.py
_STARS = {FAVORITE: 5.0, LATER: LIKED, **STARS}


class Chat:
    """What stays the same over all turns: data, session engine, re-ranker."""

    def __init__(self, recommender: Recommender, reranker: Reranker, top: int = 5, n_candidates: int = 20) -> None:
        self.recommender, self.catalog, engine = recommender, recommender.catalog, recommender.engine()
        # who wants a genre says so, and five at once are not for one favorite
        policy = replace(engine.policy, min_genre_affinity=0.0, max_genre_distance=1.0, favorite_turn_weight=0.0)
        self.engine = replace(engine, policy=policy)
        self.reranker, self.top, self.n_candidates = reranker, top, max(top, n_candidates)

    def resume(self, memory: Remembered) -> ChatState:
        """Return the state of somebody who comes back; movies that are not in this catalogue are left alone."""
        memory = memory.in_space_of(self.recommender.free_text.backend)
        known = [(self.catalog.row_of(i), answer) for i, answer in memory.answers.items() if i in self.catalog]
        favorites = tuple(row for row, answer in known if answer == FAVORITE)
        events = [Event(row, answer) for row, answer in known if answer != FAVORITE]
        refused = restored(memory.refused, self.recommender.free_text.reader)
        return ChatState(memory, SessionState(favorites, tuple(events)), filters=refused)

    def catch_up(self, state: ChatState, stored: Remembered) -> ChatState:
        """Return the state with what else was stored of the person since; of somebody forgotten, nothing."""
        known = state.memory
        if (stored.n_messages, dict(stored.answers)) == (known.n_messages, dict(known.answers)):
            return state
        anew = self.resume(stored)
        if stored.n_messages < known.n_messages:
            return anew
        said = [words._replace(after=min(words.after, len(anew.session.answers))) for words in state.session.utterances]
        session = anew.session._replace(utterances=tuple(said))
        filters = (*anew.filters, *(fact for fact in state.filters if fact.wanted))
        return state._replace(memory=anew.memory, session=session, filters=filters)

    def profile(self, state: ChatState) -> dict[str, str]:
        """Return what a model is told of the person, "" for what is not known."""
        rated = [(int(self.catalog.movie_ids[event.row]), _STARS.get(event.answer)) for event in state.session.events]
        refused = [f"not {labels.replace('; ', ' ')}" for labels in state.memory.refused]
        readings = [(words.text, self._reading(words.text)) for words in state.session.utterances[-N_NAMES:]]
        words = [text if content_words(one.left) else one.read_as() for text, one in readings if tells(one)]
        said = [*dict.fromkeys([*(explain.cut(text, explain.MOST_SAID) for text in words), *refused])]
        facts = profile_of([(movie_id, stars) for movie_id, stars in rated if stars], self.catalog, said)
        return {**facts, "In short": state.written} if state.written else facts

    def write_profile(self, state: ChatState) -> ChatState:
        """Return the state with the profile in the words of the model, unless that names other movies.

        Raises `WebError` where the model does not answer. Without a model that may be told of the person the state
        stays as it is.
        """
        model, facts = self.reranker, self.profile(state._replace(written=""))
        if not (isinstance(model, LLMReranker) and model.explain and any(facts.values())):
            return state
        return state._replace(written=self._checked(in_own_words(model.client, facts), state.session))

    def _checked(self, sentence: str, session: SessionState, *more: Movie) -> str:
        known = [*more, *(self.catalog.movie(event.row) for event in session.events)] if sentence else []
        return explain.checked(sentence, known, lambda name: bool(self.recommender.titles.named(name)))

    def step(self, state: ChatState, message: str) -> tuple[ChatState, Turn]:
        """Return the state after `message`, and what to show; raises `ChoiceError` where it says nothing."""
        started = time.perf_counter()
        state, turn = self._turn(state, message)
        return state, turn._replace(seconds=time.perf_counter() - started)

    def _turn(self, state: ChatState, message: str) -> tuple[ChatState, Turn]:
        understood = read(message, state.shown, self.recommender, state.last)
        if understood.question:
            kind, row = understood.question
            movie = self.catalog.movie(row)
            said = explain.answer(movie, kind, self._because(state, [row])[0])
            return state._replace(last=row), Turn(understood.said, said)
        if not understood.said and not understood.request:
            if understood.reply == WATCHLIST:
                return self._watchlist(state)
            if understood.reply:
                return state, Turn("", understood.reply)
            raise ChoiceError(
                "that names no movie and no wish: say what you feel like, such as: like Heat, but funnier"
            )
        state, unread = self.hear(state, understood, message)
        given = self.candidates(state)
        if not given:
            raise ChoiceError("no movie is left that fits all of this: widen it, or say: no filters")
        ranked = self.reranker.rerank(given, self.about(state, self.reranker.name), self.top)
        best = [given[place] for place in ranked.order]
        state = state._replace(shown=tuple(one.row for one in best), last=None)
        listed = tuple((one.movie.movie_id, round(one.score, 4)) for one in given)
        shown, read_as = self.suggestions(state, best, ranked.reasons), filter(None, (understood.said, unread))
        how = (self.reranker.name, ranked.status, ranked.tokens, 0.0, ranked.note)
        return state, Turn("; ".join(read_as), "", shown, listed, *how)

    def _watchlist(self, state: ChatState) -> tuple[ChatState, Turn]:
        """Return the state with the movies that were kept for later as the list on the screen, and this list."""
        rows = tuple(event.row for event in state.session.answers if event.answer == LATER)
        listed = "; ".join(f"{number}. {self.catalog.movie(row)}" for number, row in enumerate(rows, 1))
        said = f"{WATCHLIST}: {listed or 'nothing yet; say: save 2 for later'}"
        return state._replace(shown=rows or state.shown, last=None), Turn("", said)

    def hear(self, state: ChatState, understood: Understood, message: str) -> tuple[ChatState, str]:
        """Return the state after what was said, and what is to be said of words that mean nothing here.

        The last word about a movie, and about a kind of fact, counts.
        """
        session, text = state.session, self.recommender.free_text
        known = {event.row: event.answer for event in session.events}
        answers = {**dict.fromkeys(understood.dislikes, DISLIKE), **understood.feedback}
        for row, answer in understood.feedback.items():
            if answer == OFF and known.get(row) != LATER:
                raise ChoiceError(f"{self.catalog.movie(row)} is not {WATCHLIST}: what is on my watchlist? shows it")
            if answer == OFF:
                answers[row] = SKIP
            elif answer == SKIP and row in known:  # others than those of the watchlist
                del answers[row]
        about = {*understood.likes, *answers}
        favorites = (*(row for row in session.favorites if row not in about), *understood.likes)
        kept = [event for event in session.answers if event.row not in about]
        events = (*kept, *(Event(row, answer) for row, answer in answers.items()))
        said = [words._replace(after=min(words.after, len(kept))) for words in session.utterances]
        for words in [*said] if understood.cleared else []:
            if {"all", *(fact.kind for fact in self._reading(words.text).facts)} & {*understood.cleared}:
                said.remove(words)
        e = text.vectors[[*understood.likes]].sum(axis=0)
        unread = ""
        try:
            if understood.request:
                signal = self.engine.signal(understood.request)
                said.append(Utterance(understood.request, len(events)))
                if signal.vector is not None and tells(understood.reading):
                    e = e + signal.vector
        except ChoiceError as error:
            if not (events or favorites or said or state.memory.n_messages):
                raise
            unread = str(error)
        if e.any() or state.memory.vector is not None:  # nobody wants what is least like a movie
            e = e - text.vectors[[*understood.dislikes]].sum(axis=0)
        session = session._replace(favorites=favorites, answers=events, utterances=tuple(said))
        memory = state.memory.hear(message, unit_rows(e[None])[0], text.backend.identity)
        by_id = {int(self.catalog.movie_ids[event.row]): event.answer for event in session.events}
        filters = filters_after(state.filters, understood.filters, understood.cleared, state.memory.n_messages)
        memory = memory._replace(answers=by_id, refused=refusals(filters))
        liked = (*understood.likes, *(row for row in answers if answers[row] in explain.LIKED))
        newest, lead = (liked, LEAD) if understood.likes else ((*state.newest, *liked), FADE * state.lead)
        state = state._replace(memory=memory, session=session, filters=filters, newest=newest, lead=lead)
        return state, unread

    def scores(self, state: ChatState) -> np.ndarray:
        """Return the score of every movie (n_movies,) float32; -inf for what was named, answered or is filtered out."""
        total = sum(
            np.float32(weight) * (self.engine.scores(session) + self._likeness(session).sum(axis=1))
            for weight, session in self._of_movies(state)
        )
        for points in self.engine.fits(state.session):
            total += points
        if state.memory.vector is not None:
            total += np.float32(TASTE_WEIGHT) * standardised(self.recommender.free_text.vectors @ state.memory.vector)
        # Tones are degrees: they count in the fit of the words.
        against = Request("", "", state.filters, (), (), ()).contradictions(len(total), of_tones=0)
        total[against >= 1] = -np.inf
        return np.asarray(total)

    def candidates(self, state: ChatState) -> list[Candidate]:
        """Return what is retrieved, best first, with scores from 0 to 1."""
        total = self.scores(state)
        rows = top_n(total[None], self.n_candidates)[0]
        rows = rows[total[rows] > -np.inf]
        scores = total[rows] - total[rows].min(initial=np.inf)
        scores /= max(float(scores.max(initial=0)), 1e-6)
        vectors, movies = self.recommender.free_text.vectors, map(self.catalog.movie, rows.tolist())
        return [Candidate(*one) for one in zip(rows.tolist(), movies, scores.tolist(), vectors[rows])]

    def about(self, state: ChatState, name: str) -> dict[str, Any]:
        """Return what a re-ranker, by name, is told of the person: what a rating is predicted from, or a profile."""
        if name != ScoreReranker.name:
            return {**self.profile(state)}
        movie_ids, session = self.catalog.movie_ids.tolist(), state.session
        answers = [(movie_ids[event.row], event.answer) for event in session.answers]
        return {"favorites": [movie_ids[row] for row in session.favorites], "answers": answers}

    def _of_movies(self, state: ChatState) -> list[tuple[float, SessionState]]:
        """Return the sessions, without words, and their weights, whose scores add up to what movies say."""
        session, newest = state.session._replace(utterances=()), state.newest
        old = [event for event in session.events if event.answer in explain.LIKED and event.row not in newest]
        if not (newest and old and state.lead > 0.01):
            return [(1.0, session)]
        favorites = tuple(row for row in session.favorites if row in newest)
        answers = tuple(one for one in session.answers if one.row in newest or one.answer not in explain.LIKED)
        return [(1 - state.lead, session), (state.lead, SessionState(favorites, answers))]

    def _likeness(self, session: SessionState) -> np.ndarray:
        """Return what each movie that is liked adds to the score of every movie by its text, (n_movies, n_liked)."""
        V = self.recommender.free_text.vectors
        S = V @ V[[event.row for event in session.events if event.answer in explain.LIKED]].T
        S -= S.mean(axis=0)
        return np.asarray(np.float32(TEXT_WEIGHT) * S / np.float32(float(S.sum(axis=1).std()) or 1))

    def _reasons(self, state: ChatState, rows: Sequence[int]) -> list[list[Reason]]:
        """Return the terms that add up to the score of each movie, but for the taste."""
        totals = [dict[tuple[str, Optional[int]], Reason]() for _ in rows]
        for weight, session in self._of_movies(state):
            near = self._likeness(session)
            for row, reasons, total in zip(rows, self.engine.explain_all(session, rows), totals):
                liked = iter(near[row].tolist())
                for one in reasons:
                    value = one.value + (next(liked) if one.kind in explain.LIKED else 0)  # in the order of the events
                    key = one.kind, one.movie.movie_id if one.movie else None
                    before = total[key].value if key in total else 0
                    total[key] = one._replace(value=before + weight * value)
        found = [[*total.values()] for total in totals]
        for said, points in zip(state.session.utterances, self.engine.fits(state.session)):
            reading = self._reading(said.text)
            own = said.text if content_words(reading.left) or reading.likes else ""
            for row, reasons in zip(rows, found):
                met = [fact.label for fact in reading.facts if fact.wanted and fact.rows[row] and fact.kind != "years"]
                words = own or ", ".join(dict.fromkeys(met))
                reasons += [Reason("words", None, float(points[row]), words)] if words else []
        return found

    def _reading(self, text: str) -> Request:
        return self.recommender.free_text.reader.read(text)

    def suggestions(self, state: ChatState, best: Sequence[Candidate], said: Sequence[str]) -> tuple[Suggestion, ...]:
        """Return the best with a reason each: what a model `said`, if it holds, or else what their scores tell."""
        reasons = self._because(state, [one.row for one in best])
        chosen = [self._checked(each, state.session, one.movie) or own for one, each, own in zip(best, said, reasons)]
        return tuple(Suggestion(*one[1:3], why, explain.description(one.movie)) for one, why in zip(best, chosen))

    def _because(self, state: ChatState, rows: Sequence[int]) -> list[str]:
        found, facts = [], [fact for fact in state.filters if fact.kind != "tone"]
        for row, reasons in zip(rows, self._reasons(state, rows)):
            kept = [f"{'' if one.wanted else 'not '}{one.label}" for one in facts if one.rows[row] == one.wanted]
            found.append(explain.because(self.engine, self.catalog.movie(row), reasons, kept))
        return found
