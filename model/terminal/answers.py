"""What a line typed in a session means: a `Command`, or a `ChoiceError` that says what to type instead.

y  seen n  1y 3n 4l  fav heat  only comedy  1990s  t something slow
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Optional

from recommender.data.errors import ChoiceError, shown
from recommender.session.policy import TERMS, MovieFilter
from recommender.session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SKIP
from recommender.text.everyday_words import EVER, GENRES, read_years

HELP = {
    "y": "like: I like it; seen y is the same",
    "n": "dislike: not for me; seen n is the same",
    "s": "skip: no opinion; nothing is learned",
    "x": "not interested: a mild no",
    "l": "later: on my watchlist, a mild yes",
    "t WORDS": "tell what you want, in your own words: t slow science fiction",
    "i": "info: what is it about?",
    "w": "why this movie? The terms of its score",
    "u": "undo: take back what I said last, whatever it was",
    "+ -": "more familiar movies, less familiar ones",
    "list 5": "the next five at once; 1y 3n 4l answers them",
    "fav TITLE": "one more favorite, or several: fav heat; fargo",
    "unfav 2": "take a favorite back, by number or title",
    "only GENRE": "also not horror, 1990s, 1994, 1990-1999, the 80s, before 1980",
    "any": "no filters",
    "again": "this movie again, and all that was said so far",
    "q": "quit",
    "?": "this list",
}
WHY = {  # kind of a term -> what "why" prints of it
    "favorite": "your favorite {}",
    "like": "you liked {}",
    "dislike": "you disliked {}",
    "not interested": "{} did not interest you",
    "later": "{} is for later",
    "seen": "you have seen {}",
    "words": 'your words "{}"',
    "text": 'liked with what "{}" describes',
    "member": "{}",
    "average": "liked by people in general",
    **{kind: term.label for kind, term in TERMS.items()},
}
AT_THE_START = """\
  No movie was shown yet: type titles, divided by ;  or t and what you want, in your own words: t slow science fiction
  Enter starts, u takes the last title back, q quits; fav y is the title y."""
PROMPT = "   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
_GENRES = {name.strip(): genre for genre, names in GENRES.items() for name in names.split(",")}
_NUMBERED = re.compile(r"(\d+)\s*([a-z]+)[\s,;]*")
MOST_LISTED = 20


class Command(NamedTuple):
    """name: "answer", "several", "tell", "favorite", "unfavorite", "filter", "list", "familiarity", or a word of
    `_PLAIN`.  about: the answer, answers by number, the text, a function from filter to filter, a count, a step."""

    name: str
    about: Any = None


_ANSWERS = {"y": LIKE, "yes": LIKE, "like": LIKE, "n": DISLIKE, "no": DISLIKE, "dislike": DISLIKE}
_ANSWERS |= {f"seen {word}": answer for word, answer in _ANSWERS.items()}
_ANSWERS |= {"s": SKIP, "skip": SKIP, "next": SKIP, "x": NOT_INTERESTED, "not interested": NOT_INTERESTED}
_ANSWERS |= {"l": LATER, "later": LATER}
_PLAIN = {"i": "info", "w": "why", "u": "undo", "back": "undo", "q": "quit", "exit": "quit", "?": "help", "h": "help"}
_PLAIN |= {word: word for word in (*_PLAIN.values(), "again")}
_COMMANDS = {
    **{word: Command("answer", answer) for word, answer in _ANSWERS.items()},
    **{word: Command(name) for word, name in _PLAIN.items()},
    "+": Command("familiarity", 0.2),
    "-": Command("familiarity", -0.2),
    "any": Command("filter", lambda wanted: MovieFilter()),
}


def read(line: str) -> Command:
    """Return the command of a line.

    >>> read("Seen Y"), read("1y, 3n").about
    (Command(name='answer', about='like'), {1: 'like', 3: 'dislike'})
    """
    said = " ".join(line.casefold().split())
    first, _, rest = said.partition(" ")
    if said in _COMMANDS:
        return _COMMANDS[said]
    if first in ("t", "tell"):
        if not rest:
            raise ChoiceError("Say what you want after the t, such as: t slow atmospheric science fiction")
        return Command("tell", line.split(None, 1)[1].strip())
    if first in ("fav", "favorite", "unfav"):
        if not rest:
            raise ChoiceError("which movie? fav heat adds a favorite; unfav heat, or unfav 2, takes one back")
        return Command("unfavorite" if first == "unfav" else "favorite", rest)
    if first == "list":
        if (rest or "5") not in map(str, range(1, MOST_LISTED + 1)):
            raise ChoiceError(f"list {shown(rest)}: give a number from 1 to {MOST_LISTED}")
        return Command("list", int(rest or "5"))
    if narrower := _filter(said):  # before numbers: 80s and 90s
        return Command("filter", narrower)
    if said[:1].isdecimal():
        return Command("several", _numbered(said))
    also = "t and what you want, fav and a title" if len(said) > 2 else "x or l"
    raise ChoiceError(f"{shown(line[:60])} is not an answer: type y, n, s, {also}, or ? for all that can be said")


def too_early(line: str) -> bool:
    """Return whether a line typed instead of a favorite is about a movie not yet shown: one letter of a command."""
    return len(line) == 1 and line.casefold() in _COMMANDS and line.casefold() not in "uq"


def _numbered(said: str) -> dict[int, str]:
    """Read 1y 3n 4l, in any order."""
    pairs = _NUMBERED.findall(said)
    found = {int(number[:9]): _ANSWERS.get(word, "") for number, word in pairs}
    if _NUMBERED.sub("", said) or len(found) < len(pairs) or not all(found.values()):
        raise ChoiceError(f"{shown(said)}: give each number of the list one answer, as in 1y 3n 4l")
    return found


def _filter(said: str) -> Optional[Callable[[MovieFilter], MovieFilter]]:
    """Return how `said` changes a filter, or None if it is about none."""
    first, _, rest = said.partition(" ")
    if first in ("only", "not") and rest and not read_years(rest)[0]:
        given = filter(None, map(str.strip, re.split(r"[,;]| and | or ", rest)))
        genres = tuple(_GENRES.get(name, name) for name in given)
        if first == "only":
            return lambda wanted: replace(wanted, genres=genres)
        return lambda wanted: replace(wanted, exclude_genres=tuple(dict.fromkeys((*wanted.exclude_genres, *genres))))
    try:
        first_year, last_year = years(said.removeprefix("only "))
    except ChoiceError:
        return None
    return lambda wanted: replace(wanted, first_year=first_year, last_year=last_year)


def years(text: str) -> tuple[Optional[int], Optional[int]]:
    """Read 1994, 1990-1999, 1990-, -1970, or what people say of years in words."""
    said = re.sub(r"^(\d+)-$", r"since \1", re.sub(r"^-(\d+)$", r"until \1", text.strip().casefold()))
    words = re.findall(r"\w+", said)
    n, first, last = read_years(" ".join(words))
    if n and n == len(words):
        return first if first > EVER[0] else None, last if last < EVER[1] else None
    raise ChoiceError(f"{shown(text)} is not a year or a range: write 1994, 1990-1999, 1990- or -1970")
