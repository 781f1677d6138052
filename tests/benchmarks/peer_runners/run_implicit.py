"""implicit (https://github.com/benfred/implicit): ALS, item kNN, BPR; on likes. People are folded in from `history`."""

import common
import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

FIXED = {"num_threads": 1, "random_state": 0, "use_gpu": False}


def als(stage: common.Stage, **settings: float) -> np.ndarray:
    """`alpha` here is the whole confidence of a like (an unobserved cell has 1)."""
    model = AlternatingLeastSquares(**settings, iterations=15, **FIXED)
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


def bpr(stage: common.Stage, **settings: float) -> np.ndarray:
    """A person's vector is the one learnt in training: no fold-in, so no strict time."""
    model = BayesianPersonalizedRanking(**settings, **FIXED)
    model.fit(stage.train.likes().csr(), show_progress=False)
    return model.user_factors[stage.people] @ model.item_factors.T


if __name__ == "__main__":
    kinds = {"tf-idf": TFIDFRecommender, "cosine": CosineRecommender, "bm25": BM25Recommender}
    rankers = {f"knn {name}": knn(kind) for name, kind in kinds.items()}
    common.main({"als": als, "bpr": bpr, **rankers}, {})
