"""Rerun the choice of the session's defaults: one setting changed at a time, scored by the session replay.

    python tests/benchmarks/session_replay_tuning.py [--what gaussian,average,policy] [--fold-seed 1] [--seeds 0,1]

On the bundled ratings (5 folds of people, 20 turns, 4 favorites). Settings were chosen under fold seed 1, those of the
policy under 2; what is reported elsewhere comes from other folds and other favorites. Each line: what was changed,
mean hits, and the difference to the default over the same sessions with its standard error over people.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from model.replay_sessions import read_data
from recommender.data.settings import default_folder
from recommender.evaluate.replay import RULE_ALONE, Fold, make_folds, per_person, replay_all
from recommender.learn.svd import SvdModel
from recommender.session.gaussian import ConditionalGaussian, GaussianSettings
from recommender.session.policy import PolicySettings
from recommender.session.rules import LearningRule, MovingAverage
from recommender.session.taste_covariance import fit_gaussian

Changes = dict[str, Sequence[Any]]
Fit = Callable[[Fold], LearningRule]

GAUSSIAN: Changes = {
    "rank": (32, 128, 256),
    "middling_value": (0.3, 0.7),
    "low_value": (0.1, 0.4),
    "noise": (0.5, 2.0),
    "noise_share": (0.0, 0.1, 0.6),
    "popularity_discount": (0.0, 0.02, 0.06),
    "activity_exponent": (0.0, 0.5),
    "genre_weight": (0.0, 0.05, 0.2),
}
SKIP: Changes = {"skip_weight": (0.0, 0.1, 0.25, 0.7, 1.0)}
AVERAGE: Changes = {
    "learning_rate": (0.05, 0.1, 0.2, 0.3),
    "negative_weight": (0.0, 0.25, 1.0, 2.0),
    "vector_scaling": (0.0, 0.25, 0.75, 1.0),
    "signal": ("ones", "centered", "weighted"),
}
POLICY: Changes = {
    "genre_distance_penalty": (0.0, 0.5, 2.0, 3.0),
    "popularity_penalty": (0.0, 0.1, 0.5, 1.0),
    "diversity_boost": (0.0, 0.1, 0.4),
    "min_genre_affinity": (0.0, 0.1),
    "exploration_rate": (0.05, 0.2),
}


def gaussian(fold: Fold, skip_weight: Optional[float] = None, **changed: Any) -> LearningRule:
    settings = dataclasses.replace(GaussianSettings(), **changed)
    weight = PolicySettings().skip_weight if skip_weight is None else skip_weight
    return ConditionalGaussian(fit_gaussian(fold.train, fold.catalog, settings), settings, weight)


def average(fold: Fold, signal: str = "binary", **changed: Any) -> LearningRule:
    policy = dataclasses.replace(PolicySettings(), **changed)
    vectors = SvdModel(signal=signal).fit(fold.train).movie_vectors(policy.vector_scaling)
    return MovingAverage(vectors, policy.learning_rate, policy.negative_weight)


def hits(folds: Sequence[Fold], fit: Fit, policy: PolicySettings) -> np.ndarray:
    """Return the mean hits of each person."""
    outcomes = [one for fold in folds for one in replay_all(fit(fold), fold.catalog, fold.people, policy=policy)]
    return per_person(outcomes, "hits")


def compare(title: str, score: Callable[..., np.ndarray], changes: Changes) -> None:
    """Print the hits under each change; score: settings by name -> mean hits of each person."""
    default = score()
    print(f"\n{title}: {default.mean():.3f}")
    for name, values in changes.items():
        for value in values:
            found = score(**{name: value})
            difference = found - default
            error = difference.std(ddof=1) / np.sqrt(len(difference))
            print(f"  {name} = {value!s:<10}{found.mean():>8.3f}{difference.mean():>+8.3f} +- {error:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="score settings of the session one by one")
    parser.add_argument("--what", default="gaussian,average,policy")
    parser.add_argument("--fold-seed", type=int, default=1)
    parser.add_argument("--seeds", default="0,1")
    arguments = parser.parse_args()
    data, catalog = read_data(default_folder("processed"), 0, 0)
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    folds = make_folds(data, catalog, 5, 4, seeds, arguments.fold_seed)
    what, shipped = arguments.what.split(","), PolicySettings()

    def of_gaussian(**changed: Any) -> np.ndarray:
        return hits(folds, lambda fold: gaussian(fold, **changed), RULE_ALONE)

    def of_average(**changed: Any) -> np.ndarray:
        return hits(folds, lambda fold: average(fold, **changed), RULE_ALONE)

    def of_policy(**changed: Any) -> np.ndarray:
        return hits(folds, lambda fold: fitted[id(fold)], dataclasses.replace(shipped, **changed))

    if "gaussian" in what:
        compare("conditional-gaussian, the rule alone", of_gaussian, {**GAUSSIAN, **SKIP})
    if "average" in what:
        compare("moving-average, the rule alone", of_average, AVERAGE)
    if "policy" in what:
        fitted = {id(fold): gaussian(fold) for fold in folds}
        compare("conditional-gaussian with the policy", of_policy, POLICY)


if __name__ == "__main__":
    main()
