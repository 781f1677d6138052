"""What people with a taste of their own are shown first: how much of it fits, how much everybody has seen.

The weights of the traits (recommender/session/policy.py) were chosen on tastes.yaml and the first ten of
tastes_held_back.yaml, so the limits guard what was reached; the last ten measure it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from model import replay_sessions
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import DataError
from recommender.evaluate.tastes import answers, holds, read_requests, read_tastes, series, series_found


@pytest.mark.slow
@pytest.mark.parametrize(("file", "least"), [("tastes.yaml", 8), ("tastes_held_back.yaml", 6.5)])
def test_the_first_ten_fit_the_taste_and_are_not_what_everybody_has_seen(
    file: str, least: float, capsys: pytest.CaptureFixture[str]
):
    replay_sessions.main(["--tastes", str(Path(__file__).parent / file)])
    printed = capsys.readouterr().out
    fit, most_rated = map(float, re.search(r"mean of 20 tastes: ([\d.]+) fit, ([\d.]+) of", printed).groups())
    assert fit >= least
    assert most_rated <= 1
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


TASTE = {"favorites": [1], "fits": [{"genres": ["War"], "years": [1990, 1990]}]}
REQUEST = {"request": "x", "part": "tune", "right": [6], "never": {"ids": [1]}}
WRONG = {
    "years": [1990, ["x", "y"], [1990]],
    "ids": [None, [True], []],
    "directors": ["Ozu"],
    "genre": [["War"]],
}
RULES = [{}, 3, None, *({key: value} for key, values in WRONG.items() for value in values)]
WRONG_TASTES = {"favorites": [3, [], ["x"]], "fits": [[], {}, [[]], 1, *([rule] for rule in RULES)]}
WRONG_REQUESTS = {"request": ["", 3, None], "part": [["tune"]], "right": [6, []], "never": RULES}


def test_files_of_something_else_are_refused_and_what_is_wrong_is_named(tmp_path: Path):
    path = tmp_path / "file.yaml"

    def refused(read: Callable[[Path], object], content: object, words: str = "give ") -> None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(DataError, match=rf"file\.yaml.*{words}"):
            read(path)

    for read, wrong in ((read_tastes, WRONG_TASTES), (lambda path: read_requests(path, "tune"), WRONG_REQUESTS)):
        for text in ("", "a: [", "1", "2020-13-45", "{}", "[]", "a: {favorites: [1]}", "- {request: x}"):
            refused(read, text)
        for key, value in [*((key, value) for key, values in wrong.items() for value in values), ("more", 1)]:
            refused(read, {"a": {**TASTE, key: value}} if read is read_tastes else [{**REQUEST, key: value}], key)
    path.write_text(json.dumps({"a": TASTE}))
    assert read_tastes(path) == {"a": TASTE}
    path.write_text(json.dumps([REQUEST]))
    assert read_requests(path, "tune") == [REQUEST]
    with pytest.raises(DataError, match="report"):
        replay_sessions.main(["--requests", str(path), "--part", "report"])
