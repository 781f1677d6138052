"""Words of a person's own in a session: pseudo-items in the rules, exact explanations, undo, profiles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError
from recommender.facade import Recommender
from recommender.learn.svd import SvdModel
from recommender.linalg.rows import unit_rows
from recommender.session import cold_start
from recommender.session.engine import SessionEngine
from recommender.session.gaussian import ConditionalGaussian, Gaussian, GaussianSettings
from recommender.session.policy import MovieFilter, PolicySettings
from recommender.session.profiles import load_profile, save_profile
from recommender.session.queries import LENGTH, MOST_LETTERS, FreeText
from recommender.session.rules import LearningRule, MovingAverage
from recommender.session.session import Session
from recommender.session.state import Event, PseudoItem, SessionState, TextSignal, Utterance
from recommender.text.base import BaseEmbeddingBackend, Identity
from recommender.text.vectors import MOVIES, VectorTable
from tests.tiny import make_processed

TOPICS = ("chess", "robots", "paris")
N, K = 60, 6


def make_catalog(n: int = N) -> Catalog:
    """Every third movie is about each of `TOPICS`; genres go round by fours."""
    genres = ["Action", "Comedy", "Drama|War", "Horror"]
    rows = [
        {
            "movieId": str(10 * (i + 1)),
            "title": f"Movie {i} ({1950 + i})",
            "genres": genres[i % 4],
            "director": "Ann Lee" if i % 10 == 0 else "",
            "overview": f"A story about {TOPICS[i % 3]}.",
        }
        for i in range(n)
    ]
    return Catalog(rows, {10 * (i + 1): 5 + i for i in range(n)})


class TopicBackend(BaseEmbeddingBackend):
    """One dimension for each topic: vectors that can be worked out by hand."""

    name = "topics"

    @property
    def identity(self) -> Identity:
        return Identity("topics", "1", len(TOPICS))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        counts = [[text.count(topic) for topic in TOPICS] for text in texts]
        return unit_rows(np.array(counts, dtype=float).reshape(-1, len(TOPICS)))


def make_vectors() -> np.ndarray:
    """Movies of one topic lie near one another."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, K))
    return (0.2 * (centres[np.arange(N) % 3] + 0.3 * rng.normal(size=(N, K)))).astype(np.float32)


def make_gaussian() -> ConditionalGaussian:
    rng = np.random.default_rng(1)
    small = rng.uniform(0.01, 0.1, N).astype(np.float32)
    return ConditionalGaussian(Gaussian(make_vectors(), small, small + 0.02, small, 100), GaussianSettings(), 0.5)


def make_rule(name: str) -> LearningRule:
    return make_gaussian() if name == "gaussian" else MovingAverage(make_vectors(), 0.3, 0.7)


def make_engine(rule: str = "gaussian", wanted: MovieFilter | None = None, **policy: float) -> SessionEngine:
    catalog, learning = make_catalog(), make_rule(rule)
    backend = TopicBackend()
    encoder = FreeText(catalog, learning, backend, backend.embed_texts(catalog.lines()))
    return SessionEngine(
        catalog, learning, dataclasses.replace(PolicySettings(), **policy), wanted or MovieFilter(), encoder.encode
    )


def encoder_of(engine: SessionEngine) -> FreeText:
    return engine.encode.__self__  # type: ignore[attr-defined]


def about(*item: Any, **more: Any) -> Event:
    return Event(-1, "text", PseudoItem(*item, **more))


def topic_of(row: int | None) -> str:
    assert row is not None
    return TOPICS[row % 3]


# --- what rules make of a pseudo-item ---


def test_a_pseudo_item_is_to_the_gaussian_as_a_like_of_one_more_movie() -> None:
    rule = make_gaussian()
    rng = np.random.default_rng(2)
    vector = rng.normal(size=K).astype(np.float32)
    more = Gaussian(
        np.vstack([rule.movie_vectors, vector]),
        np.append(rule.means, 0.0).astype(np.float32),
        np.append(rule.movie_noise, 0.08).astype(np.float32),
        np.append(rule.base, 0.0).astype(np.float32),
        100,
    )
    larger = ConditionalGaussian(more, GaussianSettings(), 0.5)
    events = [Event(3, "favorite"), Event(9, "dislike"), about(vector, 0.04, 0.5), Event(20, "skip")]
    others = [Event(N, "like") if event.item else event for event in events]
    np.testing.assert_allclose(rule.weighed(events)[0], larger.weighed(others)[0], rtol=1e-5)
    np.testing.assert_allclose(rule.scores(events), larger.scores(others)[:N], atol=1e-6)
    rows = np.array([1, 30])
    np.testing.assert_allclose(rule.contributions(events, rows), larger.contributions(others, rows), atol=1e-6)


def test_a_pseudo_item_moves_the_average_as_the_recursion_says() -> None:
    rule = MovingAverage(make_vectors(), 0.3, 0.7)
    vectors = rule.movie_vectors.astype(np.float64)
    wish = np.arange(K, dtype=np.float32)
    user = vectors[[2, 5]].mean(axis=0)
    user = 0.7 * user + 0.3 * vectors[8]
    user = (1 - 0.3 * 0.5) * user + 0.3 * 0.5 * wish
    user = 0.7 * user - 0.3 * 0.7 * vectors[9]
    events = [Event(2, "favorite"), Event(5, "favorite"), Event(8, "like"), about(wish, 0, 0.5), Event(9, "dislike")]
    np.testing.assert_allclose(rule.user_vector(events), user, atol=1e-6)
    np.testing.assert_allclose(rule.contributions(events, np.arange(N)).sum(axis=0), vectors @ user, atol=1e-5)
    # without favorites the first pseudo-item is where the person stands
    started = [about(wish, weight=0.5), Event(8, "like")]
    np.testing.assert_allclose(rule.user_vector(started), 0.7 * wish + 0.3 * vectors[8], atol=1e-6)


def test_the_pseudo_item_points_to_where_movies_of_its_topic_lie() -> None:
    encoder = encoder_of(make_engine())
    for place, topic in enumerate(TOPICS):
        signal = encoder.encode(f"a movie about {topic}")
        assert signal.item is not None
        movies = encoder.rule.movie_vectors
        centred = movies - movies.mean(axis=0)
        nearness = [float(signal.item.vector @ centred[np.arange(N) % 3 == j].mean(axis=0)) for j in range(3)]
        assert int(np.argmax(nearness)) == place
        usual = np.linalg.norm(movies, axis=1).mean()
        assert np.linalg.norm(signal.item.vector) == pytest.approx(LENGTH * usual, rel=1e-5)
        assert signal.item.noise > float(np.median(make_gaussian().movie_noise))


def test_what_all_movies_share_is_in_no_pseudo_item() -> None:
    catalog, backend = make_catalog(), TopicBackend()
    texts = backend.embed_texts(catalog.lines())
    plain, moved = (
        FreeText(catalog, MovingAverage(make_vectors() + shift), backend, texts).encode("robots").item
        for shift in (0, 5)
    )
    assert plain is not None
    assert moved is not None
    lengths = [float(np.linalg.norm(wish.vector)) for wish in (plain, moved)]
    np.testing.assert_allclose(plain.vector / lengths[0], moved.vector / lengths[1], atol=1e-3)


def test_fit_is_cosine_and_share_which_counts_less_among_many_words() -> None:
    encoder = encoder_of(make_engine())
    rows = [0, 1, 2]  # chess, robots, paris
    fit, _ = encoder.fit("robots")
    np.testing.assert_allclose(fit[rows], [0, 1 + 1, 0], atol=1e-6)
    fit, _ = encoder.fit("robots in the city of paris")  # city: no movie
    np.testing.assert_allclose(fit[rows], [0, np.sqrt(0.5) + 0.5 / 3, np.sqrt(0.5) + 0.5 / 3], atol=1e-6)


class Recording(TopicBackend):
    """Notes what it is asked to embed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return super().embed_texts(texts)


class CountsWords(Recording):
    name = "local"


def test_who_counts_words_gets_those_that_tell_something_and_who_reads_gets_all_up_to_a_limit() -> None:
    catalog = make_catalog()
    vectors = TopicBackend().embed_texts(catalog.lines())
    asked = []
    for backend in (CountsWords(), Recording()):
        encoder = FreeText(catalog, make_rule("gaussian"), backend, vectors)
        encoder.fit("A movie about  Robots in the sad cities of paris" + " " * 1000 + "chess")
        fit, _ = encoder.fit("paris " + "x" * MOST_LETTERS + " chess")
        assert fit[0] == 0
        assert fit[2] > 0
        asked.append(backend.asked[0])
    # cities: in no movie, but long enough to be a word misspelt; sad: too short for that
    assert asked == ["robots cities paris", "A movie about Robots in the sad cities of paris"]
    counting = FreeText(catalog, make_rule("gaussian"), CountsWords(), vectors)
    with pytest.raises(ChoiceError, match="no movie here has anything of 'sad zen'"):
        counting.fit("sad zen")
    assert counting.fit("no comedy, sad")[0].min() == -1


def test_movies_without_a_text_teach_the_bridge_nothing() -> None:
    catalog, backend = make_catalog(), TopicBackend()
    texts, vectors = backend.embed_texts(catalog.lines()), make_vectors()
    texts[:6] = 0
    before = FreeText(catalog, MovingAverage(vectors), backend, texts).bridge
    vectors[:6] += 100
    after = FreeText(catalog, MovingAverage(vectors), backend, texts).bridge
    np.testing.assert_array_equal(before.B, after.B)
    np.testing.assert_array_equal(before.mean, after.mean)


# --- the session ---


def left(engine: SessionEngine, state: SessionState, words: Utterance) -> float:
    """What is left of words: a share for every later moment at which there were others."""
    n_later = len({other.after for other in state.utterances if other.after > words.after})
    return float(engine.policy.words_fade**n_later)


def reference_scores(engine: SessionEngine, state: SessionState) -> np.ndarray:
    """Every score, from the parts: rule, policy, and the fit of words computed from topics alone."""
    policy, catalog = engine.policy, engine.catalog
    shown = np.ones(N, dtype=bool)
    shown[list(state.favorites)] = False
    allowed = shown.copy()
    shown[[row for row, *_ in state.answers]] = False
    told: list[Event] = [Event(row, "favorite") for row in state.favorites]
    for turn in range(len(state.answers) + 1):
        for words in state.utterances:
            if words.after == turn:
                wish = encoder_of(engine).encode(words.text).item
                assert wish is not None
                told.append(about(wish.vector, wish.noise, policy.words_taste_weight * left(engine, state, words)))
        told += state.answers[turn : turn + 1]
    model = engine.rule.scores(told).astype(np.float64)
    total = (model - model[shown].mean()) / model[shown].std() * policy.score_weight_model
    if state.favorites:
        names = [name for row in state.favorites for name in catalog.movie(row).genres]
        affinity = np.array([sum(names.count(g) for g in catalog.movie(i).genres) / len(names) for i in range(N)])
        total -= (1 - affinity) * policy.genre_distance_penalty
        middle = (affinity >= policy.diversity_band_low) & (affinity <= policy.diversity_band_high)
        total += middle * policy.diversity_boost
    total -= catalog.n_ratings / catalog.n_ratings.max() * policy.popularity_penalty
    for words in state.utterances:
        asked = np.array([topic in words.text for topic in TOPICS], dtype=float)
        cosine = np.array([asked[i % 3] for i in range(N)]) / np.sqrt(asked.sum())
        holds = np.array([asked[i % 3] / asked.sum() for i in range(N)])  # all topics are equally common
        fit = cosine + holds / asked.sum()
        weight = policy.words_fit_weight * left(engine, state, words)
        total += weight * (fit - fit[allowed].mean()) / fit[allowed].std()
    total[~shown] = -np.inf
    return total


POLICIES = [{}, {"words_fade": 0.6, "words_taste_weight": 0.3}, {"words_fit_weight": 0.5, "words_fade": 0.9}]


@pytest.mark.parametrize("rule", ["gaussian", "average"])
@pytest.mark.parametrize("favorites", [[], [4, 7]])
@pytest.mark.parametrize("policy", POLICIES)
def test_choice_and_explanation_follow_the_formula_with_words(
    rule: str, favorites: list[int], policy: dict[str, float]
) -> None:
    engine = make_engine(rule, **policy)
    rng = np.random.default_rng(3)
    state = engine.start(favorites, words=["robots"])
    history = [state]
    for turn in range(25):
        if len(history) > 1 and rng.random() < 0.25:
            history.pop()
            assert engine.undo(state) == history[-1]
            state = history[-1]
        else:
            if turn % 5 == 2:
                state = engine.tell(state, " and ".join(rng.choice(TOPICS, size=2, replace=False)))
            else:
                state = engine.step(state, str(rng.choice(["like", "dislike", "skip"])))
            history.append(state)
        expected = reference_scores(engine, state)
        assert state.current is not None
        assert expected[state.current] == pytest.approx(expected.max(), abs=1e-4)
        reasons = engine.explain(state)
        assert sum(reason.value for reason in reasons) == pytest.approx(expected[state.current], abs=1e-4)
        assert [reason.text for reason in reasons if reason.kind == "words"] == [
            words.text for words in state.utterances
        ]


def test_words_a_session_began_with_stay_and_a_filter_of_the_person_holds() -> None:
    engine = make_engine(wanted=MovieFilter(genres=("Horror",)), words_fit_weight=30.0)
    assert engine.catalog.movie(engine.start([0], words=["paris"]).current or 0).genres == ("Horror",)
    with pytest.raises(ChoiceError, match="nothing to undo"):
        engine.undo(engine.start([], words=["robots"]))


def test_nothing_known_changes_nothing() -> None:
    session = Session(engine := make_engine(), engine.start([0, 3]))
    before = session.state
    for text in ("xyzzy", "", "  ", "about the movie"):
        with pytest.raises(ChoiceError, match=r"words|no movie here has anything of"):
            session.tell(text)
        assert session.state == before
    session.tell("robots")
    movie = session.next()
    assert movie is not None
    assert "robots" in movie.movie.overview
    session.undo()
    assert session.state == before
    plain = SessionEngine(engine.catalog, engine.rule)
    with pytest.raises(ChoiceError, match="start it with Recommender"):
        plain.tell(plain.start([0]), "robots")


def test_a_rule_that_accepts_no_text_is_given_none() -> None:
    class Deaf(MovingAverage):
        accepts_text = False

    def encode(text: str) -> TextSignal:
        return TextSignal(np.arange(N, dtype=np.float32), PseudoItem(np.full(K, np.nan, dtype=np.float32)))

    policy = PolicySettings(words_fit_weight=50.0)
    engine = SessionEngine(make_catalog(), Deaf(make_vectors()), policy, encode=encode)
    assert engine.start([0], words=["anything"]).current == N - 1


# --- profiles ---


def test_words_are_kept_in_profiles_as_they_were_said(tmp_path: Path) -> None:
    engine = make_engine()
    state = engine.tell(engine.step(engine.start([0, 3], words=["robots"]), "like"), "paris, été")
    path = tmp_path / "ann.json"
    save_profile(path, engine.catalog, state)
    loaded, _ = load_profile(path, engine.catalog)
    assert engine.resume(loaded) == state
    # a movie that the catalogue lost: words keep their place among the answers that are left
    answered = int(engine.catalog.movie_ids[state.answers[0].row])
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["answers"].insert(0, [999_999, "skip"])
    stored["words"] = [["robots", 0], ["paris", 1], ["chess", 2]]
    path.write_text(json.dumps(stored), encoding="utf-8")
    lost, missing = load_profile(path, engine.catalog)
    assert missing == [999_999]
    assert [int(engine.catalog.movie_ids[row]) for row, *_ in lost.answers] == [answered]
    assert lost.utterances == (Utterance("robots", 0), Utterance("paris", 0), Utterance("chess", 1))
    alone = engine.start([], words=["robots"])
    save_profile(path, engine.catalog, alone)
    assert engine.resume(load_profile(path, engine.catalog)[0]) == alone
    old = {"format_version": 1, "seed": 0, "favorites": [10], "answers": [[20, "like"]]}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert load_profile(path, engine.catalog)[0] == SessionState((0,), (Event(1, "like"),))


def test_movies_of_a_genre_that_is_said_no_to_come_last() -> None:
    engine = make_engine()
    is_comedy = np.arange(N) % 4 == 1
    wanted, _ = encoder_of(engine).fit("robots")
    fit, x = encoder_of(engine).fit("robots, not a comedy")
    np.testing.assert_allclose(fit, wanted - is_comedy, atol=1e-6)
    assert x.tolist() == [0, 1, 0]
    fit, x = encoder_of(engine).fit("no comedy")
    assert fit.tolist() == (-is_comedy.astype(float)).tolist()
    assert not x.any()
    session = Session(engine, engine.start([], 0, ["no comedy"]))
    shown = []
    while (movie := session.next()) is not None:
        shown.append("Comedy" in movie.movie.genres)
    assert shown == sorted(shown)
    assert sum(shown) == is_comedy.sum()


# --- the artifact ---


def write_vectors(folder: Path, identity: Identity, catalog: Catalog) -> None:
    count = len(catalog)
    vectors = np.eye(identity.dimension, dtype=np.float32)[np.arange(count) % identity.dimension]
    ids = np.array([str(i) for i in catalog.movie_ids], dtype=np.str_)
    source = np.full(count, "movielens")
    columns = {"movie_id": ids, "source": source, "key": ids, "text_hash": ids}
    VectorTable(MOVIES, columns, vectors, identity).save(folder)


def test_vectors_of_another_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, rule = make_catalog(), make_gaussian()
    monkeypatch.setattr("recommender.session.queries.make_backend", lambda name, **settings: TopicBackend())
    write_vectors(tmp_path / "artifacts" / "text" / "topics", Identity("topics", "2", 3), catalog)
    with pytest.raises(ArtifactError, match="model 2, not 1"):
        FreeText.load(tmp_path, catalog, rule, "topics")
    write_vectors(tmp_path / "artifacts" / "text" / "topics", Identity("topics", "1", 3), catalog)
    signal = FreeText.load(tmp_path, catalog, rule, "topics").encode("robots")
    # as written, movie i lies on axis i mod 3, and so does its topic
    assert {int(row) % 3 for row in np.argsort(-signal.fit)[: N // 3]} == {TOPICS.index("robots")}


# --- movies that nobody rated ---


def test_movies_that_nobody_rated_are_placed_by_their_texts(tmp_path: Path) -> None:
    folder = make_processed(tmp_path)
    catalog = Catalog.load(folder)
    model = SvdModel.load(folder / "artifacts" / "svd", catalog)
    model.movie_counts_[[0, 4]] = 0
    model.movie_embeddings_[[0, 4]] = 0
    model.save(folder / "artifacts" / "svd")
    policy = PolicySettings(learning_rule="moving-average")
    without = Recommender.load(folder, policy)
    assert not without.movie_vectors[[0, 4]].any()
    (note,) = without.notes
    assert "movies that nobody rated come last" in note
    assert "python -m model.generate_embeddings" in note
    write_vectors(folder / "artifacts" / "text" / "local", Identity("local", "x", 2), catalog)
    placed = Recommender.load(folder, policy)
    assert placed.notes == []
    rated = [i for i in range(len(catalog)) if i not in (0, 4)]
    np.testing.assert_array_equal(placed.movie_vectors[rated], without.movie_vectors[rated])
    # The text of movie i is axis i mod 2: a ridge small beside 7 movies gives about the mean of that axis' movies.
    weights = model.movie_counts_ / (model.movie_counts_ + 20)
    for movie in (0, 4):
        same = [i for i in rated if i % 2 == 0]
        mean = np.average(without.movie_vectors[same], axis=0, weights=weights[same])
        everything = np.average(without.movie_vectors[rated], axis=0, weights=weights[rated])
        share = (placed.movie_vectors[movie] - everything) @ (mean - everything) / ((mean - everything) ** 2).sum()
        assert 0 < share <= 1.001
        np.testing.assert_allclose(placed.movie_vectors[movie], everything + share * (mean - everything), atol=1e-5)


def test_the_gaussian_gets_vector_mean_base_and_noise_for_them() -> None:
    rule = make_gaussian()
    backend = TopicBackend()
    fitted = Gaussian(*(x.astype(np.float32) for x in (rule.movie_vectors, rule.means, rule.movie_noise, rule.base)), 9)
    counts = np.full(N, 50)
    counts[[0, 1]] = 0
    for part in (fitted.vectors, fitted.means, fitted.noise, fitted.base):
        part[[0, 1]] = 0
    placed = cold_start.fill_gaussian(backend.embed_texts(make_catalog().lines()), fitted, counts)
    for movie in (0, 1):
        same = np.arange(movie + 3, N, 3)
        np.testing.assert_allclose(placed.vectors[movie], fitted.vectors[same].mean(axis=0), atol=0.02)
        assert placed.means[movie] == pytest.approx(fitted.means[same].mean(), abs=0.01)
        assert placed.base[movie] == pytest.approx(fitted.base[same].mean(), abs=0.01)
        assert placed.noise[movie] == pytest.approx(np.median(fitted.noise[2:]))
    for before, after in zip(fitted[:4], placed[:4]):
        np.testing.assert_array_equal(before[2:], after[2:])


@pytest.fixture(scope="module")
def shipped() -> Recommender:
    return Recommender.load()


def test_descriptions_find_the_shipped_movies(shipped: Recommender) -> None:
    hitchcock = shipped.search_text("directed by hitchcock", 10)
    assert sum(movie.movie.director == "Alfred Hitchcock" for movie in hitchcock) >= 8  # others are about him
    assert "Searching for Bobby Fischer" in [movie.movie.title for movie in shipped.search_text("movie about chess", 5)]
    for text, word in (("heist", "heist"), ("zombies", "zombie"), ("movies with vampires", "vampire")):
        found = shipped.search_text(text, 10)
        about = [f"{movie.movie.title} {movie.movie.overview} {movie.movie.keywords}".lower() for movie in found]
        assert sum(word in said for said in about) >= 9
        assert [movie.fit for movie in found] == sorted((movie.fit for movie in found), reverse=True)
    with pytest.raises(ChoiceError, match="no movie here has anything of 'zzqqx'"):
        shipped.search_text("zzqqx")
    with pytest.raises(ChoiceError, match="n = 0"):
        shipped.search_text("heist", 0)
    with pytest.raises(ChoiceError, match="no embedding backend is called 'nix'"):
        Recommender.load(backend="nix").search_text("heist")


def test_a_session_of_the_shipped_library_hears_words(shipped: Recommender) -> None:
    session = shipped.session(words="movie about chess")
    movie = session.next()
    assert movie is not None
    assert "chess" in " ".join([movie.movie.overview, *movie.movie.keywords])
    session.tell("zombies")
    second = session.next()
    assert second is not None
    assert [reason.text for reason in second.because if reason.kind == "words"] == ["movie about chess", "zombies"]
    assert shipped.session(["Heat", "Fargo"], words=["heist", "robots"]).next() is not None
