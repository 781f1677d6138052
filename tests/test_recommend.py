"""Lists for one person, by one model or several, and for everybody: what is shown, what stands in, and why."""

from __future__ import annotations

import csv
import json
import logging
import time
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Optional

import numpy as np
import pytest

from recommender import ChoiceError, MovieFilter, Recommender, hybrid, models, ranking
from recommender.data.errors import ArtifactError, SettingsError
from recommender.data.files import exclusive
from recommender.data.interactions import Interactions
from recommender.hybrid import Hybrid, HybridQuotas
from recommender.learn import registry
from recommender.models import Models, cost
from recommender.opening import open_index
from tests.tiny import fixed, make_processed

NOW, NO = 1_700_000_000, -np.inf


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
        assert np.less_equal([0, 1], cost(name, fewer)).all()
        assert np.less_equal(cost(name, fewer), cost(name, history)).all()
    slow = {name for name in models.COSTS if cost(name, history)[0] > models.PATIENCE}
    assert slow >= {"stacker", "two_tower", "directed_ease"}
    assert not {"svd", "item_knn", "content", "ials"} & slow


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


def of(kind: type, parts: dict[str, list[float]], **settings: object) -> hybrid.Blend:
    model = kind(**settings)
    model.parts = {name: fixed(scores) for name, scores in parts.items()}
    return model


@pytest.mark.parametrize(
    ("n", "expected"), [(1, [1, 0, 0, 0]), (2, [1, 1, 0, 0]), (5, [2, 2, 1, 0]), (7, [3, 2, 1, 1]), (10, [4, 3, 2, 1])]
)
def test_quotas_by_largest_remainder(n, expected):
    # 7: 2.8, 2.1, 1.4, .7 -> 2, 2, 1, 0 and the two places left to the remainders .8 and .7
    assert hybrid.quotas(n, np.array([0.4, 0.3, 0.2, 0.1])) == expected


def test_a_movie_that_two_lists_have_counts_once_and_the_later_list_gives_its_next():
    lists = [[1, 2, 3, 4, 5], [1, 2, 6, 7, 8]]
    assert list(hybrid.take(lists, [2, 2]).items()) == [(1, 0), (2, 1), (3, 0), (6, 1)]
    assert list(hybrid.take(lists, [2, 1], 2).items()) == [(1, 0), (2, 1), (3, 0), (4, 0), (6, 1), (5, 0)]
    assert hybrid.take([[1, 2], [3, 4]], [2, 2]) == {1: 0, 3: 1, 2: 0, 4: 1}
    assert hybrid.take([[1], [2, 3, 4]], [2, 1]) == {1: 0, 2: 1, 3: 1}  # the second fills the place of the first
    assert hybrid.take([[1], [2]], [2, 1]) == {1: 0, 2: 1}  # no more is there


def test_each_list_gives_its_share():
    # each of the four ranks movies of its own first: the list of ten holds 4, 3, 2 and 1 of them
    own = {name: np.arange(40, 0, -1) + 100 * (np.arange(40) // 10 == j) for j, name in enumerate(hybrid.SHARES)}
    model = of(HybridQuotas, {name: scores.tolist() for name, scores in own.items()})
    scores, by = model.merge(np.array(list(own.values()), np.float32), 10)
    best = np.argsort(-scores, kind="stable")
    assert [(best[:10] // 10).tolist().count(j) for j in range(4)] == [4, 3, 2, 1]
    assert by[best[:10]].tolist() == (best[:10] // 10).tolist()
    assert sorted(best.tolist()) == list(range(40))


def test_what_may_not_be_shown_comes_last():
    for kind, names in ((Hybrid, Hybrid.names), (HybridQuotas, HybridQuotas.names)):
        model = of(kind, {name: [] for name in names}, **({"candidates": 2} if kind is Hybrid else {}))
        if isinstance(model, Hybrid):
            model.fame_ = np.arange(6)
        scores = np.tile(np.array([3, NO, 2, 1, NO, 0], np.float32), (len(names), 1))
        merged, _ = model.merge(scores, 2)
        assert np.isfinite(merged).all()
        assert sorted(np.argsort(-merged, kind="stable")[:4].tolist()) == [0, 2, 3, 5]
        nothing, _ = model.merge(np.full((len(names), 6), NO, np.float32), 2)
        assert np.isfinite(nothing).all()


def test_fused_scores_are_sums_of_standard_scores():
    parts = {"stacker": [5.0, 4.0, 1.0, 0.0], "two_tower": [0.0, 3.0, 1.0, 9.0], "embedding": [1.0, 0.0, 0.0, 0.0]}
    model = of(Hybrid, parts, two_tower=2.0, embedding=0.5, fame=0.25, candidates=3)
    model.fame_ = np.log1p([0, 10, 100, 5])
    scores = np.array(list(parts.values()), np.float32)
    merged, by = model.merge(scores, 2)

    def z(values):
        return (values - values.mean()) / values.std()

    first, second, third = scores[:, :3].astype(float)
    expected = z(first) + 2 * z(second) + 0.5 * z(third) - 0.25 * z(np.log1p([0, 10, 100]))
    np.testing.assert_allclose(merged[:3], expected, rtol=1e-5)
    assert merged[3] < expected.min()  # no candidate
    assert by[:2].tolist() == [0, 1]
    del model.parts["stacker"]  # the next one leads
    without, _ = model.merge(scores[1:], 2)
    assert np.argsort(-without, kind="stable").tolist() == [3, 1, 2, 0]


def test_the_registry_knows_them_when_asked_and_their_users_are_ranked():
    hybrid.register()
    assert {"hybrid", "hybrid_quotas"} <= set(registry.names())
    data = Interactions.from_columns([1, 1, 2], [10, 11, 12], [5, 4, 5], [1, 2, 3], np.arange(10, 16))
    model = of(HybridQuotas, {name: [6, 5, 4, 3, 2, 1] for name in hybrid.SHARES}).fit(data)
    ids, _ = model.recommend(data, [0, 1], n=6)
    assert ids.tolist() == [[12, 13, 14, 15, -1, -1], [10, 11, 13, 14, 15, -1]]
    with pytest.raises(ChoiceError, match="no model is called 'hybird'"):
        registry.make("hybird")


def table(path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_everybody_gets_the_list_of_recommend_in_each_format(shipped, tmp_path):
    users = [1, 7, 2700]
    endings = ("csv", "jsonl", "parquet")
    for ending in endings[: 3 if find_spec("pyarrow") else 2]:
        assert shipped.recommend_all(tmp_path / f"all.{ending}", 3, "svd", [*users, 7]) == 3
    rows = table(tmp_path / "all.csv")
    assert rows[0] == ["userId", "rank", "movieId", "title", "score"]
    found = {user: list(enumerate(shipped.recommend(user, 3, "svd"), 1)) for user in users}
    expected = [(user, rank, one.movie.movie_id) for user in users for rank, one in found[user]]
    assert [tuple(map(int, row[:3])) for row in rows[1:]] == expected
    scores = [one.score for user in users for _, one in found[user]]
    assert [float(row[4]) for row in rows[1:]] == pytest.approx(scores, abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    listed = [(line["userId"], one["movieId"]) for line in lines for one in line["movies"]]
    assert listed == [(user, movie) for user, _, movie in expected]
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert pandas.read_parquet(tmp_path / "all.parquet")["movieId"].tolist() == [int(row[2]) for row in rows[1:]]


def test_a_stopped_run_goes_on_and_another_request_begins_anew(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr("recommender.everybody.BLOCK", 2)
    whole, part, users = tmp_path / "whole.csv", tmp_path / "part.csv", [*range(1, 12)]
    shipped.recommend_all(whole, 2, "svd", users)

    def stop_by(error: type[BaseException], said: Optional[str] = None) -> None:
        def stop(done: int, total: int) -> None:
            if done == 6:
                raise error

        with pytest.raises(error, match=said):
            shipped.recommend_all(part, 2, "svd", users, progress=stop)
        assert not part.exists()

    for seconds, error, left in ((0, OSError, 5), (99, OSError, 11), (99, KeyboardInterrupt, 5)):
        monkeypatch.setattr("recommender.everybody.SAVED_EVERY", seconds)
        stop_by(error, "6 of 11 users" if error is KeyboardInterrupt else None)
        assert shipped.recommend_all(part, 2, "svd", users) == left
        assert part.read_bytes() == whole.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["part.csv", "whole.csv"]
        part.unlink()
    stop_by(KeyboardInterrupt)
    assert shipped.recommend_all(part, 3, "svd", users) == 11
    assert len(table(part)) == 1 + 3 * 11
    part.unlink()
    other = replace(shipped)
    other.models._made["svd or another"] = registry.make("svd", rank=5).fit(other.models.history)
    del other.models.get("svd").user_embeddings_  # as if it had been stored without
    for ask, own in ((shipped, users[::-1]), (other, users)):  # as many others, and another model
        stop_by(KeyboardInterrupt)
        assert ask.recommend_all(part, 2, "svd", own) == 11
        assert part.read_bytes() != whole.read_bytes()
        part.unlink()


def test_quotas_are_those_of_recommend(shipped, monkeypatch, tmp_path):
    # two parts, in the order of the movies and against it: 4 / 7 and 3 / 7 of a list
    model = HybridQuotas(shipped.catalog)
    rows = np.arange(len(shipped.catalog))
    data = shipped.models.history
    model.parts = {"embedding": fixed(-rows).fit(data), "svd": fixed(rows).fit(data)}
    monkeypatch.setitem(shipped.models._made, "hybrid_quotas or another", model.joined(shipped.catalog))
    for n in (3, 30):
        shipped.recommend_all(tmp_path / "all.csv", n, "hybrid_quotas", [15], MovieFilter(("Drama",)))
        expected = shipped.recommend(15, n, "hybrid_quotas", MovieFilter(("Drama",)))
        assert [int(row[2]) for row in table(tmp_path / "all.csv")[1:]] == [one.movie.movie_id for one in expected]
        assert [one.by for one in expected].count("svd") == {3: 1, 30: 13}[n]
    middle = len(rows) / 2
    for one in shipped.recommend(15, 200, "hybrid_quotas", familiarity=0.9):
        assert one.by == ("embedding" if shipped.row_of(one.movie) < middle else "svd")


def test_files_that_cannot_be_written_are_refused(shipped, tmp_path):
    (tmp_path / "mine.csv").write_text("my own notes\n")
    people = [("all.csv", users, "user") for users in ([99999], 5, ["abc"], [1.7], [[1]], "12")]
    for output, users, message in (("all.xml", None, "ends in"), ("mine.csv", None, "not of this program"), *people):
        with pytest.raises((ChoiceError, ArtifactError), match=message):
            shipped.recommend_all(tmp_path / output, method="svd", users=users)
    for output in (None, 5):
        with pytest.raises(ChoiceError, match=r"output 5|\.csv"):
            shipped.recommend_all(output, method="svd")
    with exclusive(tmp_path / ".all.csv.lock", "it"), pytest.raises(ArtifactError, match="another process"):
        shipped.recommend_all(tmp_path / "all.csv", method="svd")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
