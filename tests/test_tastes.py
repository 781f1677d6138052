"""What twenty people with a taste of their own are shown first: how much of it fits, how much everybody has seen.

The weights of the traits (recommender/session/policy.py) were chosen on these tastes, so the limits guard what was
reached; they do not measure it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model import replay_sessions
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import DataError
from recommender.evaluate.tastes import answers, holds, read_requests, read_tastes, series, series_found


@pytest.mark.slow
def test_the_first_ten_fit_the_taste_and_are_not_what_everybody_has_seen(capsys: pytest.CaptureFixture[str]):
    replay_sessions.main(["--tastes", str(Path(__file__).parent / "tastes.yaml")])
    printed = capsys.readouterr().out
    fit, famous = map(float, re.search(r"mean of 20 tastes: ([\d.]+) fit, ([\d.]+) of", printed).groups())
    assert fit >= 6.5
    assert famous <= 1
    assert float(printed.split()[-1]) >= 0.7  # other parts of a series


@pytest.mark.slow
def test_everyday_requests_find_right_movies_and_no_absurd_ones(capsys: pytest.CaptureFixture[str]):
    file = Path(__file__).parent / "everyday_requests.yaml"
    replay_sessions.main(["--requests", str(file)])
    printed = capsys.readouterr().out
    right, absurd = map(float, re.search(r"mean of 50 requests: ([\d.]+) right, ([\d.]+) absurd", printed).groups())
    assert right >= 3
    assert absurd <= 0.3


def test_answers_are_right_by_id_and_absurd_by_what_they_contradict():
    movies = [Movie(i, "A", 1980 + i, ("Comedy",) if i % 2 else ("Drama",)) for i in range(4)]
    request = {"request": "x", "right": [0, 3], "never": {"years": [1980, 1982], "genres": ["Comedy"]}}
    found = answers(lambda words, n: movies[:n], [request, {"request": "y", "right": [], "never": {"ids": [2]}}])
    assert (found["x"].right, found["x"].absurd) == ([True, False, False, True], [False, True, False, True])
    assert (found["y"].right, found["y"].absurd) == (4 * [False], [False, False, True, False])


def test_a_rule_holds_if_each_of_its_keys_does():
    about = {"director": "Akira Kurosawa", "keywords": ("high school",), "original_language": "ja"}
    movie, both = Movie(1, "A", 1985, ("Drama", "War"), **about), {"genres": ["War"], "years": [1900, 1950]}
    for key, right, wrong in (
        ("genres", ["War", "Comedy"], ["Comedy"]),
        ("all", ["War", "Drama"], ["War", "Comedy"]),
        ("without", ["Comedy"], ["War"]),
        ("years", [1985, 1985], [1986, 1990]),
        ("languages", ["fr", "ja"], ["fr"]),
        ("directors", ["Kurosawa"], ["Ozu"]),
        ("keywords", ["school"], ["schoo"]),
    ):
        assert (holds(movie, {key: right}), holds(movie, {key: wrong})) == (True, False), key
    assert (holds(movie, {}), holds(movie, both)) == (True, False)


def test_series_are_titles_that_share_their_stem():
    titles = ["Rocky (1976)", "Rocky II (1979)", "Alien (1979)", "Alien: Covenant (2017)", "Rockyford (1990)"]
    catalog = Catalog([{"movieId": str(i), "title": title, "genres": "Drama"} for i, title in enumerate(titles, 1)])
    assert series(catalog) == [[0, 1], [2, 3]]
    assert series_found(lambda row, n: {0: [4, 1], 1: [2, 3], 2: [3], 3: [2]}[row], catalog) == 3 / 4


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "a: {favorites: [1]}", "a: {favorites: [1], fits: [{genre: [X]}]}"]
)
def test_a_file_that_is_not_of_tastes_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "tastes.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"tastes\.yaml"):
        read_tastes(path)
    with pytest.raises(DataError):
        read_tastes(tmp_path)
    with pytest.raises(DataError):
        read_requests(path, "tune")
