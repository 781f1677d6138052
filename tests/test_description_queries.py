"""The 150 descriptions are what they claim to be: drawn by seed, in other words, split in two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.text.movie_text import movie_text

from .description_queries import PARTS, Words, alike, load_queries

PROCESSED = Path(__file__).resolve().parents[1] / "processed"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(PROCESSED)


@pytest.fixture(scope="module")
def movies_by_word(catalog) -> Words:
    return Words(catalog)


def test_no_query_shares_a_rare_word_with_the_text_of_its_movie(catalog, movies_by_word):
    found = {
        query: shared
        for query in load_queries()
        if (shared := movies_by_word.shared_rare(query.text, catalog.row_of(query.movie_id)))
    }
    assert not found


def test_the_check_finds_planted_words_in_any_form(catalog, movies_by_word):
    row = catalog.row_of(1)
    assert "upstaged by a flashy space-ranger" in movie_text(catalog.movie(row))
    shared = movies_by_word.shared_rare("The Rangers are flash, dolls are toys", row)
    assert set(shared) == {"rangers", "flash", "dolls", "toys"}
    assert shared["toys"][1] == len(movies_by_word.movies["toy"] | movies_by_word.movies["toys"])
    assert not movies_by_word.shared_rare("a comedy about a boy", row)  # not rare
    assert not movies_by_word.shared_rare("espionage", row)  # rare, but of other movies


def test_forms_of_a_word():
    assert all(alike(a, b) and alike(b, a) for a, b in [("run", "running"), ("city", "cities"), ("spy", "spy")])
    assert not any(alike(a, b) for a, b in [("car", "care"), ("man", "mine"), ("wife", "wives"), ("the", "then")])


def test_the_movies_are_those_that_the_seed_draws(catalog):
    order = np.argsort(-catalog.n_ratings, kind="stable")
    fifth, half = len(order) // 5, len(order) // 2
    rng = np.random.default_rng(2026)
    drawn = [rng.permutation(part)[:50] for part in (order[:fifth], order[fifth:half], order[half:])]
    queries = load_queries()
    assert sorted(query.movie_id for query in queries) == sorted(catalog.movie_ids[np.concatenate(drawn)].tolist())
    part_of = {query.movie_id: query.part for query in queries}
    tuned = [sum(part_of[i] == "tune" for i in catalog.movie_ids[rows].tolist()) for rows in drawn]
    assert tuned == [17, 17, 16]
    assert set(part_of.values()) == set(PARTS)


def test_they_are_written_as_people_type():
    texts = [query.text for query in load_queries()]
    assert len(set(texts)) == 150
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) < 8
    assert max(lengths) > 18
