"""The conversation that `runsvd` and `runtwotower` share: prompts and answers over `recommender.session`.

All learning is in the library; this file only asks, prints, and keeps the profile when told to.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from model.console import Console, EndOfInput
from recommender.artifacts import exclusive
from recommender.catalog import Movie
from recommender.command import Parser
from recommender.embed import registry
from recommender.errors import ChoiceError, SettingsError, TastevecError
from recommender.facade import Recommender
from recommender.policy import MOVING_AVERAGE, MovieFilter, PolicySettings
from recommender.profiles import default_profiles_folder, load_profile, profile_path, save_profile
from recommender.rules import Event
from recommender.session import SessionEngine, SessionState, Words
from recommender.settings import add_flags, default_folder, override, read_settings

ANSWERS = {
    "y": ("like", "I like it, or want to see it"),
    "n": ("dislike", "not for me"),
    "s": ("skip", "no opinion, or never seen"),
    "t": ("tell", "what you want, in your own words: t slow science fiction"),
    "i": ("info", "what is it about?"),
    "w": ("why", "why this film? The terms of its score"),
    "u": ("undo", "take my last answer back"),
    "q": ("quit", "end the session"),
    "?": ("help", "this list"),
}
WORDS = {**{key: word for key, (word, _) in ANSWERS.items()}, **{word: word for word, _ in ANSWERS.values()}}
WORDS.update({"yes": "like", "no": "dislike", "h": "help", "exit": "quit"})
PROMPT = "   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
QUIT = ("q", "quit")
MOST_CANDIDATES = 6


def build_parser(description: str, without: Sequence[str] = ()) -> Parser:
    """Return the flags of a session program; without: settings of the policy that have no meaning in it."""
    parser = Parser(
        description=description,
        epilog="Answers: " + "; ".join(f"{key} {word}" for key, (word, _) in ANSWERS.items()),
    )
    parser.add_argument("--processed", type=Path, metavar="DIR", help="processed data (default: the shipped data)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="policy (default: config/recommender_policy.yaml)")
    parser.add_argument(
        "--genre",
        action="append",
        default=[],
        metavar="NAME",
        help="only films with this genre; repeatable, any of them is enough",
    )
    parser.add_argument(
        "--exclude-genre", action="append", default=[], metavar="NAME", help="no film with this genre; repeatable"
    )
    parser.add_argument("--year", type=years, metavar="YEAR", help="only films of 1994, 1990-1999, 1990- or -1970")
    parser.add_argument(
        "--like",
        action="append",
        default=[],
        metavar="WORDS",
        help="what you want, in your own words, instead of favourites or beside them; repeatable",
    )
    parser.add_argument(
        "--backend",
        choices=registry.names(),
        default=registry.DEFAULT_BACKEND,
        help="what makes vectors of words; the films' vectors must be of it too (default: %(default)s)",
    )
    parser.add_argument("--base-url", metavar="URL", help="--backend http: address of the service, up to /v1")
    parser.add_argument("--model", metavar="NAME", help="--backend http: name of the model there")
    parser.add_argument("--seed", type=seed, metavar="N", help="seed of the exploration (default: 0)")
    parser.add_argument("--save", metavar="NAME", help="keep this session as a new profile")
    parser.add_argument("--resume", metavar="NAME", help="go on with a profile, and keep it up to date")
    parser.add_argument(
        "--profiles", type=Path, metavar="DIR", help=f"where profiles are kept (default: {default_profiles_folder()})"
    )
    names = [field.name for field in dataclasses.fields(PolicySettings) if field.name not in without]
    add_flags(parser, PolicySettings, names)
    return parser


def years(text: str) -> tuple[Optional[int], Optional[int]]:
    """Read 1994, 1990-1999, 1990- or -1970."""
    first, dash, last = text.strip().partition("-")
    try:
        low = int(first) if first else None
        high = (int(last) if last else None) if dash else low
    except ValueError:
        low = high = None
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise argparse.ArgumentTypeError(f"{text!r} is no year or range: write 1994, 1990-1999, 1990- or -1970")
    return low, high


def seed(text: str) -> int:
    """Read a seed: a whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: give a whole number from 0")
    return int(text)


def open_policy(arguments: argparse.Namespace, learning_rule: Optional[str] = None) -> PolicySettings:
    """Return the policy of the file with the flags over it; learning_rule: the only one that the program has."""
    path = arguments.config or default_folder("config") / "recommender_policy.yaml"
    policy = override(read_settings(PolicySettings, path), arguments)
    if learning_rule:
        policy = dataclasses.replace(policy, learning_rule=learning_rule)
    if policy.learning_rule != MOVING_AVERAGE:
        for name in ("learning_rate", "negative_weight"):
            if getattr(arguments, name) is not None:
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} belongs to the moving average: add --learning-rule {MOVING_AVERAGE}")
    return policy


def backend_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the flags that set the backend; raises `ChoiceError` where they are of another one."""
    given = {name: getattr(arguments, name) for name in ("base_url", "model") if getattr(arguments, name) is not None}
    if given and arguments.backend != "http":
        flag = "--" + min(given).replace("_", "-")
        raise ChoiceError(f"{flag} belongs to the backend http: add --backend http, or leave {flag} out")
    # What a person says is kept only where they ask for it: no cache of it either.
    return {**given, "cache": ""} if arguments.backend == "http" else given


class Conversation:
    """One person's session at the console."""

    def __init__(self, recommender: Recommender, engine: SessionEngine, console: Console) -> None:
        self.recommender = recommender
        self.catalog = recommender.catalog
        self.engine = engine
        self.console = console
        self.profile: Optional[Path] = None
        self.state: Optional[SessionState] = None

    def hold(self, state: SessionState) -> SessionState:
        """Make `state` the present one, and keep the profile up to date where the person asked for one."""
        self.state = state
        if self.profile:
            save_profile(self.profile, self.catalog, state)
        return state

    def ask_favorites(self, n: int, fewest: int = 1) -> list[int]:
        """Ask for n films; an empty line starts with fewer, but at least `fewest`. Returns movie rows."""
        rows: list[int] = []
        with self.console.completing(self.names):
            while len(rows) < n:
                text = self.console.ask(f"Favourite {len(rows) + 1} of {n}: ")
                if not text:
                    if len(rows) >= fewest:
                        break
                    self.console.say("  Name at least one film, or q to quit.")
                elif text.casefold() in QUIT:
                    raise EndOfInput
                elif (row := self.find(text)) is not None:
                    if row in rows:
                        self.console.say(f"  {self.catalog.movie(row)} is named already.")
                    else:
                        rows.append(row)
                        self.console.say(f"  {self.line(self.catalog.movie(row))}")
        return rows

    def names(self) -> list[str]:
        """Return what Tab completes: every film with and without the article in front of its title."""
        films = [str(self.catalog.movie(row)) for row in range(len(self.catalog))]
        return sorted({*films, *(re.sub("^(?:the|an?) ", "", film, flags=re.IGNORECASE) for film in films)})

    def find(self, text: str) -> Optional[int]:
        """Return the row of the film that `text` names, asking where it could be several."""
        while text:
            row, candidates = self.recommender.titles.resolve(text)
            if row is not None:
                return row
            if not candidates:
                self.console.say(f"  No film like {text[:60]!r} among the {len(self.catalog):,} here: try other words.")
                return None
            shown = candidates[:MOST_CANDIDATES]
            self.console.say("  Which one?")
            for number, match in enumerate(shown, 1):
                self.console.say(f"  {number}  {self.line(self.catalog.movie(match.row))}")
            text = self.console.ask("  Its number, another title, or Enter for none of these: ")
            if text.casefold() in QUIT:
                raise EndOfInput
            if text in map(str, range(1, len(shown) + 1)):
                return shown[int(text) - 1].row
        return None

    def line(self, movie: Movie) -> str:
        return f"{self.console.bold(str(movie))}  {self.console.dim(', '.join(movie.genres))}".rstrip()

    def talk(self, state: SessionState) -> None:
        """Show films and take answers until the person quits, the input ends, or nothing is left."""
        self.hold(state)
        asked: Optional[tuple[tuple[Event, ...], tuple[Words, ...]]] = None
        while state.current is not None:
            if asked != (state.answers, state.words):
                self.console.say(f"\n{len(state.answers) + 1}. {self.line(self.catalog.movie(state.current))}")
                asked = (state.answers, state.words)
            text = self.console.ask(PROMPT)
            first, _, rest = text.partition(" ")
            word = WORDS.get(text.casefold())
            if WORDS.get(first.casefold()) == "tell":
                state = self.tell(state, rest.strip())
            elif word is None:
                self.console.say(f"   {text[:60]!r} is not an answer: type y, n, s, t and words, i, w, u, q or ?.")
            elif word == "quit":
                return
            elif word == "help":
                for key, (_, meaning) in ANSWERS.items():
                    self.console.say(f"   {key}  {meaning}")
            elif word == "info":
                self.show_info(self.catalog.movie(state.current))
            elif word == "why":
                self.show_why(state)
            elif word == "undo":
                state = self.undo(state)
            else:
                state = self.hold(self.engine.step(state, word))
        self.console.say("\nNothing is left to show: every film was answered or is outside the filters.")

    def tell(self, state: SessionState, text: str) -> SessionState:
        """Hear words of the person's own; where nothing can be made of them, say so and change nothing."""
        if not text:
            self.console.say("   Say what you want after the t, such as: t slow atmospheric science fiction")
            return state
        try:
            return self.hold(self.engine.tell(state, text))
        except TastevecError as error:
            self.console.say(f"   {error}")
            return state

    def undo(self, state: SessionState) -> SessionState:
        try:
            return self.hold(self.engine.undo(state))
        except ChoiceError:
            self.console.say("   Nothing to undo yet.")
            return state

    def show_info(self, movie: Movie) -> None:
        facts = [
            ("written by a language model", movie.overview_source),
            ("also called", ", ".join(movie.alternatives)),
            ("director", movie.director),
            ("cast", ", ".join(movie.cast)),
            ("genres", ", ".join(movie.genres)),
            ("keywords", ", ".join(movie.keywords)),
            ("language", movie.original_language),
            ("ratings", f"{movie.n_ratings:,} people rated it"),
        ]
        self.console.say_wrapped(movie.overview or "No description of this film here.")
        for name, fact in facts:
            if fact:
                self.console.say_wrapped(f"{name}: {fact}")

    def show_why(self, state: SessionState, most: int = 8) -> None:
        """Print the terms of the score; the smallest answers are added up in one line."""
        assert state.current is not None
        movie = self.catalog.movie(state.current)
        reasons = self.engine.explain(state)
        told = sorted((r for r in reasons if r.movie or r.text), key=lambda r: -abs(r.value))
        shown, others = told[:most], [r for r in told[most:] if r.value]
        labels = {
            "favorite": "your favourite {}",
            "like": "you liked {}",
            "dislike": "you disliked {}",
            "skip": "you skipped {}",
            "words": 'your words "{}"',
            "average": "liked by people in general",
            "genre": f"genres: it shares {self.engine.affinity(state):.0%} of your favourites' genres",
            "popularity": f"popularity: {movie.n_ratings:,} people rated it",
            "diversity": "a little off your usual genres",
        }
        lines = [(r.value, labels[r.kind].format(r.movie or r.text)) for r in shown if r.value]
        if others:
            lines.append((sum(r.value for r in others), f"your other {len(others)} answers together"))
        lines += [(r.value, labels[r.kind]) for r in reasons if not (r.movie or r.text) and r.value]
        total = sum(r.value for r in reasons)
        self.console.say(f"   {movie} has score {total:+.3f}, the sum of")
        for value, label in lines:
            self.console.say(f"   {value:+8.3f}  {label}")

    def say_goodbye(self) -> None:
        liked = [event.row for event in self.state.answers if event.answer == "like"] if self.state else []
        if liked:
            self.console.say(f"\nYou liked {len(liked)}:")
            for row in liked:
                self.console.say(f"  {self.catalog.movie(row)}")
        if self.profile and self.state:
            self.console.say(f"Kept as profile {self.profile.stem}: go on with --resume {self.profile.stem}")
        self.console.say("Goodbye.")


def run_session(recommender: Recommender, arguments: argparse.Namespace) -> int:
    """Hold the whole conversation; returns the exit code."""
    if sys.stdout is None:
        raise ChoiceError("standard output is closed: give the session somewhere to write")
    console = Console()
    for note in recommender.notes:
        print(f"tastevec: {note}", file=sys.stderr)
    first, last = arguments.year or (None, None)
    wanted = MovieFilter(tuple(arguments.genre), tuple(arguments.exclude_genre), first, last)
    engine = recommender.engine(wanted)
    n_left = int(wanted.mask(recommender.catalog).sum())
    if not n_left:
        raise ChoiceError("no film passes --genre, --exclude-genre and --year together: widen one of them")
    talk = Conversation(recommender, engine, console)
    words = arguments.like
    for text in words:
        recommender.hear(text)  # refuse what cannot be heard before anything is asked
    folder = arguments.profiles or default_profiles_folder()
    with contextlib.ExitStack() as stack:
        if arguments.save is not None:
            talk.profile = profile_path(folder, arguments.save)
            if talk.profile.exists() and arguments.save != arguments.resume:
                raise ChoiceError(f"profile {arguments.save!r} exists: go on with --resume, or save under another name")
        if arguments.resume is not None:
            if arguments.seed is not None:
                raise ChoiceError(f"--seed {arguments.seed} with --resume: the profile has its seed, leave --seed out")
            source = profile_path(folder, arguments.resume)
            loaded = load_profile(source, recommender.catalog)
            talk.profile = talk.profile or source
        if talk.profile:
            talk.profile.parent.mkdir(parents=True, exist_ok=True)
            lock = talk.profile.with_name(f".{talk.profile.stem}.lock")
            stack.enter_context(exclusive(lock, f"profile {talk.profile.stem!r}"))
        with contextlib.suppress(EndOfInput):
            if arguments.resume is not None:
                state = engine.resume(loaded.state)
                for text in words:
                    state = engine.tell(state, text)
                said = f"{len(state.favorites)} favourites, {len(state.answers)} answers"
                said += f", {len(state.words)} times in words" if state.words else ""
                console.say(f"tastevec: {n_left:,} films. Welcome back, {arguments.resume}: {said}.")
                if loaded.missing:
                    console.say(f"  {len(loaded.missing)} films of the profile are not in this catalogue; left out.")
            else:
                n = recommender.policy.n_favorites
                if words:
                    console.say(f"tastevec: {n_left:,} films. Name up to {n} that you love; Enter alone starts.")
                else:
                    console.say(f"tastevec: {n_left:,} films. Name {n} that you love; Enter alone starts with fewer.")
                state = engine.start(talk.ask_favorites(n, 0 if words else 1), arguments.seed or 0, words)
            talk.talk(state)
        talk.say_goodbye()
    return 0
