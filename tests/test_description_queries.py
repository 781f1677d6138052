"""The 150 descriptions are what they claim to be: drawn by seed, in other words, split in two.

`description_queries.csv` holds requests as people type them, for movies drawn at random (seed 2026) from those with at
least 5 ratings in ml-latest-small: 50 of the fifth with the most ratings, 50 of the next three tenths, 50 of the last
half. All were written and frozen before any backend had ranked them. `part` is `tune` (50, for choosing a backend's
settings) or `report`.
A query shares no rare word with our text of its movie: none, in any form, that less than 1% of all movies have.
"""

import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from recommender.data.catalog import Catalog
from recommender.data.splits import TRAIN, load_all, part_per_user
from recommender.text.base import movie_text

HERE = Path(__file__).resolve().parent
QUERIES = pd.read_csv(HERE / "description_queries.csv")


def words(text: str) -> set[str]:
    """Return the words in lower case, without accents and endings."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return {re.sub("(?<=...)(ing|ed|ies|y|s)$", "", word) for word in re.findall("[a-z0-9]+", plain)}


def test_no_query_shares_a_rare_word_with_the_text_of_its_movie():
    catalog = Catalog.load(HERE.parent / "processed")
    movies_of, longer = defaultdict(set), defaultdict(set)  # word -> rows; beginning -> words
    for row in range(len(catalog)):
        for word in words(movie_text(catalog.movie(row))):
            movies_of[word].add(row)
            for n in range(3, len(word) + 1):
                longer[word[:n]].add(word)

    def shared_rare(text: str, row: int) -> set[str]:
        forms = {word: set().union(*(movies_of[other] for other in longer[word])) for word in words(text)}
        return {word for word, rows in forms.items() if row in rows and len(rows) <= len(catalog) // 100}

    queries = zip(QUERIES["query"], map(catalog.row_of, QUERIES.movieId))
    assert not [text for text, row in queries if shared_rare(text, row)]
    # The check finds planted words in any form.
    row = catalog.row_of(1)
    assert "upstaged by a flashy space-ranger" in movie_text(catalog.movie(row))
    assert shared_rare("The Rangers are flash, a comedy about a boy, espionage", row) == {"ranger", "flash"}


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
    assert len(set(QUERIES["query"])) == 150
