"""Protocols: what models may see, who is evaluated, the two sets of MovieLens small, and movies never rated."""

import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model import evaluate
from model.evaluate import read_set
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, DataError
from recommender.data.interactions import Interactions
from recommender.data.splits import in_parts, part_by_time, part_per_user
from recommender.evaluate import held_out_movies, protocols, run
from recommender.evaluate.held_out_movies import BASELINES, PopularityByGenre
from recommender.evaluate.protocols import Source, cut_runs
from recommender.evaluate.run import Spec
from recommender.learn import base, registry
from recommender.learn.base import Ranker, mask_seen
from recommender.linalg.rows import top_n

from .tiny import fixed, planted_tastes, rank

DAY = 86_400
SMALL = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-latest-small.zip"


def ratings(*rows):
    """Rows of user, movie, rating, time."""
    return Interactions.from_columns(*np.array(rows, dtype=np.int64).T)


def random_data(n=450, n_users=20, n_movies=30):
    rng = np.random.default_rng(0)
    keys = rng.permutation(n_users * n_movies)[:n]
    times = rng.integers(0, 300, n)  # many ties
    return Interactions.from_columns(keys // n_movies, keys % n_movies, rng.integers(1, 6, n), times)


def triples(data):
    return set(zip(data.user_rows().tolist(), data.movie_rows.tolist(), data.times.tolist()))


def test_parts_are_all_ratings_once_and_in_order_of_time():
    data = random_data()
    parts = in_parts(data, part_per_user(data.indptr))
    assert set.union(*map(triples, parts)) == triples(data)
    assert sum(part.n_ratings for part in parts) == data.n_ratings
    for earlier, later in zip(parts, parts[1:]):
        for user in range(data.n_users):
            assert earlier.times[earlier.row(user)].max(initial=-1) <= later.times[later.row(user)].min(initial=999)
    on_val, on_test, (train, val, test) = Source.from_ratings(data).case("val"), Source.from_ratings(data).case(), parts
    assert (triples(on_val.known), triples(on_val.held_out)) == (triples(train), triples(val))
    assert (triples(on_test.known), triples(on_test.held_out)) == (triples(train) | triples(val), triples(test))
    train, val, test = in_parts(data, part_by_time(data.times))  # never shares a moment
    in_order = np.sort(data.times)
    assert train.n_ratings == (data.times < in_order[data.n_ratings * 70 // 100]).sum()
    assert test.n_ratings == (data.times >= in_order[data.n_ratings * 85 // 100]).sum()
    assert train.times.max() < val.times.min() <= val.times.max() < test.times.min()


def test_those_left_out_are_counted():
    # user 1 likes what is held out, of user 2 nothing relevant is held out, user 3 has too few ratings
    data = ratings(*[(user, i, stars, i) for user, stars in ((1, 5), (2, 3)) for i in range(10)], (3, 1, 5, 0))
    case = Source.from_ratings(data).case()
    assert case.known.user_ids[case.user_rows].tolist() == [1]
    assert case.left_out == {"no known rating": 0, "nothing held out": 1, "no relevant target": 1}
    assert case.at.tolist() == [8]
    indptr, relevant = case.relevant()
    assert (indptr.tolist(), relevant.tolist()) == ([0, 2], [8, 9])
    case = Source.from_ratings(ratings(*[(1, i, 3 + i % 2, i) for i in range(20)])).case()
    assert case.relevant()[1].tolist() == [17, 19]  # from 4 stars


def test_returning_visitors():
    history = [(user, i, 5, i) for user in (1, 2, 3) for i in range(8)]
    later = [(1, 8, 5, 7 + 60), (2, 8, 5, 7 + 61), (3, 8, 5, 8 + DAY)]
    data = ratings(*history, *later, *[(4, i, 5, 0) for i in range(9)])
    parts = [data.take(np.isin(data.movie_rows, rows)) for rows in (range(6), (6, 7), (8,))]
    case = Source(*parts).case()
    assert case.gap().tolist() == [60, 61, DAY + 1, 0]
    minute, day = case.returning(60), case.returning()
    assert case.known.user_ids[minute.user_rows].tolist() == [2, 3]
    assert case.known.user_ids[day.user_rows].tolist() == [3]
    assert day.left_out["away 1 day or less"] == 3
    assert day.at.tolist() == [8 + DAY]


@pytest.mark.parametrize("n_stages", [1, 4, 1000])
def test_strict_time_shows_nothing_from_the_moment_on(n_stages):
    data = random_data()
    case = Source.from_ratings(data).case().strict_time(n_stages)
    met = []
    for train, people in case.stages():
        assert (train.times[:, None] < case.at[people][None, :]).all()
        # All that is old enough for the first of them is there, other people's held-out ratings included.
        first = case.at[people].min()
        assert triples(train) == {triple for triple in triples(data) if triple[2] < first}
        met.extend(people.tolist())
    assert sorted(met) == list(range(case.n_users))


@pytest.mark.parametrize("n_runs", [1, 3, 8])
def test_runs_have_the_least_loss_of_all_ways_to_cut(n_runs):
    rng = np.random.default_rng(n_runs)
    for _ in range(10):
        n = np.sort(rng.integers(0, 60, 8))

        def loss(begins, n=n):
            first = np.repeat(n[list(begins)], np.diff([*begins, len(n)]))
            return np.mean([1 - f / u if u else 0.0 for f, u in zip(first, n)])

        begins, missed = cut_runs(n, n_runs)
        every = [(0, *rest) for size in range(n_runs) for rest in itertools.combinations(range(1, 8), size)]
        assert loss(begins.tolist()) == pytest.approx(missed)
        assert missed == pytest.approx(min(map(loss, every)))


def test_more_runs_miss_less():
    case = Source.from_ratings(random_data()).case()
    assert case.strict_time(case.n_users).missed == pytest.approx(0, abs=1e-12) == case.missed
    ((train, people),) = case.stages()  # without strict time, one fit for all
    assert (train is case.known, people.tolist()) == (True, list(range(case.n_users)))
    assert case.strict_time(3).missed > case.strict_time(6).missed > 0
    begins, missed = cut_runs(np.arange(1, 5001), 50)  # more people than places to cut
    assert (len(set(begins)), begins[0]) == (50, 0)
    assert 0 < missed < cut_runs(np.arange(1, 5001), 25)[1]


@pytest.mark.parametrize("name", registry.names())
def test_no_model_looks_at_other_people_in_the_history(name):
    """In strict time the history of all is given, later ratings too: a score may depend on the person's own alone."""
    data = random_data(n=2700, n_users=90, n_movies=40)
    movies = [{"movieId": str(i), "title": f"Movie {i} (19{i + 10})", "genres": "AB"[i % 2]} for i in data.movie_ids]
    case, settings = Source.from_ratings(data).case(), {"rank": 8} if name == "svd" else {}
    model = registry.make(name, catalog=Catalog(movies), **settings).fit(case.known)
    people, at = case.user_rows[:6], case.at[:6]
    together = model.score(case.known, people, at)
    for line, row in enumerate(people):
        own = case.known.take(case.known.user_rows() == row)
        assert model.score(own, [row], [at[line]])[0] == pytest.approx(together[line], rel=1e-3, abs=1e-5)


def test_moments_of_global_time_and_of_folds_that_ignore_time():
    case = protocols.build(Source.from_ratings(random_data()), "global-time")
    assert len(set(case.at.tolist())) == 1
    assert case.known.times.max() < case.at[0] <= case.held_out.times.min()
    known, held_out = ratings((1, 1, 5, 100), (1, 2, 5, 300)), ratings((1, 1, 5, 200), (1, 2, 5, 250))
    assert protocols.from_known(known, held_out, "fold").at.tolist() == [300]  # the last known rating
    with pytest.raises(DataError, match="different users or movies"):
        protocols.from_known(ratings((1, 1, 5, 0)), ratings((1, 2, 5, 0)), "mixed")


def test_without_times_only_the_order_per_user_can_be_evaluated():
    data = random_data()
    order = np.random.default_rng(0).permutation(data.n_ratings)
    ids = (data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows], data.ratings, order - data.n_ratings)
    source = Source.from_ratings(Interactions.from_columns(*ids))
    assert protocols.build(source, "per-user").n_users
    for name in list(protocols.PROTOCOLS)[1:]:
        with pytest.raises(DataError, match=f"no times, which protocol {name} needs"):
            protocols.build(source, name)


@pytest.mark.skipif(not SMALL.is_file(), reason="ml-latest-small.zip is not beside this clone")
@pytest.mark.parametrize(
    ("name", "n_ratings", "n_users", "n_movies", "n_evaluated", "ndcg", "recall"),
    [("A", 39_954, 487, 450, 475, 0.0963, 0.1490), ("B", 90_274, 610, 3_650, 586, 0.0678, 0.0883)],
)
def test_movielens_small_and_its_popularity_baseline(name, n_ratings, n_users, n_movies, n_evaluated, ndcg, recall):
    """Size of each set, users evaluated, and accuracy of counting likes: known before this code was written."""
    data, _ = read_set(SMALL, name)
    assert (data.n_ratings, data.n_users, data.n_movies) == (n_ratings, n_users, n_movies)
    case = Source.from_ratings(data).case()
    assert case.n_users == n_evaluated
    liked = case.known.take(case.known.ratings >= 4).movie_counts()
    scores = np.tile(liked.astype(np.float32), (case.n_users, 1))
    mask_seen(scores, case.known, case.user_rows)
    found = case.accuracy(top_n(scores, 20), (10, 20))
    assert found["ndcg@10"].mean() == pytest.approx(ndcg, abs=5e-5)
    assert found["recall@20"].mean() == pytest.approx(recall, abs=5e-5)


N_MOVIES = 300


@functools.cache
def planted(shuffled: bool = False) -> Source:
    """Person u likes what has genre u % 5 and dislikes the rest; `shuffled`: the catalogue lists wrong genres."""
    rng = np.random.default_rng(0)
    genre = rng.integers(0, 5, N_MOVIES)
    ratings = planted_tastes(80, genre, 150, rng)
    listed = rng.permutation(genre) if shuffled else genre
    movies = [{"movieId": str(10 + i), "title": f"Movie {i}", "genres": f"Genre {g}"} for i, g in enumerate(listed)]
    return Source.from_ratings(ratings, Catalog(movies, dict.fromkeys(range(10, 10 + N_MOVIES), 7)))


def recall_of(case, source, make, k=6) -> float:
    catalog = source.catalog and source.catalog.with_counts(case.known.movie_counts())
    return case.accuracy(rank(lambda: make(catalog), case, k).rows, (k,))[f"recall@{k}"].mean()


def recalls(source: Source, make, part="test", k=6) -> list[float]:
    return [recall_of(held_out_movies.hold_out(source, part, fold), source, make, k) for fold in range(5)]


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_case_is_what_its_definition_says(part):
    source = planted()
    case = held_out_movies.hold_out(source, part, 1)
    out = set(case.candidates.tolist())
    parts = source[:3] if part == "test" else source[:2]
    rows = [list(zip(data.user_rows().tolist(), data.movie_rows.tolist(), data.ratings)) for data in parts]
    liked = {(user, movie) for of in rows for user, movie, rating in of if movie in out and rating >= 4}
    known = {(user, movie) for of in rows[:-1] for user, movie, _ in of if movie not in out}
    assert len(case.candidates) == len(out) == N_MOVIES // 10
    assert set(zip(case.known.user_rows().tolist(), case.known.movie_rows.tolist())) == known
    indptr, rows = case.relevant()
    assert set(zip(np.repeat(case.user_rows, np.diff(indptr)).tolist(), rows.tolist())) == liked
    assert case.user_rows.tolist() == sorted({user for user, _ in liked})
    assert set(held_out_movies.hold_out(source, part, 1, seed=1).candidates.tolist()) != out
    cases = [held_out_movies.hold_out(source, part, fold) for part in ("val", "test") for fold in range(5)]
    assert sorted(np.concatenate([case.candidates for case in cases]).tolist()) == list(range(N_MOVIES))


def chance_band(n_ranked: int, k: int, n_likes: int) -> np.ndarray:
    """Return 5 deviations around k / n_ranked for a share of `n_likes` draws."""
    share = k / n_ranked
    return share + np.array([-5, 5]) * np.sqrt(share * (1 - share) / n_likes)


class Greedy(Ranker):
    """Wins if anything leaks: takes what it can from ratings to learn from, from the history and from counts."""

    name = "greedy"

    def _fit(self, train):
        self.train = train
        likes = np.bincount(train.movie_rows, weights=train.ratings >= 4, minlength=train.n_movies)
        self.values = likes + self.catalog.n_ratings
        Greedy.counted = int(self.catalog.n_ratings[train.movie_counts() == 0].sum())

    def _score(self, history, user_rows, at):
        scores = np.tile(self.values, (len(user_rows), 1))
        for data in (self.train, history):
            for line, row in enumerate(user_rows):
                scores[line, data.movie_rows[data.row(row)]] += 1000 * data.ratings[data.row(row)]
        return scores.astype(np.float32)


def test_a_model_that_would_win_by_any_leak_shows_chance(monkeypatch):
    source = planted()
    # One list for all people of a fold: as many draws as there are movies in the lists.
    low, high = chance_band(30, 6, 5 * 30)
    assert low <= np.mean(recalls(source, Greedy)) <= high
    options = run.Options(ks=(6,), n_resamples=10)
    found = held_out_movies.evaluate(source, [Spec("greedy", "greedy", make=Greedy)], options)
    assert low <= found.overall["greedy"]["recall@6"] <= high
    assert Greedy.counted == 0  # the catalogue says of no held-out movie how often it was rated
    assert (source.catalog.n_ratings == 7).all()  # and is otherwise as it was
    # The same model wins where the ratings of held-out movies stay in the training data ...
    leaky = dataclasses.replace(held_out_movies.hold_out(source, "test", 0), known=source.train)
    monkeypatch.setattr(base, "mask_seen", lambda *_: None)
    assert recall_of(leaky, source, Greedy) > 0.6


def test_equal_scores_do_not_list_low_ids_first():
    """Everybody likes the 60 movies of the lowest ids alone, as old movies are the famous ones."""
    columns = [(u, m, 5 if m < 60 else 1, 1000 * u + m) for u in range(40) for m in range(N_MOVIES)]
    source = Source.from_ratings(Interactions.from_columns(*np.array(columns).T))
    low, high = chance_band(30, 6, 5 * 6)
    assert low <= np.mean(recalls(source, lambda catalog: fixed(np.ones(N_MOVIES)))) <= high


@pytest.mark.parametrize("part", ["val", "test"])
def test_planted_genres_are_found_and_wrong_genres_are_not(part):
    right = recalls(planted(), BASELINES["genre-profile"], part, k=15)
    wrong = recalls(planted(shuffled=True), BASELINES["genre-profile"], part, k=15)
    crowd = recalls(planted(), BASELINES["popularity-by-genre"], part, k=15)
    assert right == [1.0] * 5  # half of the 30 movies are listed, and no genre has more than 15 of them
    # Genres come as blocks of some 6 movies of 30 for 16 people each: 5 folds x 5 genres are 25 draws of blocks.
    error = np.sqrt(0.25 / 25)
    assert abs(np.mean(wrong) - 0.5) < 3 * error
    assert abs(np.mean(crowd) - 0.5) < 3 * error  # all genres are as popular
    low, high = chance_band(30, 15, 80 * 5 * 3)
    assert low < np.mean(recalls(planted(), BASELINES["random"], part, k=15)) < high


def test_popularity_by_genre_against_a_loop():
    rng = np.random.default_rng(0)
    genres, likes, rated = rng.random((40, 6)) < 0.3, rng.integers(0, 50, 40), rng.random(40) < 0.8
    listed = ["|".join(f"Genre{g}" for g in np.flatnonzero(row)) for row in genres]
    movies = Catalog([{"movieId": str(i), "title": f"Movie {i}", "genres": names} for i, names in enumerate(listed)])
    columns = [(user, i, 4 if user else 3.5) for i in np.flatnonzero(rated) for user in range(likes[i] + 1)]
    users, of_movie, ratings = np.array(columns).T
    data = Interactions.from_columns(users, of_movie, ratings, np.zeros(len(columns)), np.arange(40))
    found = PopularityByGenre(movies).fit(data).score(data, [0])[0]
    everywhere = np.mean(likes[rated])
    for i in range(40):
        there = [likes[rated & genres[:, g]] for g in np.flatnonzero(genres[i])]
        means = [np.mean(values) if len(values) else everywhere for values in there]
        assert found[i] == pytest.approx(np.mean(means) if means else everywhere, rel=1e-6)


def test_figures_are_means_over_people_of_their_mean_over_folds():
    source, options = planted(), run.Options(ks=(6,), n_resamples=10)
    one, whole = (BASELINES["random"](None).fit(source.train).score(source.train, rows) for rows in ([3], range(10)))
    assert (np.array_equal(whole[3], one[0]), np.array_equal(whole[3], whole[4])) == (True, False)  # in any batch
    found = held_out_movies.evaluate(source, [], options, 2)
    values: dict[int, list[float]] = {}
    for fold in range(2):
        case = held_out_movies.hold_out(source, "test", fold)
        recall = case.accuracy(rank(BASELINES["random"], case, 6).rows, (6,))["recall@6"]
        assert found.overall["random"][f"recall@6_fold_{fold + 1}"] == pytest.approx(recall.mean())
        for user, value in zip(case.user_rows.tolist(), recall.tolist()):
            values.setdefault(user, []).append(value)
    expected = [np.mean(values[user]) for user in sorted(values)]
    assert found.values["random"]["recall@6"].tolist() == pytest.approx(expected)
    assert found.overall["random"]["recall@6"] == pytest.approx(np.mean(expected))


def test_checkpoints_change_nothing_and_know_the_fold(tmp_path):
    def figures(part, checkpoint):
        options = run.Options(part, (6,), 50, checkpoint=checkpoint)
        found = held_out_movies.evaluate(planted(), [Spec("content", "content")], options, 2)
        return [{k: f[k] for k in f if "seconds" not in k} for f in found.overall.values()]

    assert figures("test", None) == figures("test", tmp_path) == figures("test", tmp_path) != figures("val", tmp_path)
    assert len(list(tmp_path.iterdir())) == 4 * 2 * 2  # models, folds and parts


def test_cases_that_cannot_be_are_refused():
    data = Interactions.from_columns([1] * 20, np.arange(20), [1] * 20, np.arange(20))
    with pytest.raises(ChoiceError, match="no user likes any of the 2 movies"):
        held_out_movies.hold_out(Source.from_ratings(data), "test", 0)


def test_the_program_ranks_baselines_and_models_against_the_first(tmp_path, monkeypatch, capsys):
    source = planted()
    monkeypatch.setattr(Source, "load", lambda folder: source)
    flags = ["--protocol", "held-out-movies", "--models", "content", "--k", "6", "--folds", "2", "--resamples", "50"]
    evaluate.main([*flags, "--csv", str(tmp_path / "rows.csv")])
    shown = capsys.readouterr().out
    averages = pd.read_csv(tmp_path / "rows-averages.csv").query("measure == 'recall@6'")
    assert averages.model.tolist() == [*BASELINES, "content"]
    assert averages.reference.dropna().unique().tolist() == ["popularity-by-genre"]
    assert averages.against_value.iloc[1:].tolist() == pytest.approx((averages.value / averages.value.iloc[0]).iloc[1:])
    assert all(f"{row.value:.4f}" in shown for row in averages.itertuples())
