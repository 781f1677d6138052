"""Movies never rated: the folds, that nothing leaks, that structure is found, that figures are what they say."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

from model import evaluate
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.data.interactions import Interactions
from recommender.evaluate import held_out_movies, run
from recommender.evaluate.held_out_movies import BASELINES, PopularityByGenre
from recommender.evaluate.protocols import Source
from recommender.evaluate.run import Spec
from recommender.learn import base
from recommender.learn.base import Ranker

from .tiny import fixed, planted_tastes, rank

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
    catalog = source.catalog and held_out_movies.without_counts(source.catalog, case)
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
    for n, rating, message in ((9, 5, "9 movies are too few"), (20, 1, "no user likes any of the 2 movies")):
        data = Interactions.from_columns([1] * n, np.arange(n), [rating] * n, np.arange(n))
        with pytest.raises(ChoiceError, match=message):
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
