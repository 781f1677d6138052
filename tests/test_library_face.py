"""`from recommender import Recommender`: what other people's scripts rely on."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender import MovieFilter, Recommender, TastevecError
from recommender.data.errors import ArtifactError, ChoiceError, SettingsError
from recommender.data.settings import default_folder
from recommender.data.splits import load_all
from recommender.learn.base import Ranker
from recommender.linalg.rows import unit_rows
from recommender.session.similar import SimilarMovies
from recommender.text.registry import make_backend
from tests.test_session_program import with_texts as with_texts
from tests.tiny import FILMS, make_processed


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Recommender.load(make_processed(tmp_path_factory.mktemp("tiny")))


def test_a_session_by_ids_and_titles(shipped):
    by_title = shipped.session(["The Matrix", "Alien", "Pulp Fiction", "Fargo"], seed=1)
    by_id = shipped.session([2571, np.int64(1214), 296, shipped.search("fargo", 1)[0]], seed=1)
    assert by_id.state.seed == 1
    for turn in range(5):
        movie = by_title.next()
        assert movie.movie == by_id.next().movie
        assert movie.score == pytest.approx(sum(reason.value for reason in movie.because), abs=1e-9)
        before = by_id.user_vector
        for session in (by_title, by_id):
            session.answer("like" if turn % 2 else "dislike")
        assert not np.array_equal(by_id.user_vector, before)
    by_id.undo()
    np.testing.assert_array_equal(by_id.user_vector, before)


def plain_scores(vectors: np.ndarray, row: int, corrected: float = 1.0) -> np.ndarray:
    """Products of unit vectors, standardised by row; a share of them standardised by column before."""
    products = vectors @ vectors.T
    by_column = (products - products.mean(axis=0)) / products.std(axis=0)
    z, h = ((table[row] - (rest := np.delete(table[row], row)).mean()) / rest.std() for table in (products, by_column))
    return (1 - corrected) * z + corrected * h


def test_similar_movies_are_those_that_people_and_texts_put_together(tiny):
    vectors = np.array([movie[4] for movie in FILMS], dtype=float)
    by_people = plain_scores(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), 3, 0.5)
    expected = [i for i in np.argsort(-by_people, kind="stable") if i != 3]
    found = tiny.similar_movies(4, n=10**12)  # it costs no memory
    assert [similar.movie.movie_id for similar in found] == [FILMS[i][0] for i in expected]
    np.testing.assert_allclose([similar.similarity for similar in found], by_people[expected], atol=1e-4)
    assert tiny.similar_movies(4, n=5) == found[:5]
    # with texts; nothing is known of movie 5
    rng = np.random.default_rng(0)
    people, texts = (unit_rows(rng.normal(size=(30, d)), np.float64) for d in (6, 4))
    people[5] = texts[5] = people[6] = 0
    both = plain_scores(np.delete(people, [5, 6], 0), 2, 0.5), plain_scores(np.delete(texts, 5, 0), 2)
    search = SimilarMovies(people, texts).search(2, 40)
    total = np.insert(np.insert(both[0], 5, 0), 5, 0) + np.insert(both[1], 5, 0)
    assert [one.row for one in search] == [i for i in np.argsort(-total, kind="stable") if i not in (2, 5)]
    assert {one.row: one.by for one in search}[6] == ("texts" if np.insert(both[1], 5, 0)[6] > 0 else "people")


NOTHING = {"favorites": [], "answers": []}
REFUSED: list[tuple[str, Any, str]] = [
    ("session", {"favorites": ["zeta"]}, "'zeta' could be Zeta (2005) [id 7]; Zeta (1990) [id 6]: give the id"),
    ("session", {"favorites": ["qqqqqq"]}, "no movie like 'qqqqqq'"),
    ("session", {"favorites": ["qqqqqq 2031"]}, "too new: the newest movies here are of 2005"),
    ("session", {"favorites": []}, "no favorites"),
    *(("session", {"favorites": [value]}, "neither a movie id nor a title") for value in (1.5, True, None)),
    *(("session", {"favorites": value}, "give a list") for value in ("alpha", None, 1, b"alpha")),
    *(("session", {"favorites": [1], "words": value}, "give a string, or") for value in (None, 5, b"robots")),
    *(("session", {"favorites": [1], "seed": value}, "give a whole number from 0") for value in (-1, None, 0.5)),
    *(("session", {"words": [value]}, "give a string") for value in (["war"], 10**5000)),
    *(("session", {"favorites": [1], "wanted": value}, "give a MovieFilter") for value in ("Drama", 5, np.ones(2))),
    ("similar_movies", {"movie_id": 99}, "no movie with id 99"),
    *(("similar_movies", {"movie_id": value}, "whole number") for value in ("1", 1.7, float("inf"), True)),
    *(("similar_movies", {"movie_id": 1, "n": value}, "whole number from 1") for value in (0, "3", None, 2.0)),
    *(("search", {"text": value}, "give a string") for value in (None, 2571)),
    *(("recommend", {"user": value}, "give the id of a user") for value in ("1", True, 1.5, None, np.ones(2), {})),
    *(("recommend", {"user": {"favorites": value, "answers": []}}, "a profile as") for value in (5, [[1]], None)),
    *(("recommend", {"user": {**NOTHING, "ratings": [value]}}, "a profile as") for value in ([1, 5, "x"], [1, 5])),
    ("explain", {"user": [1], "movie": 1.5}, "neither a movie id nor a title"),
    *(("warm", {"methods": value}, "give a list of names") for value in ("svd", 5, None)),
    *(("recommend", {"user": value}, "no user") for value in (100000, -1, 10**5000)),
    *(("recommend", {"user": [(1, value)]}, "give a number from 0.5 to 5") for value in ("5", 0, 5.5, np.nan, True)),
    *(("recommend", {"user": value}, "is rated twice") for value in ([1, 1], [(1, 5), ("Toy Story (1995)", 4)])),
    *(("recommend", {"user": [value]}, "give (movie, rating)") for value in ((1,), (1, 5, 7, 9), [])),
    ("recommend", {"user": []}, "name a movie"),
    *(("recommend", {"user": 1, "n": value}, "whole number from 1") for value in ("3", 0, 2.5)),
    ("recommend", {"user": 1, "at": 2**40}, "give seconds since 1970"),
    *(("recommend", {"user": 1, "method": value}, "choose from pop") for value in ("magic", 5, 10**5000, ["svd"])),
    *(("recommend", {"user": 1, "exclude": value}, "give a list") for value in ("alpha", None, 5)),
    *(("recommend", {"user": 1, "familiarity": value}, "1: what everybody") for value in ("x", 2, np.nan, True)),
    *(("recommend", {"user": 1, "context": value}, "give its path") for value in (5, 1.0, ["x"])),
    ("recommend", {"user": 1, "context": "nowhere.yaml"}, "no settings file at nowhere.yaml"),
    *(("load", wrong, "give its path") for wrong in ({"path": 5}, {"path": b"processed"}, {"policy": 5})),
    ("load", {"backend_settings": 5}, "give a dict"),
    *(("load", {"vectors": value}, "give one of svd, two_tower") for value in ("towers", ["svd"], np.ones(2))),
]


def test_what_cannot_be_done_says_why(tiny, shipped):
    for method, arguments, message in REFUSED:
        recommender = shipped if method == "recommend" else tiny
        with pytest.raises((ChoiceError, SettingsError), match=re.escape(message)) as caught:
            getattr(recommender, method)(**arguments)
        assert isinstance(caught.value, TastevecError)
        assert "\n" not in str(caught.value)
    session = tiny.session([1])
    session.next()
    for call in (session.tell, session.answer):
        with pytest.raises(ChoiceError):
            call(["like"])
    for wrong in ({"genres": 5}, {"genres": [5]}, {"exclude_genres": None}, {"first_year": "1990"}, {"last_year": 1.5}):
        with pytest.raises(ChoiceError, match=re.escape(str(*wrong.values()))):
            MovieFilter(**wrong)
    for backend in ("local", "http", "minilm"):
        with pytest.raises(TastevecError, match="foo"):
            make_backend(backend, foo=1)


def test_a_session_and_a_recommender_can_be_pickled(with_texts):
    recommender = Recommender.load(with_texts, backend="local")
    session = recommender.session(["Alpha", "Beta"], words="war", seed=3)
    session.next()
    copied = pickle.loads(pickle.dumps(session))
    for answer in ("like", "dislike", "skip"):
        session.answer(answer)
        copied.answer(answer)
        assert session.state == copied.state
        movie, same = session.next(), copied.next()
        assert (movie.movie, movie.because) == (same.movie, same.because)
    again = pickle.loads(pickle.dumps(recommender))
    assert again.session(["Alpha"]).next().movie == recommender.session(["Alpha"]).next().movie


def test_four_threads_fit_a_model_once_and_lose_no_answer(monkeypatch):
    fits, fit = [], Ranker.fit

    def slow(model: Ranker, train: Any) -> Any:
        fits.append(model.name)
        time.sleep(0.05)
        return fit(model, train)

    monkeypatch.setattr(Ranker, "fit", slow)
    recommender = replace(Recommender.load(), notes=[])  # without models
    session = recommender.session(["Heat (1995)"])

    def turn(_: int) -> bool:
        session.next()
        try:
            session.answer("like")
            return True
        except ChoiceError:  # another thread answered this movie
            return False

    with ThreadPoolExecutor(4) as pool:
        methods = ["svd", "popularity", "embedding"] * 4
        found = list(pool.map(lambda method: recommender.recommend(1, 5, method, at=1_500_000_000), methods))
        n_likes = sum(pool.map(turn, range(60)))
    assert sorted(fits) == sorted(methods[:3])
    assert recommender.titles is recommender.titles
    assert found == found[:3] * 4
    answers = session.state.answers
    assert sum(event.answer == "like" for event in answers) == n_likes > 0
    assert len({event.row for event in answers}) == len(answers)


def test_counts_are_those_of_the_ratings_that_the_model_was_fitted_on():
    ratings = load_all(default_folder("processed"))
    for vectors in ("svd", "two_tower"):
        opened = Recommender.load(vectors=vectors)
        assert opened.search("the matirx", 1)[0].n_ratings == 993  # 278 of them in ml-latest-small
        assert opened.catalog.n_ratings.tolist() == ratings.movie_counts().tolist()
        shown = opened.session([2571, 1]).next()
        share = shown.movie.n_ratings / opened.catalog.n_ratings.max()
        penalty = {reason.kind: reason.value for reason in shown.because}["popularity"]
        assert penalty == pytest.approx(-share * opened.policy.popularity_penalty)


def test_folders_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"no movie list at .*run python -m preprocess\.setup"):
        Recommender.load(tmp_path / "nowhere")
    path = make_processed(tmp_path) / "movie_metadata.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    remedy = f"run python -m model.train_svd_model --processed {tmp_path}"  # never the shipped folder
    with pytest.raises(ArtifactError, match=f"trained on another movie list: {re.escape(remedy)}"):
        Recommender.load(tmp_path)


def test_importing_touches_no_file_and_a_script_may_have_its_own_model_and_config(tmp_path):
    for name in ("model", "config", "preprocess"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported the wrong {name}')")
    (tmp_path / "processed").mkdir()
    (tmp_path / "script.py").write_text(
        "import sys, numpy, json, csv, yaml, readline, zipfile, tempfile, hashlib, argparse, textwrap, difflib\n"
        "opened = []\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and not str(arguments[0]).endswith(('.py', '.pyc', '.so')):\n"
        "        opened.append(arguments[0])\n"
        "    assert not event.startswith('socket.'), event\n"
        "sys.addaudithook(watch)\n"
        "import recommender\n"
        "assert not opened, opened\n"
        "assert recommender.Recommender.load().session(['The Matrix', 296]).next().movie.title\n"
        "print(sorted({'pandas', 'requests', 'model', 'preprocess', 'config'} & set(sys.modules)))\n"
    )
    command, env = [sys.executable, "-B", "script.py"], {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert (done.stdout, done.stderr) == ("[]\n", "")
