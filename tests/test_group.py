"""A session for several people: every expectation is computed from the sessions of each alone."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from recommender.data.errors import ChoiceError
from recommender.session.engine import no_words
from recommender.session.group import STRATEGIES, GroupEngine, Member
from recommender.session.state import LATER, LIKE, SKIP, Event, SessionState

from .test_session import make_engine

ALONE = make_engine("gaussian")
ANNA = SessionState((3, 9), answers=(Event(20, LIKE),))
BEN = SessionState((4, 31, 40))


def make_group(strategy: str = "average", *states: SessionState) -> GroupEngine:
    given = (ALONE.catalog, ALONE.rule, ALONE.policy, ALONE.wanted, ALONE.encode)
    members = [Member(name, state) for name, state in zip("ABCDEFGHI", states or (ANNA, BEN))]
    return GroupEngine(*given, members, strategy)


def suits(*heard: Event) -> np.ndarray:
    """Return how well each movie suits Anna and Ben, (2, n_movies), -inf for what nobody is shown."""
    points = []
    for own in (ANNA, BEN):
        points.append(ALONE.points(own._replace(answers=(*own.answers, *heard))))
    fine = np.isfinite(points).all(axis=0)
    fine[[20, *(event.row for event in heard)]] = False
    rows = []
    for line in points:
        values = line[fine].astype(np.float64)
        z = np.full(len(line), -np.inf)
        z[np.isfinite(line)] = (line[np.isfinite(line)] - values.mean()) / values.std()
        rows.append(np.where(fine | np.isin(np.arange(len(line)), [e.row for e in heard]), z, -np.inf))
    return np.array(rows)


def test_the_scores_of_average_and_least_misery_by_hand():
    z = suits()
    for strategy, expected in (("average", z.mean(axis=0)), ("least-misery", z.min(axis=0))):
        engine = make_group(strategy)
        state = engine.start_group()
        np.testing.assert_allclose(engine.scores(state), expected, rtol=1e-4, atol=1e-4)
        assert state.current == int(expected.argmax())
        assert set(state.favorites) == {3, 9, 4, 31, 40}
        assert not np.isfinite(expected[[3, 9, 4, 31, 40, 20]]).any()  # what anybody has seen is not shown


def test_the_fair_share_is_that_of_who_got_least_so_far():
    engine = make_group("fair-share")
    state, turns = engine.start_group(), set()
    for _ in range(6):
        heard = state.answers
        z = suits(*heard)
        got = z[:, [event.row for event in heard]].sum(axis=1)
        turns.add(int(got.argmin()))
        z[:, [event.row for event in heard]] = -np.inf
        assert state.current == int(((z.mean(axis=0) + z[got.argmin()]) / 2).argmax())
        state = engine.step(state, SKIP)
    assert turns == {0, 1}


def test_what_somebody_has_for_later_can_be_shown_until_the_group_has_answered_it():
    first = make_group().start_group().current
    engine = make_group("average", ANNA._replace(answers=(*ANNA.answers, Event(first, LATER))), BEN)
    state = engine.start_group()
    assert np.isfinite(engine.scores(state)[first])
    assert engine.scores(state)[20] == -np.inf  # liked: seen
    heard = engine.answer(state, {first: LATER})
    assert engine.scores(heard)[first] == -np.inf
    assert sum(one.value for one in engine.explain(heard)) == pytest.approx(
        engine.scores(heard)[heard.current], abs=1e-4
    )


def test_what_is_said_counts_for_all_and_the_terms_add_up_to_the_score():
    for strategy in STRATEGIES:
        engine = make_group(strategy)
        state = engine.step(engine.step(engine.start_group(), LIKE), SKIP)
        reasons = engine.explain(state)
        assert [reason.text[:5] for reason in reasons] == ["for A", "for B"]
        assert sum(reason.value for reason in reasons) == pytest.approx(engine.scores(state)[state.current], abs=1e-4)
    engine = make_group()
    state = engine.start_group()
    liked = engine.add_favorite(engine.tell(engine.step(state, LIKE), "robots"), 50)
    for member, own in zip(engine.members, (ANNA, BEN)):
        alone = engine._own(member, liked)
        assert alone.favorites == (*own.favorites, 50)
        assert alone.answers == (*own.answers, Event(state.current, LIKE))
        assert alone.utterances[0].after == len(own.answers) + 1
    assert engine.drop_favorite(liked, 3).favorites == (9, 4, 31, 40, 50)
    again = pickle.loads(pickle.dumps(replace(engine, encode=no_words)))
    assert again.scores(state).tolist() == engine.scores(state).tolist()
    assert engine.undo(engine.step(state, LIKE)).current == state.current


def test_a_group_is_made_of_lists_ratings_and_profiles(shipped):
    profile = {"format_version": 3, "seed": 0, "favorites": [480], "answers": [[589, "like"]], "words": []}
    anna = ["Amelie", ("Spirited Away", np.float32(5)), ("Titanic (1997)", 1), ("Toy Story (1995)", 3)]
    session = shipped.group_session({"Anna": anna, "Ben": profile}, "fair-share")
    anna, ben = (member.state for member in session.engine.members)
    assert [event.answer for event in anna.events] == ["favorite", "like", "dislike", "not interested"]
    assert [event.answer for event in ben.events] == ["favorite", "like"]
    shown = session.next()
    assert [reason.text.split(",")[0] for reason in shown.because] == ["for Anna", "for Ben"]
    assert shown.movie.movie_id not in {480, 589, 4973, 5618, 1721, 1}
    with pytest.raises(ChoiceError, match="least-misery"):
        make_group("best")
    for wrong, message in (
        ({"Anna": ["Heat"]}, "2 to 8"),
        ({name: ["Heat"] for name in "ABCDEFGHI"}, "2 to 8"),
        (["Heat"], "give a dict"),
        ({"A": ["Heat"], "B": []}, "neither a profile"),
        ({"A": ["Heat"], "B": {"favorites": [6]}}, "neither a profile"),
        ({"A": ["Heat"], "B": [("Alien",)]}, r"\(movie, rating\)"),
        *(({"A": ["Heat"], "B": [("Alien", stars)]}, "0.5 to 5") for stars in ("x", 100, float("inf"), True)),
    ):
        with pytest.raises(ChoiceError, match=message):
            shipped.group_session(wrong)
