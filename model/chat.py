"""Say what you feel like, in turns, and get five movies with reasons; offline, or with a language model.

Type anything: movies you love, what you want, "the second was great", "not 3", "why the fourth?". /help lists more.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, TextIO

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from model.terminal.console import Console, EndOfInput
from recommender import cli
from recommender.chat.chat import Chat
from recommender.chat.client import ChatClient
from recommender.chat.likes import Likes
from recommender.chat.rerank import LLMReranker, MMRReranker, Reranker, ScoreReranker
from recommender.chat.turns import ChatState, Turn, TurnLog
from recommender.chat.understanding import MOST_LETTERS
from recommender.data.errors import ChoiceError, TastevecError, one_line, shown
from recommender.facade import Recommender
from recommender.net.web import WebError
from recommender.people.store import ConflictError, Remembered, Store
from recommender.session.profiles import default_profiles_folder, export_lists
from recommender.text import registry

COMMANDS = {
    "/help": "list these commands",
    "/watchlist": "what I keep for later",
    "/undo": "take back what I said last",
    "/profile": "what was learned of me",
    "/export FILE.csv": "write FILE-likes.csv and FILE-watchlist.csv, which Letterboxd imports",
    "/forget": "forget all of me, for good",
    "/quit": "end",
}


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Hold a conversation; returns the exit code."""
    parser = cli.Parser("model.chat", __doc__.partition("\n\n")[0], epilog="; ".join(map(": ".join, COMMANDS.items())))
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    add = parser.add_argument
    add("--backend", choices=registry.names(), help="embedding backend for words (default: minilm)")
    where = default_profiles_folder().parent / "chat.sqlite"
    add("--user", metavar="NAME", help="whose tastes to remember (with --store: me; without both: nothing)")
    add("--store", type=Path, metavar="FILE", help=f"where tastes are remembered (default: {where})")
    add("--keep-text", action="store_true", help="also store what is said, word for word")
    add("--forget", metavar="USER", help="delete all that is stored of a person, and end")
    parser.add_common("base-url", help="a chat model chooses and explains: address of its server, up to /v1")
    parser.add_common("model", help="name of the chat model there")
    add("--key-variable", default="", metavar="NAME", help="environment variable with the key of that server")
    add("--show-request", action="store_true", help="show what would be sent to that server, and send nothing")
    add("--offline", action="store_true", help="no network, whatever else is given")
    how = "a model, likes predicted offline (even with --base-url), or variety (default: llm with --base-url, else mmr)"
    add("--rerank", choices=("llm", "score", "mmr"), help=how)
    add(
        "--ids-only",
        action="store_true",
        help="the model gets numbered movies, nothing about you, and gives no reasons",
    )
    add("--shuffles", type=int, default=1, metavar="N", help="answers of the model to average (default: 1)")
    add("--top", type=int, default=5, metavar="N", help="movies to show (default: 5)")
    add("--candidates", type=int, default=20, metavar="N", help="movies to choose from (default: 20)")
    add("--log", type=Path, metavar="FILE", help="append a line of JSON for each turn, without its text")
    add("--json", action="store_true", help="print a line of JSON for each message, and nothing else")
    given = parser.parse_args(argv)
    for name in ("top", "candidates", "shuffles"):
        if not 0 < getattr(given, name) <= 100:
            raise ChoiceError(f"--{name} {getattr(given, name)}: give a number from 1 to 100")
    log = TurnLog(given.log) if given.log else None
    with contextlib.ExitStack() as stack:
        store = None
        if given.user is not None or given.store or given.forget is not None:
            store = stack.enter_context(Store(given.store or where, given.keep_text))
        if store and given.forget is not None:
            found = store.forget(given.forget)
            print(f"{given.forget} is forgotten." if found else f"Nothing is stored of {shown(given.forget)}.")
            return 0
        user = "me" if given.user is None else given.user
        known = (store and store.load(user)) or Remembered()
        recommender = Recommender.load(given.processed, backend=given.backend)
        chat = Chat(recommender, open_reranker(given, recommender), given.top, given.candidates)
        for note in recommender.notes:
            print(f"tastevec: {note}", file=sys.stderr)
        return Conversation(chat, user, store, log, given.json).talk(chat.resume(known))


def open_reranker(given: argparse.Namespace, recommender: Recommender) -> Reranker:
    """Return what chooses the movies; raises `ChoiceError` for flags that do not fit together."""
    alone = next((name for name in ("model", "key_variable", "show_request") if getattr(given, name)), "")
    if alone and not given.base_url:
        raise ChoiceError(f"--{alone.replace('_', '-')} belongs to a chat model: give --base-url too")
    llm = given.rerank == "llm" or (given.rerank is None and bool(given.base_url) and not given.offline)
    if given.rerank == "score":
        print("tastevec: making the predictor of likes ready, which may take seconds", file=sys.stderr)
        return ScoreReranker(Likes.open(recommender).predict_like_score)
    if not llm:
        return MMRReranker()
    if given.offline or not (given.base_url and given.model):
        raise ChoiceError("a chat model needs --base-url and --model, and no --offline")
    client = ChatClient.open(given.base_url, given.model, given.key_variable)
    if given.show_request:
        client.preview = functools.partial(show_request, given.json)
    return LLMReranker(client, not given.ids_only, given.shuffles)


def show_request(as_json: bool, request: dict[str, Any]) -> None:
    headers = [f"   {name}: {value}" for name, value in request["headers"].items()]
    body = json.dumps(request["body"], ensure_ascii=False, indent=1)
    text = "\n".join([f"   POST {request['url']}", *headers, body])
    print(json.dumps({"request": request}, ensure_ascii=False) if as_json else text, flush=True)


def overwrite(out: TextIO, name: str, text: str) -> None:
    """Show on a terminal what a model says so far, in one line, which the next text takes the place of; "": nothing."""
    line = f"   {name}: {one_line(text)}" if text else ""
    room = shutil.get_terminal_size().columns - 4
    line = line if len(line) < room else f"   ...{line[8 - room :]}"
    # What is too wide is cut by the terminal, which knows how wide its letters are.
    print(f"\r\033[?7l{line}\033[K\033[?7h", end="", file=out, flush=True)


class Conversation:
    """One person's chat at the console."""

    def __init__(self, chat: Chat, user: str, store: Optional[Store], log: Optional[TurnLog], as_json: bool) -> None:
        self.chat, self.user, self.store, self.log, self.as_json = chat, user, store, log, as_json
        self.console, self.before = Console(), list[ChatState]()
        llm, console = chat.reranker, self.console
        if isinstance(llm, LLMReranker) and console.interactive and console.color and not as_json:
            llm.show = llm.client.http.say = functools.partial(overwrite, console.out, one_line(llm.client.model))

    def talk(self, state: ChatState) -> int:
        """Take messages until the person quits or the input ends; returns the exit code."""
        refused = "".join(f", not {labels.replace('; ', ' ')}" for labels in state.memory.refused)
        known = f"Welcome back: {len(state.memory.answers)} movies of yours and your taste are known{refused}. "
        self.say(f"tastevec: {len(self.chat.catalog):,} movies. {known if state.memory.n_messages else ''}"
                 "What do you feel like? /help, /quit")  # fmt: skip
        code = 0
        try:
            for message in self.messages():
                try:
                    state = self.obey(state, message) if message.startswith("/") else self.hear(state, message)
                except TastevecError as error:
                    self.say(f"   {error}", {"error": str(error)})
        except (EndOfInput, KeyboardInterrupt) as end:  # Ctrl-C
            code = 130 if isinstance(end, KeyboardInterrupt) else 0
        self.say("\nGoodbye." if code else "Goodbye.")
        return code

    def messages(self) -> Iterator[str]:
        while True:
            if self.as_json:
                if not (line := sys.stdin.readline()):
                    return
            else:
                line = self.console.ask("> ", lambda text: [name for name in COMMANDS if name.startswith(text)])
            line = line.strip()
            word = "quit" if line.lower() in ("q", "exit", "bye") else line.lower()
            line = f"/{word}" if word in ("undo", "profile", "help", "quit") else line
            if line == "/quit":
                return
            if line:
                yield line

    def say(self, text: str, fields: Optional[dict[str, Any]] = None) -> None:
        """Print text, or with --json the fields, if any."""
        if not self.as_json:
            self.console.say(text)
        elif fields:
            print(json.dumps(fields, ensure_ascii=False), flush=True)

    def hear(self, state: ChatState, message: str) -> ChatState:
        """Return the state after a message; it is stored and logged before anything is shown."""
        state = self.fresh(state)
        after, turn = self.chat.step(state, message[:MOST_LETTERS])
        try:
            if after.memory is not state.memory:
                self.keep(after)
        except ConflictError:
            raise ChoiceError("another conversation of yours was quicker: say it again") from None
        if len(message) > MOST_LETTERS:
            turn = turn._replace(
                understood=f"{turn.understood}; of {len(message):,} letters the first {MOST_LETTERS:,}"
            )
        if turn.suggestions:  # a question changes nothing
            self.before.append(state)
        self.write_log(after, turn)
        lines = [self.console.dim(f"   understood: {one_line(turn.understood)}")] if turn.understood else []
        lines += [f"   {turn.answer}"] if turn.answer else []
        for number, one in enumerate(turn.suggestions, 1):
            about = f"{number:2}. {self.console.bold(str(one.movie))}  {one.about}"
            lines += [about, self.console.dim(f"    {one.because}")]
        lines += [self.console.dim(f"   without the model: {turn.note}")] if turn.note else []
        self.say("\n".join(lines), turn.as_dict())
        return after

    def fresh(self, state: ChatState) -> ChatState:
        """Return the state, with what another process has stored of this person since."""
        after = self.chat.catch_up(state, self.store.load(self.user) or Remembered()) if self.store else state
        if after is not state:
            self.before.clear()  # what others have said cannot be taken back here
        return after._replace(shown=state.shown)  # is on the screen still

    def write_log(self, state: ChatState, turn: Turn) -> None:
        """Log a turn; where that fails the conversation goes on without a log."""
        try:
            if self.log:
                self.log.write(self.user, state, turn)
        except OSError as error:
            print(f"tastevec: no more is written to {self.log and self.log.path}: {error.strerror}", file=sys.stderr)
            self.log = None

    def keep(self, state: ChatState) -> None:
        if self.store:
            self.store.save(self.user, state.memory)

    def obey(self, state: ChatState, message: str) -> ChatState:
        """Return the state after a command; raises `ChoiceError` for one that does not exist."""
        name, _, rest = message.partition(" ")
        state = self.fresh(state)
        if name == "/undo":
            if not self.before:
                raise ChoiceError("nothing to take back in this conversation; /forget forgets all of you")
            state = self.before[-1]
            self.keep(state)
            self.before.pop()
            self.say("   taken back", {"done": name})
        elif name == "/forget":
            if self.store:
                self.store.forget(self.user)
            state = self.chat.resume(Remembered())
            self.before.clear()
            self.say("   all that was known of you is forgotten" + "; the log stays" * bool(self.log), {"done": name})
        elif name == "/profile":
            try:
                state = self.chat.write_profile(state)
            except WebError as error:
                self.say(self.console.dim(f"   without the model: {error}"))
            known = self.chat.profile(state)
            lines = [f"   {key}: {value or 'nothing yet'}" for key, value in known.items()]
            self.say("\n".join(lines), {"profile": known, "messages": state.memory.n_messages})
        elif name == "/export":
            if not rest:
                raise ChoiceError("where to? /export films.csv writes films-likes.csv and films-watchlist.csv")
            try:
                written = export_lists(Path(rest).expanduser(), self.chat.catalog, state.session)
            except OSError as error:
                raise ChoiceError(f"{rest} cannot be written ({error.strerror}): give another file") from None
            lines = [f"   exported {n} to {file}" for file, n in written]
            self.say("\n".join(lines), {"exported": [str(file) for file, _ in written]})
        elif name == "/watchlist":
            state = self.hear(state, "my watchlist")
        elif name == "/help":
            self.say("\n".join(f"   {key:<16} {what}" for key, what in COMMANDS.items()), {"commands": COMMANDS})
        else:
            raise ChoiceError(f"{shown(name)} is no command: give one of {', '.join(COMMANDS)}")
        return state


if __name__ == "__main__":
    cli.run(main)
