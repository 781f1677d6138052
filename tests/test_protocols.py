"""Protocols: what models may see, who is evaluated, and the numbers of the two sets of MovieLens small."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from model.evaluate import read_set
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import Interactions
from recommender.data.splits import in_parts, part_by_time, part_per_user
from recommender.evaluate import protocols
from recommender.evaluate.protocols import Source, cut_runs
from recommender.learn import registry
from recommender.learn.base import mask_seen
from recommender.linalg.rows import top_n

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
