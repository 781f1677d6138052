"""implicit (https://github.com/benfred/implicit): ALS, item kNN, BPR; on likes. People are folded in from `history`."""

from __future__ import annotations

import common
import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender


def als(stage: common.Stage, factors: int, regularization: float, alpha: float, iterations: int = 15) -> np.ndarray:
    """`alpha` here is the whole confidence of a like (an unobserved cell has 1)."""
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        iterations=iterations,
        num_threads=1,
        random_state=0,
        use_gpu=False,
    )
    model.fit(stage.train.likes().csr(), show_progress=False)
    people = stage.history.likes().csr()[stage.people]
    users = model.recalculate_user(np.arange(len(stage.people)), people)
    return users @ model.item_factors.T


def knn(kind: type) -> common.Model:
    def scores(stage: common.Stage, neighbours: int, **settings: float) -> np.ndarray:
        model = kind(K=neighbours, num_threads=1, **settings)
        model.fit(stage.train.likes().csr(), show_progress=False)
        return (stage.history.likes().csr()[stage.people] @ model.similarity).toarray()

    return scores


def bpr(stage: common.Stage, factors: int, learning_rate: float, regularization: float, iterations: int) -> np.ndarray:
    """A person's vector is the one learnt in training: no fold-in, so no strict time."""
    model = BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        num_threads=1,
        random_state=0,
        use_gpu=False,
    )
    model.fit(stage.train.likes().csr(), show_progress=False)
    return model.user_factors[stage.people] @ model.item_factors.T


if __name__ == "__main__":
    rankers = {
        "als": als,
        "knn tf-idf": knn(TFIDFRecommender),
        "knn cosine": knn(CosineRecommender),
        "knn bm25": knn(BM25Recommender),
        "bpr": bpr,
    }
    common.main(rankers, {})
