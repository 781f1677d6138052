"""The session replay: worked by hand on a handful of movies, and what it must never let a rule see."""

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model import replay_sessions
from model.evaluate import read_set
from recommender.data.catalog import Catalog
from recommender.data.errors import TastevecError
from recommender.data.interactions import Interactions
from recommender.evaluate import replay as of_sessions
from recommender.evaluate.replay import RULE_ALONE, VIEWS, View, make_folds, replay, replay_all
from recommender.session.engine import SessionEngine
from recommender.session.fitted_rules import RULES, EaseRule, fit_session_rule
from recommender.session.rules import LearningRule
from recommender.session.state import Event
from tests.raw_sets import write_ratings
from tests.test_session import make_catalog

# Movies 0 to 7 in this order of merit; a like of movie 1 lifts movie 7 above all others.
MERIT = np.array([8, 7, 6, 5, 4, 3, 2, 1], dtype=np.float32)


class LikesLead(LearningRule):
    def scores(self, events: Sequence[Event]) -> np.ndarray:
        return MERIT + 10 * (Event(1, "like") in events) * (np.arange(8) == 7)

    def contributions(self, events: Sequence[Event], rows: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    user_vector = contributions


EIGHT = make_catalog(8)
EIGHT.n_ratings = np.array([50, 9, 9, 9, 9, 3, 9, 0])
PERSON = of_sessions.Person(9, (0,), {0: 5.0, 1: 4.0, 2: 2.5, 3: 3.5, 5: 4.5, 7: 5.0})


def test_a_session_worked_by_hand():
    # like, dislike, not interested: in between, or never rated, of which only the second can be a skip
    for view, answers in ((View(), "lldnnlnl"), (View(unrated="skip"), "lldnslsl"), (View(learns=False), 8 * "s")):
        assert "".join(PERSON.answer(row, view)[0] for row in range(8)) == answers
    engine = SessionEngine(EIGHT, LikesLead(), RULE_ALONE)
    # 1 is liked, so 7 follows; then by merit; the favorite 0 is never shown
    assert replay(engine, PERSON, 5) == [1, 7, 2, 3, 4]
    assert replay(engine, PERSON, 5, View(learns=False)) == [1, 2, 3, 4, 5]
    assert replay(engine, PERSON, 20) == [1, 7, 2, 3, 4, 5, 6]
    nobody = Interactions.from_columns([], [], [], [])
    fold = of_sessions.Fold(nobody, EIGHT, [PERSON, PERSON])
    # the least known liked movie is 7, which nobody rated
    (outcome,) = replay_all(LikesLead(), fold, 3, RULE_ALONE, View(least_known=True))
    assert outcome.shown == (0, 1, 2)


def test_figures_worked_by_hand():
    counts, ranks = EIGHT.n_ratings, np.array([1, 51, 3, 4, 100, 7, 101, 102])
    outcome = of_sessions.measure(PERSON, [1, 7, 2, 3, 4], 5, counts, ranks)
    # liked and left: 1, 5, 7, so at most 3 hits; weights 1/10, 1/4, 1; ranks 51, 102, 3, 4, 100
    assert (outcome.hits, outcome.hit_turns, outcome.outside) == (2, (1, 2), 1)
    assert (outcome.famous, outcome.median_rank) == (2 / 5, 51)
    assert outcome.rate == pytest.approx(2 / 3)
    assert outcome.weighted_rate == pytest.approx((1 / 10 + 1) / (1 / 10 + 1 / 4 + 1))
    all_three = of_sessions.measure(PERSON, [1, 2, 7, 5], 5, counts, ranks)
    assert (all_three.hit_turns, all_three.outside) == ((1, 3, 4), 1)
    short = of_sessions.measure(PERSON, [1, 7], 2, counts, ranks)  # in two turns the best is 2 hits and 1 + 1/4
    assert short.rate == 1.0
    assert short.weighted_rate == pytest.approx((1 / 10 + 1) / (1 / 4 + 1))


def ratings(n_users: int = 60) -> Interactions:
    """Two kinds of people, each liking its half of 40 movies; every rating falls to chance, and so does its time."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(n_users):
        for movie in rng.choice(40, size=30, replace=False):
            own = (movie < 20) == (user % 2 == 0)
            rows.append((user, 10 * (movie + 1), rng.choice([4, 4.5, 5]) if own else rng.choice([1, 2, 3.5])))
    return Interactions.from_columns(*np.array(rows).T, rng.permutation(len(rows)), 10 * np.arange(1, 41))


def test_favorites_are_liked_movies_and_depend_on_the_seed_alone():
    data = ratings()
    seeds = (np.random.default_rng(seed) for seed in (3, 3, 4))
    people, again, other = (of_sessions.draw_people(data, np.arange(60), 4, rng) for rng in seeds)
    for person in people:
        liked = {row for row, rating in person.ratings.items() if rating >= 4}
        assert len(liked & set(person.favorites)) == 4
        assert set(person.liked_left()) == liked - set(person.favorites)
    assert people == again
    assert people != other
    # ten liked movies are enough, nine are not
    stars = [[4.0] * 10 + [3.5] * 10, [4.0] * 9 + [3.5] * 11]
    columns = (np.repeat([1, 2], 20), np.tile(np.arange(1, 21), 2), np.ravel(stars), np.zeros(40))
    people = of_sessions.draw_people(Interactions.from_columns(*columns), np.arange(2), 4, np.random.default_rng(0))
    assert [person.user_id for person in people] == [1]


def test_folds_keep_people_out_of_training():
    data = ratings()
    folds = make_folds(data, make_catalog(40), 5, 4, seeds=(0, 1))
    met = []
    for fold in folds:
        trained_on = set(data.user_ids[np.diff(fold.train.indptr) > 0].tolist())
        assert not trained_on.intersection(person.user_id for person in fold.people)
        assert len(trained_on) == 48
        np.testing.assert_array_equal(fold.catalog.n_ratings, np.bincount(fold.train.movie_rows, minlength=40))
        met += [person.user_id for person in fold.people]
    assert sorted(met) == sorted(2 * list(set(met)))  # once for each seed
    some = make_folds(data, make_catalog(40), 2, 4, seeds=(0,), last_user=9)
    assert all(person.user_id <= 9 for fold in some for person in fold.people)
    assert all(set(range(10, 60)) <= set(data.user_ids[np.diff(fold.train.indptr) > 0].tolist()) for fold in some)
    first, second = np.array([person.favorites for person in folds[0].people]).reshape(2, -1)
    assert not np.array_equal(first, second)


def telling_nothing(n: int) -> Catalog:
    """Movies of one year and of genres that fall to chance: neither tells the two kinds apart."""
    genres = np.random.default_rng(7).choice(["Action", "Comedy", "Drama"], n)
    return Catalog([{"movieId": str(10 * i + 10), "title": f"Movie {i} (1990)", "genres": genres[i]} for i in range(n)])


@pytest.mark.parametrize("name", [name for name in RULES if name != "popularity"])
def test_rules_find_planted_tastes_and_nothing_in_shuffled_ones(name: str):
    data, catalog = ratings(), telling_nothing(40)
    shuffled = dataclasses.replace(data, ratings=np.random.default_rng(1).permutation(data.ratings))
    hits = []
    for train in (data, shuffled):
        outcomes = []
        for fold, truth in zip(make_folds(train, catalog, 2, 2, (0,)), make_folds(data, catalog, 2, 2, (0,))):
            rule = fit_session_rule(name, fold.train, fold.catalog)
            outcomes += replay_all(rule, fold._replace(people=truth.people), 10, RULE_ALONE)
        hits.append(np.mean([outcome.rate for outcome in outcomes]))
    planted, chance = hits
    # Of the movies shown, 3 in 4 are rated: all of them liked if the kind is known, half of them by guessing.
    assert planted > 0.68
    assert chance < 0.55
    rows, answers = np.random.default_rng(5).permutation(40), 3 * ["favorite"] + 9 * ["like", "dislike", "skip"]
    events = [Event(int(row), answer) for row, answer in zip(rows, answers)]
    table = rule.contributions(events, np.arange(40))
    np.testing.assert_allclose(table.sum(axis=0), rule.scores(events), atol=1e-5)


def test_ease_adds_rows_for_likes_and_takes_them_for_dislikes_and_popularity_counts_likes():
    B = np.array([[0, 0.5, 0.1], [0.25, 0, 1], [1, 1, 0]], dtype=np.float32)
    events = [Event(0, "favorite"), Event(1, "dislike"), Event(2, "skip")]
    assert EaseRule(B).scores(events).tolist() == B[0].tolist()
    np.testing.assert_allclose(EaseRule(B).scores([*events, Event(2, "like")]), B[0] + B[2])
    data = Interactions.from_columns([1, 1, 2], [5, 6, 6], [5, 4, 2], [0, 0, 0])
    assert fit_session_rule("popularity", data, make_catalog(2)).scores([]).tolist() == [0.5, 0.5]


def test_program_prints_and_writes_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_ratings(tmp_path, ratings(24), "Drama")
    files = ["--json", str(tmp_path / "out.json"), "--csv", str(tmp_path / "out.csv")]
    flags = "--rules popularity,moving-average --turns 6 --folds 2 --seeds 0,1 --familiarity 1"
    if importlib.util.find_spec("matplotlib"):
        files += ["--plots", str(tmp_path / "plots")]
    replay_sessions.main(["--data", str(tmp_path), *flags.split(), *files])
    if "--plots" in files:
        assert [path.read_bytes()[:4] for path in (tmp_path / "plots").iterdir()] == 3 * [b"\x89PNG"]
    printed = capsys.readouterr().out
    figures = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["figures"]
    table = pd.read_csv(tmp_path / "out.csv").set_index(["rule", "policy", "view"]).sort_index()
    assert len(figures) == 2 * 3 * len(VIEWS)
    for figure in figures:
        rows = table.loc[(figure["rule"], figure["policy"], figure["view"])]
        assert figure["hits"] == pytest.approx(rows["hits"].mean())
        assert sum(figure["hits_by_turn"]) == pytest.approx(figure["hits"])
        assert figure["hits_interval"][0] <= figure["hits"] <= figure["hits_interval"][1]
        assert figure["never_shown"] == 40 - len(set(" ".join(rows["shown"]).split()))
        assert f"{figure['hits']:.2f}" in printed
    alone = {(figure["rule"], figure["view"]): figure for figure in figures if figure["policy"] == "alone"}
    assert alone["popularity", "learning"]["hits"] == alone["popularity", "no learning"]["hits"]
    assert alone["moving-average", "learning"]["hits"] > alone["popularity", "learning"]["hits"]
    (data, catalog), outcomes = read_set(tmp_path, "B"), list[of_sessions.Outcome]()
    for fold in make_folds(data, catalog, 2, 4, (0, 1)):
        rule = fit_session_rule("moving-average", fold.train, fold.catalog)
        outcomes += replay_all(rule, fold, 6, RULE_ALONE, VIEWS["learning, least known"])
    expected = np.mean([one.hits for one in outcomes])
    assert alone["moving-average", "learning, least known"]["hits"] == pytest.approx(expected)


BAD_FLAGS = """--rules guess; --rules ease,ease; --turns 0; --seeds x; --seeds -1; --seeds 1,1; --folds 1
--familiarity 2; --familiarity x; --last-user 0; --tastes x.yaml; --fold-seed -1; --csv ."""
OWN = [f"--{name} own.{name}" for name in ("csv", "json")]


@pytest.mark.parametrize("flags", [*BAD_FLAGS.replace("\n", "; ").split("; "), *OWN, f"--seeds {'9' * 5000}"])
def test_program_refuses_before_any_replay(flags, tmp_path, capsys, monkeypatch):
    write_ratings(tmp_path, ratings(24), "Drama")
    monkeypatch.chdir(tmp_path)
    for name in ("own.csv", "own.json"):
        (tmp_path / name).write_text("rule,mine")
    with pytest.raises(TastevecError):
        replay_sessions.main(["--data", str(tmp_path), *flags.split()])
    assert capsys.readouterr().out == ""
