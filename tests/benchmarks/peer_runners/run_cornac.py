"""cornac: EASE on rating values (or on likes), BPR; MF for predicted ratings."""

import common
import numpy as np
from cornac.data import Dataset
from cornac.models import BPR, EASE, MF


def dataset(ratings: common.Ratings) -> Dataset:
    """Return the ratings under our own rows: the maps from raw to inner ids are the identity."""
    n_users = len(ratings.indptr) - 1
    users, movies = (dict(zip(range(n), range(n))) for n in (n_users, ratings.n_movies))
    columns = ratings.users().astype(np.int64), ratings.movies.astype(np.int64), ratings.values.astype(np.float64)
    return Dataset(n_users, ratings.n_movies, users, movies, columns, seed=0)


def ease(stage: common.Stage, values: str, lamb: float, posB: bool) -> np.ndarray:
    train, history = common.matrices(stage, values)
    model = EASE(lamb=lamb, posB=posB, verbose=False, seed=0).fit(dataset(train))
    return history.csr()[stage.people] @ model.B


def bpr(stage: common.Stage, **settings: float) -> np.ndarray:
    """A person's vector is the one learnt in training: no fold-in, so no strict time."""
    model = BPR(**settings, num_threads=1, seed=0, verbose=False).fit(dataset(stage.train.likes()))
    return np.array([model.score(int(user)) for user in stage.people])


def mf(stage: common.Stage, **settings: float) -> np.ndarray:
    """Return expected ratings; where a user or a movie is new, cornac's own fallback."""
    model = MF(**settings, use_bias=True, num_threads=1, seed=0, verbose=False).fit(dataset(stage.train))
    pairs = zip(stage.pair_users.tolist(), stage.pair_movies.tolist())
    return np.array([model.rate(*pair) for pair in pairs])


if __name__ == "__main__":
    common.main({**common.both(ease, "ease"), "bpr": bpr}, {"mf": mf})
