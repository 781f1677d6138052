"""Words of a person's own: fit, pseudo-items, profiles, and movies that only their texts place."""

from __future__ import annotations

import re

import numpy as np
import pytest

from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.facade import Recommender
from recommender.learn.svd import SvdModel
from recommender.session.cold_start import fill_gaussian
from recommender.session.gaussian import Gaussian
from recommender.session.policy import PolicySettings
from recommender.session.rules import MovingAverage
from recommender.session.session import Session
from recommender.session.texts import CONTRADICTION, LENGTH, MOST_LETTERS, FreeText
from recommender.text.base import Identity
from recommender.text.vectors import MOVIES, VectorTable
from recommender.text.word_match import KeywordMatch
from tests.test_session import TOPICS, N, TopicBackend, make_catalog, make_encoder, make_engine, make_rule, make_vectors
from tests.tiny import make_processed


def test_the_pseudo_item_points_to_where_movies_of_its_topic_lie():
    rule = make_rule("gaussian")
    encoder = make_encoder(rule, make_catalog())
    movies = rule.movie_vectors
    centred = movies - movies.mean(axis=0)
    for place, topic in enumerate(TOPICS):
        item = encoder.encode(f"a movie about {topic}").item
        nearness = [float(item.vector @ centred[np.arange(N) % 3 == j].mean(axis=0)) for j in range(3)]
        assert int(np.argmax(nearness)) == place
        assert np.linalg.norm(item.vector) == pytest.approx(LENGTH * np.linalg.norm(movies, axis=1).mean(), rel=1e-5)
        assert item.noise > float(np.median(rule.movie_noise))


def test_neither_what_all_movies_share_nor_movies_without_a_text_tell_the_bridge_anything():
    catalog, backend = make_catalog(), TopicBackend()
    texts = backend.embed_texts(catalog.lines())
    encoders = [FreeText(catalog, MovingAverage(make_vectors() + shift), backend, texts) for shift in (0, 5)]
    plain, moved = (encoder.encode("robots").item.vector for encoder in encoders)
    np.testing.assert_allclose(plain / np.linalg.norm(plain), moved / np.linalg.norm(moved), atol=1e-3)
    vectors, other = make_vectors(), make_vectors()
    texts[:6], other[:6] = 0, 100
    before, after = (FreeText(catalog, MovingAverage(each), backend, texts).bridge for each in (vectors, other))
    np.testing.assert_array_equal(before.coef, after.coef)
    np.testing.assert_array_equal(before.target_mean, after.target_mean)


def plain_z(values: list[float]) -> np.ndarray:
    return (np.array(values) - np.mean(values)) / np.std(values)


def test_fit_is_cosine_and_share_which_counts_less_among_many_words():
    catalog = make_catalog()
    encoder = make_encoder(make_rule("gaussian"), catalog)
    of_movie = np.arange(N) % 3  # chess, robots, paris
    famous_first = 0.5 * plain_z(np.log1p(catalog.n_ratings)) * (of_movie == 1)  # of those that hold every word
    np.testing.assert_allclose(encoder.encode("robots").fit, plain_z(2.0 * (of_movie == 1)) + famous_first, atol=1e-5)
    expected = np.where(of_movie == 0, 0, np.where(of_movie == 1, np.sqrt(0.5) + 0.5 / 3, np.sqrt(0.5) + 0.5 / 3))
    np.testing.assert_allclose(encoder.encode("robots in the city of paris").fit, plain_z(expected), atol=1e-5)


def test_short_requests_are_compared_with_keywords_too():
    catalog, rule = make_catalog(), make_rule("gaussian")
    catalog.keywords = lambda: [(10, "chess"), (20, "chess"), (20, "paris")]
    backend = TopicBackend()
    vectors = backend.embed_texts(catalog.lines())
    keywords = KeywordMatch(catalog, ["chess", "paris"], backend.embed_texts(["chess", "paris"]))
    x = np.array([0.6, 0, 0.8], dtype=np.float32)
    np.testing.assert_allclose(keywords.best(x), [0.6, 0.8, *[0] * (N - 2)], atol=1e-6)
    plain, more = (FreeText(catalog, rule, backend, vectors, words) for words in (None, keywords))
    held = plain_z([1.0, 1.0, *[0] * (N - 2)])
    for text, weight in (("chess", 2.0), ("chess xa xb xc xd xe xf xg", 0.25)):
        np.testing.assert_allclose(more.encode(text).fit - plain.encode(text).fit, weight * held, atol=1e-4)


def test_who_counts_words_gets_those_that_tell_something_and_who_reads_gets_all_up_to_a_limit():
    catalog, rule = make_catalog(), make_rule("gaussian")
    vectors = TopicBackend().embed_texts(catalog.lines())
    asked = []
    for backend in (TopicBackend("local"), TopicBackend("reads")):
        encoder = FreeText(catalog, rule, backend, vectors)
        encoder.encode("A movie about  Robots in the sad cities of paris" + " " * 1000 + "chess")
        fit = encoder.encode("paris " + "x" * MOST_LETTERS + " chess").fit
        assert fit[0] == fit.min() < fit[2]
        asked.append(backend.asked[0])
    # cities: in no movie, but long enough to be a word misspelt; sad: too short for that
    assert asked == ["robots cities paris", "a movie about robots in the sad cities of paris"]
    counting = FreeText(catalog, rule, TopicBackend("local"), vectors)
    with pytest.raises(ChoiceError, match="no movie here has anything of 'sad zen'"):
        counting.encode("sad zen")
    with pytest.raises(ChoiceError, match="running times are not in the data"):
        counting.encode("under two hours")


def test_movies_of_a_genre_that_is_said_no_to_come_last():
    engine = make_engine("gaussian", popularity_penalty=0.0)
    encoder = make_encoder(engine.rule, engine.catalog)
    is_comedy = engine.catalog.genres[:, engine.catalog.genre_names.index("Comedy")]
    plain, other, alone = map(encoder.encode, ("robots", "robots, not a comedy", "no comedy"))
    np.testing.assert_array_equal(plain.fit, other.fit)
    np.testing.assert_array_equal(other.contradictions, is_comedy)
    np.testing.assert_array_equal(alone.contradictions, is_comedy)
    assert not alone.fit.any()
    fame = 0.3 * plain_z(np.log1p(engine.catalog.n_ratings))
    np.testing.assert_allclose(encoder.rank("no comedy"), fame - CONTRADICTION * is_comedy, atol=1e-5)
    session = Session(engine, engine.start([], 0, ["no comedy"]))
    assert not any("Comedy" in session.next().movie.genres for _ in range(N - is_comedy.sum()))


def test_a_movie_that_others_should_be_like_is_not_among_them():
    catalog, rule = make_catalog(), make_rule("gaussian")
    vectors = TopicBackend().embed_texts(catalog.lines())
    given = {"find_title": {"movie one": 1}.get, "similar": lambda row: vectors @ vectors[row]}
    encoder = FreeText(catalog, rule, TopicBackend(), vectors, **given)
    rank = encoder.rank("something like Movie One")
    assert rank[1] == rank.min()
    assert set(np.argsort(-rank)[: N // 3 - 1] % 3) == {1}


def test_movies_that_nobody_rated_are_placed_by_their_texts(tmp_path):
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
    assert re.match("movies without ratings come last: .*python -m model.generate_embeddings", note)
    ids, axes = np.array([str(i) for i in catalog.movie_ids]), np.eye(2, dtype=np.float32)[np.arange(9) % 2]
    columns = {"movie_id": ids, "source": np.full(9, "movielens"), "key": ids, "text_hash": ids}
    VectorTable(MOVIES, columns, axes, Identity("local", "x", 2)).save(folder / "artifacts" / "text" / "local")
    placed = Recommender.load(folder, policy)
    assert placed.notes == []
    rated = [1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(placed.movie_vectors[rated], without.movie_vectors[rated])
    # The text of movie i is axis i mod 2: a ridge small beside 7 movies gives about the mean of that axis' movies.
    weights = model.movie_counts_ / (model.movie_counts_ + 20)
    everything = np.average(without.movie_vectors[rated], axis=0, weights=weights[rated])
    same = [i for i in rated if i % 2 == 0]
    away = np.average(without.movie_vectors[same], axis=0, weights=weights[same]) - everything
    for movie in (0, 4):
        share = (placed.movie_vectors[movie] - everything) @ away / (away**2).sum()
        assert 0 < share <= 1.001
        np.testing.assert_allclose(placed.movie_vectors[movie], everything + share * away, atol=1e-5)


def test_the_gaussian_gets_vector_mean_base_and_noise_for_them():
    rule = make_rule("gaussian")
    parts = [x.astype(np.float32) for x in (rule.movie_vectors, rule.means, rule.movie_noise, rule.base)]
    for part in parts:
        part[[0, 1]] = 0
    fitted, counts = Gaussian(*parts, 9), np.full(N, 50)
    counts[[0, 1]] = 0
    placed = fill_gaussian(TopicBackend().embed_texts(make_catalog().lines()), fitted, counts)
    for movie in (0, 1):
        same = np.arange(movie + 3, N, 3)
        np.testing.assert_allclose(placed.vectors[movie], fitted.vectors[same].mean(axis=0), atol=0.02)
        assert placed.means[movie] == pytest.approx(fitted.means[same].mean(), abs=0.01)
        assert placed.base[movie] == pytest.approx(fitted.base[same].mean(), abs=0.01)
        assert placed.noise[movie] == pytest.approx(np.median(fitted.noise[2:]))
    assert all(np.array_equal(before[2:], after[2:]) for before, after in zip(fitted[:4], placed[:4]))


def test_descriptions_find_the_shipped_movies():
    shipped = Recommender.load()
    found = shipped.search_text("directed by hitchcock", 10)
    assert sum(movie.movie.director == "Alfred Hitchcock" for movie in found) >= 8  # others are about him
    assert [movie.fit for movie in found] == sorted((movie.fit for movie in found), reverse=True)
    quentin = {movie.movie_id for movie, _ in shipped.search_text("tarantino", 5)}
    assert quentin & {movie.movie_id for movie, _ in shipped.search_text("tarantino dialogue", 3)}  # a rare word fits
    found = shipped.search_text("zombies", 10)
    assert sum("zombie" in f"{one.movie.title} {one.movie.overview} {one.movie.keywords}".lower() for one in found) >= 9
    with pytest.raises(ChoiceError, match="no embedding backend is called 'nix'"):
        Recommender.load(backend="nix").search_text("heist")
