"""Conversation: what a person says, over the chat of the library; one message of theirs at a time."""

from __future__ import annotations

import contextlib
import copy
import json
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Optional

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from ..chat.chat import Chat
from ..chat.rerank import LLMReranker
from ..chat.turns import ChatState
from ..data.errors import ChoiceError
from ..people.matching import EMPTY
from ..people.store import ConflictError, Remembered
from ..session.state import FAVORITE, LATER
from . import shapes
from .parts import Json, check
from .people import People, also
from .problems import told

_MOST_TALKS, _MOST_TRIES = 200, 5  # conversations in memory; for one message


class _Talk:
    """A running conversation."""

    def __init__(self) -> None:
        self.lock, self.state = threading.Lock(), ChatState()


class Talks:
    """The endpoint of the chat; threads may share it."""

    def __init__(self, people: People, chat: Chat) -> None:
        self.people, self.database, self._chat = people, people.database, chat
        self._lock = threading.Lock()

    def chat(self, request: Request, user_id: shapes.Person, given: shapes.Message) -> Response:
        """Take a message of a conversation; with Accept: text/event-stream the answer comes as it is made."""
        check(request, user_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(self.streamed(user_id, given.message), media_type="text/event-stream")
        return Json(self.say(user_id, given.message))

    def say(self, person: str, message: str, show: Optional[Callable[[str], Any]] = None) -> dict[str, Any]:
        """Return the answer of the chat; what it learned is stored before.  show: gets what a model is writing."""
        with self._lock:
            talk = self.people.talks.setdefault(person, _Talk())
            self.people.talks.move_to_end(person)
            if len(self.people.talks) > _MOST_TALKS:
                self.people.talks.popitem(last=False)
        chat = copy.copy(self._chat)
        if isinstance(chat.reranker, LLMReranker):
            chat.reranker = replace(chat.reranker, show=show)
        with talk.lock:
            for _ in range(_MOST_TRIES):
                with contextlib.suppress(ConflictError):  # another server was quicker: hear what that has stored
                    return self._heard(chat, talk, person, message)
        raise ChoiceError(f"user {person} is talking elsewhere too: say it again")

    def _heard(self, chat: Chat, talk: _Talk, person: str, message: str) -> dict[str, Any]:
        """Return the answer to a message; only what it says of movies is kept, not what sessions or the data hold."""
        store, profile = self.database.store, self.people.profile(person) or EMPTY
        known = store.load(person) or Remembered()
        answers = {**dict.fromkeys(profile["favorites"], FAVORITE), **dict(map(tuple, profile["answers"]))}
        kept = {i: how for i, how in known.answers.items() if how != LATER or answers.get(i, how) == how}
        memory = known._replace(answers={**answers, **kept})
        after, turn = chat.step(chat.catch_up(talk.state, memory), message)
        said = {i: how for i, how in after.memory.answers.items() if memory.answers.get(i) != how}
        with store.writing():
            store.save(person, after.memory._replace(answers={**kept, **said}))
            self.database.save_profile(person, also(self.database.profile(person) or EMPTY, said))
        talk.state = after
        return turn.as_dict()

    def streamed(self, person: str, message: str) -> Iterator[bytes]:
        """Yield the same as events of a stream: "writing", as often as a model has, then "turn", or "problem"."""
        events: queue.Queue[tuple[str, Any]] = queue.Queue()

        def work() -> None:
            try:
                events.put(("turn", self.say(person, message, lambda text: events.put(("writing", {"text": text})))))
            except Exception as error:
                status, detail = told(error)
                events.put(("problem", {"status": status, "detail": detail}))

        threading.Thread(target=work, daemon=True).start()
        kind = ""
        while kind not in ("turn", "problem"):
            kind, content = events.get()
            yield f"event: {kind}\ndata: {json.dumps(content)}\n\n".encode()
