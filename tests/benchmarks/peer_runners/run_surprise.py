"""scikit-surprise: predicted ratings (SVD is biased matrix factorisation by SGD; baselines; kNN over baselines)."""

import common
import numpy as np
import surprise
from surprise.trainset import Trainset


def trainset(ratings: common.Ratings) -> Trainset:
    """Return the ratings under our own rows, so that raw and inner ids are one."""
    n_users = len(ratings.indptr) - 1
    users, movies = ({row: row for row in range(n)} for n in (n_users, ratings.n_movies))
    by_user, by_movie = ({row: [] for row in rows} for rows in (users, movies))
    for user, movie, value in zip(ratings.users().tolist(), ratings.movies.tolist(), ratings.values.tolist()):
        by_user[user].append((movie, value))
        by_movie[movie].append((user, value))
    return Trainset(by_user, by_movie, n_users, ratings.n_movies, len(ratings.movies), (0.5, 5), users, movies)


def predict(model: surprise.AlgoBase, stage: common.Stage) -> np.ndarray:
    model.fit(trainset(stage.train))
    pairs = zip(stage.pair_users.tolist(), stage.pair_movies.tolist())
    return np.array([model.predict(user, movie).est for user, movie in pairs])


def svd(kind: type[surprise.AlgoBase]) -> common.Model:
    return lambda stage, **settings: predict(kind(random_state=0, **settings), stage)


def baseline(stage: common.Stage, **settings: float) -> np.ndarray:
    return predict(surprise.BaselineOnly(bsl_options={"method": "als", **settings}, verbose=False), stage)


def knn_baseline(stage: common.Stage, k: int, shrinkage: int) -> np.ndarray:
    options = {"name": "pearson_baseline", "user_based": False, "shrinkage": shrinkage}
    return predict(surprise.KNNBaseline(k=k, sim_options=options, verbose=False), stage)


if __name__ == "__main__":
    raters = {"svd": svd(surprise.SVD), "svd++": svd(surprise.SVDpp)}
    common.main({}, {**raters, "baseline": baseline, "knn baseline": knn_baseline})
