"""LensKit: EASE, item and user kNN, implicit MF and SLIM on likes; biased MF for predicted ratings."""

import logging

import common
import numpy as np
import pandas as pd
import structlog
from lenskit.als import BiasedMFScorer, ImplicitMFScorer
from lenskit.data import ItemList, RecQuery, from_interactions_df
from lenskit.knn import EASEScorer, ItemKNNScorer, SLIMScorer, UserKNNScorer
from lenskit.training import TrainingOptions


def train(model: object, ratings: common.Ratings) -> None:
    frame = pd.DataFrame({"user_id": ratings.users(), "item_id": ratings.movies.astype(np.int64)})
    frame["rating"] = ratings.values.astype(np.float64)
    movies = np.arange(ratings.n_movies)
    data = from_interactions_df(frame, users=np.arange(len(ratings.indptr) - 1), items=movies)
    model.train(data, TrainingOptions(rng=0))


def query(history: common.Ratings, user: int) -> RecQuery:
    """Return what is known of `user`; LensKit folds it in (and user kNN leaves the person's own row out)."""
    known = slice(history.indptr[user], history.indptr[user + 1])
    items = ItemList(item_ids=history.movies[known].astype(np.int64), rating=history.values[known].astype(np.float64))
    return RecQuery(user_id=user, user_items=items)


def on_likes(kind: type, **fixed: object) -> common.Model:
    def rank(stage: common.Stage, **settings: object) -> np.ndarray:
        model = kind(**fixed, **settings)
        train(model, stage.train.likes())
        history, movies = stage.history.likes(), ItemList(item_ids=np.arange(stage.train.n_movies))
        return np.array([model(query(history, user), movies).scores() for user in stage.people.tolist()])

    return rank


def biased_mf(stage: common.Stage, **settings: float) -> np.ndarray:
    model = BiasedMFScorer(**settings)
    train(model, stage.train)
    ratings = np.empty(len(stage.pair_users))
    for user in np.unique(stage.pair_users).tolist():
        pairs = np.flatnonzero(stage.pair_users == user)
        items = ItemList(item_ids=stage.pair_movies[pairs].astype(np.int64))
        ratings[pairs] = model(query(stage.history, user), items).scores()
    return np.where(np.isnan(ratings), stage.train.values.mean(), ratings)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    plain = {"ease likes": EASEScorer, "implicit mf": ImplicitMFScorer, "slim": SLIMScorer}
    rankers = {name: on_likes(kind) for name, kind in plain.items()}
    rankers["item knn"] = on_likes(ItemKNNScorer, feedback="implicit")
    rankers["user knn"] = on_likes(UserKNNScorer, feedback="implicit")
    common.main(rankers, {"biased mf": biased_mf})
