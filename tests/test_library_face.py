"""`from recommender import Recommender`: what other people's scripts rely on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recommender import Movie, Recommender, TastevecError
from recommender.data.errors import ArtifactError, ChoiceError, SettingsError
from recommender.session.policy import PolicySettings
from tests.tiny import FILMS, make_processed

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def shipped() -> Recommender:
    return Recommender.load()


@pytest.fixture
def tiny(tmp_path: Path) -> Recommender:
    return Recommender.load(make_processed(tmp_path))


def test_search_gives_movies(shipped: Recommender) -> None:
    found = shipped.search("the matirx", n=3)
    assert len(found) <= 3
    assert found[0].movie_id == 2571
    assert isinstance(found[0], Movie)
    assert (found[0].title, found[0].year) == ("The Matrix", 1999)
    assert "Sci-Fi" in found[0].genres
    assert shipped.search("zzzzqqqq") == []


def test_a_session_by_ids_and_titles(shipped: Recommender) -> None:
    by_title = shipped.session(["The Matrix", "Alien", "Pulp Fiction", "Fargo"], seed=1)
    by_id = shipped.session([2571, np.int64(1214), 296, 608], seed=1)
    seen = set()
    for turn in range(20):
        movie, same = by_title.next(), by_id.next()
        assert movie is not None
        assert same is not None
        assert movie.movie == same.movie
        assert movie.score == pytest.approx(sum(reason.value for reason in movie.because), abs=1e-9)
        assert np.isfinite(movie.score)
        seen.add(movie.movie.movie_id)
        for session in (by_title, by_id):
            session.answer("like" if turn % 2 else "dislike")
    assert len(seen) == 20
    assert not seen & {2571, 1214, 296, 608}
    before = by_id.user_vector
    by_id.next()
    by_id.answer("like")
    assert not np.array_equal(by_id.user_vector, before)
    by_id.undo()
    np.testing.assert_array_equal(by_id.user_vector, before)


def test_favorites_decide_what_comes(shipped: Recommender) -> None:
    def n_family_movies(*favorites: str) -> int:
        session = shipped.session(list(favorites))
        movies = [session.next() for _ in range(20)]
        return sum(bool({"Animation", "Children"} & set(movie.movie.genres)) for movie in movies if movie)

    family = n_family_movies("Toy Story (1995)", "Finding Nemo", "Shrek (2001)", "Monsters, Inc.")
    crime = n_family_movies("Pulp Fiction", "Fargo", "Reservoir Dogs", "Heat (1995)")
    assert family >= 5
    assert crime <= 1


def test_similar_movies_are_the_nearest_by_cosine(tiny: Recommender) -> None:
    vectors = np.array([movie[4] for movie in FILMS], dtype=float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit[3]
    expected = [i for i in np.argsort(-cosine, kind="stable") if i != 3]
    found = tiny.similar_movies(4, n=5)
    assert [similar.movie.movie_id for similar in found] == [FILMS[i][0] for i in expected[:5]]
    np.testing.assert_allclose([similar.similarity for similar in found], cosine[expected[:5]], atol=1e-6)
    assert len(tiny.similar_movies(4, n=100)) == len(FILMS) - 1


def test_what_cannot_be_done_says_why(tiny: Recommender, tmp_path: Path) -> None:
    with pytest.raises(
        ChoiceError, match=r"'zeta' could be Zeta \(2005\) \[id 7\]; Zeta \(1990\) \[id 6\]: give the id"
    ):
        tiny.session(["zeta"])
    with pytest.raises(ChoiceError, match="no movie like 'qqqqqq'"):
        tiny.session(["qqqqqq"])
    with pytest.raises(ChoiceError, match="no movie with id 99"):
        tiny.session([1, 99])
    for words in (None, 5, b"robots"):
        with pytest.raises(ChoiceError, match="give a text, or a list of texts"):
            tiny.session(["alpha"], words=words)  # type: ignore[arg-type]
    with pytest.raises(ChoiceError, match="no favorites"):
        tiny.session([])
    with pytest.raises(ChoiceError, match="give a list"):
        tiny.session("alpha")
    with pytest.raises(ChoiceError, match="neither a movie id nor a title"):
        tiny.session([1.5])  # type: ignore[list-item]
    for not_a_list in (None, 1, b"alpha"):
        with pytest.raises(ChoiceError, match="give a list"):
            tiny.session(not_a_list)  # type: ignore[arg-type]
    with pytest.raises(ChoiceError, match="'True' is neither a movie id nor a title"):
        tiny.session([True])
    for seed in (-1, None, 0.5):
        with pytest.raises(ChoiceError, match=f"seed {seed}: give a whole number from 0"):
            tiny.session([1], seed=seed)  # type: ignore[arg-type]
    with pytest.raises(ChoiceError, match="no movie with id 99"):
        tiny.similar_movies(99)
    for not_an_id in ("1", 1.7, float("inf"), True):
        with pytest.raises(ChoiceError, match="is not a whole number"):
            tiny.similar_movies(not_an_id)  # type: ignore[arg-type]
    with pytest.raises(ChoiceError, match="n = 0"):
        tiny.similar_movies(1, n=0)
    with pytest.raises(ArtifactError, match=r"no movie list at .*run python -m preprocess\.setup"):
        Recommender.load(tmp_path / "nowhere")
    assert issubclass(ChoiceError, TastevecError)


def test_more_similar_movies_than_there_are_cost_no_memory(tiny: Recommender) -> None:
    assert len(tiny.similar_movies(1, n=10**12)) == len(tiny.catalog) - 1


def test_a_model_of_other_movies_is_refused(tmp_path: Path) -> None:
    folder = make_processed(tmp_path)
    path = folder / "movie_metadata.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"trained on another movie list: run python -m model\.train_svd_model"):
        Recommender.load(folder)


def test_a_script_with_its_own_model_config_and_processed(tmp_path: Path) -> None:
    """The script's folder comes first on the path; nothing of ours may be looked up there."""
    (tmp_path / "model.py").write_text("raise SystemExit('imported the wrong model')")
    (tmp_path / "config.py").write_text("raise SystemExit('imported the wrong config')")
    (tmp_path / "preprocess.py").write_text("raise SystemExit('imported the wrong preprocess')")
    (tmp_path / "processed").mkdir()
    (tmp_path / "script.py").write_text(
        "from recommender import Recommender\n"
        "session = Recommender.load().session(['The Matrix', 296])\n"
        "print(session.next().movie.title != '')\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_importing_touches_no_file_and_loads_no_pandas(tmp_path: Path) -> None:
    code = (
        "import sys, numpy, json, csv, yaml, readline, zipfile, tempfile, hashlib, argparse, textwrap, difflib\n"
        "opened = []\n"
        "def watch(event, arguments):\n"
        "    if event == 'open' and not str(arguments[0]).endswith(('.py', '.pyc', '.so')):\n"
        "        opened.append(arguments[0])\n"
        "    assert not event.startswith('socket.'), event\n"
        "sys.addaudithook(watch)\n"
        "import recommender\n"
        "assert not opened, opened\n"
        "recommender.Recommender.load().session([1]).next()\n"
        "print(sorted({'pandas', 'requests', 'model', 'preprocess', 'config'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_found_movie_can_be_a_favorite(tiny: Recommender) -> None:
    (found,) = tiny.search("alpha", n=1)
    assert tiny.session([found]).state.favorites == tiny.session([1]).state.favorites == (0,)


def test_settings_made_in_code_are_checked_as_those_of_a_file() -> None:
    with pytest.raises(SettingsError, match="learning_rule: 'zzz' is not one of conditional-gaussian, moving-average"):
        PolicySettings(learning_rule="zzz")
    with pytest.raises(SettingsError, match="learning_rate: 9 is out of range"):
        PolicySettings(learning_rate=9)


def test_counts_are_those_of_the_ratings_that_the_model_was_fitted_on() -> None:
    """All of them, in what is shown, the penalty on popularity, the fame of a title, and beside the two towers."""
    for vectors in ("svd", "two_tower"):
        opened = Recommender.load(vectors=vectors)
        matrix = opened.catalog.row_of(2571)
        assert opened.catalog.movie(matrix).n_ratings == 278
        assert opened.catalog.n_ratings.min() >= 5  # the filter kept no movie with fewer
        assert opened.search("the matrix", 1)[0].n_ratings == 278
        shown = opened.session([2571, 1]).next()
        share = shown.movie.n_ratings / opened.catalog.n_ratings.max()
        penalty = {reason.kind: reason.value for reason in shown.because}["popularity"]
        assert penalty == pytest.approx(-share * opened.policy.popularity_penalty)


def test_search_refuses_what_is_no_text(tiny: Recommender) -> None:
    for text, n in [(None, 5), (2571, 5), ("alpha", "3"), ("alpha", True)]:
        with pytest.raises(ChoiceError, match="give a text and a whole number"):
            tiny.search(text, n)
