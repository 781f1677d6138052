"""What a line typed in a session means: a `Command`, or a `ChoiceError` that says what to type instead.

y  seen n  1y 3n 4l  fav heat  only comedy  1990s  t something slow
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple, Optional

from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, shown
from recommender.session.policy import TERMS, MovieFilter, genre_columns
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
PROMPT = "   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
_ANSWERS = {"y": LIKE, "yes": LIKE, "like": LIKE, "n": DISLIKE, "no": DISLIKE, "dislike": DISLIKE}
_ANSWERS.update({"s": SKIP, "skip": SKIP, "next": SKIP, "x": NOT_INTERESTED, "l": LATER, "later": LATER})
_PLAIN = {"i": "info", "w": "why", "u": "undo", "back": "undo", "q": "quit", "exit": "quit", "?": "help", "h": "help"}
_PLAIN.update({word: word for word in (*_PLAIN.values(), "again")})
_GENRES = {name.strip(): genre for genre, names in GENRES.items() for name in names.split(",")}
_NUMBERED = re.compile(r"(\d+)\s*([a-z]+)[\s,;]*")
MOST_LISTED = 20


class Command(NamedTuple):
    """name: "answer", "several", "tell", "favorite", "unfavorite", "filter", "list", "familiarity", or a word of
    `_PLAIN`.  about: the answer, answers by number, the text, a function from filter to filter, a count, a step."""

    name: str
    about: Any = None


def read(line: str) -> Command:
    """Return the command of a line.

    >>> read("Seen Y"), read("1y, 3n").about
    (Command(name='answer', about='like'), {1: 'like', 3: 'dislike'})
    """
    said = " ".join(line.casefold().split())
    first, _, rest = said.partition(" ")
    if first in ("t", "tell"):
        if not rest:
            raise ChoiceError("Say what you want after the t, such as: t slow atmospheric science fiction")
        return Command("tell", line.split(None, 1)[1].strip())
    if first in ("fav", "favorite", "unfav"):
        if not rest:
            raise ChoiceError("which movie? fav heat adds a favorite; unfav heat, or unfav 2, takes one back")
        return Command("unfavorite" if first == "unfav" else "favorite", rest)
    if said == "not interested":
        return Command("answer", NOT_INTERESTED)
    if first == "seen" and _ANSWERS.get(rest) in (LIKE, DISLIKE):
        said = rest
    if said in _ANSWERS:
        return Command("answer", _ANSWERS[said])
    if said in _PLAIN:
        return Command(_PLAIN[said])
    if said in ("+", "-"):
        return Command("familiarity", 0.2 if said == "+" else -0.2)
    if first == "list":
        return Command("list", _count(rest or "5"))
    if narrower := _filter(said):  # before numbers: 80s and 90s
        return Command("filter", narrower)
    if _NUMBERED.match(said):
        return Command("several", _numbered(said))
    if first in ("only", "not"):
        raise ChoiceError(f"{first} which genre? only comedy, or not horror")
    if re.fullmatch(r"[\d\s,;]+", said):
        raise ChoiceError(f"{shown(line[:60])} is no answer: put one behind each number of the list, as in 1y 3n 4l")
    also = "t and what you want, fav and a title" if len(said) > 2 else "x or l"
    raise ChoiceError(f"{shown(line[:60])} is not an answer: type y, n, s, {also}, or ? for all that can be said")


def no_title(line: str) -> str:
    """Return what to say of a line that is typed instead of a favorite and names none, "" where it may.

    >>> no_title("y")
    '  No movie was shown yet, which y could be about: name titles first, then Enter starts; fav y is a title'
    """
    said = line.casefold()
    if said == "?":
        titles = "  Titles, divided by ;  u takes the last one back, unfav 1 the first; q quits.\n"
        return titles + "  Or t and what you want, in your own words: t slow science fiction"
    if len(said) == 1 and said in (*_ANSWERS, *_PLAIN, "+", "-") and said not in "uq":
        first = "  No movie was shown yet, which"
        return f"{first} {said} could be about: name titles first, then Enter starts; fav {said} is a title"
    if re.fullmatch(r"(\d+[a-z]?[\s,;]+)+\d+[a-z]?", said):
        return "  Numbers alone name no movie here: type titles, several divided by ;"
    return ""


def _count(text: str) -> int:
    if text.isdecimal() and 0 < int(text[:9]) <= MOST_LISTED:
        return int(text)
    raise ChoiceError(f"list {shown(text)}: give a number from 1 to {MOST_LISTED}")


def _numbered(said: str) -> dict[int, str]:
    """Read 1y 3n 4l, in any order."""
    found: dict[int, str] = {}
    if left := _NUMBERED.sub("", said):
        raise ChoiceError(f"{shown(left)} is no number with an answer: answer a list as in 1y 3n 4l")
    for number, word in _NUMBERED.findall(said):
        if word not in _ANSWERS:
            raise ChoiceError(f"{shown(number + word)}: {word} is not an answer to a movie: give y, n, s, x or l")
        if int(number[:9]) in found:
            raise ChoiceError(f"{number} is answered twice: give one answer for each number")
        found[int(number[:9])] = _ANSWERS[word]
    return found


def _filter(said: str) -> Optional[Callable[[MovieFilter], MovieFilter]]:
    """Return how `said` changes a filter, or None if it is about none."""
    said = re.sub(r"\b(18[89])0s\b", r"\g<1>0 to \g<1>9", said)  # which in a request is when a story is set
    first, _, rest = said.partition(" ")
    if said == "any":
        return lambda wanted: MovieFilter()
    if first == "only" and read_years(rest)[0]:
        said = rest
    elif first in ("only", "not") and rest:
        given = filter(None, map(str.strip, re.split(r"[,;]| and | or ", rest)))
        genres = tuple(_GENRES.get(name, name) for name in given)
        if first == "only":
            return lambda wanted: replace(wanted, genres=genres)
        return lambda wanted: replace(wanted, exclude_genres=tuple(dict.fromkeys((*wanted.exclude_genres, *genres))))
    try:
        first_year, last_year = years(said)
    except ChoiceError:
        if re.fullmatch(r"-?\d{4}-?\d*|1\d\d0s", said):
            raise
        return None
    return lambda wanted: replace(wanted, first_year=first_year, last_year=last_year)


def check_genres(wanted: MovieFilter, catalog: Catalog) -> MovieFilter:
    """Return `wanted`; raises `ChoiceError` that names the nearest genre, or `t` for what is none, as only french."""
    known = {**{name.casefold(): name for name in catalog.genre_names}, **_GENRES}
    for first, names in (("only", wanted.genres), ("not", wanted.exclude_genres)):
        for name in names:
            try:
                genre_columns(catalog, [name])
            except ChoiceError:
                near = get_close_matches(
                    name.casefold(), [one for one in known if known[one] in catalog.genre_names], 1
                )
                words = name if first == "only" else f"not {name}"
                hint = f"did you mean {first} {known[near[0]]}?" if near else f"for what is no genre, say t {words}"
                raise ChoiceError(f"no genre {shown(name[:60])}: {hint}") from None
    return wanted


def years(text: str) -> tuple[Optional[int], Optional[int]]:
    """Read 1994, 1990-1999, 1990-, -1970, or what people say of years in words."""
    said = re.sub(r"^(\d+)-$", r"since \1", re.sub(r"^-(\d+)$", r"until \1", text.strip().casefold()))
    words = re.findall(r"\w+", said)
    n, first, last = read_years(" ".join(words))
    if n and n == len(words):
        return first if first > EVER[0] else None, last if last < EVER[1] else None
    raise ChoiceError(f"{shown(text)} is not a year or a range: write 1994, 1990-1999, 1990- or -1970")
