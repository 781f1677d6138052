"""The models of other libraries, each run in an environment of its own: read a job, fit, rank, write what came of it.

    <python of the peer's environment> peer_models.py FOLDER

FOLDER holds `job.json` and `stage-S.npz` (see peer_runs.py). For stage S, `result-S.npz` gets `lists` (n_people, n) of
movie rows, or `ratings` (n_pairs,); the last line of stderr says why a peer failed. A model takes a stage and settings;
it returns scores (n_people, n_movies) or ratings (n_pairs,). Only the libraries of one peer can be imported at a time.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Ratings(NamedTuple):
    """Compressed rows: user u rated `movies[indptr[u]:indptr[u + 1]]`."""

    indptr: np.ndarray
    movies: np.ndarray
    values: np.ndarray
    n_movies: int

    def users(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def likes(self) -> Ratings:
        """Return the ratings of 4 stars or more, each as 1."""
        keep = self.values >= 4
        before = np.concatenate(([0], np.cumsum(keep)))
        return Ratings(before[self.indptr], self.movies[keep], np.ones(keep.sum(), self.values.dtype), self.n_movies)

    def csr(self) -> Any:
        from scipy import sparse

        shape = (len(self.indptr) - 1, self.n_movies)
        matrix = sparse.csr_matrix((self.values, self.movies, self.indptr.astype(np.int32)), shape=shape)
        matrix.sort_indices()
        return matrix

    def dense(self) -> np.ndarray:
        matrix = np.zeros((len(self.indptr) - 1, self.n_movies), dtype=np.float64)
        matrix[self.users(), self.movies] = self.values
        return matrix

    def frame(self, **columns: Any) -> Any:
        import pandas as pd

        named = {"user_id": self.users(), "item_id": self.movies.astype(np.int64)}
        return pd.DataFrame({**named, "rating": self.values.astype(np.float64), **columns})


class Stage(NamedTuple):
    """Fit on `train`; rank for rows `people` of `history`; or predict the ratings of (pair_users, pair_movies)."""

    train: Ratings
    history: Ratings
    people: np.ndarray
    pair_users: np.ndarray
    pair_movies: np.ndarray


def numpy_ease(stage: Stage, regularization: float) -> np.ndarray:
    """What anybody can write from the paper, without a library."""
    X = stage.train.likes().dense()
    P = np.linalg.inv(X.T @ X + regularization * np.eye(stage.train.n_movies))
    B = P / -np.diag(P)
    np.fill_diagonal(B, 0)
    return stage.history.likes().dense()[stage.people] @ B


def implicit_als(stage: Stage, **settings: float) -> np.ndarray:
    """`alpha` here is the whole confidence of a like (an unobserved cell has 1)."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(**settings, iterations=15, num_threads=1, random_state=0, use_gpu=False)
    model.fit(stage.train.likes().csr(), show_progress=False)
    people = stage.history.likes().csr()[stage.people]
    return model.recalculate_user(np.arange(len(stage.people)), people) @ model.item_factors.T


def sklearn_svd(stage: Stage, rank: int) -> np.ndarray:
    from sklearn.decomposition import TruncatedSVD

    model = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(stage.train.likes().csr().astype(np.float64))
    return model.transform(stage.history.likes().csr()[stage.people]) @ model.components_


def cornac_data(ratings: Ratings) -> Any:
    """Return the ratings under our own rows: the maps from raw to inner ids are the identity."""
    from cornac.data import Dataset

    n_users = len(ratings.indptr) - 1
    users, movies = (dict(zip(range(n), range(n))) for n in (n_users, ratings.n_movies))
    columns = ratings.users().astype(np.int64), ratings.movies.astype(np.int64), ratings.values.astype(np.float64)
    return Dataset(n_users, ratings.n_movies, users, movies, columns, seed=0)


def cornac_ease(stage: Stage, lamb: float, posB: bool, likes: bool = False) -> np.ndarray:
    from cornac.models import EASE

    train, history = (data.likes() if likes else data for data in (stage.train, stage.history))
    model = EASE(lamb=lamb, posB=posB, verbose=False, seed=0).fit(cornac_data(train))
    return history.csr()[stage.people] @ model.B


def cornac_mf(stage: Stage, **settings: float) -> np.ndarray:
    """Return expected ratings; where a user or a movie is new, cornac's own fallback."""
    from cornac.models import MF

    model = MF(**settings, use_bias=True, num_threads=1, seed=0, verbose=False).fit(cornac_data(stage.train))
    return np.array([model.rate(*pair) for pair in zip(stage.pair_users.tolist(), stage.pair_movies.tolist())])


def rectools_data(ratings: Ratings) -> Any:
    import pandas as pd
    from rectools.dataset import Dataset, IdMap, Interactions

    frame = ratings.frame(datetime=pd.Timestamp(0)).rename(columns={"rating": "weight"})
    users, movies = (IdMap(np.arange(n)) for n in (len(ratings.indptr) - 1, ratings.n_movies))
    return Dataset(users, movies, Interactions(frame))


def rectools_ease(stage: Stage, regularization: float) -> np.ndarray:
    from rectools.models import EASEModel

    model = EASEModel(regularization=regularization, recommend_n_threads=1)
    model.fit(rectools_data(stage.train.likes()))
    return stage.history.likes().csr()[stage.people] @ model.weight


def rectools_svd(stage: Stage, factors: int) -> np.ndarray:
    """Return the scores of the whole ranking that RecTools gives; nan for what it leaves out."""
    from rectools.models import PureSVDModel

    model = PureSVDModel(factors=factors, recommend_n_threads=1)  # a seed makes it fail with SciPy 1.17
    data, n = rectools_data(stage.train.likes()), stage.train.n_movies
    model.fit(data)
    table = model.recommend(stage.people, data, k=n, filter_viewed=False, on_unsupported_targets="ignore")
    scores = np.full((len(stage.people), n), np.nan)
    scores[np.searchsorted(stage.people, table["user_id"].to_numpy()), table["item_id"]] = table["score"].to_numpy()
    return scores


def lenskit(module: str, scorer: str, stage: Stage, **settings: Any) -> np.ndarray:
    import importlib

    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.training import TrainingOptions

    model = getattr(importlib.import_module(module), scorer)(**settings)
    train, history, movies = stage.train.likes(), stage.history.likes(), np.arange(stage.train.n_movies)
    data = from_interactions_df(train.frame(), users=np.arange(len(train.indptr) - 1), items=movies)
    model.train(data, TrainingOptions(rng=0))
    scores = []
    for user in stage.people.tolist():  # LensKit folds in what is known of each
        known = slice(history.indptr[user], history.indptr[user + 1])
        items = ItemList(item_ids=history.movies[known].astype(np.int64), rating=history.values[known].astype(float))
        scores.append(model(RecQuery(user_id=user, user_items=items), ItemList(item_ids=movies)).scores())
    return np.array(scores)


def surprise_svd(stage: Stage, **settings: float) -> np.ndarray:
    """Biased matrix factorisation by SGD; raw and inner ids are our own rows."""
    import surprise
    from surprise.trainset import Trainset

    train, n_users = stage.train, len(stage.train.indptr) - 1
    users, movies = ({row: row for row in range(n)} for n in (n_users, train.n_movies))
    by_user, by_movie = ({row: [] for row in rows} for rows in (users, movies))
    for user, movie, value in zip(train.users().tolist(), train.movies.tolist(), train.values.tolist()):
        by_user[user].append((movie, value))
        by_movie[movie].append((user, value))
    data = Trainset(by_user, by_movie, n_users, train.n_movies, len(train.movies), (0.5, 5), users, movies)
    model = surprise.SVD(random_state=0, **settings).fit(data)
    return np.array([model.predict(*pair).est for pair in zip(stage.pair_users.tolist(), stage.pair_movies.tolist())])


MODELS: dict[str, Any] = {
    "numpy ease likes": numpy_ease,
    "implicit als": implicit_als,
    "scikit-learn svd likes": sklearn_svd,
    "cornac ease ratings": cornac_ease,
    "cornac ease likes": lambda stage, **settings: cornac_ease(stage, **settings, likes=True),
    "cornac mf": cornac_mf,
    "rectools ease likes": rectools_ease,
    "rectools pure svd": rectools_svd,
    "lenskit ease likes": lambda stage, **settings: lenskit("lenskit.knn", "EASEScorer", stage, **settings),
    "lenskit slim": lambda stage, **settings: lenskit("lenskit.knn", "SLIMScorer", stage, **settings),
    "surprise svd": surprise_svd,
}


def top_unseen(scores: np.ndarray, stage: Stage, n: int) -> np.ndarray:
    """Return the n best movies that each person has not rated, (n_people, n) int32, equal scores by ascending row."""
    scores = np.where(np.isnan(scores), np.finfo(scores.dtype).min, scores)
    for line, row in enumerate(stage.people):
        scores[line, stage.history.movies[stage.history.indptr[row] : stage.history.indptr[row + 1]]] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.where(np.isneginf(np.take_along_axis(scores, best, axis=1)), -1, best).astype(np.int32)


def main(folder: Path) -> None:
    """Run the job of a folder."""
    warnings.simplefilter("ignore")
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    for s in range(job["n_stages"]):
        file = np.load(folder / f"stage-{s}.npz")
        kinds, n = ("indptr", "movies", "ratings"), int(file["n_movies"])
        train, history = (Ratings(*(file[f"{of}_{kind}"] for kind in kinds), n) for of in ("train", "history"))
        stage = Stage(train, history, file["people"], file["pair_users"], file["pair_movies"])
        result = np.asarray(MODELS[job["model"]](stage, **job["settings"]), dtype=np.float64)
        rates = result.ndim == 1
        found = {"ratings": result.astype(np.float32)} if rates else {"lists": top_unseen(result, stage, job["n"])}
        np.savez(folder / f"result-{s}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
