"""The conversation that `runsvd` and `runtwotower` share: prompts and answers over `recommender.session`.

All learning is in the library; this file asks, prints, and saves the profile on request.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from model.console import Console, EndOfInput, backend_settings, build_parser, open_policy
from recommender.data.artifacts import need_file
from recommender.data.catalog import Movie
from recommender.data.errors import ChoiceError, TastevecError, one_line
from recommender.data.files import exclusive
from recommender.facade import SVD, TWO_TOWER, Recommender
from recommender.session import profiles
from recommender.session.policy import MOVING_AVERAGE, MovieFilter
from recommender.session.state import LIKE, SessionState

ANSWERS = {
    "y": ("like", "I like it, or want to see it"),
    "n": ("dislike", "not for me"),
    "s": ("skip", "no opinion, or never seen"),
    "t": ("tell", "what you want, in your own words: t slow science fiction"),
    "i": ("info", "what is it about?"),
    "w": ("why", "why this movie? The terms of its score"),
    "u": ("undo", "take my last answer or words back"),
    "q": ("quit", "end the session"),
    "?": ("help", "this list"),
}
WORDS = {**{key: word for key, (word, _) in ANSWERS.items()}, **{word: word for word, _ in ANSWERS.values()}}
WORDS.update({"yes": "like", "no": "dislike", "h": "help", "exit": "quit"})
PROMPT = "   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
QUIT = ("q", "quit")
MOST_CANDIDATES, MOST_REASONS = 6, 8
OF_THE_SVD = ("learning_rule", "skip_weight", "vector_scaling")  # not settings of the two-tower session


def run_session(program: str, description: str, argv: Optional[Sequence[str]], vectors: str = SVD) -> int:
    """Read the flags and hold the whole conversation; returns the exit code."""
    answers = "Answers: " + "; ".join(f"{key} {word}" for key, (word, _) in ANSWERS.items())
    given = build_parser(program, description, answers, OF_THE_SVD if vectors == TWO_TOWER else ()).parse_args(argv)
    if vectors == TWO_TOWER:
        given.learning_rule = MOVING_AVERAGE
    settings = backend_settings(given)
    recommender = Recommender.load(given.processed, open_policy(given), given.backend, vectors, settings)
    for note in recommender.notes:
        print(f"tastevec: {note}", file=sys.stderr)
    wanted = MovieFilter(tuple(given.genre), tuple(given.exclude_genre), *(given.year or (None, None)))
    years = recommender.catalog.years[wanted.mask(recommender.catalog)]
    if not len(years):
        raise ChoiceError("no movie passes --genre, --exclude-genre and --year together: widen one of them")
    for text in given.like:
        recommender.encode(text)  # rejects meaningless words before the first prompt
    talk = Conversation(recommender, wanted)
    with contextlib.ExitStack() as stack:
        loaded = talk.open_profiles(given)
        if talk.profile:
            need_file(talk.profile, "--profiles")
            talk.profile.parent.mkdir(parents=True, exist_ok=True)
            lock = talk.profile.with_name(f".{talk.profile.stem}.lock")
            stack.enter_context(exclusive(lock, f"profile {talk.profile.stem!r}"))
        with contextlib.suppress(EndOfInput):
            about = f"tastevec: {len(years):,} movies" + (f", up to {years.max()}." if years.max() else ".")
            talk.talk(talk.begin(given, loaded, about))
        talk.say_goodbye()
    return 0


class Conversation:
    """One person's session at the console."""

    def __init__(self, recommender: Recommender, wanted: MovieFilter) -> None:
        self.recommender, self.catalog, self.engine = recommender, recommender.catalog, recommender.engine(wanted)
        self.console = Console()
        self.say = self.console.say
        self.profile: Optional[Path] = None
        self.stored: Optional[dict[str, Any]] = None  # all that its file holds
        self.state: Optional[SessionState] = None

    def open_profiles(self, given: argparse.Namespace) -> Optional[tuple[SessionState, list[str]]]:
        """Set the profile file of --save or --resume; return the session to resume, if any, and notes on it."""
        folder = given.profiles or profiles.default_profiles_folder()
        if given.save is not None:
            self.profile = profiles.profile_path(folder, given.save)
            if self.profile.exists() and given.save != given.resume:
                raise ChoiceError(f"profile {given.save!r} exists: use --resume, or save under another name")
        if given.resume is None:
            return None
        if given.seed is not None:
            raise ChoiceError(f"--seed {given.seed} with --resume: the profile has its own seed: omit --seed")
        source = profiles.profile_path(folder, given.resume)
        self.profile = self.profile or source
        state, self.stored, notes = profiles.load_profile(source, self.catalog)
        return state, notes

    def begin(
        self, given: argparse.Namespace, loaded: Optional[tuple[SessionState, list[str]]], about: str
    ) -> SessionState:
        """Return the state of the loaded profile, after what was said with --like now, or ask for favorites."""
        n = self.recommender.policy.n_favorites
        if loaded is None:
            up_to, fewer = ("up to ", "") if given.like else ("", " with fewer")
            self.say(f"{about} Name {up_to}{n} that you love; Enter alone starts{fewer}.")
            return self.engine.start(self.ask_favorites(n, 0 if given.like else 1), given.seed or 0, given.like)
        state = self.engine.resume(loaded[0])
        for text in given.like:
            state = self.engine.tell(state, text)
        known = f"{len(state.favorites)} favorites, {len(state.answers)} answers"
        known += f", {len(state.utterances)} times in words" if state.utterances else ""
        self.say(f"{about} Welcome back, {given.resume}: {known}.")
        for note in loaded[1]:
            self.say(f"  {note}")
        return state

    def hold(self, state: SessionState) -> SessionState:
        """Make `state` the present one, and keep the profile up to date where the person asked for one."""
        self.state = state
        if self.profile:
            self.stored = profiles.save_profile(self.profile, self.catalog, state, self.stored)
        return state

    def ask_favorites(self, n: int, fewest: int) -> list[int]:
        """Ask for n movies; an empty line starts with fewer, but at least `fewest`. Returns movie rows."""
        rows: list[int] = []
        with self.console.completing(self.names):
            while len(rows) < n:
                text = self.console.ask(f"Favorite {len(rows) + 1} of {n}: ")
                if text.casefold() in QUIT:
                    raise EndOfInput
                if not text and len(rows) >= fewest:
                    break
                if not text:
                    self.say("  Name at least one movie, or q to quit.")
                elif (row := self.find(text)) in rows:
                    self.say(f"  {self.catalog.movie(row)} is already named.")
                elif row is not None:
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
            if reason := self.recommender.titles.too_new(text):
                self.say(f"  {text[:60]!r} {reason}.")
            elif not candidates:
                self.say(f"  No movie like {text[:60]!r} of {len(self.catalog):,} here: try other words.")
            if not candidates:
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
            word = "tell" if WORDS.get(first.casefold()) == "tell" else WORDS.get(text.casefold())
            if word == "quit":
                return
            if word == "info":
                self.show_info(self.catalog.movie(state.current))
            elif word == "why":
                self.show_why(state)
            elif word == "help":
                for key, (_, meaning) in ANSWERS.items():
                    self.say(f"   {key}  {meaning}")
            elif word is None:
                self.say(f"   {text[:60]!r} is not an answer: type y, n, s, t and words, i, w, u, q or ?.")
            else:
                state = self.answer(state, word, rest.strip())
        self.say("\nNo movies left: all were answered or are outside the filters.")

    def answer(self, state: SessionState, word: str, text: str) -> SessionState:
        """Return the state after a like, dislike, skip, tell or undo; print a message if it is impossible."""
        if word == "tell" and not text:
            self.say("   Say what you want after the t, such as: t slow atmospheric science fiction")
            return state
        try:
            if word == "tell":
                return self.hold(self.engine.tell(state, text))
            return self.hold(self.engine.undo(state) if word == "undo" else self.engine.step(state, word))
        except TastevecError as error:
            self.say("   Nothing to undo yet." if word == "undo" else f"   {error}")
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
            "ratings": self.ratings(movie),
        }
        self.console.say_wrapped(movie.overview or "No description of this movie here.")
        for name, fact in facts.items():
            if fact:
                self.console.say_wrapped(f"{name}: {fact}")

    def ratings(self, movie: Movie) -> str:
        if not movie.mean_rating:
            return f"{movie.n_ratings:,} people rated it"
        rank = self.catalog.decade_rank(self.catalog.row_of(movie.movie_id))
        place = f"{f'{ordinal(rank)} ' if rank > 1 else ''}most rated of the {movie.year // 10}0s"
        return f"{movie.mean_rating:.1f} from {movie.n_ratings:,} people" + (f"; {place}" if movie.year else "")

    def show_why(self, state: SessionState) -> None:
        """Print the terms of the score; the smallest answers are summed in one line."""
        assert state.current is not None
        movie, reasons = self.catalog.movie(state.current), self.engine.explain(state)
        affinity = self.engine.context(state).affinity[state.current]
        labels = {
            "favorite": "your favorite {}",
            "like": "you liked {}",
            "dislike": "you disliked {}",
            "skip": "you skipped {}",
            "words": 'your words "{}"',
            "average": "liked by people in general",
            "genre": f"genres: it shares {affinity:.0%} of your favorites' genres",
            "popularity": f"popularity: {movie.n_ratings:,} people rated it",
            "diversity": "a little off your usual genres",
        }
        said = sorted((r for r in reasons if r.movie or r.text), key=lambda r: -abs(r.value))
        lines = [(r.value, labels[r.kind].format(r.movie or shortened(r.text))) for r in said[:MOST_REASONS] if r.value]
        if others := [r for r in said[MOST_REASONS:] if r.value]:
            what = "answers and words" if any(r.text for r in others) else "answers"
            lines.append((sum(r.value for r in others), f"your other {len(others)} {what} together"))
        lines += [(r.value, labels.get(r.kind, r.kind)) for r in reasons if not (r.movie or r.text) and r.value]
        self.say(f"   {movie} has score {sum(r.value for r in reasons):+.3f}, the sum of")
        for value, label in lines:
            self.say(f"   {value:+8.3f}  {label}")

    def say_goodbye(self) -> None:
        liked = [event.row for event in self.state.answers if event.answer == LIKE] if self.state else []
        if liked:
            self.say(f"\nYou liked {len(liked)}:")
            for row in liked:
                self.say(f"  {self.catalog.movie(row)}")
        if self.profile and self.state:
            self.say(f"Saved as profile {self.profile.stem}: continue with --resume {self.profile.stem}")
        self.say("Goodbye.")


def ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def shortened(text: str, most: int = 60) -> str:
    """Return words as one printable line of at most `most` characters."""
    text = one_line(" ".join(text.split()))
    return text if len(text) <= most else f"{text[: most - 3]}..."
