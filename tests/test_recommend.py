"""Lists for one person: who they are, what may be shown, what stands in for a method, and why a movie is listed."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from recommender import MovieFilter, Recommender, models, ranking
from recommender.data.errors import ArtifactError, SettingsError
from recommender.data.interactions import Interactions
from recommender.hybrid import HybridQuotas
from recommender.learn import registry
from recommender.models import Models, cost
from recommender.opening import open_index
from tests.test_hybrid import of
from tests.tiny import make_processed

NOW = 1_700_000_000


def ratings_in_data(shipped: Recommender, user_id: int) -> Interactions:
    history = shipped.models.history
    return history.select(np.flatnonzero(history.user_ids == user_id))


@pytest.mark.parametrize("method", ["popularity", "svd", "content", "embedding", "two_tower"])
def test_a_list_is_answered_as_somebody_in_the_data(shipped, method):
    own = ratings_in_data(shipped, 15)
    given = list(zip(own.movie_ids[own.movie_rows].tolist(), own.ratings.tolist(), own.times.tolist()))
    expected = shipped.recommend(15, 20, method, at=NOW)
    assert shipped.recommend(given[::-1], 20, method, at=NOW) == expected  # times give the order
    assert shipped.recommend([pair[:2] for pair in given], 20, method, at=NOW) == expected
    assert [one.by for one in expected] == [method] * 20
    named = shipped.recommend(["The Matrix", shipped.search("heat", 1)[0], 1214], 5, method, at=NOW)
    assert named == shipped.recommend([(2571, 5), (6, 5.0), (1214, np.float32(5))], 5, method, at=NOW)


def test_filters_and_exclusions_leave_the_rest_in_its_order(shipped):
    every = shipped.recommend(15, 10**6, "svd", at=NOW)
    wanted = MovieFilter(genres=("Horror",), first_year=1980)
    passing = [one for one in every if "Horror" in one.movie.genres and one.movie.year >= 1980]
    assert shipped.recommend(15, 10**6, "svd", wanted, at=NOW) == passing
    gone = [passing[0].movie, passing[2].movie.movie_id]
    assert shipped.recommend(15, 3, "svd", wanted, gone, at=NOW) == [passing[i] for i in (1, 3, 4)]
    nothing = MovieFilter(first_year=3000)
    assert shipped.recommend(15, 5, "svd", nothing, familiarity=0.5, context=True, at=NOW) == []


def test_familiarity_goes_from_what_everybody_knows_to_this_person(shipped):
    plain = shipped.recommend(15, 200, "svd", at=NOW)
    scores, counts = (np.array(x) for x in zip(*((one.score, one.movie.n_ratings) for one in plain)))
    z, p = ((x - x.mean()) / x.std() for x in (scores, np.log1p(counts)))
    for familiarity, dial in ((0, -1), (0.5, 0), (0.9, 0.8), (1, 1)):  # of the 200 best
        expected = z + dial * p
        found = shipped.recommend(15, 200, "svd", familiarity=familiarity, at=NOW)
        order = np.argsort(-expected, kind="stable")
        assert [one.movie for one in found[:20]] == [plain[i].movie for i in order[:20]]
        np.testing.assert_allclose([one.score for one in found], expected[order], atol=1e-4)


def test_the_hour_weighs_genres_only_when_asked(shipped, tmp_path):
    path = tmp_path / "context.yaml"
    path.write_text("evening_film_noir: 10\n")
    evening, morning = (int(time.mktime((2023, 11, 14, hour, 0, 0, 0, 0, -1))) for hour in (19, 9))
    plain = [one.movie for one in shipped.recommend(15, 9, "svd", at=evening)]
    weighed, bare = (
        {one.movie: one.score for one in shipped.recommend(15, 10**6, "svd", familiarity=0.5, at=evening, context=file)}
        for file in (path, False)
    )
    for movie, score in list(bare.items())[::50]:
        share = "Film-Noir" in movie.genres and 1 / len(movie.genres)
        assert weighed[movie] == pytest.approx(score + 10 * share, abs=1e-4)
    assert [one.movie for one in shipped.recommend(15, 9, "svd", at=morning, context=str(path))] == plain
    assert shipped.recommend(15, 9, "svd", at=evening, context=True) != shipped.recommend(15, 9, "svd", at=evening)
    wrong = {"a: 1": "unknown key 'a'", "evening_dram: 1": "did you mean evening_drama", "night_horror: 11": "range"}
    for line, message in {**wrong, "night_horror: yes": "not a number", "- 1": "not settings"}.items():
        path.write_text(f"# weights\n{line}\n")
        with pytest.raises(SettingsError, match=message) as caught:
            shipped.recommend(15, context=path, method="svd")
        assert "line 2" in str(caught.value) or line == "- 1"


def test_a_profile_counts_ratings_and_answers_and_what_is_seen_stays_away(shipped):
    best = [one.movie.movie_id for one in shipped.recommend([(2571, 5), (1214, 2)], 4, "svd", at=NOW)]
    answers = [[1214, "dislike"], [best[0], "seen"], [best[1], "later"], [best[2], "skip"], [10**9, "like"]]
    profile: dict[str, Any] = {"favorites": [2571], "answers": answers, "words": []}
    found = [one.movie.movie_id for one in shipped.recommend(profile, 3, "svd", at=NOW)]
    assert found == [best[1], best[2], best[3]]
    profile["ratings"] = [[2571, 1.0, "2020-05-01"], [1214, 5.0, ""]]
    turned = shipped.recommend([(2571, 1), (1214, 5)], 9, "svd", exclude=[best[0]], at=NOW)
    assert shipped.recommend(profile, 9, "svd", at=NOW) == turned


def test_a_part_of_a_hybrid_is_named_for_each_movie():
    rows = np.arange(6)
    parts = {"embedding": -rows, "svd": rows, "ease": -abs(rows - 2), "content": -abs(rows - 3)}
    model = of(HybridQuotas, {name: scores.tolist() for name, scores in parts.items()})
    data = Interactions.from_columns([1], [10], [5], [1], np.arange(10, 16))
    model.fit(data)
    allowed = np.array([False, True, True, True, True, False])  # the first is seen, the last not wanted
    found = ranking.rank(model, data, 0, 5, 3, allowed, rows)
    # quotas of 3: 1.2, .9, .6, .3 -> 1, 1, 1, 0
    assert [(row, by) for row, _, by in found] == [(1, "embedding"), (4, "svd"), (2, "ease")]


def test_what_is_missing_is_told_once_and_something_stands_in(tmp_path, caplog):
    tiny = Recommender.load(make_processed(tmp_path))  # an SVD, and neither ratings nor texts
    with caplog.at_level(logging.WARNING, "recommender"):
        first = tiny.recommend([1], 3, "stacker", at=NOW)
        assert {one.by for one in first} == {"svd"}
        assert tiny.recommend([1], 3, at=NOW) == first
        assert tiny.recommend([1], 3, "embedding", at=NOW) == tiny.recommend([1], 3, "ease", at=NOW) == first
        told = [str(note) for note in tiny.notes if " instead" in note]
        tiny.recommend([1], 3, "embedding")
    assert [note.split()[1] for note in told] == ["stacker", "embedding", "content", "ease"]
    assert [record.getMessage() for record in caplog.records] == told
    assert all("preprocess.setup" in note or "generate_embeddings" in note for note in told)
    by_count = [one.movie.movie_id for one in tiny.recommend([1], 3, "popularity")]
    assert by_count == [4, 3, 7]  # of tiny.FILMS, by ratings
    with pytest.raises(ArtifactError, match=r"no ratings in .*preprocess\.setup"):
        tiny.recommend(1)


def test_nobody_known_gets_what_is_popular(shipped):
    everybody = shipped.recommend([], 2, "popularity", at=NOW)
    assert everybody[0].movie.title == "The Shawshank Redemption"
    later = {"favorites": [], "answers": [[everybody[0].movie.movie_id, "later"]], "words": []}
    assert shipped.recommend(later, 2, "popularity", at=NOW) == everybody


def test_a_stored_model_that_is_damaged_is_told_and_the_next_stands_in(tmp_path):
    folder = make_processed(tmp_path) / "artifacts"
    for name in ("stacker", "two_tower", "popularity"):
        place = folder / (registry.model_class(name).folder or name)
        place.mkdir(parents=True, exist_ok=True)
        (place / "manifest.json").write_text("{}")
    tiny = Recommender.load(tmp_path)
    assert {one.by for one in tiny.recommend([1], 3, at=NOW)} == {"svd"}
    told = [note for note in tiny.notes if " instead" in note]
    assert [note.split()[1] for note in told] == ["stacker", "two_tower"]
    assert all("is damaged" in note and "\n" not in note for note in told)
    with pytest.raises(ArtifactError, match=r"popularity.*is damaged"):
        tiny.recommend([1], 3, "popularity")


def test_a_blend_goes_without_a_part_that_memory_does_not_hold(monkeypatch):
    recommender = replace(Recommender.load(), notes=[])  # without models
    monkeypatch.setattr(models, "free_memory", lambda: 1000)
    recommender.recommend(1, 3, "hybrid")  # what needs no fit is left: the two towers are stored
    assert ["hybrid without stacker" in note for note in recommender.notes] == [True]


def test_the_default_is_the_best_that_needs_no_long_wait(shipped, monkeypatch, tmp_path):
    assert shipped.recommend(1, 1, at=NOW)[0].by == "two_tower"  # it is shipped, the stacker is not
    assert Models(tmp_path, shipped.catalog, "minilm", print).name_of(None) == "svd"  # nothing is there
    (tmp_path / "artifacts" / "stacker").mkdir(parents=True)
    (tmp_path / "artifacts" / "stacker" / "manifest.json").write_text("{}")
    assert Models(tmp_path, shipped.catalog, "minilm", print).name_of(None) == "stacker"
    shelf = Models(shipped.folder, shipped.catalog, "minilm", print)
    monkeypatch.setattr(models, "DEFAULTS", ("stacker", "ease"))
    monkeypatch.setattr(models, "cost", lambda name, history: ({"stacker": 99.0, "ease": 1.0}[name], 0.0))
    assert shelf.name_of(None) == "ease"


def test_costs_grow_with_the_data(shipped):
    history = shipped.models.history
    fewer = history.take(history.movie_rows % 2 == 0)
    for name in models.COSTS:
        (seconds, size), (less, smaller) = cost(name, history), cost(name, fewer)
        assert seconds >= less
        assert size > smaller > 0
    slow = {name for name in models.COSTS if cost(name, history)[0] > models.PATIENCE}
    assert {"stacker", "two_tower", "directed_ease"} <= slow
    assert not {"svd", "item_knn", "content", "ials"} & slow
    assert models.free_memory() is None or models.free_memory() > 0


def test_an_explanation_adds_up(shipped):
    movie = shipped.recommend(15, 1, "svd", at=NOW)[0].movie
    why = shipped.explain(15, movie)
    assert why.movie == movie
    assert why.recommendation_score == pytest.approx(sum(reason.value for reason in why.because), abs=1e-6)
    own = ratings_in_data(shipped, 15)
    rows, row = own.movie_rows, shipped.row_of(movie)
    unit = shipped.movie_vectors / np.maximum(np.linalg.norm(shipped.movie_vectors, axis=1, keepdims=True), 1e-9)
    taste = (own.ratings - 3) @ unit[rows]
    similarity = taste @ unit[row] / np.linalg.norm(taste)
    assert why.explanation == f"Matches your taste profile with {similarity:.1%} similarity"
    liked = {shipped.catalog.movie(i): unit[i] @ unit[row] for i in rows[own.ratings >= 4].tolist()}
    nearest = sorted(liked.items(), key=lambda pair: -pair[1])[:3]
    assert [one for one, _ in why.similar_to_your_favorites] == [one for one, _ in nearest]
    assert why.recommendation_score == pytest.approx(similarity, abs=1e-5)
    assert shipped.explain([(1, 5), (2571, 4)], 1) == shipped.explain([(2571, 4)], 1)  # not by its own rating


def test_quality_metrics_of_the_index_and_warm(shipped, tmp_path):
    found = shipped.quality_metrics()
    assert (found["n_movies"], found["width"], found["backend"]) == (6136, 384, "minilm")
    assert 0 < found["genre_separation_gap"] < 1
    assert found["share_with_ratings"] == 1
    assert found["share_with_description"] > 0.99
    tiny = Recommender.load(make_processed(tmp_path))
    without = tiny.quality_metrics()
    assert (without["n_movies"], without["width"], without["backend"]) == (9, 2, "svd")
    assert without["share_with_description"] == 1 / 9
    assert "generate_embeddings" in tiny.notes[-1]
    # what first calls would do
    assert list(tiny.warm(["svd", "popularity"])) == ["svd", "popularity", "titles", "_similar", "words"]
    assert {"titles", "similar", "svd"} <= tiny.models._made.keys()
    assert any(note.startswith("no words here") for note in tiny.notes)


def test_the_index_is_stored_where_building_it_takes_time_and_used_again(tmp_path, monkeypatch):
    tiny = Recommender.load(make_processed(tmp_path / "tiny"))
    rng, catalog, said = np.random.default_rng(0), tiny.catalog, []
    texts = rng.standard_normal((len(catalog), 4)).astype(np.float32)
    monkeypatch.setattr("recommender.session.cold_start.load_texts", lambda *_: texts)
    asked = (tmp_path, catalog, "minilm", tiny.movie_vectors, said.append)
    assert (open_index(*asked)[0].name, said) == ("exact", [])
    monkeypatch.setattr("recommender.retrieve.EXACT_UP_TO", 3)
    index, backend = open_index(*asked)
    assert (index.name, backend, len(said)) == ("hnsw", "minilm", 1)
    assert open_index(*asked)[0].vectors.tolist() == index.vectors.tolist()
    assert len(said) == 1  # read from the disk
    texts[0] += 1
    assert open_index(*asked)[0].search(texts[0], 1)[0].tolist() == [0]
    assert len(said) == 2  # of other texts: built anew
    assert "9 vectors" in said[0]
