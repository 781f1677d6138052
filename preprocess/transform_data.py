"""Step 3: the `weighted` signal of every rating (formulas in `recommender/data/weighting.py`).

All that is learned, user means, movie counts and the newest time, comes from train alone; val and test are only
looked up in it. A user without train ratings gets the mean of all train ratings.

    python -m preprocess.transform_data
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from preprocess import program as common
from preprocess.pipeline_settings import TRANSFORM, PipelineSettings
from preprocess.split_data import Parts
from recommender import cli
from recommender.data import weighting
from recommender.data.files import dump_json
from recommender.data.interactions import Interactions
from recommender.data.splits import PARTS, load_split
from recommender.data.weighting import TIER_NAMES, popularity_tiers


class Fitted(NamedTuple):
    """What the transform learned from train: per user, per movie row, and the newest time in seconds."""

    means: np.ndarray
    overall_mean: float
    counts: np.ndarray
    movie_weights: np.ndarray
    newest: int


def fit(train: Interactions, settings: PipelineSettings) -> Fitted:
    """Learn the transform from train."""
    means, overall = weighting.user_means(train)
    counts = train.movie_counts()
    movie_weights = weighting.pop_weight(counts, settings.popularity_power)
    return Fitted(means, overall, counts, movie_weights, int(train.times.max()))


def report(fitted: Fitted, train: Interactions) -> list[str]:
    """Return what people read about the step."""
    tiers = popularity_tiers(fitted.counts)
    lines = [
        f"mean of the train ratings {fitted.overall_mean:.3f}; newest {_date(fitted.newest)}; "
        f"{int((fitted.counts == 0).sum()):,} movies without a train rating"
    ]
    for tier, name in enumerate(TIER_NAMES):
        inside = tiers == tier
        share = common.percent(int(fitted.counts[inside].sum()), train.n_ratings)
        lines.append(f"{name}: {int(inside.sum()):,} movies, {share} of the train ratings")
    return lines


def write(parts: Parts, fitted: Fitted, settings: PipelineSettings, folder: Path, kinds: Sequence[str]) -> None:
    """Write the three transformed parts."""
    for name in PARTS:
        part: Interactions = getattr(parts, name)
        final = weighting.final_rating(part, fitted.means, fitted.movie_weights, fitted.newest, settings.half_life_days)
        if "npz" in kinds:
            with open(folder / f"{name}_transformed.npz", "wb") as file:
                np.savez(file, final_rating=final)
        if "csv" in kinds:
            means = fitted.means[part.user_rows()]
            common.write_ratings_csv(
                part,
                folder / f"{name}_transformed.csv",
                user_mean=means,
                rating_norm=part.ratings - means,
                pop_weight=fitted.movie_weights[part.movie_rows],
                time_weight=weighting.time_weight(part.times, fitted.newest, settings.half_life_days),
                final_rating=final,
            )


def write_learned(train: Interactions, fitted: Fitted, folder: Path) -> None:
    """Write `user_means.json`, `movie_popularity.json` and `train_max_timestamp.txt`."""
    rated = np.flatnonzero(np.diff(train.indptr))
    users = zip(train.user_ids[rated].tolist(), fitted.means[rated].round(6).tolist())
    dump_json({str(user): mean for user, mean in users}, folder / "user_means.json")
    movies = zip(train.movie_ids.tolist(), fitted.counts.tolist())
    dump_json({str(movie): count for movie, count in movies}, folder / "movie_popularity.json")
    (folder / "train_max_timestamp.txt").write_text(_date(fitted.newest) + "\n", encoding="utf-8")


def _date(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")).replace("T", " ")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on what `split_data` wrote."""
    parser = common.make_parser("transform_data", "Weight every rating.", TRANSFORM, reads_raw=False)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    parts = Parts(*(load_split(arguments.output, name) for name in PARTS), [])
    fitted = fit(parts.train, settings)
    kinds = common.formats(arguments.format, sum(part.n_ratings for part in parts[:3]))
    with common.replace_step(arguments.output, "transform", settings) as stage:
        write(parts, fitted, settings, stage, kinds)
        write_learned(parts.train, fitted, stage)
    print("transform", *report(fitted, parts.train), f"written to {arguments.output}", sep="\n  ")


if __name__ == "__main__":
    cli.run(main)
