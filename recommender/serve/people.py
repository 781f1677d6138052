"""People: their ratings from the data, from here and from exports, explanations, lists, conversation, and their end.

What is kept of a person is a profile (session/profiles.py); what they answered in sessions is added when it is read.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import json
import queue
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Optional

from ..chat.chat import Chat
from ..chat.rerank import LLMReranker
from ..chat.turns import ChatState
from ..data.errors import ArtifactError, DataError, TastevecError
from ..facade import Recommender
from ..people.exports import Entry, read_export
from ..people.matching import APPLIED, BY_ID, EMPTY, GUESS, MISSED, Film, Matcher, answer_of, missed_entries, with_films
from ..people.store import ConflictError, Remembered
from ..session.profiles import export_lists, state_of
from ..session.state import FAVORITE, LATER
from .database import Database, Saved
from .problems import FAULT, UNUSABLE, Conflict, Nobody, fault

_MOST_TALKS, _MOST_TRIES = 200, 5  # conversations in memory; for one message
Profile = dict[str, Any]


class _Talk:
    """A running conversation; one message at a time."""

    def __init__(self) -> None:
        self.lock, self.state = threading.Lock(), ChatState()


class People:
    """The people of a database and of the data; threads may share it."""

    def __init__(self, recommender: Recommender, database: Database, chat: Chat) -> None:
        self.recommender, self.catalog, self.database, self.chat = recommender, recommender.catalog, database, chat
        self._in_data = {*recommender.models.history.user_ids.tolist()}
        self._matcher = Matcher(self.catalog)
        self._talks, self._lock = OrderedDict[str, _Talk](), threading.Lock()

    def in_data(self, person: str) -> bool:
        return person.isdecimal() and str(int(person)) == person and int(person) in self._in_data

    def add(self, person: str) -> None:
        """Make a person; raises `Conflict` for one that is there."""
        with self.database.store.writing():
            if self.in_data(person) or self.database.profile(person) is not None:
                raise Conflict(f"user {person} is there already: choose another user_id")
            self.database.save_profile(person, EMPTY)

    def given(self, person: str) -> Any:
        """Return what `Recommender.recommend` takes for a person; raises `Nobody`."""
        stored, sessions = kept = self.database.profile(person), self.database.sessions_of(person)
        if self.in_data(person) and not (stored or sessions):
            return int(person)
        if (profile := self._joined(person, *kept)) is None:
            raise Nobody(f"no user {person}: give one of the data, by number, or make one with POST /users")
        return profile

    def profile(self, person: str) -> Optional[Profile]:
        """Return all that is known of a person: in the data, here, and said in sessions, the latter where nothing else
        is; None if nobody is called so."""
        return self._joined(person, self.database.profile(person), self.database.sessions_of(person))

    def _joined(self, person: str, stored: Optional[Profile], sessions: list[Saved]) -> Optional[Profile]:
        if stored is None and not sessions and not self.in_data(person):
            return None
        profile = dict(stored or EMPTY)
        if self.in_data(person):
            history = self.recommender.models.history
            own = history.row(self.recommender.models.user_row(int(person)))
            rows, stars, times = (part[own].tolist() for part in (history.movie_rows, history.ratings, history.times))
            profile = self.rated(profile, [(row, star, day_of(time)) for row, star, time in zip(rows, stars, times)])
        said = {i: FAVORITE for one in sessions for i in one.content["favorites"]}
        said.update({i: answer for one in sessions for i, answer in one.content["answers"]})
        return _also(profile, said)

    def rated(self, profile: Profile, ratings: list[tuple[int, float, str]]) -> Profile:
        """Return a profile with ratings, each a row, stars and a day."""
        films = [Film(Entry((), rating=stars, date=day), row, BY_ID) for row, stars, day in ratings]
        return {**with_films(profile, films, self.catalog), "missed": profile.get("missed", [])}

    def rate(self, person: str, ratings: list[tuple[int, float, str]]) -> Profile:
        """Store ratings, and return the profile with them; raises `Nobody`."""
        with self.database.store.writing():
            stored = self.database.profile(person)
            if stored is None and not self.in_data(person):
                raise Nobody(f"no user {person}: make one with POST /users")
            profile = self.rated(stored or EMPTY, ratings)
            self.database.save_profile(person, profile)
        return profile

    def read_export(self, name: str, content: bytes, person: Optional[str], apply: bool) -> dict[str, Any]:
        """Return what the films of an export are here; apply: and store them for a person."""
        name = PurePosixPath(name.replace("\\", "/")).name or "export.csv"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            try:
                path.write_bytes(content)
                entries = read_export(path)
            except (TastevecError, OSError, ValueError) as error:
                what = str(error) if isinstance(error, TastevecError) else f"{name} is no name of a file"
                raise DataError(what.replace(f"{folder}/", "")) from None
        films = self._matcher.films(entries)
        if apply and person:
            with self.database.store.writing():
                old = self.database.profile(person) or EMPTY
                films = self._matcher.films([*missed_entries(old), *entries])
                self.database.save_profile(person, with_films(old, films, self.catalog))
        found: dict[str, list[Any]] = {"matched": [], "guessed": [], "missed": []}
        for film in films:
            about = {"title": "".join(film.entry.names[:1]), "year": film.entry.year or None}
            if film.how in APPLIED:
                found["matched"].append({**about, "row": film.row, "answer": answer_of(film)})
            elif film.how in (GUESS, MISSED):
                found["guessed" if film.how == GUESS else "missed"].append({**about, "row": film.row})
        return {**found, "applied": len(found["matched"]) if apply and person else 0}

    def export(self, person: str) -> dict[str, Any]:
        """Return all that is kept of a person, and what the data hold; raises `Nobody`."""
        memory = self.database.store.load(person)
        kept = self.database.sessions_of(person)
        profile = self._joined(person, self.database.profile(person), kept)
        if profile is None and memory is None:
            raise Nobody(f"no user {person}")
        chat = None
        if memory:
            taste = None if memory.vector is None else memory.vector.tolist()
            chat = {**memory._asdict(), "vector": taste, "answers": [*memory.answers.items()]}
        sessions = [{"session_id": one.id, **one.content} for one in kept]
        return {"user_id": person, "profile": profile, "sessions": sessions, "chat": chat}

    def lists(self, person: str) -> tuple[str, str]:
        """Return the likes and the watchlist of a person as CSV files for Letterboxd; raises `Nobody`."""
        if (profile := self.profile(person)) is None:
            raise Nobody(f"no user {person}")
        with tempfile.TemporaryDirectory() as folder:
            likes, later = export_lists(Path(folder, "films.csv"), self.catalog, state_of(profile, self.catalog))
            return likes[0].read_text(encoding="utf-8"), later[0].read_text(encoding="utf-8")

    def forget(self, person: str) -> bool:
        """Delete all that is kept of a person, for good; return whether there was anything."""
        with self._lock:
            self._talks.pop(person, None)
        return self.database.forget(person)

    def say(self, person: str, message: str, show: Optional[Callable[[str], Any]] = None) -> dict[str, Any]:
        """Return the answer of the chat; what it learned is stored before.  show: gets what a model is writing."""
        with self._lock:
            talk = self._talks.pop(person, None) or _Talk()
            self._talks[person] = talk  # now the latest
            while len(self._talks) > _MOST_TALKS:
                self._talks.popitem(last=False)
        chat = self.chat
        if show and isinstance(chat.reranker, LLMReranker):
            chat = _with(chat, replace(chat.reranker, show=show))
        with talk.lock:
            for _ in range(_MOST_TRIES):
                with contextlib.suppress(ConflictError):  # another server was quicker: hear what that has stored
                    return self._heard(chat, talk, person, message)
        raise Conflict(f"user {person} is talking elsewhere too: say it again")

    def _heard(self, chat: Chat, talk: _Talk, person: str, message: str) -> dict[str, Any]:
        """Return the answer to a message; only what it says of movies is kept, not what sessions or the data hold."""
        store, profile = self.database.store, self.profile(person) or EMPTY
        known = store.load(person) or Remembered()
        answers = {**dict.fromkeys(profile["favorites"], FAVORITE), **dict(map(tuple, profile["answers"]))}
        kept = {i: how for i, how in known.answers.items() if how != LATER or answers.get(i, how) == how}
        memory = known._replace(answers={**answers, **kept})
        after, turn = chat.step(chat.catch_up(talk.state, memory), message)
        said = {i: how for i, how in after.memory.answers.items() if memory.answers.get(i) != how}
        with store.writing():
            store.save(person, after.memory._replace(answers={**kept, **said}))
            self.database.save_profile(person, _also(self.database.profile(person) or EMPTY, said))
        talk.state = after
        return turn.as_dict()

    def streamed(self, person: str, message: str, complain: Callable[[str], Any]) -> Iterator[bytes]:
        """Yield the same as events of a stream: "writing", as often as a model has, then "turn", or "problem"."""
        events: queue.Queue[tuple[str, Any]] = queue.Queue()

        def work() -> None:
            try:
                events.put(("turn", self.say(person, message, lambda text: events.put(("writing", {"text": text})))))
            except ArtifactError as error:  # its message names files of this machine
                complain(str(error))
                events.put(("problem", {"status": 503, "detail": UNUSABLE}))
            except TastevecError as error:
                events.put(("problem", {"status": 409, "detail": str(error)}))
            except Exception as error:  # its message may be personal
                complain(fault(error))
                events.put(("problem", {"status": 500, "detail": FAULT}))

        threading.Thread(target=work, daemon=True).start()
        kind = ""
        while kind not in ("turn", "problem"):
            kind, content = events.get()
            yield f"event: {kind}\ndata: {json.dumps(content)}\n\n".encode()


def _with(chat: Chat, reranker: LLMReranker) -> Chat:
    other = copy.copy(chat)
    other.reranker = reranker
    return other


def _also(profile: Profile, said: Mapping[int, str]) -> Profile:
    """Return a profile with answers to movies of which it holds none or "later"; movie id -> favorite, or an answer."""
    answers = dict(map(tuple, profile["answers"]))
    rated = (one[0] for one in profile.get("ratings", []))
    known = {*profile["favorites"], *rated, *(i for i in answers if answers[i] != LATER)}
    answers.update((i, answer) for i, answer in said.items() if i not in known)
    favorites = [i for i in answers if answers[i] == FAVORITE]
    others = [[i, answer] for i, answer in answers.items() if answer != FAVORITE]
    return {**profile, "favorites": [*profile["favorites"], *favorites], "answers": others}


def day_of(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(max(seconds, 0), datetime.timezone.utc).date().isoformat()
