"""The session: learning rule, policy, steps, explanations; every expectation is computed here in another way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.session.engine import SessionEngine
from recommender.session.policy import TERMS, Context, MovieFilter, PolicySettings
from recommender.session.rules import MovingAverage
from recommender.session.session import Recommendation, Session
from recommender.session.state import Event

GENRES = ["Action", "Comedy", "Drama", "Horror", "War"]


def make_catalog(n: int = 120, seed: int = 0) -> Catalog:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "movieId": str(10 * (i + 1)),
            "title": f"Movie {i} ({1950 + i % 70})",
            "genres": "|".join(rng.choice(GENRES, size=rng.integers(1, 4), replace=False)),
        }
        for i in range(n)
    ]
    return Catalog(rows, {10 * (i + 1): int(rng.integers(0, 300)) for i in range(n)})


def make_engine(n: int = 120, k: int = 8, seed: int = 0, **policy: float) -> SessionEngine:
    vectors = np.random.default_rng(seed + 1).normal(size=(n, k)).astype(np.float32)
    settings = dataclasses.replace(PolicySettings(), **policy)
    rule = MovingAverage(vectors, settings.learning_rate, settings.negative_weight)
    return SessionEngine(make_catalog(n, seed), rule, settings)


def reference_scores(engine: SessionEngine, favorites: list[int], answers: list[Event]) -> np.ndarray:
    """Every score as the requirements write it, in float64 and step by step; movies that can't be shown are -inf."""
    policy, catalog = engine.policy, engine.catalog
    vectors = engine.rule.movie_vectors.astype(np.float64)
    user = vectors[favorites].mean(axis=0)
    a = policy.learning_rate
    for row, answer, _ in answers:
        if answer == "like":
            user = (1 - a) * user + a * vectors[row]
        elif answer == "dislike":
            user = (1 - a) * user - a * policy.negative_weight * vectors[row]
    counts: dict[str, int] = {}
    for row in favorites:
        for name in catalog.movie(row).genres:
            counts[name] = counts.get(name, 0) + 1
    total = sum(counts.values())
    model = vectors @ user
    n = len(catalog)
    affinity = np.array([sum(counts.get(g, 0) / total for g in catalog.movie(i).genres) for i in range(n)])
    told = {*favorites, *(row for row, *_ in answers)}
    shown = [
        i
        for i in range(n)
        if i not in told and affinity[i] >= policy.min_genre_affinity and 1 - affinity[i] <= policy.max_genre_distance
    ]
    scores = np.full(n, -np.inf)
    standard = (model[shown] - model[shown].mean()) / model[shown].std()
    middle = (affinity[shown] >= policy.diversity_band_low) & (affinity[shown] <= policy.diversity_band_high)
    scores[shown] = (
        standard * policy.score_weight_model
        - (1 - affinity[shown]) * policy.genre_distance_penalty
        - catalog.n_ratings[shown] / catalog.n_ratings.max() * policy.popularity_penalty
        + middle * policy.diversity_boost
    )
    return scores


@pytest.mark.parametrize("seed", range(4))
def test_explanation_and_choice_follow_the_formula_after_any_answers(seed: int) -> None:
    engine = make_engine(seed=seed, score_weight_model=1 - 0.2 * seed)
    rng = np.random.default_rng(seed)
    favorites = [int(row) for row in rng.choice(120, size=4, replace=False)]
    state = engine.start(favorites)
    history = [state]
    for _ in range(50):
        if len(history) > 1 and rng.random() < 0.25:
            history.pop()
            assert engine.undo(state) == history[-1]
            state = history[-1]
        else:
            state = engine.step(state, str(rng.choice(["like", "dislike", "skip"])))
            history.append(state)
        expected = reference_scores(engine, favorites, list(state.answers))
        assert state.current is not None
        # Where two movies are equal up to rounding, either is right.
        assert expected[state.current] == pytest.approx(expected.max(), abs=1e-5)
        reasons = engine.explain(state)
        assert sum(reason.value for reason in reasons) == pytest.approx(expected[state.current], abs=1e-5)
        movie = Recommendation(engine, state)
        policy_part = sum(reason.value for reason in reasons if reason.kind in TERMS)
        assert movie.model_score + policy_part == pytest.approx(movie.score, abs=1e-12)
        assert [r.movie.movie_id for r in reasons if r.movie] == [
            engine.catalog.movie_ids[row] for row, *_ in state.events
        ]


def test_session_never_repeats_a_movie_and_ends_with_none() -> None:
    engine = make_engine(n=12, min_genre_affinity=0.0, max_genre_distance=1.0)
    session = Session(engine, engine.start([0, 1]))
    shown = []
    while (movie := session.next()) is not None:
        shown.append(movie.movie.movie_id)
        session.answer("like")
    assert sorted(shown) == [10 * (i + 1) for i in range(2, 12)]
    assert session.next() is None
    session.undo()
    again = session.next()
    assert again is not None
    assert again.movie.movie_id == shown[-1]


def _play_out(engine: SessionEngine) -> list[int]:
    state = engine.start([0, 5, 9, 14])
    while state.current is not None:
        state = engine.step(state, "skip")
    return [event.row for event in state.answers]


def test_person_filters() -> None:
    catalog = make_catalog()
    wanted = MovieFilter(genres=("war", "Horror"), exclude_genres=("COMEDY",), first_year=1960, last_year=1990)
    rule = make_engine().rule
    engine = SessionEngine(catalog, rule, dataclasses.replace(PolicySettings(), min_genre_affinity=0.0), wanted)
    rows = _play_out(engine)
    assert rows
    for row in rows:
        movie = catalog.movie(row)
        assert {"War", "Horror"} & set(movie.genres)
        assert "Comedy" not in movie.genres
        assert 1960 <= movie.year <= 1990
    unknown = Catalog(
        [{"movieId": str(i), "title": title, "genres": "War"} for i, title in enumerate(("A", "B (1950)"))]
    )
    assert MovieFilter(last_year=1990).mask(unknown).tolist() == [False, True]  # an unknown year passes no limit
    assert MovieFilter(exclude_genres=("War", "Horror")).mask(catalog).sum() < (~catalog.genres[:, 4]).sum()
    with pytest.raises(ChoiceError, match="no genre 'Western': choose from Action"):
        MovieFilter(genres=("Western",)).mask(catalog)


CHANGED = {
    "learning_rate": 0.9,
    "negative_weight": 6.0,
    "score_weight_model": 0.01,
    "min_genre_affinity": 0.7,
    "max_genre_distance": 0.2,
    "genre_distance_penalty": 9.0,
    "popularity_penalty": 9.0,
    "diversity_boost": 9.0,
    "diversity_band_low": 0.45,
    "diversity_band_high": 0.25,
    "exploration_rate": 1.0,
}


@pytest.mark.parametrize("name", CHANGED)
def test_every_policy_setting_changes_what_is_shown(name: str) -> None:
    def shown(**policy: float) -> list[int]:
        engine = make_engine(**policy)
        state = engine.start([0, 5, 9, 14])
        for turn in range(12):
            if state.current is not None:
                state = engine.step(state, "like" if turn % 2 else "dislike")
        return [event.row for event in state.answers]

    others = {"exploration_damping": 0.0} if name == "exploration_rate" else {}
    others = {"diversity_boost": 9.0} if "band" in name else others
    assert shown(**{name: CHANGED[name]}, **others) != shown(**({} if "exploration" in name else others))


def test_exploration_is_drawn_from_the_seed_and_undo_meets_the_same_turn() -> None:
    engine = make_engine(exploration_rate=0.5, exploration_damping=0.0)

    def play(seed: int) -> list[int]:
        state = engine.start([0, 5, 9, 14], seed)
        for _ in range(20):
            state = engine.step(state, "like")
        return [event.row for event in state.answers]

    assert play(1) == play(1)
    assert len({tuple(play(seed)) for seed in range(6)}) > 1
    state = engine.start([0, 5, 9, 14], 3)
    for _ in range(10):
        after = engine.step(state, "like")
        assert engine.undo(after) == state
        state = after


def test_session_refuses_what_makes_no_sense() -> None:
    engine = make_engine()
    session = Session(engine, engine.start([0]))
    with pytest.raises(ChoiceError, match="call next"):
        session.answer("like")
    session.next()
    session.next()  # a movie left without an answer counts as skipped
    assert [event.answer for event in session.state.answers] == ["skip"]
    session.undo()
    session.next()
    with pytest.raises(ChoiceError, match="'yes' is not an answer: give one of like, dislike, skip"):
        session.answer("yes")
    with pytest.raises(ChoiceError, match="nothing to undo"):
        session.undo()
    with pytest.raises(ChoiceError, match="name at least one"):
        engine.start([])


def test_a_term_of_the_policy_is_a_function_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def youth(context: Context) -> np.ndarray:
        return (context.catalog.years == 2001).astype(np.float32) * 50

    before = make_engine().start([0, 5, 9, 14])
    monkeypatch.setitem(TERMS, "youth", youth)
    engine = make_engine()
    state = engine.start([0, 5, 9, 14])
    assert state.current != before.current
    assert engine.catalog.years[state.current] == 2001
    assert {reason.kind: reason.value for reason in engine.explain(state)}["youth"] == 50


def test_likes_pull_the_session_toward_what_was_liked() -> None:
    """Two clusters of movies; a person who likes one of them sees mostly it, and does not when labels are shuffled."""
    n = 120
    rng = np.random.default_rng(5)
    cluster = rng.integers(0, 2, size=n)
    vectors = np.eye(2)[cluster] + 0.3 * rng.normal(size=(n, 2))
    policy = dataclasses.replace(PolicySettings(), min_genre_affinity=0.0, max_genre_distance=1.0)

    def share(labels: np.ndarray) -> float:
        engine = SessionEngine(make_catalog(n), MovingAverage(vectors.astype(np.float32)), policy)
        state = engine.start([int(np.flatnonzero(cluster == 0)[0]), int(np.flatnonzero(cluster == 1)[0])])
        hits = []
        for _ in range(40):
            liked = labels[state.current] == 1
            hits.append(liked)
            state = engine.step(state, "like" if liked else "dislike")
        return float(np.mean(hits[10:]))

    assert share(cluster) > 0.9
    # 30 fair coins: above 0.9 with probability below 1e-5.
    assert share(rng.permutation(cluster)) < 0.9


def test_a_movie_taken_back_that_a_filter_hides_is_explained_as_itself() -> None:
    engine = make_engine(min_genre_affinity=0.0, max_genre_distance=1.0)
    state = engine.step(engine.start([0, 5]), "like")
    row = state.answers[0].row
    hiding = MovieFilter(exclude_genres=engine.catalog.movie(row).genres)
    narrow = SessionEngine(engine.catalog, engine.rule, engine.policy, hiding)
    back = narrow.undo(state)
    assert back.current == row
    passes = hiding.mask(engine.catalog)
    assert not passes[row]
    assert passes.any()
    passes[[0, 5]] = False
    vectors = engine.rule.movie_vectors.astype(np.float64)
    model = vectors @ vectors[[0, 5]].mean(axis=0)
    seen = np.append(np.flatnonzero(passes), row)
    expected = (model[row] - model[seen].mean()) / model[passes].std()
    told = [reason.value for reason in narrow.explain(back) if reason.kind == "favorite"]
    assert sum(told) == pytest.approx(expected, abs=1e-4)
