"""The 150 descriptions are what they claim to be: drawn by seed, in other words, split in two.

`description_queries.csv` holds requests as people type them, for movies drawn at random (seed 2026) from the shipped
catalogue: 50 of the fifth with the most ratings, 50 of the next three tenths, 50 of the last half. All were written
and frozen before any backend had ranked them. `part` is `tune` (50, for choosing a backend's settings) or `report`.
A query shares no rare word with our text of its movie: none, in any form (see `alike`), that less than 1% of all
movies have in their text.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.text.movie_text import movie_text

HERE = Path(__file__).resolve().parent


def load_queries() -> list[dict[str, str]]:
    with open(HERE / "description_queries.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def words(text: str) -> set[str]:
    """Return the words in lower case, without accents; names of the lines of a movie's text count as words too."""
    plain = unicodedata.normalize("NFKD", text.lower())
    return set(re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def singular(word: str) -> str:
    return re.sub("(?<=[a-z]{2})ie[sd]$", "y", word)


def alike(first: str, second: str) -> bool:
    """Return whether two words may be forms of one: equal, or with a common beginning and short endings.

    beginning   the shorter word goes on for   the longer word goes on for
    5 or more   at most 2 letters              any number
    4           nothing                        at most 5 letters
    4           1 letter                       at most 3 letters
    3           nothing                        s, ed, er, ing, or the last letter again and any number

    with `ies` and `ied` at the end as `y`.
    """
    first, second = singular(first), singular(second)
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


def words_of_movies(catalog: Catalog) -> tuple[list[set[str]], dict[str, set[int]]]:
    """Return the words of each movie's text, and the movies that have each word."""
    of_movie = [words(movie_text(catalog.movie(row))) for row in range(len(catalog))]
    movies: dict[str, set[int]] = {}
    for row, found in enumerate(of_movie):
        for word in found:
            movies.setdefault(word, set()).add(row)
    return of_movie, movies


def shared_rare(of_movie: list[set[str]], movies: dict[str, set[int]], text: str, row: int) -> dict[str, int]:
    """Return the words of `text` with a rare form in the movie's text: word -> movies that have a form of it."""
    found = {}
    for word in sorted(words(text)):
        if any(alike(word, other) for other in of_movie[row]):
            forms = [
                other for other in movies if other.startswith(word[:2]) and alike(word, other)
            ]  # startswith is quick
            n_movies = len(set().union(*(movies[form] for form in forms)))
            if n_movies < 0.01 * len(of_movie):
                found[word] = n_movies
    return found


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(HERE.parent / "processed")


def test_no_query_shares_a_rare_word_with_the_text_of_its_movie(catalog):
    of_movie, movies = words_of_movies(catalog)
    queries = {query["query"]: catalog.row_of(int(query["movieId"])) for query in load_queries()}
    assert not [text for text, row in queries.items() if shared_rare(of_movie, movies, text, row)]
    # The check finds planted words in any form.
    row = catalog.row_of(1)
    assert "upstaged by a flashy space-ranger" in movie_text(catalog.movie(row))
    shared = shared_rare(of_movie, movies, "The Rangers are flash, dolls are toys", row)
    assert set(shared) == {"rangers", "flash", "dolls", "toys"}
    assert shared["toys"] == len(movies["toy"] | movies["toys"])
    assert not shared_rare(of_movie, movies, "a comedy about a boy", row)  # not rare
    assert not shared_rare(of_movie, movies, "espionage", row)  # rare, but of other movies


def test_forms_of_a_word():
    forms = "run running, city cities, spy spy, teach teacher, swim swimming, win winner, cat cattle, mother moth"
    others = "car care, man mine, wife wives, the then, star stargazers, war warm"
    for pairs, expected in ((forms, True), (others, False)):
        for a, b in (pair.split() for pair in pairs.split(", ")):
            assert alike(a, b) == alike(b, a) == expected, (a, b)


def test_the_movies_are_those_that_the_seed_draws(catalog):
    order = np.argsort(-catalog.n_ratings, kind="stable")
    fifth, half = len(order) // 5, len(order) // 2
    rng = np.random.default_rng(2026)
    drawn = [rng.permutation(part)[:50] for part in (order[:fifth], order[fifth:half], order[half:])]
    part_of = {int(query["movieId"]): query["part"] for query in load_queries()}
    assert sorted(part_of) == sorted(catalog.movie_ids[np.concatenate(drawn)].tolist())
    tuned = [sum(part_of[i] == "tune" for i in catalog.movie_ids[rows].tolist()) for rows in drawn]
    assert tuned == [17, 17, 16]
    assert set(part_of.values()) == {"tune", "report"}
    texts = {query["query"] for query in load_queries()}
    assert len(texts) == 150
    assert min(len(text.split()) for text in texts) < 8
    assert max(len(text.split()) for text in texts) > 18
