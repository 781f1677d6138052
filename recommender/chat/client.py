"""One client for chat models behind any OpenAI-compatible server: what a server refuses is left out, and remembered.

    client = ChatClient.open("http://127.0.0.1:8080/v1", "a-model")
    answer = client.ask([{"role": "user", "content": "..."}], schema={...})

A schema goes down a ladder, `response_format` json_schema -> json_object -> none, by one step for each 400, 422 or 501
that names no other parameter; `max_tokens` becomes `max_completion_tokens`; all others are left out. Pauses,
Retry-After, quotas, keys and redirects: `net.web`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypeVar

from ..data.errors import printable
from ..data.files import dump_json, load_json, replace_file
from ..net.key import key_for
from ..net.openai import read_message, without_thoughts
from ..net.web import Client, WebError, blocks

if TYPE_CHECKING:
    import requests

FORMS = ("json_schema", "json_object", "text")
_MOST_BYTES, _MOST_CHARACTERS = 1 << 20, 20_000  # of an answer
_HALF_MARK = re.compile(r"[<\[◁][^>\]▷]{0,40}\Z")  # may become the mark of a thought
Messages = Sequence[Mapping[str, str]]
Say = Callable[[str], object]
AnyClient = TypeVar("AnyClient", bound="ChatClient")


class Answer(NamedTuple):
    """What a model answered, without its thoughts.

    end: "stop", "length", "refusal", "content_filter", "cut" (the stream ended early), or "".  form: of `FORMS`, that
    was asked for in the end.  tokens: of question and answer as the server counts them, else a fourth of the
    characters.  first: token -> log-probability, of the first token, where asked for and given.
    """

    text: str
    end: str
    form: str
    tokens: int
    first: dict[str, float]

    @property
    def refused(self) -> bool:
        return bool(re.search("(?i)refusal|filter|safety", self.end))


@dataclass
class ChatClient:
    """A model and its server; may be used by several threads.

    refused: what the server was found to refuse: parameters, and forms of `FORMS`.  preview: gets what would be sent,
    {"url", "headers", "body"} with the key hidden; then nothing is ever sent.
    """

    http: Client
    model: str
    temperature: float = 0.0
    refused: frozenset[str] = field(default_factory=frozenset)
    preview: Optional[Callable[[dict[str, Any]], object]] = None

    @classmethod
    def open(
        cls: type[AnyClient],
        base_url: str,
        model: str,
        key_variable: str = "",
        timeout: float = 60.0,
        attempts: int = 3,
    ) -> AnyClient:
        """Return the client for a server; its key comes from the environment, see `key_for`.

        timeout: seconds to wait for an answer to begin, and for the rest of it.  Raises `SettingsError` for a wrong
        address or a missing key.
        """
        key = key_for(base_url, key_variable)
        return cls(Client(base_url, key, timeout=timeout, attempts=attempts, max_bytes=_MOST_BYTES), model)

    def ask(
        self,
        messages: Messages,
        schema: Optional[Mapping[str, Any]] = None,
        max_tokens: int = 600,
        n_first: int = 0,
        show: Optional[Say] = None,
    ) -> Answer:
        """Return the model's answer; raises `WebError` where there is none.

        schema: the answer shall be JSON of this form, if the server can; None: text.  n_first: log-probabilities of the
        first token.  show: gets the answer as far as it came, again and again, without thoughts and control characters.
        """
        refused = self.refused
        while True:
            form = next(form for form in FORMS[0 if schema else 2 :] if form not in refused)
            options: dict[str, Any] = {"temperature": self.temperature, "max_tokens": max_tokens}
            if "max_tokens" in refused:
                options["max_completion_tokens"] = max_tokens
            if n_first:
                options |= {"logprobs": True, "top_logprobs": n_first}
            if show:
                options |= {"stream": True, "stream_options": {"include_usage": True}}
            options = {name: value for name, value in options.items() if name not in refused}
            body = {"model": self.model, "messages": list(messages), **options}
            if form != "text":
                strict = {"json_schema": {"name": "answer", "strict": True, "schema": schema}}
                body["response_format"] = {"type": form, **(strict if form == "json_schema" else {})}
            try:
                answer = self._send(body, show)
            except WebError as error:
                named = {name for name in options if re.search(rf"\b{name}\b", error.detail)}
                if form != "text" and ("response_format" in error.detail or not named):
                    named = {form}
                if error.status not in (400, 422, 501) or error.filtered or not named:
                    raise
                refused |= named
            else:
                self.refused = refused
                text, end = read_message(answer, self.http)
                return Answer(text[:_MOST_CHARACTERS], end, form, _tokens(answer, messages, text), _first(answer))

    def _send(self, body: dict[str, Any], show: Optional[Say]) -> Any:
        http, path = self.http, "chat/completions"
        if self.preview:
            headers = {"Content-Type": "application/json"}
            if http.key:
                headers["Authorization"] = f"Bearer *** of {http.key.variable}"
            self.preview({"url": f"{http.base_url}/{path}", "headers": headers, "body": body})
            raise WebError(f"nothing was sent to {http.host}: leave out --show-request")
        stream = _Stream(http, show or str)
        return http.retry(lambda: http.send("POST", path, stream.read, json=body))


@dataclass
class RecordedClient(ChatClient):
    """Keeps its answers: an evaluation that was interrupted, or is repeated, asks nothing twice.

    run: which repetition is asked for; another one gets an answer of its own to the same question.
    folder: a file of JSON for each answer; None: only this process remembers.
    """

    run: int = 0
    folder: Optional[Path] = None
    answers: dict[str, Answer] = field(default_factory=dict)

    def ask(self, *question: Any, **options: Any) -> Answer:
        """Return what was answered before, or else what the model answers; errors are not kept."""
        asked = [self.http.base_url, self.model, self.temperature, self.run, question, str(options)]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
        path = self.folder and self.folder / f"{key}.json"
        if key not in self.answers and path and path.exists():
            self.answers[key] = load_json(path, "remove it", lambda kept: Answer(*kept))
        elif key not in self.answers:
            self.answers[key] = super().ask(*question, **options)
            if path:
                with replace_file(path) as temporary:
                    dump_json(self.answers[key], temporary)
        return self.answers[key]


class _Stream:
    """Puts together what comes as text/event-stream, and shows it; a server that can't stream sends it whole."""

    def __init__(self, http: Client, show: Say) -> None:
        self.http, self.show, self.shown = http, show, ""

    def read(self, response: requests.Response) -> Any:
        import requests
        from urllib3.exceptions import HTTPError

        text, rest, plain, until = "", b"", b"", time.monotonic() + self.http.timeout
        choice: dict[str, Any] = {"message": {"content": ""}, "finish_reason": ""}
        answer: dict[str, Any] = {"choices": [choice]}
        events = False
        try:
            for block in blocks(response):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    events |= line.startswith(b"data:")
                    with contextlib.suppress(ValueError, RecursionError):
                        text += self._add(json.loads(line[5:]), answer) if line.startswith(b"data:") else ""
                plain += b"" if events else block
                if len(plain) > self.http.max_bytes or len(text) > _MOST_CHARACTERS:
                    choice["finish_reason"] = "length"
                    break
                self._show(_HALF_MARK.sub("", text))
                if time.monotonic() > until:
                    raise TimeoutError
        except (requests.RequestException, HTTPError, WebError, ConnectionError, TimeoutError):
            if not self.shown:
                raise  # nobody saw anything: it may be repeated
            choice["finish_reason"] = choice["finish_reason"] or "cut"
        if not events:
            answer = self.http.read_json(plain)
            text = read_message(answer, self.http)[0]
        else:
            choice["message"]["content"] = text
            choice["finish_reason"] = choice["finish_reason"] or "cut"
        self._show(text)
        return answer

    def _add(self, event: Any, answer: dict[str, Any]) -> str:
        """Take an event in; return the text in it."""
        if not isinstance(event, dict) or event.get("error"):
            raise self.http.unexpected(event, "an error in its stream")
        answer["usage"] = event.get("usage") or answer.get("usage")
        choice, piece = answer["choices"][0], ""
        with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
            new = event["choices"][0]
            choice["finish_reason"] = new.get("finish_reason") or choice["finish_reason"]
            choice["message"]["refusal"] = new["delta"].get("refusal") or choice["message"].get("refusal")
            piece = new["delta"].get("content") or ""
        return piece if isinstance(piece, str) else ""

    def _show(self, text: str) -> None:
        text = printable(without_thoughts(text))
        if text != self.shown:  # what was shown may turn out to have been a thought
            self.shown = text
            self.show(text)


def _tokens(answer: Any, messages: Messages, text: str) -> int:
    """Return the tokens of question and answer."""
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
        usage = answer["usage"]
        return int(usage.get("total_tokens") or usage["prompt_tokens"] + usage["completion_tokens"])
    return math.ceil((sum(len(message["content"]) for message in messages) + len(text)) / 4)


def _first(answer: Any) -> dict[str, float]:
    """Return token -> log-probability, of the first token."""
    with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):
        options = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        found = {str(option["token"]): float(option["logprob"]) for option in options}
        return {token: value for token, value in found.items() if value <= 0}
    return {}
