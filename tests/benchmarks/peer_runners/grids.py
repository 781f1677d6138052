"""Which models of the peers are run, and the values among which validation chooses.

Each model has one grid: the product of its lists. Every combination is fitted on train and judged on val (nDCG@10
over movies that got 4 stars or more; RMSE for predicted ratings), for each data set on its own. The lists were made
long enough for a minute or two of work a model; `python tests/benchmarks/peers.py --tune` says where the winner is
at the end of its list.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple


class PeerModel(NamedTuple):
    """A model of a library.

    `strict`: whether it is run in strict time too. That needs a model which can rank for a history that it was not
    fitted on; and of several closed forms with the same answer, one is fitted twenty times.
    """

    peer: str
    model: str
    grid: dict[str, list[Any]]
    rates: bool = False
    strict: bool = True
    note: str = ""

    @property
    def label(self) -> str:
        return f"{self.peer} {self.model}{self.note}"

    def configurations(self) -> list[dict[str, Any]]:
        """Return every combination of the grid."""
        return [dict(zip(self.grid, values)) for values in itertools.product(*self.grid.values())]


_LAMBDAS = [50, 100, 200, 400]
_RATING_LAMBDAS = [2000, 4000, 8000, 16000]
_RANKS = [5, 10, 15, 20, 30, 40, 60]

MODELS = (
    PeerModel(
        "implicit",
        "als",
        {"factors": [16, 32, 64, 128, 256], "regularization": [5, 10, 20, 40], "alpha": [2, 4, 8]},
    ),
    PeerModel("implicit", "knn tf-idf", {"neighbours": [50, 100, 200, 400, 800, 2000]}),
    PeerModel("implicit", "knn cosine", {"neighbours": [50, 100, 200, 400, 800, 2000]}),
    PeerModel("implicit", "knn bm25", {"neighbours": [100, 400, 2000], "K1": [1.2, 20, 100], "B": [0.2, 0.4, 0.8]}),
    PeerModel(
        "implicit",
        "bpr",
        {
            "factors": [16, 32, 64],
            "learning_rate": [0.01],
            "regularization": [0.01, 0.05],
            "iterations": [50, 150],
        },
        strict=False,
    ),
    PeerModel("cornac", "ease ratings", {"lamb": _RATING_LAMBDAS, "posB": [True, False]}),
    PeerModel("cornac", "ease ratings", {"lamb": [500], "posB": [True]}, strict=False, note=", its defaults"),
    PeerModel("cornac", "ease likes", {"lamb": _LAMBDAS, "posB": [True, False]}, strict=False),
    PeerModel(
        "cornac",
        "bpr",
        {
            "k": [64, 128],
            "learning_rate": [0.01],
            "lambda_reg": [0.003, 0.01, 0.03],
            "max_iter": [150, 300],
        },
        strict=False,
    ),
    PeerModel("rectools", "ease ratings", {"regularization": _RATING_LAMBDAS}, strict=False),
    PeerModel("rectools", "ease likes", {"regularization": _LAMBDAS}, strict=False),
    PeerModel("rectools", "pure svd", {"factors": _RANKS}, strict=False),
    PeerModel("rectools", "popularity", {}, strict=False),
    PeerModel("lenskit", "ease likes", {"regularization": _LAMBDAS}),
    PeerModel("lenskit", "item knn", {"max_nbrs": [20, 50, 100, 200, 400]}),
    PeerModel("lenskit", "user knn", {"max_nbrs": [20, 50, 100, 200, 400]}),
    PeerModel(
        "lenskit",
        "implicit mf",
        {"embedding_size": [32, 64], "regularization": [10, 20, 40], "weight": [3, 7], "epochs": [15]},
    ),
    PeerModel("lenskit", "slim", {"l1_reg": [0.3, 1, 3], "l2_reg": [10, 30], "max_nbrs": [200]}),
    PeerModel(
        "lenskit",
        "biased mf",
        {"embedding_size": [5, 20, 50], "regularization": [0.1, 0.2, 0.4], "epochs": [15]},
        rates=True,
    ),
    PeerModel("scikit-learn", "svd likes", {"rank": _RANKS}),
    PeerModel("scikit-learn", "svd ratings", {"rank": _RANKS}),
    PeerModel("scikit-learn", "nmf likes", {"rank": [10, 20, 40], "alpha": [0, 0.0005, 0.002]}),
    PeerModel("numpy", "ease ratings", {"regularization": _RATING_LAMBDAS}, strict=False),
    PeerModel("numpy", "ease likes", {"regularization": _LAMBDAS}, strict=False),
    PeerModel(
        "lightfm",
        "warp",
        {"no_components": [64, 128], "learning_rate": [0.02, 0.05], "alpha": [0], "epochs": [15, 40, 80]},
        strict=False,
    ),
    PeerModel(
        "surprise",
        "svd",
        {"n_factors": [20, 100], "n_epochs": [20, 40, 80], "lr_all": [0.01], "reg_all": [0.05, 0.1, 0.15]},
        rates=True,
    ),
    PeerModel(
        "surprise",
        "svd++",
        {"n_factors": [20], "n_epochs": [20], "lr_all": [0.007], "reg_all": [0.05]},
        rates=True,
    ),
    PeerModel("surprise", "baseline", {"reg_u": [2, 5, 10, 15], "reg_i": [2, 5, 10], "n_epochs": [15]}, rates=True),
    PeerModel("surprise", "knn baseline", {"k": [20, 40, 80], "shrinkage": [50, 100, 200]}, rates=True),
    PeerModel(
        "cornac",
        "mf",
        {"k": [20, 100], "learning_rate": [0.01], "lambda_reg": [0.05, 0.1, 0.15], "max_iter": [40, 80]},
        rates=True,
    ),
)
