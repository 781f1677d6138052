"""Movies described in other words: the queries, and what "other words" means.

`description_queries.csv` holds 150 requests as people type them, for movies drawn at random (seed 2026) from the
shipped catalogue: 50 of the fifth with the most ratings, 50 of the next three tenths, 50 of the last half. None that
was drawn was passed over, and all were written and frozen before any backend had ranked them. `part` is `tune` (50,
for choosing a backend's settings) or `report` (100).

A query shares no rare word with our text of its movie. Two words are taken for forms of one word as soon as they
begin alike (see `alike`), which is stricter than a stemmer; a word is rare if fewer than 1% of all movies have a form
of it in their text.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recommender.data.catalog import Catalog
from recommender.text.movie_text import movie_text

PATH = Path(__file__).resolve().parent / "description_queries.csv"
RARE = 0.01  # of all movies
PARTS = ("tune", "report")


class Query(NamedTuple):
    movie_id: int
    part: str
    text: str


def load_queries(path: Path = PATH) -> list[Query]:
    with open(path, encoding="utf-8", newline="") as file:
        return [Query(int(row["movieId"]), row["part"], row["query"]) for row in csv.DictReader(file)]


def words(text: str) -> set[str]:
    """Return the words in lower case, without accents; names of the lines of a movie's text count as words too.

    >>> sorted(words("Amélie's 2 jobs"))
    ['2', 'amelie', 'jobs', 's']
    """
    plain = unicodedata.normalize("NFKD", text.lower())
    return set(re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def alike(first: str, second: str) -> bool:
    """Return whether two words may be forms of one: equal, or with a common beginning and short endings.

    beginning   the shorter word goes on for   the longer word goes on for
    5 or more   at most 2 letters              any number
    4           nothing                        at most 5 letters
    4           1 letter                       at most 3 letters
    3           nothing                        s, ed, er, ing, or the last letter again and any number

    with `ies` and `ied` at the end as `y`. So `space` and `spaceship`, `defending` and `defence` count as one word
    here; `wife` and `wives` do not.

    >>> [alike("teach", "teacher"), alike("swim", "swimming"), alike("win", "winner"), alike("cities", "city")]
    [True, True, True, True]
    >>> [alike("star", "stargazers"), alike("cat", "cattle"), alike("war", "warm"), alike("mother", "moth")]
    [False, True, False, True]
    """
    first, second = (re.sub("(?<=[a-z]{2})ie[sd]$", "y", word) for word in (first, second))
    if first == second:
        return True
    common = 0
    while common < min(len(first), len(second)) and first[common] == second[common]:
        common += 1
    shorter, longer = sorted((first[common:], second[common:]), key=len)
    if common >= 5:
        return len(shorter) <= 2
    if common == 4:
        return len(longer) <= (5, 3)[len(shorter)] if len(shorter) <= 1 else False
    return common == 3 and not shorter and (longer in ("s", "ed", "er", "ing") or longer[0] == first[2])


class Words:
    """Which movies have which words in their text."""

    def __init__(self, catalog: Catalog) -> None:
        self.n_movies = len(catalog)
        self.of_movie = [words(movie_text(catalog.movie(row))) for row in range(len(catalog))]
        self.movies: dict[str, set[int]] = {}
        for row, found in enumerate(self.of_movie):
            for word in found:
                self.movies.setdefault(word, set()).add(row)

    def shared_rare(self, text: str, row: int) -> Mapping[str, tuple[Sequence[str], int]]:
        """Return the words of `text` with a rare form in the movie's text: word -> forms, movies that have one."""
        found = {}
        for word in sorted(words(text)):
            there = sorted(other for other in self.of_movie[row] if alike(word, other))
            if there:
                n_movies = len(set().union(*(movies for other, movies in self.movies.items() if alike(word, other))))
                if n_movies < RARE * self.n_movies:
                    found[word] = (there, n_movies)
        return found
