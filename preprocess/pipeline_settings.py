"""The thresholds of the preprocessing: what `config/pipeline.yaml` may hold, and what each value means."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.data.errors import SettingsError
from recommender.data.settings import setting
from recommender.data.weighting import HALF_LIFE_DAYS, POPULARITY_POWER

FILTER = ("min_user_ratings", "min_movie_ratings", "iterative", "movies_first")
SPLIT = ("split", "train_fraction", "val_fraction", "test_fraction", "min_split_ratings")
TRANSFORM = ("popularity_power", "half_life_days")
METADATA = ("min_tag_users", "max_tags")
STEPS = {"filter": FILTER, "split": SPLIT, "transform": TRANSFORM, "metadata": METADATA}

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class PipelineSettings:
    """Settings of the four steps; `STEPS` says which step uses which."""

    min_user_ratings: int = setting(20, "a user stays with at least this many ratings", 0)
    min_movie_ratings: int = setting(50, "a movie stays with at least this many ratings", 0)
    iterative: bool = setting(False, "repeat both filters until nothing more falls out")
    movies_first: bool = setting(False, "filter movies before users")
    split: str = setting("per-user", "how the ratings are divided", choices=("per-user", "global-time"))
    train_fraction: float = setting(0.70, "share of the ratings to learn from", 0.01, 0.98)
    val_fraction: float = setting(0.15, "share of the ratings to tune on", 0.01, 0.98)
    test_fraction: float = setting(0.15, "share of the ratings to test on", 0.01, 0.98)
    min_split_ratings: int = setting(3, "per-user split: a user with fewer ratings is in no part", 3)
    popularity_power: float = setting(POPULARITY_POWER, "pop_weight = 1 / count ** this", 0, 10)
    half_life_days: float = setting(HALF_LIFE_DAYS, "time_weight halves for every so many days", 0.001)
    min_tag_users: int = setting(2, "a tag counts when at least this many people gave it to a movie", 1)
    max_tags: int = setting(10, "at most so many tags as the keywords of a movie that has none", 0)

    def __post_init__(self) -> None:
        total = self.train_fraction + self.val_fraction + self.test_fraction
        if abs(total - 1) > _SUM_TOLERANCE:
            parts = f"{self.train_fraction:g} + {self.val_fraction:g} + {self.test_fraction:g}"
            raise SettingsError(
                f"train_fraction, val_fraction and test_fraction: {parts} is {total:g}: make them add up to 1"
            )

    def of_step(self, step: str) -> dict[str, object]:
        """Return the settings that `step` uses, to be stored beside what it wrote."""
        return {name: getattr(self, name) for name in STEPS[step]}
