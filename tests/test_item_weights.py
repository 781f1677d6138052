"""Linear models of many movies: the largest weights of each row, the most rated movies, a sample of users."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from recommender.learn.base import Ranker
from recommender.learn.directed_ease import DirectedEase
from recommender.learn.ease import Ease, most_rated, of_movies
from recommender.learn.stacker import SCORES, Stacker
from tests.tiny import all_scores, random_ratings

N_USERS, N_MOVIES = 80, 30
USERS = np.arange(N_USERS)


@pytest.mark.parametrize("kind", [Ease, DirectedEase])
def test_the_largest_weights_of_each_row_are_kept_and_their_share_is_said(kind: type) -> None:
    data = random_ratings(3, N_USERS, N_MOVIES)
    whole, all_kept, some = kind().fit(data), kind(), kind()
    all_kept.kept, some.kept = N_MOVIES + 5, 7
    np.testing.assert_allclose(all_kept.fit(data).score(data, USERS), whole.score(data, USERS), rtol=1e-5, atol=1e-5)
    assert all_kept.share_kept == pytest.approx(1)
    B = whole.item_weights_
    smallest = np.sort(np.abs(B), axis=1)[:, [-7]]
    cut = np.where(np.abs(B) >= smallest, B, 0)
    exact = kind()
    exact.movie_ids, exact.item_weights_ = data.movie_ids, cut
    np.testing.assert_allclose(some.fit(data).score(data, USERS), exact.score(data, USERS), rtol=1e-5, atol=1e-5)
    assert some.share_kept == pytest.approx((cut**2).sum() / (B**2).sum(), rel=1e-4)
    assert some.item_weights_.shape == some.item_columns_.shape == (N_MOVIES, 7)


def test_of_many_movies_the_most_rated_have_weights_as_if_there_were_no_others() -> None:
    data = random_ratings(3, N_USERS, N_MOVIES)
    rows = most_rated(data, 12)
    counts = data.movie_counts()
    assert len(rows) == 12
    assert counts[rows].min() >= np.delete(counts, rows).max()
    part = of_movies(data, rows)
    assert part.movie_ids.tolist() == data.movie_ids[rows].tolist()
    assert part.n_ratings == counts[rows].sum()
    model, alone = Ease(), Ease().fit(part)
    model.kept, model.most = N_MOVIES, 12
    scores = model.fit(data).score(data, USERS)
    np.testing.assert_allclose(scores[:, rows], alone.score(part, USERS), rtol=1e-5, atol=1e-5)
    assert not np.delete(scores, rows, axis=1).any()


def test_a_stacker_of_many_movies_says_what_it_left_out_and_ials_ranks_the_rest(tmp_path: Path) -> None:
    data = random_ratings(3, N_USERS, N_MOVIES)
    few = {"networks": 1, "epochs": 2, "candidates": 8}
    assert Stacker(**few).fit(data).notes() == []
    model = Stacker(**few, movies=12, weights=5, people=40).fit(data)
    sparse, covered = model.notes()
    assert "largest 5 " in sparse
    assert "12 most rated" in covered
    assert "other 18" in covered
    rest = np.setdiff1d(np.arange(N_MOVIES), most_rated(data, 12))
    scores = all_scores(model, data, USERS[:4], np.full(4, 2_000_000_000))
    ials = SCORES.index("ials")
    np.testing.assert_array_equal(scores[:, rest, :ials], np.repeat(scores[:, rest, ials, None], ials, axis=2))
    model.save(tmp_path)
    again = Stacker.load(tmp_path)
    np.testing.assert_array_equal(again.score(data, USERS), model.score(data, USERS))


def test_a_part_is_not_fitted_again_on_what_its_ridge_was_chosen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    data, fits, fit = random_ratings(3, N_USERS, N_MOVIES), Counter[str](), Ranker.fit
    monkeypatch.setattr(Ranker, "fit", lambda model, train: fits.update([model.name]) or fit(model, train))
    model, steps = Stacker(networks=1, epochs=1), []
    model.progress = lambda done, total, what: steps.append((done, total))
    model.fit(data)
    assert (fits["ease"], fits["ials"], fits["directed_ease"], fits["content"]) == (4, 4, 6, 3)
    assert steps[-2][0] == steps[-2][1] - 1  # every step is counted
