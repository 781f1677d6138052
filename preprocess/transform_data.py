"""Step 3: the `weighted` signal of every rating (formulas in `recommender/data/weighting.py`).

User means, movie counts and the newest time are fitted on train and applied to val and test. A user without train
ratings gets the mean of all train ratings.

    python -m preprocess.transform_data
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from preprocess.steps import Run, run_steps, write_ratings_csv
from recommender import cli
from recommender.data import weighting
from recommender.data.files import dump_json


def step(run: Run, stage: Path) -> list[str]:
    """Write the transformed parts, user means, movie counts and the newest time of train; return the report."""
    train, half_life = run.parts["train"], run.settings.half_life_days
    means, overall_mean = weighting.user_means(train)
    counts = train.movie_counts()
    movie_weights = weighting.pop_weight(counts, run.settings.popularity_power)
    newest = int(train.times.max())
    date = str(np.datetime64(newest, "s")).replace("T", " ")
    n_ratings = sum(part.n_ratings for part in run.parts.values())
    for name, part in run.parts.items() if run.has_csv(n_ratings) else ():
        own_means = means[part.user_rows()]
        write_ratings_csv(
            part,
            stage / f"{name}_transformed.csv",
            user_mean=own_means,
            rating_norm=part.ratings - own_means,
            pop_weight=movie_weights[part.movie_rows],
            time_weight=weighting.time_weight(part.times, newest, half_life),
            final_rating=weighting.final_rating(part, means, movie_weights, newest, half_life),
        )
    rated = np.flatnonzero(np.diff(train.indptr))
    users = zip(train.user_ids[rated].tolist(), means[rated].round(6).tolist())
    dump_json({str(user): mean for user, mean in users}, stage / "user_means.json")
    popularity = dict(zip(map(str, train.movie_ids.tolist()), counts.tolist()))
    dump_json(popularity, stage / "movie_popularity.json")
    (stage / "train_max_timestamp.txt").write_text(date + "\n", encoding="utf-8")
    newest_date = f"; newest {date}" if train.has_times else ""
    learned = f"mean of the train ratings {overall_mean:.3f}{newest_date}"
    report = ["transform", f"{learned}; {int((counts == 0).sum()):,} movies without a train rating"]
    tiers = weighting.popularity_tiers(counts)
    for tier, name in enumerate(weighting.TIER_NAMES):
        inside = tiers == tier
        share = counts[inside].sum() / train.n_ratings
        report.append(f"{name}: {int(inside.sum()):,} movies, {share:.1%} of the train ratings")
    return report


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on the output of `split_data`."""
    run_steps("transform_data", "Weight every rating.", {"transform": step}, argv)


if __name__ == "__main__":
    cli.run(main)
