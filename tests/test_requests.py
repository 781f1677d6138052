"""Facts in requests: what is read, what is left, and which movies contradict it."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.text.everyday_words import TONES
from recommender.text.requests import RequestReader

COLUMNS = ("title", "genres", "director", "cast", "keywords", "overview", "original_language", "tone")
MOVIES = [
    ("Alpha (1964)", "Comedy|Romance", "Jo Ness", "Bill Hurray", "chess", "A king and a hill.", "fr", "gentle; slow"),
    ("Beta (1985)", "Action|Sci-Fi", "Ann Hill; Cy King", "Bill Hurray", "aliens", "", "en", "violent; scary; tense"),
    ("Gamma (1994)", "Children|Animation", "Jo Ness", "", "", "", "ja", "for children"),
    ("Delta (2019)", "War|Drama", "Max Ness", "Jo Ness", "", "", "ko", "violent; gory; true story"),
    ("Epsilon (1999)", "Film-Noir|Thriller", "Ann Hill", "Bo Ox", "", "", "en", "scary; tense"),
]
ROWS = [{"movieId": str(i), **dict(zip(COLUMNS, movie))} for i, movie in enumerate(MOVIES)]


def make_reader(rows=ROWS, times: int = 1) -> RequestReader:
    rows = [{**row, "movieId": str(10 * int(row["movieId"]) + i)} for row in rows for i in range(times)]
    return RequestReader(Catalog(rows), {"alpha": 0, "beta": 1}.get)


READER = make_reader()


@pytest.mark.parametrize(
    ("text", "read_as", "left"),
    [
        ("A French comedy from the 60s", "French; Comedy; 1960-1969", "a from the"),
        ("eighties science fiction", "1980-1989; Sci-Fi", ""),
        ("war films, 2019", "War; 2019", ""),
        ("the second world war", "", "the second world war"),
        ("kids cartoon before 1995", "Children; Animation; to 1994", ""),
        ("rom-com", "Romance; Comedy", ""),
        ("old comedies about old men", "to 1969; Comedy", "about old men"),
        ("old samurai films", "to 1969", "samurai films"),
        ("new york films", "", "new york films"),
        ("noir since 1990", "Film-Noir; from 1990", ""),
        ("anime", "Japanese; Animation", ""),
        ("korean or french", "Korean; French", "or"),
        ("slow-burn", "slow", ""),
        ("frightening and suspenseful", "scary; tense", "and"),
        ("based on true events", "true story", "based on"),
        ("directed by Ness", "by Jo Ness or Max Ness", "directed"),
        ("with bill hurray", "with Bill Hurray", ""),
        ("a king on a hill", "", "a king on a hill"),  # surnames that are common words
        ("ann hill thriller", "Ann Hill; Thriller", ""),
        ("scary but not gory", "scary; not gory", ""),
        ("no violence or gore please", "not violent; not gory", "please"),
        ("thriller without aliens, slow", "Thriller; slow; not aliens", ""),
        ("nothing too scary", "not scary", ""),
        ("something like alpha but tense", "like Alpha (1964); tense", "something"),
        ("I feel like gamma", "", "i feel like gamma"),
        ("drama under two hours", "Drama", ""),
    ],
)
def test_facts_are_read_and_the_rest_is_left(text, read_as, left):
    request = READER.read(text)
    assert (request.read_as(), request.left) == (read_as, left)


@pytest.mark.parametrize(
    ("n_keywords", "text", "read_as"),
    [
        (0, "ness", "Jo Ness"),
        (2, "ness", "Jo Ness"),
        (3, "ness", ""),
        (3, "by ness", "by Jo Ness"),
        (0, "in ness", ""),
    ],
)
def test_a_surname_that_many_keywords_name_is_a_subject(n_keywords, text, read_as):
    rows = [dict(zip(COLUMNS, ("Zeta (1990)", "", "Jo Ness", "", "", "", "", "")), movieId=str(i)) for i in range(9)]
    for i in range(n_keywords):
        rows[i]["keywords"] = "ness monster"
    assert RequestReader(Catalog(rows), {}.get).read(text).read_as() == read_as


def test_what_is_refused_or_like_a_movie_is_not_in_the_text_that_is_compared():
    request = READER.read("a gentle story like Alpha, no violence, under 90 minutes, without aliens")
    assert (request.like, request.unwanted, request.unknown) == ((0, "Alpha (1964)"), ("aliens",), "under 90 minutes")
    assert request.text == "a gentle story"


def test_movies_contradict_facts_and_a_filter_that_leaves_too_few_counts_less():
    many = make_reader(times=5)  # five of each movie
    of_movie = np.arange(25) // 5

    def found(text: str) -> list[float]:
        counts = many.read(text).contradictions(25)
        return [float(counts[of_movie == movie].mean()) for movie in range(5)]

    assert found("french comedy") == [0, 2, 2, 2, 2]
    assert found("french or korean") == [0, 1, 1, 0, 1]
    assert found("tense, not violent") == [1, 1, 1, 3, 0]  # who wants no violence wants no gore either
    assert found("korean and scary") == [1.125, 1, 1.125, 0.125, 1]  # no scary one is Korean: a wish, no filter
    assert found("chess") == [0, 0, 0, 0, 0]
    assert many.read("tense and scary").degrees(25)[::5].tolist() == pytest.approx([0, 1 / 2 + 1 / 3, 0, 0, 3 / 2])


def test_without_tones_their_genres_stand_in():
    reader = make_reader([{**row, "tone": ""} for row in ROWS])
    assert reader.read("scary and romantic").read_as() == "Romance"  # no genre horror here: left to the text
    assert reader.read("scary and romantic").left == "scary and"


def test_a_language_with_two_codes_is_one_fact():
    rows = [{**ROWS[0], "movieId": str(i), "original_language": code} for i, code in enumerate(["zh", "cn", "ja"], 1)]
    (fact,) = make_reader(rows).read("hong kong movie").facts
    assert fact.rows.tolist() == [True, True, False]


def test_no_two_tones_claim_one_phrase():
    phrases = [phrase.strip() for name, (_, others) in TONES.items() for phrase in (name, *others.split(","))]
    assert len(phrases) == len(set(phrases))
    assert "" not in phrases
