"""The settings of the two-tower network, and the recipe as one set of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...data.settings import setting
from .losses import LOSSES

LAYERS = ("none", "linear", "relu")
FEATURES = ("none", "genres", "metadata")

# Requirements' recipe: tables of users and movies, a ReLU layer on each, the rating as the target.
RECIPE: dict[str, Any] = {
    "objective": "mse",
    "user_input": "id",
    "user_layer": "relu",
    "movie_layer": "relu",
    "factors": 64,
    "movie_bias": False,
    "side_features": "none",
    "drop_ids": 0.0,
    "rate": 1e-3,
    "rate_falls": False,
    "batch": 1024,
    "epochs": 10,
    "l2": 0.0,
}


@dataclass(frozen=True)
class TwoTowerSettings:
    """The settings of `TwoTower`; defaults chosen on the validation part of ml-latest-small."""

    objective: str = setting("softmax", "pick the liked movie, or predict the rating", choices=tuple(LOSSES))
    user_input: str = setting("history", "what the user tower reads", choices=("history", "id"))
    user_layer: str = setting("none", "last layer of the user tower; relu twice: no product below 0", choices=LAYERS)
    movie_layer: str = setting("none", "last layer of the movie tower", choices=LAYERS)
    factors: int = setting(64, "length of the vectors", 1, 100_000)
    movie_bias: bool = setting(True, "whether a movie's popularity is learned beside its vector")
    side_features: str = setting("genres", "what else the movie tower reads", choices=FEATURES)
    drop_ids: float = setting(0.1, "share of movies whose own vector is omitted in a step", 0, 1)
    short_span: float = setting(5.0, "ratings after which the recent sum has decayed to 1/e; 0 = no such sum", 0)
    long_span: float = setting(1000.0, "the same for the lasting sum", 0)
    longest_history: int = setting(100, "ratings that are read at most", 1, 1_000_000)
    middling_weight: float = setting(0.3, "weight of a rating of 3 or 3.5 in the history, a like being 1", 0, 1000)
    poor_weight: float = setting(0.1, "weight of a rating below 3", 0, 1000)
    ahead: float = setting(3.0, "mean number of ratings between the end of the history and the answer", 0)
    anywhere: float = setting(0.3, "share of examples whose history ends anywhere before instead", 0, 1)
    batch: int = setting(512, "examples a step", 1)
    epochs: int = setting(15, "passes over all examples", 1)
    rate: float = setting(3e-3, "step size of Adam", 1e-9)
    rate_falls: bool = setting(True, "whether the step size falls to 0 over the epochs")
    l2: float = setting(1e-4, "l2 times the weight is added to the gradient of each row touched", 0)
    scale: float = setting(0.05, "standard deviation of the first vectors", 1e-9)
    seed: int = setting(0, "seed of everything drawn", 0)
