"""The 150 descriptions are what they claim to be: drawn by seed, in other words, split in two.

`description_queries.csv` holds requests as people type them, for movies drawn at random (seed 2026) from those with at
least 5 ratings in ml-latest-small: 50 of the fifth with the most ratings, 50 of the next three tenths, 50 of the last
half. All were written and frozen before any backend had ranked them. `part` is `tune` (50, for choosing a backend's
settings) or `report`.
A query shares no rare word with our text of its movie: none, in any form (see `alike`), that less than 1% of all
movies have in their text.
"""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recommender.data.catalog import Catalog
from recommender.data.splits import TRAIN, load_all, part_per_user
from recommender.text.base import movie_text

HERE = Path(__file__).resolve().parent
QUERIES = pd.read_csv(HERE / "description_queries.csv")


def words(text: str) -> set[str]:
    """Return the words in lower case, without accents; names of the lines of a movie's text count as words too."""
    plain = unicodedata.normalize("NFKD", text.lower())
    return set(re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def alike(first: str, second: str) -> bool:
    """Return whether two words may be forms of one: a common beginning and, the less of it, the shorter endings."""
    first, second = (re.sub("(?<=[a-z]{2})ie[sd]$", "y", word) for word in (first, second))
    n = next((i for i, pair in enumerate(zip(first, second)) if len({*pair}) > 1), min(len(first), len(second)))
    shorter, longer = sorted((first[n:], second[n:]), key=len)
    if first == second or n >= 5:
        return len(shorter) <= 2
    if n == 4:
        return len(shorter) <= 1 and len(longer) <= (5, 3)[len(shorter)]
    return n == 3 and not shorter and (longer in ("s", "ed", "er", "ing") or longer[0] == first[2])


def shared_rare(of_word: dict[str, dict[str, set[int]]], text: str, row: int) -> dict[str, int]:
    """Return the words of `text` with a rare form in the movie's text: word -> movies that have a form of it.

    of_word: first two letters -> each word of a text that begins with them -> rows of its movies.
    """
    found = {}
    for word in words(text):
        near = of_word.get(word[:2], {})
        if any(row in rows and alike(word, other) for other, rows in near.items()):
            found[word] = len(set().union(*(rows for other, rows in near.items() if alike(word, other))))
    return {word: n_movies for word, n_movies in found.items() if n_movies <= 61}  # 1% of the shipped movies


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(HERE.parent / "processed")


def test_no_query_shares_a_rare_word_with_the_text_of_its_movie(catalog):
    of_word: dict[str, dict[str, set[int]]] = {}
    for row in range(len(catalog)):
        for word in words(movie_text(catalog.movie(row))):
            of_word.setdefault(word[:2], {}).setdefault(word, set()).add(row)
    queries = zip(QUERIES["query"], map(catalog.row_of, QUERIES.movieId))
    assert not [text for text, row in queries if shared_rare(of_word, text, row)]
    # The check finds planted words in any form.
    row = catalog.row_of(1)
    assert "upstaged by a flashy space-ranger" in movie_text(catalog.movie(row))
    shared = shared_rare(of_word, "The Rangers are flash, dolls are toys", row)
    assert set(shared) == {"rangers", "flash", "dolls", "toys"}
    assert shared["toys"] == len(of_word["to"]["toy"] | of_word["to"]["toys"])
    assert not shared_rare(of_word, "a comedy about a boy", row)  # not rare
    assert not shared_rare(of_word, "espionage", row)  # rare, but of other movies


def test_the_movies_are_those_that_the_seed_draws():
    everything = load_all(HERE.parent / "processed")
    data = everything.take((everything.user_ids < 1000)[everything.user_rows()])  # those of ml-latest-small
    data = data.take(data.movie_counts()[data.movie_rows] >= 5)
    ids = data.movie_ids[data.movie_counts() > 0]
    assert (data.n_ratings, len(ids)) == (90_274, 3_650)
    counts = data.take(part_per_user(data.indptr) == TRAIN).movie_counts()[data.movie_counts() > 0]
    order = np.argsort(-counts, kind="stable")
    fifth, half = len(order) // 5, len(order) // 2
    rng = np.random.default_rng(2026)
    drawn = [rng.permutation(part)[:50] for part in (order[:fifth], order[fifth:half], order[half:])]
    part_of = dict(zip(QUERIES.movieId, QUERIES.part))
    assert sorted(part_of) == sorted(ids[np.concatenate(drawn)].tolist())
    tuned = [sum(part_of[i] == "tune" for i in ids[rows].tolist()) for rows in drawn]
    assert tuned == [17, 17, 16]
    assert set(part_of.values()) == {"tune", "report"}
    lengths = [len(text.split()) for text in set(QUERIES["query"])]
    assert len(lengths) == 150
    assert min(lengths) < 8 < 18 < max(lengths)
