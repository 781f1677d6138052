"""The conversation that `runsvd` and `runtwotower` share: prompts and answers over `recommender.session`.

All learning is in the library, and what a line means in terminal/answers.py; this file asks, prints, and saves if told.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from model.terminal import answers
from model.terminal.answers import MOST_LISTED, Command
from model.terminal.console import EndOfInput, MovieConsole, build_parser, open_policy, shortened
from recommender.data.artifacts import need_file
from recommender.data.errors import ChoiceError, TastevecError
from recommender.data.files import exclusive
from recommender.facade import Recommender
from recommender.opening import SVD, TWO_TOWER
from recommender.session import profiles
from recommender.session.group import AVERAGE, GroupEngine
from recommender.session.policy import MOVING_AVERAGE, MovieFilter, shared_names
from recommender.session.session import Session
from recommender.session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SessionState
from recommender.text.registry import HTTP

MOST_REASONS = 8
_HEARD = {LIKE: "liked", DISLIKE: "disliked", NOT_INTERESTED: "not interested", LATER: "for later"}
OF_THE_SVD = ("learning_rule", "familiarity", "vector_scaling")  # not settings of the two-tower session


def run_session(program: str, description: str, argv: Optional[Sequence[str]], vectors: str = SVD) -> int:
    """Read the flags and hold the whole conversation; returns the exit code."""
    epilog = "Answers: " + "; ".join(f"{key}: {meaning}" for key, meaning in answers.HELP.items())
    given = build_parser(program, description, epilog, OF_THE_SVD if vectors == TWO_TOWER else ()).parse_args(argv)
    folder = given.profiles or profiles.default_profiles_folder()
    resumed, kept = open_profile(given, folder)
    chosen = {"learning_rule": getattr(given, "learning_rule", None), "backend": given.backend}
    given.learning_rule = MOVING_AVERAGE if vectors == TWO_TOWER else given.learning_rule or kept.get("learning_rule")
    given.backend = given.backend or kept.get("backend")
    service = {name: value for name in ("base_url", "model") if (value := getattr(given, name)) is not None}
    if service and given.backend != HTTP:
        raise ChoiceError("--base-url and --model belong to the backend http: add --backend http, or omit them")
    if given.backend == HTTP:
        service["cache"] = ""  # a person's words are stored only on request, so not in the cache either
    recommender = Recommender.load(given.processed, open_policy(given), given.backend, vectors, service)
    for note in recommender.notes:
        print(f"tastevec: {note}", file=sys.stderr)
    wanted = MovieFilter(
        tuple(given.genre), tuple(given.exclude_genre), *(answers.years(given.year) if given.year else ())
    )
    years = recommender.catalog.years[wanted.mask(recommender.catalog)]
    if not len(years):
        raise ChoiceError("no movie passes --genre, --exclude-genre and --year together: widen one of them")
    for text in given.like:
        recommender.encode(text)  # rejects meaningless words before the first prompt
    if given.export:
        profiles.list_files(given.export)
    talk, code = Conversation(recommender, {key: value for key, value in chosen.items() if value}), 0
    if given.group:
        people = {name: profiles.read_profile(profiles.profile_path(folder, name)) for name in given.group}
        talk.engine = recommender.group_session(people, given.strategy or AVERAGE, wanted=wanted).engine
    with contextlib.ExitStack() as stack:
        loaded = profiles.load_profile(resumed, recommender.catalog) if resumed else None
        if given.save or resumed:
            talk.profile = path = profiles.profile_path(folder, given.save or given.resume)
            need_file(path, "--profiles")
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(path.with_name(f".{path.stem}.lock"), f"profile {path.stem!r}"))
        try:
            about = f"tastevec: {len(years):,} movies" + (f", up to {years.max()}." if years.max() else ".")
            talk.begin(given, loaded, wanted, about)
            talk.talk()
        except EndOfInput:
            pass
        except KeyboardInterrupt:  # Ctrl-C
            talk.say()
            code = 130
        talk.say_goodbye(given.export)
    return code


def open_profile(given: argparse.Namespace, folder: Path) -> tuple[Optional[Path], dict[str, Any]]:
    """Return the file of --resume, if given, and what it holds; raises `ChoiceError` for flags that do not fit."""
    if given.group and (given.resume or given.save):
        raise ChoiceError("--group with --save, --resume or --profile: a group's session is not saved")
    if given.save is not None and given.save != given.resume and profiles.profile_path(folder, given.save).exists():
        raise ChoiceError(f"profile {given.save!r} exists: use --resume, or save under another name")
    if given.resume is None:
        return None, {}
    if given.seed is not None:
        raise ChoiceError(f"--seed {given.seed} with --resume: the profile has its own seed: omit --seed")
    path = profiles.profile_path(folder, given.resume)
    return path, profiles.read_profile(path)


class Conversation:
    """One person's session at the console."""

    def __init__(self, recommender: Recommender, choices: dict[str, str]) -> None:
        """choices: of CHOICES in profiles.py, those made by flags."""
        self.recommender, self.catalog, self.engine = recommender, recommender.catalog, recommender.engine()
        self.choices, self.console = choices, MovieConsole(recommender)
        self.say = self.console.say
        self.profile: Optional[Path] = None
        self.stored: Optional[dict[str, Any]] = None  # all that its file holds
        self.session: Optional[Session] = None
        self.listed: list[int] = []  # the movies (rows) of the last `list`

    @property
    def state(self) -> SessionState:
        assert self.session is not None
        return self.session.state

    def begin(self, given: argparse.Namespace, loaded: Any, wanted: MovieFilter, about: str) -> None:
        """Start the session: of the loaded profile, with what the flags say now, or by asking for favorites."""
        n, words = self.recommender.policy.n_favorites, [*given.like]
        if isinstance(self.engine, GroupEngine):
            self.say(f"{about} Tonight: {', '.join(member.name for member in self.engine.members)}.")
            state = functools.reduce(self.engine.tell, words, self.engine.start_group(given.seed or 0))
        elif loaded is None:
            self.say(f"{about} Name up to {n} that you love; Enter starts.")
            rows = self.console.ask_favorites(n, words)
            state = self.engine.start(rows, given.seed or 0, words)
        else:
            state, self.stored, _ = loaded
            old = state.wanted or MovieFilter()
            years = (wanted.first_year, wanted.last_year) if given.year else (old.first_year, old.last_year)
            wanted = MovieFilter(wanted.genres or old.genres, wanted.exclude_genres or old.exclude_genres, *years)
            state = functools.reduce(self.engine.tell, words, state)
        dial = getattr(given, "familiarity", None)
        dial = state.familiarity if dial is None else dial
        self.session = Session(self.engine, self.engine.resume(state._replace(wanted=wanted, familiarity=dial)))
        self.say_read(words)
        self.save()
        if loaded is None or self.stored is None:
            return
        known = f"favorites {len(state.favorites)}, answers {len(state.answers)}"
        known += f", wishes in words {len(state.utterances)}" if state.utterances else ""
        self.say(f"{about} Welcome back, {given.resume}: {known}.")
        for note in loaded[2]:
            self.say(f"  {note}")
        chosen = {"filters": self.stored.get("filter"), "familiarity": self.stored.get("familiarity") is not None}
        for name, said in self.standing().items():
            if chosen.get(name):
                self.say(f"  {name}: {said}")
        for choice in ("learning_rule", "backend"):
            if self.stored.get(choice, "") == getattr(given, choice):
                self.say(f"  {choice.replace('_', ' ')}: {self.stored[choice]}")

    def save(self) -> None:
        """Keep the profile up to date where the person asked for one."""
        if self.profile:
            self.stored = profiles.save_profile(self.profile, self.catalog, self.state, self.stored, **self.choices)

    def talk(self) -> None:
        """Show movies and take answers until the person quits or the input ends."""
        shown: Optional[SessionState] = None
        while True:
            if self.state != shown:
                self.show_movie()
                shown = self.state
            line = self.console.ask(answers.PROMPT, self.console.completed)
            standing = self.standing()
            try:
                command = answers.read(line)
                if command.name == "quit":
                    return
                self.obey(command)
            except TastevecError as error:
                self.say(f"   {error}")
            for name, said in self.standing().items():
                if said != standing.get(name):
                    self.say(f"   {name}: {said}")
            if self.state != shown:
                self.save()

    def obey(self, command: Command) -> None:
        """Do what was said, or raise `ChoiceError`."""
        session, engine, state, about = self.session, self.engine, self.state, command.about
        assert session
        if command.name == "answer":
            session.change(engine.step, about)
        elif command.name == "several":
            if wrong := [str(number) for number in about if not 0 < number <= len(self.listed)]:
                there = f"it goes from 1 to {len(self.listed)}" if self.listed else "type list first"
                raise ChoiceError(f"no {', '.join(wrong)} in the list: {there}; nothing was answered")
            given = {self.listed[number - 1]: answer for number, answer in about.items()}
            session.change(engine.answer, given)
            noted = [f"{self.catalog.movie(row)}: {_HEARD.get(given[row], 'skipped')}" for row in given]
            self.say("   " + "; ".join(noted))
        elif command.name == "tell":
            session.tell(about)
            self.say_read([about])
        elif command.name == "undo":
            session.undo()
        elif command.name == "favorite":
            if rows := self.console.name(about, [*state.favorites]):
                session.change(lambda state: functools.reduce(engine.add_favorite, rows, state))
        elif command.name == "unfavorite":
            if (row := self.console.named_favorite(about, state.favorites)) is None:
                raise ChoiceError(f"no favorite {about[:60]!r}: type again to see them with numbers")
            session.change(engine.drop_favorite, row)
        elif command.name == "filter":
            session.change(engine.set_filter, about(state.wanted or MovieFilter()))
        elif command.name == "familiarity":
            now = engine.familiarity(state)
            if (then := round(min(max(now + about, 0.0), 1.0), 2)) == now:
                raise ChoiceError(f"familiarity is {now:.2f} already: it goes from 0 to 1")
            session.change(engine.set_familiarity, then)
        elif command.name == "list" and state.current is not None:
            self.listed = engine.best(state, about)
            for number, row in enumerate(self.listed, 1):
                self.say(f"   {number:2}  {self.console.line(self.catalog.movie(row))}")
            self.say("   Answer as in 1y 3n 4l; y alone answers the first.")
        elif command.name == "help":
            for key, meaning in answers.HELP.items():
                self.say(f"   {key:<11} {meaning}")
        elif command.name == "again":
            for name, said in {**self.standing(), **self.heard()}.items():
                self.say(f"   {name}: {said}")
            self.show_movie()
        elif state.current is None:
            raise ChoiceError("no movie is left")
        elif command.name == "info":
            self.console.show_info(self.catalog.movie(state.current))
        else:
            self.show_why(state)

    def standing(self) -> dict[str, str]:
        """Return favorites, filters and familiarity in words."""
        state, wanted = self.state, self.state.wanted or MovieFilter()
        names = [f"{number} {self.catalog.movie(row)}" for number, row in enumerate(state.favorites, 1)]
        said = {"favorites": "; ".join(names) or "none", "filters": str(wanted)}
        if self.engine.rule.has_familiarity:
            said["familiarity"] = f"{self.engine.familiarity(state):.2f} of 1"
        return said

    def heard(self) -> dict[str, str]:
        """Return what was said so far, words and answers, but for what was skipped."""
        said = {"words": [words.text for words in self.state.utterances]}
        for event in filter(lambda event: event.answer in _HEARD, self.state.answers):
            said.setdefault(_HEARD[event.answer], []).append(str(self.catalog.movie(event.row)))
        return {name: shortened("; ".join(texts), 500) for name, texts in said.items() if texts}

    def show_movie(self) -> None:
        if self.state.current is None:
            self.say("\nNo movies left: all were answered or are outside the filters.")
        else:
            self.say(f"\n{len(self.state.answers) + 1}. {self.console.line(self.catalog.movie(self.state.current))}")

    def say_read(self, texts: Sequence[str]) -> None:
        """Print which facts were found in words, and what of them the data do not hold."""
        for signal in map(self.engine.signal, texts):
            if found := "; ".join(filter(None, (signal.read_as, signal.unknown))):
                self.say(f"   understood: {found}")

    def show_why(self, state: SessionState) -> None:
        """Print the terms of the score; the smallest answers are summed in one line."""
        assert state.current is not None
        movie, reasons = self.catalog.movie(state.current), self.engine.explain(state)
        said = sorted((r for r in reasons if (r.movie or r.text) and r.value), key=lambda r: -abs(r.value))
        most = MOST_REASONS + (len(said) == MOST_REASONS + 1)  # a lone one needs no more lines than their sum
        lines = [(r.value, answers.WHY[r.kind].format(r.movie or shortened(r.text))) for r in said[:most]]
        if others := said[most:]:
            lines.append((sum(r.value for r in others), f"all else that you said ({len(others)})"))
        filled = {"movie": movie, "affinity": self.engine.context(state).affinity[state.current]}
        filled["shared"] = shared_names(self.catalog, state.favorites, state.current)
        others = [r for r in reasons if not (r.movie or r.text) and r.value]
        lines += [(r.value, answers.WHY[r.kind].format(**filled)) for r in others]
        self.say(f"   {movie} has score {sum(r.value for r in reasons):+.3f}, the sum of")
        for value, label in lines:
            self.say(f"   {value:+8.3f}  {label}")

    def say_goodbye(self, export: Optional[Path]) -> None:
        for kind, heading in ((LIKE, "You liked"), (LATER, "For later")) if self.session else ():
            rows = [event.row for event in self.state.answers if event.answer == kind]
            if rows:
                self.say(f"\n{heading} {len(rows)}" + (f", the last {MOST_LISTED}" if rows[MOST_LISTED:] else "") + ":")
            for row in rows[-MOST_LISTED:]:
                self.say(f"  {self.catalog.movie(row)}")
        if self.session and export:
            for file, n in profiles.export_lists(export, self.catalog, self.state):
                self.say(f"Exported {n} to {file}")
        if self.profile and self.session:
            self.say(f"Saved as profile {self.profile.stem}: continue with --resume {self.profile.stem}")
        self.say("Goodbye.")
