"""Facts in requests: what is read, what is left, and which movies contradict it; the words of descriptions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recommender.data.catalog import Catalog
from recommender.data.settings import default_folder
from recommender.text.base import movie_text
from recommender.text.everyday_words import TONES, read_years
from recommender.text.requests import RequestReader
from recommender.text.word_match import WordMatch, content_words

COLUMNS = ("title", "genres", "director", "cast", "keywords", "overview", "original_language", "tone")
MOVIES = [
    ("Alpha (1964)", "Comedy|Romance", "Jo Ness", "Bill Hurray", "chess", "A king and a hill.", "fr", "gentle; slow"),
    ("Beta (1985)", "Action|Sci-Fi", "Ann Hill; Cy King", "Bill Hurray", "aliens", "", "en", "violent; scary; tense"),
    ("Gamma (1994)", "Children|Animation", "Jo Ness", "", "", "", "ja", "for children"),
    ("Delta (2019)", "War|Drama", "Max Ness", "Jo Ness", "", "", "ko", "violent; gory; true story"),
    ("Two Hour Trip (1999)", "Film-Noir|Thriller", "Ann Hill", "Bo Ox", "", "", "en", "scary; tense"),
]
ROWS = [{"movieId": str(i), **dict(zip(COLUMNS, movie))} for i, movie in enumerate(MOVIES)]


def make_reader(rows=ROWS, times: int = 1) -> RequestReader:
    rows = [{**row, "movieId": str(10 * int(row["movieId"]) + i)} for row in rows for i in range(times)]
    catalog = Catalog(rows)
    known = {*" ".join(catalog.lines()).lower().split(), "second", "world", "science"}
    return RequestReader(
        catalog,
        {"alpha": 0, "beta": 1, "two hour trip": 4}.get,
        lambda word: {one: 1 for one in known if one[0] == word[0]},
    )


READER = make_reader()


@pytest.mark.parametrize(
    ("text", "read_as", "left"),
    [
        ("A French comedy from the 60s", "French; Comedy; 1960-1969", "a"),
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
        ("korean or french", "Korean or French", "or"),
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
        ("too violent", "not violent; not gory", ""),
        ("a bit too much violence, tense", "not violent; tense; not gory", "a bit"),
        ("funny too with bill hurray", "Comedy; with Bill Hurray", "too"),
        ("tense. me too", "tense", "me too"),
        ("you are a bit too tense", "not tense", "you are a bit"),
        ("not for children", "not for children", ""),
        ("the kids are asleep, something scary", "not for children; scary", "something"),
        ("when my daughter is in bed: tense", "not for children; tense", ""),
        ("japanese but modern", "Japanese; from 2000", ""),
        ("recent, tense", "from 2015; tense", ""),
        ("modern aliens", "", "modern aliens"),
        ("too many aliens", "not aliens", ""),
        ("a man with too many aliens", "", "a man with too many aliens"),
        ("too old, tense", "not to 1969; tense", ""),
        ("too old for a hill", "", "too old for a hill"),
        ("something like alpha but tense", "like Alpha (1964); tense", "something"),
        ("I feel like gamma", "", "gamma"),
        ("drama under two hours", "Drama", ""),
        ("avoid gore, violence", "not gory; not violent", ""),
        ("avoid gore, something tense", "not gory; tense", "something"),
        ("I don't like musicals", "not musicals", "i"),
        ("doesn't have aliens", "not aliens", ""),
        ("anything but thrillers", "not Thriller", ""),
        ("not romantic", "not Romance", ""),
        ("not like alpha", "not like Alpha (1964)", ""),
        ("like alpha or beta", "like Alpha (1964); like Beta (1985)", ""),
        ("like alpha, slow", "like Alpha (1964); slow", ""),
        ("not older than 1970", "not to 1969", ""),
        ("korean or scary", "Korean or scary", "or"),
        ("in france", "", "in france"),
        ("movies from france", "French", "movies from"),
        ("for a 4 year old", "Children; for children", "for a"),
        ("for a 40 year old", "", "for a"),
        ("tensse frihgtening", "tense; scary", ""),
        ("alpha men", "", "alpha men"),
        ("two hour trip", "like Two Hour Trip (1999)", ""),
        ("not in the mood for a thriller", "not Thriller", ""),
        ("neither gory nor sad", "not gory; not sad", ""),
        ("tense without romance or love story", "tense; not Romance", ""),
        ("japanese but not anime", "Japanese; not Japanese Animation", ""),
        ("scary, no violence", "scary; not violent; not gory", ""),
        ("gory without violence", "gory; not violent", ""),  # what goes with a no, unless it is asked for
        ("early ness", "by Jo Ness or Max Ness; 1964-1984", ""),
        ("something recent", "from 2015", "something"),
        ("like alpha meets beta", "like Alpha (1964); like Beta (1985)", ""),
        ("sciense fiction", "Sci-Fi", ""),
        ("no subtitles", "not foreign", ""),
        ("Two Hour Trip but slow", "like Two Hour Trip (1999); slow", ""),
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("under 90 minutes, slow", "'under 90 minutes': running times"),
        ("ninety minutes", "'ninety minutes': running times"),
        ("by women directors on netflix", "directors are women"),
        ("by women directors on netflix", "can be seen"),
        ("after 2030", "from 2031"),
        ("like xyzzy", "'xyzzy'"),
        ("won an oscar for best picture", "awards"),
        ("by xyzzy plugh", "'xyzzy plugh'"),
        ("like the first one", "'like the first one': which movie"),
        ("like the second but slow", "'like the second': which movie"),
        ("the second one", "'the second one': which movie"),
        ("like that one, no gore", "'like that one': which movie"),
        ("something else", "'something else': what it should be like"),
        ("something shorter", "'shorter': running times"),
        ("like the last one", "'like the last one': which movie"),
        ("ann hill but in colour", "'but in colour': which movies are in color"),
    ],
)
def test_what_the_data_lack_is_said_and_left_out(text, said):
    request = READER.read(text)
    assert any(said in sentence for sentence in request.unknown)
    assert not {"netflix", "minutes", "women", "xyzzy"} & set(request.text.split())


def test_movies_contradict_facts_and_a_filter_that_leaves_too_few_counts_less():
    many = make_reader([*ROWS, {**ROWS[0], "movieId": "5", "original_language": "ja"}], times=5)  # five of each movie
    for text, expected in (
        ("french comedy", [0, 2, 2, 2, 2, 1]),
        ("french or korean", [0, 1, 1, 0, 1, 1]),
        ("tense, not violent", [1, 1, 1, 3, 0, 1]),  # who wants no violence wants no gore either
        ("korean and scary", [1.125, 1, 1.125, 0.125, 1, 1.125]),  # no scary one is Korean: a wish, no filter
        ("chess", [0, 0, 0, 0, 0, 0]),
        ("comedy or thriller", [0, 1, 1, 1, 0, 0]),
        ("war or romantic comedy", [0, 1, 1, 0, 1, 0]),
        ("cy king or max ness", [1, 0, 1, 0, 1, 1]),
        ("cy king, max ness", [1, 0, 1, 0, 1, 1]),  # never in one movie
        ("jo ness and bill hurray", [0, 1, 1, 1, 2, 0]),
        ("from 1985 to 1999", [1, 0, 0, 1, 0, 1]),
        ("no anime", [0, 0, 1, 0, 0, 0]),  # nothing that is both Japanese and animated
        ("no kids", [0, 0, 1, 0, 0, 0]),
    ):
        assert (text, many.read(text).contradictions(30)[::5].tolist()) == (text, expected)
    assert many.read("tense and scary").degrees(30)[::5].tolist() == pytest.approx([0, 1 / 2 + 1 / 3, 0, 0, 3 / 2, 0])


def test_without_tones_their_genres_stand_in_and_titles_and_languages_are_known_whole():
    reader = make_reader([{**row, "tone": ""} for row in ROWS])
    request = reader.read("scary and romantic")  # no genre horror here: left to the text
    assert (request.read_as(), request.left) == ("Romance", "scary and")
    request = READER.read("a gentle story like Alpha, no violence, under 90 minutes, without aliens")
    assert (request.likes, request.unwanted) == (((0, "Alpha (1964)", True),), ("aliens",))
    assert request.text == "a gentle story"
    reader = RequestReader(Catalog([{**ROWS[0], "title": "The Last Movie (1971)"}]), {"the last movie": 0}.get)
    request = reader.read("like the last movie, slow")
    assert (request.read_as(), request.left) == ("like The Last Movie (1971); slow", "")
    rows = [{**ROWS[0], "movieId": str(i), "original_language": code} for i, code in enumerate(["zh", "cn", "ja"], 1)]
    (fact,) = make_reader(rows).read("hong kong movie").facts
    assert fact.rows.tolist() == [True, True, False]
    phrases = [phrase.strip() for name, others in TONES.items() for phrase in (name, *others.split(","))]
    assert len(phrases) == len(set(phrases) - {""})  # no two tones claim one


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("from 1980 to 1985", (4, 1980, 1985)),
        ("1980 1985 thrillers", (2, 1980, 1985)),
        ("1985 1980", (1, 1985, 1985)),
        ("older than 1960", (3, 1, 1959)),
        ("no later than the 50s", (5, 1, 1959)),
        ("after 2000", (2, 2001, 9999)),
        ("from the nineties on", (4, 1990, 9999)),
        ("mid 70s", (2, 1973, 1976)),
        ("00s", (1, 2000, 2009)),
        ("in the last five years", (5, 2018, 9999)),
        ("the past decade", (3, 2013, 9999)),
        ("90 minutes", (0, 1, 9999)),
        ("after dark", (0, 1, 9999)),
    ],
)
def test_years_as_people_say_them(text, years):
    assert read_years(text, newest=2022) == years


def test_scandinavian_is_any_of_its_languages_and_a_hidden_gem_is_liked_by_few():
    rows = [dict(zip(COLUMNS, ("Z (1990)", "Crime", "", "", "", "", code, "")), movieId=str(i))
            for i, code in enumerate(["sv"] * 6 + ["da"] * 6 + ["no"] * 2 + ["en"] * 6)]  # fmt: skip
    counts = np.arange(20) * 10 + 10
    catalog = Catalog(rows).with_counts(counts, np.array([3.5] * 10 + [4.0] * 10, np.float32))
    reader = RequestReader(catalog, {}.get)
    assert np.flatnonzero(reader.read("scandinavian crime").contradictions(20) > 0).tolist() == list(range(14, 20))
    (fact,) = reader.read("hidden gems").facts
    assert np.flatnonzero(fact.rows).tolist() == [10, 11, 12, 13]  # of the 70% rated least


def test_words_are_found_in_their_forms_and_only_as_words() -> None:
    lines = ["A robbed bank", "Robots at war", "He robs and is robbing", "robin", "WARS of Amélie", "warp"]
    match = WordMatch([*lines, "in 1984 at sea", "steward", "zombies", "Marquis de Sade", "a sad end"])
    found = {word: match.rows_with(word).tolist() for word in ("rob", "robot", "war", "amelie", "1984", "198", "sea")}
    assert match.rows_with("zombies").tolist() == [8]  # whose stem is zomby
    assert match.rows_with("sad").tolist() == [10]
    assert found == {"rob": [0, 2], "robot": [1], "war": [1, 4], "amelie": [4], "1984": [6], "198": [], "sea": [6]}
    codes = enumerate(["ko", "en", "", "fr"])  # languages are held by their names
    movies = [{"movieId": str(i), "title": "A", "genres": "Drama", "original_language": code} for i, code in codes]
    match = WordMatch(Catalog(movies).lines())
    found = [match.rows_with(word).tolist() for word in ("korean", "french", "english", "en", "ko")]
    assert found == [[0], [3], [], [], []]


def test_the_share_of_words_by_hand() -> None:
    match = WordMatch(["chess in paris", "paris", "war", "war", "war and paris"])
    share = match.share("a movie about chess in Paris, zzz")
    chess, paris = np.log(6 / 1), np.log(6 / 3)
    np.testing.assert_allclose(share, np.array([chess + paris, paris, 0, 0, paris]) / (chess + paris), rtol=1e-6)
    assert not match.share("zzz").any()
    assert content_words("movies directed by Ann Lee") == ["ann", "lee"]


def test_no_description_shares_a_rare_word_with_the_text_of_its_movie():
    """`description_queries.csv`: requests as people type them, frozen before any backend had ranked them.

    Their movies were drawn (seed 2026) from those with at least 5 ratings in ml-latest-small, 50 each of the fifth with
    the most ratings, the next three tenths and the last half. `part` is `tune`, for choosing settings, or `report`.
    """
    queries = pd.read_csv(Path(__file__).with_name("description_queries.csv"))
    assert queries["part"].value_counts().to_dict() == {"report": 100, "tune": 50}
    assert queries["movieId"].is_unique
    catalog = Catalog.load(default_folder("processed"))
    match = WordMatch(movie_text(catalog.movie(row)) for row in range(len(catalog)))

    def shared_rare(query: str, row: int) -> list[str]:
        holding = {word: match.rows_with(word) for word in content_words(query)}
        return [word for word, rows in holding.items() if len(rows) < 60 and row in rows]

    rows = map(catalog.row_of, queries["movieId"])
    assert not [text for text, row in zip(queries["query"], rows) if shared_rare(text, row)]
    assert shared_rare("espionage of toys and rangers", catalog.row_of(1)) == ["toys", "rangers"]  # Toy Story
