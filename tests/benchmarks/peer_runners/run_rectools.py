"""RecTools: its EASE and PureSVD. It ranks who is in the data set that it was fitted on alone."""

import common
import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from rectools.models import EASEModel, PureSVDModel


def dataset(ratings: common.Ratings) -> Dataset:
    """Return the ratings under our own rows: raw and inner ids are one."""
    frame = pd.DataFrame({Columns.User: ratings.users(), Columns.Item: ratings.movies.astype(np.int64)})
    frame = frame.assign(**{Columns.Weight: ratings.values.astype(np.float64), Columns.Datetime: pd.Timestamp(0)})
    users, movies = (IdMap(np.arange(n)) for n in (len(ratings.indptr) - 1, ratings.n_movies))
    return Dataset(users, movies, Interactions(frame))


def ease(stage: common.Stage, values: str, regularization: float) -> np.ndarray:
    train, history = common.matrices(stage, values)
    model = EASEModel(regularization=regularization, recommend_n_threads=1)
    model.fit(dataset(train))
    return history.csr()[stage.people] @ model.weight


def pure_svd(stage: common.Stage, factors: int) -> np.ndarray:
    """Return the scores of the whole ranking that RecTools gives; nan for what it leaves out."""
    model = PureSVDModel(factors=factors, recommend_n_threads=1)  # a seed makes it fail with SciPy 1.17
    data, n = dataset(stage.train.likes()), stage.train.n_movies
    model.fit(data)
    table = model.recommend(stage.people, data, k=n, filter_viewed=False, on_unsupported_targets="ignore")
    scores = np.full((len(stage.people), n), np.nan)
    lines = np.searchsorted(stage.people, table[Columns.User].to_numpy())
    scores[lines, table[Columns.Item].to_numpy()] = table[Columns.Score].to_numpy()
    return scores


if __name__ == "__main__":
    common.main({**common.both(ease, "ease"), "pure svd": pure_svd}, {})
