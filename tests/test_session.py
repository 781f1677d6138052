"""The session: rules, policy, steps, words, explanations; every expectation is computed here in another way."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import ChoiceError, SettingsError
from recommender.linalg.rows import unit_rows
from recommender.session.engine import SessionEngine
from recommender.session.gaussian import ConditionalGaussian, Gaussian, GaussianSettings
from recommender.session.policy import TERMS, MovieFilter, PolicySettings, shared_names
from recommender.session.rules import MovingAverage, VectorRule
from recommender.session.session import Session
from recommender.session.state import ANSWERS, Event, PseudoItem, SessionState, Utterance
from recommender.session.texts import FreeText
from recommender.text.base import BaseEmbeddingBackend, Identity

GENRES = ["Action", "Comedy", "Drama", "Horror", "War"]
TOPICS = ("chess", "robots", "paris")
N, K = 120, 6


def make_catalog(n: int = N) -> Catalog:
    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        genres = "|".join(rng.choice(GENRES, size=rng.integers(1, 4), replace=False))
        values = (str(10 * (i + 1)), f"Movie {i} ({1950 + i % 70})", genres, f"A story about {TOPICS[i % 3]}.")
        tone = "; ".join(rng.choice(["slow", "funny", "dark"], size=rng.integers(0, 3), replace=False))
        keywords = "; ".join(word for k, word in enumerate(("dog", "old dogs", "three wishes"), 2) if i % k == 0)
        names = ("movieId", "title", "genres", "overview", "tone", "keywords", "original_language")
        rows.append(dict(zip(names, (*values, tone, keywords, ("fr", "en", "")[i % 5 % 3]))))
    return Catalog(rows, {10 * (i + 1): int(rng.integers(0, 300)) for i in range(n)})


class TopicBackend(BaseEmbeddingBackend):
    identity = Identity("topics", "1", len(TOPICS))

    def __init__(self, name: str = "topics") -> None:
        self.name, self.asked = name, []

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        counts = [[text.count(topic) for topic in TOPICS] for text in texts]
        return unit_rows(np.array(counts, dtype=float).reshape(-1, len(TOPICS)))


def make_vectors(n: int = N) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, K))  # movies of one topic lie near one another
    return (0.2 * (centres[np.arange(n) % 3] + 0.6 * rng.normal(size=(n, K)))).astype(np.float32)


def make_rule(name: str, policy: PolicySettings | None = None, n: int = N) -> Any:
    if name == "average":
        return MovingAverage(make_vectors(n), policy)
    small = np.random.default_rng(1).uniform(0.01, 0.1, n).astype(np.float32)
    return ConditionalGaussian(Gaussian(make_vectors(n), small, small + 0.02, small, 100), GaussianSettings())


@functools.cache
def make_encoder(rule: VectorRule, catalog: Catalog) -> FreeText:
    return FreeText(catalog, rule, TopicBackend(), TopicBackend().embed_texts(catalog.lines()))


@functools.cache
def movies_of(catalog: Catalog) -> list[Movie]:
    return [catalog.movie(row) for row in range(len(catalog))]


IN_FORMULA = ("genre", "popularity", "diversity", "traits", "turn")  # terms of `reference_scores`


def make_engine(rule: str = "average", n: int = N, wanted: MovieFilter | None = None, **policy: float) -> SessionEngine:
    others = {term.weight: 0.0 for kind, term in TERMS.items() if kind not in IN_FORMULA}
    settings, catalog = dataclasses.replace(PolicySettings(), **{**others, **policy}), make_catalog(n)
    learning = make_rule(rule, settings, n)
    return SessionEngine(catalog, learning, settings, wanted or MovieFilter(), make_encoder(learning, catalog).encode)


def about(*item: Any, **more: Any) -> Event:
    return Event(-1, "text", PseudoItem(*item, **more))


def test_the_average_moves_as_the_recursion_says():
    rates = {"learning_rate": 0.3, "negative_weight": 0.7, "later_weight": 0.4, "not_interested_weight": 0.6}
    rule = MovingAverage(make_vectors(), PolicySettings(**rates))
    vectors = rule.movie_vectors.astype(np.float64)
    wish = np.arange(K, dtype=np.float32)
    user = vectors[[2, 5]].mean(axis=0)
    user = 0.7 * user + 0.3 * vectors[8]
    user = (1 - 0.3 * 0.5) * user + 0.3 * 0.5 * wish
    user = 0.7 * user - 0.3 * 0.7 * vectors[9]
    user = (1 - 0.3 * 0.4) * user + 0.3 * 0.4 * vectors[3]
    user = (1 - 0.3 * 0.6) * user - 0.3 * 0.6 * 0.7 * vectors[4]
    events = [Event(2, "favorite"), Event(5, "favorite"), Event(8, "like"), about(wish, 0, 0.5), Event(9, "dislike")]
    events += [Event(3, "later"), Event(4, "not interested")]
    events.insert(3, Event(7, "skip"))
    np.testing.assert_allclose(rule.user_vector(events), user, atol=1e-6)
    np.testing.assert_allclose(rule.scores(events), vectors @ user, atol=1e-5)
    np.testing.assert_allclose(rule.contributions(events, np.arange(N)).sum(axis=0), vectors @ user, atol=1e-5)
    # without favorites the first pseudo-item is where the person stands
    started = [about(wish, weight=0.5), Event(8, "like")]
    np.testing.assert_allclose(rule.user_vector(started), 0.7 * wish + 0.3 * vectors[8], atol=1e-6)


def plain_traits(catalog: Catalog, favorites: list[int], likes: list[int], dislikes: list[int]) -> np.ndarray:
    """What the favorites share, movie by movie: genres, decades, languages and tones as dictionaries; keywords."""
    movies = movies_of(catalog)
    n = len(movies)

    def rare(lists: list[list[str]]) -> dict[str, float]:
        counts = Counter(name for names in lists for name in {*names})
        return {name: float(np.log(n / count)) for name, count in counts.items()}

    genres = [list(movie.genres) for movie in movies]
    languages = [[movie.original_language] if movie.original_language else [] for movie in movies]
    tones = [list(movie.tone) for movie in movies]
    near = [{t: max(0.0, 1 - abs(m.year - t) / 20) for t in range(1920, 2021, 10)} if m.year else {} for m in movies]
    of_genre, of_language, of_tone = map(rare, (genres, languages, tones))
    spoken = [{name: min(of_language[name], 4) / 4 for name in names} for names in languages]
    total = np.zeros(n)
    for weight, unit, rows in (
        (20, True, [{name: of_genre[name] for name in names} for names in genres]),
        (12, True, near),
        (60, False, spoken),
        (35, True, [{name: of_tone[name] for name in names} for names in tones]),
    ):
        names = sorted({name for row in rows for name in row})
        x = np.array([[row.get(name, 0.0) for name in names] for row in rows]).reshape(n, len(names))
        if unit:
            x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        x -= x.mean(axis=0)
        m = x[favorites].sum(axis=0) + x[likes].sum(axis=0) / 2 - x[dislikes].sum(axis=0) / 4
        m /= len(favorites) + len(likes) / 2 + 1
        total += weight * (m @ m) * (x @ m)
    said = [[keyword.replace("dogs", "dog").split() for keyword in movie.keywords] for movie in movies]
    for word in ("old", "dog", "three", "wishes"):
        have = np.array([any(word in keyword for keyword in keywords) for keywords in said])
        length = min((len(words) for row in favorites for words in said[row] if word in words), default=1)
        shared = np.log((n + 1) / have.sum()) * max(0, have[favorites].sum() - 1) / (len(favorites) + 1)
        total[have] += 2 / length * shared**2
    return total


def plain_turn(engine: SessionEngine, state: SessionState) -> np.ndarray:
    """The likeness to the favorite whose turn it is, from the whole table of products."""
    vectors = engine.rule.movie_vectors.astype(np.float64)
    deviations = np.sqrt((vectors**2).sum(axis=1) + engine.rule.movie_noise)
    products = (vectors / deviations[:, None]) @ (vectors / deviations[:, None]).T
    corrected = (products - products.mean(axis=0)) / products.std(axis=0)
    like = {}
    for row in state.favorites:
        others = np.delete(corrected[row], row)
        like[row] = (corrected[row] - others.mean()) / others.std()
        like[row][row] = 0
    whose = (state.favorites * len(state.answers) + state.favorites)[len(state.answers)]
    heard = sum(event.answer != "skip" for event in state.answers)
    return max(0, 1 - heard / 10) * np.minimum(like[whose], 5)


def reference_scores(engine: SessionEngine, state: SessionState) -> np.ndarray:
    """Every score as the requirements write it; the fit of words from topics alone; -inf where not to be shown."""
    policy, catalog, favorites, n = engine.policy, engine.catalog, list(state.favorites), len(engine.catalog)
    encoder = make_encoder(engine.rule, catalog)

    # a share for every time that something was said later
    said = [(words, policy.words_fade**later) for later, words in enumerate(reversed(state.utterances))][::-1]

    shown, affinity = ~np.isin(np.arange(n), favorites), np.ones(n)
    if favorites:
        names = [name for row in favorites for name in movies_of(catalog)[row].genres]
        affinity = np.array([sum(names.count(g) for g in movie.genres) / len(names) for movie in movies_of(catalog)])
        if not state.utterances:
            shown &= (affinity >= policy.min_genre_affinity) & (1 - affinity <= policy.max_genre_distance)
    allowed = shown.copy()
    shown[[row for row, *_ in state.answers]] = False
    events = [Event(row, "favorite") for row in favorites]
    for turn in range(len(state.answers) + 1):
        for words, left in said:
            if words.after == turn:
                item = encoder.encode(words.text).item
                events.append(about(item.vector, item.noise, policy.words_taste_weight * left))
        events += state.answers[turn : turn + 1]
    model = engine.rule.scores(events).astype(np.float64)
    weight = policy.score_weight_model
    if np.random.default_rng([state.seed, len(state.answers)]).random() < policy.exploration_rate:
        weight *= policy.exploration_damping
    total = (model - model[shown].mean()) / model[shown].std()
    total = (3 * np.tanh(total / 3) if said else total) * weight
    total -= (1 - affinity) * policy.genre_distance_penalty
    total -= catalog.n_ratings / catalog.n_ratings.max() * policy.popularity_penalty
    if favorites and policy.shared_traits_weight:
        heard = [[row for row, answer, _ in state.answers if answer == kind] for kind in ("like", "dislike")]
        total += policy.shared_traits_weight * plain_traits(catalog, favorites, *heard) * (0.25 if said else 1)
    if favorites and isinstance(engine.rule, ConditionalGaussian):
        total += policy.favorite_turn_weight * plain_turn(engine, state) * (0.25 if said else 1)
    if favorites:
        between = (affinity >= policy.diversity_band_low) & (affinity <= policy.diversity_band_high)
        total[between] += policy.diversity_boost
    for words, left in said:
        asked = np.array([topic in words.text for topic in TOPICS], dtype=float)
        of_movie = asked[np.arange(n) % 3]
        fit = of_movie / np.sqrt(asked.sum()) + of_movie / asked.sum() ** 2  # all topics are equally common
        famous = np.log1p(catalog.n_ratings)
        fit = (fit - fit.mean()) / fit.std()
        fit += 0.5 * (famous - famous.mean()) / famous.std() * (of_movie == 1) * (asked.sum() == 1)  # hold all words
        total += policy.words_fit_weight * left * (fit - fit[allowed].mean()) / max(1, fit[allowed].std())
    total[~shown] = -np.inf
    return total


CASES: list[tuple[str, list[int], list[str], dict[str, float]]] = [
    ("average", [3, 50, 71, 98], [], {"score_weight_model": 0.6, "genre_distance_penalty": 0.2}),
    ("average", [10, 20], [], {"exploration_rate": 0.5, "exploration_damping": 0.3, "diversity_boost": 3.0}),
    ("gaussian", [3, 50, 71, 98], [], {"popularity_penalty": 3.0, "max_genre_distance": 0.5}),
    ("average", [0, 5, 9], [], {"learning_rate": 0.9, "negative_weight": 6.0, "min_genre_affinity": 0.4}),
    ("average", [0, 5, 9], [], {"diversity_boost": 3.0, "diversity_band_low": 0.4, "diversity_band_high": 0.45}),
    ("average", [4, 7], ["robots"], {"words_fit_weight": 0.5, "words_fade": 0.9}),
    ("average", [], ["robots"], {"diversity_band_high": 1.0}),
    ("gaussian", [4, 7], ["robots"], {"words_fade": 0.6, "words_taste_weight": 0.3}),
    ("gaussian", [], ["robots"], {"words_fade": 0.9}),
]


@pytest.mark.parametrize(("rule", "favorites", "words", "policy"), CASES)
def test_choice_and_explanation_follow_the_formula(rule, favorites, words, policy):
    engine = make_engine(rule, **policy)
    rng = np.random.default_rng(3)
    history = [state := engine.start(favorites, 5, words)]
    for turn in range(16):
        if len(history) > 1 and rng.random() < 0.25:
            history.pop()
            assert engine.undo(state) == history[-1]
        elif words and turn % 5 == 2:
            history.append(engine.tell(state, " and ".join(rng.choice(TOPICS, size=2, replace=False))))
        else:
            history.append(engine.step(state, str(rng.choice(["like", "dislike", "skip"]))))
        state = history[-1]
        expected = reference_scores(engine, state)
        assert expected[state.current] == pytest.approx(expected.max(), abs=1e-4)  # equal ones: either is right
        reasons = engine.explain(state)
        assert sum(reason.value for reason in reasons) == pytest.approx(expected[state.current], abs=1e-4)
        ids = [engine.catalog.movie_ids[row] for row, *_ in state.events]
        assert [r.movie.movie_id for r in reasons if r.movie] == ids
        assert [r.text for r in reasons if r.kind == "words"] == [said.text for said in state.utterances]


@pytest.mark.parametrize("kind", TERMS)
def test_every_term_counts_adds_up_and_is_told(kind):
    term = TERMS[kind]
    engine, without = (make_engine("gaussian", **{term.weight: weight}) for weight in (3.0, 0.0))
    state = engine.step(engine.start([3, 50]), "like")
    scores, rows = engine.scores(state), [state.current, *np.flatnonzero(engine.scores(state) > -np.inf)[:3].tolist()]
    assert scores.dtype == np.float32
    assert np.array_equal(np.isfinite(scores), np.isfinite(without.scores(state)))
    assert not np.allclose(scores, without.scores(state))
    told = engine.explain_all(state, rows)
    gap = [sum(reason.value for reason in reasons) - float(scores[row]) for row, reasons in zip(rows, told)]
    np.testing.assert_allclose(gap, gap[0], atol=1e-4)  # scores have one constant more
    assert any(reason.kind == kind for reasons in told for reason in reasons)
    assert "{" not in term.label.format("Heat", movie=engine.catalog.movie(0), affinity=0.5, shared="war")


def test_person_filters():
    wanted = MovieFilter(genres=("war", "Horror"), exclude_genres=("COMEDY", "Drama"), first_year=1960, last_year=1990)
    engine = make_engine(wanted=wanted, min_genre_affinity=0.0, max_genre_distance=1.0)
    session, shown = Session(engine, engine.start([0, 5])), set()
    while (movie := session.next()) is not None:
        assert movie.movie.movie_id not in shown
        shown.add(movie.movie.movie_id)
        session.answer("like")
    for movie in map(engine.catalog.movie, set(range(N)) - {0, 5}):
        genres = set(movie.genres)
        passes = genres & {"War", "Horror"} and not genres & {"Comedy", "Drama"} and 1960 <= movie.year <= 1990
        assert (movie.movie_id in shown) == bool(passes)
    assert session.next() is None
    session.undo()
    assert session.next().movie.movie_id in shown
    unknown = Catalog([{"movieId": year, "title": f"A ({year})", "genres": ""} for year in ("1", "1950")])
    assert MovieFilter(last_year=1990).mask(unknown).tolist() == [False, True]  # an unknown year passes no limit
    # it holds for words too
    horror = make_engine(wanted=MovieFilter(genres=("Horror",)), words_fit_weight=30.0)
    assert "Horror" in horror.catalog.movie(horror.start([0], words=["paris"]).current or 0).genres


def test_a_movie_taken_back_that_a_filter_hides_is_explained_as_itself():
    engine = make_engine(min_genre_affinity=0.0, max_genre_distance=1.0)
    state = engine.step(engine.start([0, 5]), "like")
    row = state.answers[0].row
    hiding = MovieFilter(exclude_genres=engine.catalog.movie(row).genres[:1])
    narrow = SessionEngine(engine.catalog, engine.rule, engine.policy, hiding)
    back, passes = narrow.undo(state), hiding.mask(engine.catalog)
    assert back.current == row
    passes[[0, 5]] = False
    model = engine.rule.movie_vectors @ engine.rule.movie_vectors[[0, 5]].mean(axis=0)
    expected = (model[row] - model[[*np.flatnonzero(passes), row]].mean()) / model[passes].std()
    told = sum(reason.value for reason in narrow.explain(back) if reason.kind == "favorite")
    assert told == pytest.approx(expected, abs=1e-4)


def test_session_refuses_what_makes_no_sense():
    engine = make_engine()
    session = Session(engine, engine.start([0]))
    for refused, message in (
        (lambda: session.answer("like"), "call next"),
        (session.undo, "nothing to undo"),
        (lambda: session.next() and session.answer("yes"), "'yes' is not an answer: give one of like, dislike, skip"),
        (lambda: engine.start([]), "name at least one"),
        (lambda: engine.undo(engine.start([], words=["robots"])), "nothing to undo"),  # words it began with stay
        (lambda: SessionEngine(engine.catalog, engine.rule).tell(session.state, "robots"), "start it with Recommender"),
        *(
            (lambda text=text: session.tell(text), "words|no movie here has")
            for text in ("xyzzy", "", " ", "the movie")
        ),
    ):
        with pytest.raises(ChoiceError, match=message):
            refused()
        assert session.state == engine.start([0])
    session.next()  # a movie left without an answer counts as skipped
    assert [event.answer for event in session.state.answers] == ["skip"]


@pytest.mark.parametrize("rule", ["average", "gaussian"])
def test_every_kind_of_input_counts_as_if_said_at_the_start_and_is_undone(rule):
    engine, rng = make_engine(rule), np.random.default_rng(8)
    session, history = Session(engine, engine.start([0, 5, 9])), []
    filters = [MovieFilter(), MovieFilter(exclude_genres=("war",)), MovieFilter(first_year=1950)]
    for _ in range(80):
        state, draw = session.state, rng.integers(7)
        if draw == 0 and history:
            session.undo()
            assert session.state == history.pop()
            continue
        if draw == 1 and len(state.favorites) < 6:
            row = int(rng.choice([row for row in range(N) if row not in state.favorites]))
            session.change(engine.add_favorite, row)
        elif draw == 2 and len(state.favorites) > 1:
            session.change(engine.drop_favorite, state.favorites[int(rng.integers(len(state.favorites)))])
        elif draw == 3:
            session.change(engine.set_filter, filters[int(rng.integers(3))])
        elif draw == 4 and rule == "gaussian":
            session.change(engine.set_familiarity, float(rng.random()))
        elif draw == 5:
            session.tell(str(rng.choice(TOPICS)))
        else:
            rows, answers = engine.best(state, 3), rng.choice(ANSWERS, size=3).tolist()
            skipping = Session(engine, state)
            assert rows == [engine.catalog.row_of(skipping.next().movie.movie_id) for _ in range(3)]
            session.change(engine.answer, dict(zip(rows[::-1], answers)))
        history.append(state)
        after = session.state
        assert len({row for row, *_ in after.events}) == len(after.events)
        assert [said.text for said in after.utterances[: len(state.utterances)]] == [s.text for s in state.utterances]
        wanted, familiarity = after.wanted or MovieFilter(), after.familiarity
        fresh = SessionEngine(engine.catalog, engine.rule, engine.policy, wanted, engine.encode)
        fresh = fresh if familiarity is None else fresh.with_familiarity(familiarity)
        same = fresh.resume(after._replace(wanted=None, familiarity=None))
        assert fresh.scores(same).tolist() == engine.scores(after).tolist()
        assert same.current == after.current
        assert fresh.explain(same) == engine.explain(after)


def test_inputs_that_make_no_sense_change_nothing():
    engine = make_engine()
    state = engine.tell(engine.step(engine.tell(engine.start([0, 3]), "robots"), "later"), "paris")
    row, (a, b) = state.answers[0].row, engine.best(state, 2)
    promoted = engine.add_favorite(state, row)
    assert (promoted.favorites, promoted.answers) == ((0, 3, row), ())
    assert promoted.utterances == (Utterance("robots", 0), Utterance("paris", 0))
    for method, given, message in (
        (engine.answer, {a: "like", b: "maybe"}, "'maybe' is not an answer"),
        (engine.answer, {a: "like", row: "like"}, "is answered already"),
        (engine.answer, {a: "like", 0: "like"}, "is a favorite already"),
        (engine.add_favorite, 3, "is a favorite already"),
        (engine.drop_favorite, a, "is not one of the favorites"),
        (engine.set_filter, MovieFilter(first_year=2300), "no movie that is left passes"),
        (engine.set_filter, MovieFilter(["western"]), "no genre 'western'"),
        (engine.set_familiarity, 0.5, "this learning rule has no familiarity"),
    ):
        session = Session(engine, state)
        with pytest.raises(ChoiceError, match=message):
            session.change(method, given)
        assert session.state == state
    with pytest.raises(ChoiceError, match="needs a favorite, or words"):
        engine.drop_favorite(engine.start([4]), 4)
    with pytest.raises(SettingsError, match="familiarity"):
        make_engine("gaussian").set_familiarity(state, 1.2)


def test_what_favorites_share_is_named():
    rows = [
        ("A (1990)", "Crime|Drama", "fr", "tense; slow", "heist; slow"),
        ("B (1991)", "Crime", "fr", "slow", "heist"),
        ("C (1992)", "Crime|Comedy", "fr", "funny", "heist; dog"),
    ]
    names = ("title", "genres", "original_language", "tone", "keywords")
    catalog = Catalog([{"movieId": str(i), **dict(zip(names, row))} for i, row in enumerate(rows)])
    assert shared_names(catalog, [0, 1], 2) == "French, Crime, heist"
    assert shared_names(catalog, [0, 1], 0) == "French, Crime, slow, heist"
    assert shared_names(catalog, [0], 2) == "their era"
