"""The conversation that `runsvd` and `runtwotower` share: prompts and answers over `recommender.session`.

All learning is in the library; this file only asks, prints, and keeps the profile where --save asks for it.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from pathlib import Path
from typing import Optional

from model.console import Console, EndOfInput
from model.session_flags import ANSWERS
from recommender.data.catalog import Movie
from recommender.data.errors import ChoiceError, TastevecError, printable
from recommender.data.files import exclusive
from recommender.facade import Recommender
from recommender.session import profiles
from recommender.session.engine import SessionEngine, SessionState
from recommender.session.policy import MovieFilter

WORDS = {**{key: word for key, (word, _) in ANSWERS.items()}, **{word: word for word, _ in ANSWERS.values()}}
WORDS.update({"yes": "like", "no": "dislike", "h": "help", "exit": "quit"})
PROMPT = "   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
QUIT = ("q", "quit")
MOST_CANDIDATES = 6


class Conversation:
    """One person's session at the console."""

    def __init__(self, recommender: Recommender, engine: SessionEngine, console: Console) -> None:
        self.recommender, self.catalog, self.engine = recommender, recommender.catalog, engine
        self.console, self.say = console, console.say
        self.profile: Optional[Path] = None
        self.state: Optional[SessionState] = None

    def hold(self, state: SessionState) -> SessionState:
        """Make `state` the present one, and keep the profile up to date where the person asked for one."""
        self.state = state
        if self.profile:
            profiles.save_profile(self.profile, self.catalog, state)
        return state

    def ask_favorites(self, n: int, fewest: int = 1) -> list[int]:
        """Ask for n movies; an empty line starts with fewer, but at least `fewest`. Returns movie rows."""
        rows: list[int] = []
        with self.console.completing(self.names):
            while len(rows) < n:
                text = self.console.ask(f"Favorite {len(rows) + 1} of {n}: ")
                if not text:
                    if len(rows) >= fewest:
                        break
                    self.say("  Name at least one movie, or q to quit.")
                elif text.casefold() in QUIT:
                    raise EndOfInput
                elif (row := self.find(text)) is not None:
                    if row in rows:
                        self.say(f"  {self.catalog.movie(row)} is named already.")
                    else:
                        rows.append(row)
                        self.say(f"  {self.line(self.catalog.movie(row))}")
        return rows

    def names(self) -> list[str]:
        """Return what Tab completes: every movie with and without the article in front of its title."""
        movies = [str(self.catalog.movie(row)) for row in range(len(self.catalog))]
        return sorted({*movies, *(re.sub("^(?:the|an?) ", "", movie, flags=re.IGNORECASE) for movie in movies)})

    def find(self, text: str) -> Optional[int]:
        """Return the row of the movie that `text` names, asking where it could be several."""
        while text:
            row, candidates = self.recommender.titles.resolve(text)
            if row is not None:
                return row
            if not candidates:
                self.say(f"  No movie like {text[:60]!r} of {len(self.catalog):,} here: try other words.")
                return None
            shown = candidates[:MOST_CANDIDATES]
            self.say("  Which one?")
            for number, match in enumerate(shown, 1):
                self.say(f"  {number}  {self.line(self.catalog.movie(match.row))}")
            text = self.console.ask("  Its number, another title, or Enter for none of these: ")
            if text.casefold() in QUIT:
                raise EndOfInput
            if text in map(str, range(1, len(shown) + 1)):
                return shown[int(text) - 1].row
        return None

    def line(self, movie: Movie) -> str:
        return f"{self.console.bold(str(movie))}  {self.console.dim(', '.join(movie.genres))}".rstrip()

    def talk(self, state: SessionState) -> None:
        """Show movies and take answers until the person quits, the input ends, or nothing is left."""
        self.hold(state)
        shown: Optional[SessionState] = None
        while state.current is not None:
            if state != shown:
                self.say(f"\n{len(state.answers) + 1}. {self.line(self.catalog.movie(state.current))}")
                shown = state
            text = self.console.ask(PROMPT)
            first, _, rest = text.partition(" ")
            word = WORDS.get(text.casefold())
            if WORDS.get(first.casefold()) == "tell":
                state = self.tell(state, rest.strip())
            elif word is None:
                self.say(f"   {text[:60]!r} is not an answer: type y, n, s, t and words, i, w, u, q or ?.")
            elif word == "quit":
                return
            elif word == "help":
                for key, (_, meaning) in ANSWERS.items():
                    self.say(f"   {key}  {meaning}")
            elif word == "info":
                self.show_info(self.catalog.movie(state.current))
            elif word == "why":
                self.show_why(state)
            elif word == "undo":
                try:
                    state = self.hold(self.engine.undo(state))
                except ChoiceError:
                    self.say("   Nothing to undo yet.")
            else:
                state = self.hold(self.engine.step(state, word))
        self.say("\nNothing is left to show: every movie was answered or is outside the filters.")

    def tell(self, state: SessionState, text: str) -> SessionState:
        """Take words of the person's own; where nothing can be made of them, say so and change nothing."""
        if not text:
            self.say("   Say what you want after the t, such as: t slow atmospheric science fiction")
            return state
        try:
            return self.hold(self.engine.tell(state, text))
        except TastevecError as error:
            self.say(f"   {printable(str(error))}")
            return state

    def show_info(self, movie: Movie) -> None:
        facts = {
            "written by a language model": movie.overview_source,
            "also called": ", ".join(movie.alternatives),
            "director": movie.director,
            "cast": ", ".join(movie.cast),
            "genres": ", ".join(movie.genres),
            "keywords": ", ".join(movie.keywords),
            "language": movie.original_language,
            "ratings": f"{movie.n_ratings:,} people rated it",
        }
        self.console.say_wrapped(movie.overview or "No description of this movie here.")
        for name, fact in facts.items():
            if fact:
                self.console.say_wrapped(f"{name}: {fact}")

    def show_why(self, state: SessionState, most: int = 8) -> None:
        """Print the terms of the score; the smallest answers are added up in one line."""
        assert state.current is not None
        movie = self.catalog.movie(state.current)
        reasons = self.engine.explain(state)
        labels = {
            "favorite": "your favorite {}",
            "like": "you liked {}",
            "dislike": "you disliked {}",
            "skip": "you skipped {}",
            "words": 'your words "{}"',
            "average": "liked by people in general",
            "genre": f"genres: it shares {self.engine.affinity(state):.0%} of your favorites' genres",
            "popularity": f"popularity: {movie.n_ratings:,} people rated it",
            "diversity": "a little off your usual genres",
        }
        said = sorted((r for r in reasons if r.movie or r.text), key=lambda r: -abs(r.value))
        lines = [(r.value, labels[r.kind].format(r.movie or shortened(r.text))) for r in said[:most] if r.value]
        if others := [r for r in said[most:] if r.value]:
            what = "answers and words" if any(r.text for r in others) else "answers"
            lines.append((sum(r.value for r in others), f"your other {len(others)} {what} together"))
        lines += [(r.value, labels.get(r.kind, r.kind)) for r in reasons if not (r.movie or r.text) and r.value]
        self.say(f"   {movie} has score {sum(r.value for r in reasons):+.3f}, the sum of")
        for value, label in lines:
            self.say(f"   {value:+8.3f}  {label}")

    def say_goodbye(self) -> None:
        liked = [event.row for event in self.state.answers if event.answer == "like"] if self.state else []
        if liked:
            self.say(f"\nYou liked {len(liked)}:")
            for row in liked:
                self.say(f"  {self.catalog.movie(row)}")
        if self.profile and self.state:
            self.say(f"Kept as profile {self.profile.stem}: go on with --resume {self.profile.stem}")
        self.say("Goodbye.")


def shortened(text: str, most: int = 60) -> str:
    """Return words as one line that can be shown: no control characters, at most `most` letters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def run_session(recommender: Recommender, given: argparse.Namespace) -> int:
    """Hold the whole conversation with the flags `given`; returns the exit code."""
    if sys.stdout is None:
        raise ChoiceError("standard output is closed: give the session somewhere to write")
    for note in recommender.notes:
        print(f"tastevec: {note}", file=sys.stderr)
    first, last = given.year or (None, None)
    wanted = MovieFilter(tuple(given.genre), tuple(given.exclude_genre), first, last)
    n_movies = int(wanted.mask(recommender.catalog).sum())
    if not n_movies:
        raise ChoiceError("no movie passes --genre, --exclude-genre and --year together: widen one of them")
    talk = Conversation(recommender, recommender.engine(wanted), Console())
    for text in given.like:
        recommender.encode(text)  # refuse what means nothing before anything is asked
    with contextlib.ExitStack() as stack:
        loaded = open_profiles(talk, given)
        if talk.profile:
            talk.profile.parent.mkdir(parents=True, exist_ok=True)
            lock = talk.profile.with_name(f".{talk.profile.stem}.lock")
            stack.enter_context(exclusive(lock, f"profile {talk.profile.stem!r}"))
        with contextlib.suppress(EndOfInput):
            talk.talk(resumed(talk, loaded, given, n_movies) if loaded else started(talk, given, n_movies))
        talk.say_goodbye()
    return 0


def open_profiles(talk: Conversation, given: argparse.Namespace) -> Optional[profiles.LoadedProfile]:
    """Set the file that --save or --resume keeps the session in; returns the profile to go on with, if any."""
    folder = given.profiles or profiles.default_profiles_folder()
    if given.save is not None:
        talk.profile = profiles.profile_path(folder, given.save)
        if talk.profile.exists() and given.save != given.resume:
            raise ChoiceError(f"profile {given.save!r} exists: go on with --resume, or save under another name")
    if given.resume is None:
        return None
    if given.seed is not None:
        raise ChoiceError(f"--seed {given.seed} with --resume: the profile has its seed, leave --seed out")
    source = profiles.profile_path(folder, given.resume)
    talk.profile = talk.profile or source
    return profiles.load_profile(source, talk.catalog)


def started(talk: Conversation, given: argparse.Namespace, n_movies: int) -> SessionState:
    """Ask for the favorites and return the state after them."""
    n = talk.recommender.policy.n_favorites
    ask = f"Name up to {n} that you love; Enter alone starts."
    if not given.like:
        ask = f"Name {n} that you love; Enter alone starts with fewer."
    talk.say(f"tastevec: {n_movies:,} movies. {ask}")
    return talk.engine.start(talk.ask_favorites(n, 0 if given.like else 1), given.seed or 0, given.like)


def resumed(
    talk: Conversation, loaded: profiles.LoadedProfile, given: argparse.Namespace, n_movies: int
) -> SessionState:
    """Return the state of the profile, after what was said with --like now."""
    state = talk.engine.resume(loaded.state)
    for text in given.like:
        state = talk.engine.tell(state, text)
    known = f"{len(state.favorites)} favorites, {len(state.answers)} answers"
    known += f", {len(state.utterances)} times in words" if state.utterances else ""
    talk.say(f"tastevec: {n_movies:,} movies. Welcome back, {given.resume}: {known}.")
    if loaded.missing:
        talk.say(f"  {len(loaded.missing)} movies of the profile are not in this catalogue; left out.")
    return state
