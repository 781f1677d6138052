"""Which models of the peers are run, and the values among which validation chooses.

Each model has one grid: the product of its lists. Every combination is fitted on train and judged on val (nDCG@10
over movies that got 4 stars or more; RMSE for predicted ratings), for each data set on its own.
"""

import itertools
from functools import partial
from typing import Any, NamedTuple


class PeerModel(NamedTuple):
    """A model of a library. `strict`: whether it is run in strict time too, which needs one that folds histories in."""

    peer: str
    model: str
    grid: dict[str, list[Any]]
    rates: bool
    strict: bool

    @property
    def label(self) -> str:
        return f"{self.peer} {self.model}"

    def configurations(self) -> list[dict[str, Any]]:
        return [dict(zip(self.grid, values)) for values in itertools.product(*self.grid.values())]


def ranks(peer: str, model: str, strict: bool = True, rates: bool = False, **grid: Any) -> PeerModel:
    return PeerModel(peer, model, grid, rates, strict)


rates = partial(ranks, rates=True)


_LAMBDAS = [50, 100, 200, 400]
_RATING_LAMBDAS = [2000, 4000, 8000, 16000]
_RANKS = [5, 10, 15, 20, 30, 40, 60]
_NEIGHBOURS = [50, 100, 200, 400, 800, 2000]
_FEW = [20, 50, 100, 200, 400]
_BPR = {"k": [64, 128], "learning_rate": [0.01], "lambda_reg": [0.003, 0.01, 0.03], "max_iter": [150, 300]}
_MF = {"k": [20, 100], "learning_rate": [0.01], "lambda_reg": [0.05, 0.1, 0.15], "max_iter": [40, 80]}
_IMPLICIT_BPR = {"learning_rate": [0.01], "regularization": [0.01, 0.05], "iterations": [50, 150]}
_SURPRISE_SVD = {"n_epochs": [20, 40, 80], "lr_all": [0.01], "reg_all": [0.05, 0.1, 0.15]}
_WARP = {"learning_rate": [0.02, 0.05], "epochs": [15, 40, 80]}

MODELS = (
    ranks("implicit", "als", factors=[16, 32, 64, 128, 256], regularization=[5, 10, 20, 40], alpha=[2, 4, 8]),
    ranks("implicit", "knn tf-idf", neighbours=_NEIGHBOURS),
    ranks("implicit", "knn cosine", neighbours=_NEIGHBOURS),
    ranks("implicit", "knn bm25", neighbours=[100, 400, 2000], K1=[1.2, 20, 100], B=[0.2, 0.4, 0.8]),
    ranks("implicit", "bpr", strict=False, factors=[16, 32, 64], **_IMPLICIT_BPR),
    ranks("cornac", "ease ratings", lamb=_RATING_LAMBDAS, posB=[True, False]),
    ranks("cornac", "ease likes", strict=False, lamb=_LAMBDAS, posB=[True, False]),
    ranks("cornac", "bpr", strict=False, **_BPR),
    ranks("rectools", "ease ratings", strict=False, regularization=_RATING_LAMBDAS),
    ranks("rectools", "ease likes", strict=False, regularization=_LAMBDAS),
    ranks("rectools", "pure svd", strict=False, factors=_RANKS),
    ranks("lenskit", "ease likes", regularization=_LAMBDAS),
    ranks("lenskit", "item knn", max_nbrs=_FEW),
    ranks("lenskit", "user knn", max_nbrs=_FEW),
    ranks("lenskit", "implicit mf", embedding_size=[32, 64], regularization=[10, 20, 40], weight=[3, 7], epochs=[15]),
    ranks("lenskit", "slim", l1_reg=[0.3, 1, 3], l2_reg=[10, 30], max_nbrs=[200]),
    rates("lenskit", "biased mf", embedding_size=[5, 20, 50], regularization=[0.1, 0.2, 0.4], epochs=[15]),
    ranks("scikit-learn", "svd likes", rank=_RANKS),
    ranks("scikit-learn", "svd ratings", rank=_RANKS),
    ranks("scikit-learn", "nmf likes", rank=[10, 20, 40], alpha=[0, 0.0005, 0.002]),
    ranks("numpy", "ease ratings", strict=False, regularization=_RATING_LAMBDAS),
    ranks("numpy", "ease likes", strict=False, regularization=_LAMBDAS),
    ranks("lightfm", "warp", strict=False, no_components=[64, 128], alpha=[0], **_WARP),
    rates("surprise", "svd", n_factors=[20, 100], **_SURPRISE_SVD),
    rates("surprise", "svd++", n_factors=[20], n_epochs=[20], lr_all=[0.007], reg_all=[0.05]),
    rates("surprise", "baseline", reg_u=[2, 5, 10, 15], reg_i=[2, 5, 10], n_epochs=[15]),
    rates("surprise", "knn baseline", k=[20, 40, 80], shrinkage=[50, 100, 200]),
    rates("cornac", "mf", **_MF),
)
