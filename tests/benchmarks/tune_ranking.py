"""Score grids of settings of our own ranking models on validation data, one line each, and never on test.

    python tests/benchmarks/tune_ranking.py ease --data ../shared/data/ml-latest-small.zip
    python tests/benchmarks/tune_ranking.py directed_ease --set A --data ../shared/data/ml-latest-small.zip

Models are fitted on train and rank for val. Printed for sets A and B: nDCG@10 and Recall@20 of everybody; nDCG@10 of
the people who had been away for more than a minute (about 90 in each set, so a difference below .02 says little).
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import functools
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.evaluate import beyond_accuracy, cases, run
from recommender.learn import registry
from tests.benchmarks.peers import load

GRIDS: dict[str, list[dict[str, list[Any]]]] = {
    "popularity": [{"threshold": [0.5, 3.5, 4.0]}],
    "biases": [{"movie_damping": [5, 20, 60]}],
    "trending": [{"half_life_days": [30, 90, 180, 365, 1500]}],
    "item_knn": [
        {"weighting": ["tfidf"], "neighbours": [20, 50, 100, 200]},
        {"weighting": ["cosine"], "shrinkage": [0, 2, 10], "neighbours": [20, 50, 100, 200]},
    ],
    "ease": [
        {"values": ["ratings"], "regularisation": [500, 1000, 2000, 4000, 8000]},
        {"values": ["likes"], "regularisation": [50, 100, 150, 200, 400]},
    ],
    "content": [{"popularity": [0.5, 1, 2, 4], "liking": [0.5, 1.5]}],
    "directed_ease": [
        {},
        {"regularisation": [25, 100, 200]},
        {"gram_base": [0.015, 0.06]},
        {"gram_reach": [5, 20]},
        {"target_base": [0.02, 0.1]},
        {"target_reach": [15, 60]},
        {"earlier": [0.3, 0.7, 1]},
        {"recency_base": [0.03, 0.15]},
        {"recency_reach": [3, 8]},
        {"y_other": [0.3, 0.7]},
        {"x_middle": [0.5], "x_low": [0.3]},
        {"keep": [200]},
    ],
    "stacker": [
        {"seed": [0, 1]},
        {"candidates": [60, 150, 200]},
        {"hidden": [4, 16]},
        {"epochs": [10, 40]},
        {"rate": [0.001, 0.01]},
        {"l2": [0.0001, 0.01]},
        {"networks": [1, 10]},
    ],
}


def combinations(grids: list[dict[str, list[Any]]]) -> Iterator[dict[str, Any]]:
    """Yield every combination within each grid.

    >>> list(combinations([{}, {"a": [1, 2], "b": [3]}]))
    [{}, {'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    for grid in grids:
        for values in itertools.product(*grid.values()):
            yield dict(zip(grid, values))


def main() -> None:
    parser = argparse.ArgumentParser(description="Score settings of our ranking models on val.")
    parser.add_argument("model", choices=list(GRIDS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", nargs="+", choices=["A", "B"], default=["A", "B"])
    arguments = parser.parse_args()
    for name in arguments.set:
        source = load(arguments.data, name)
        case = cases.build(source, ["per-user"], "val")[0]
        away = case.gap() > 60
        for settings in combinations(GRIDS[arguments.model]):
            make = functools.partial(registry.make, arguments.model, source.catalog, **settings)
            per_user, _ = beyond_accuracy.score_lists(case, run.rank(make, case, 20).rows, (10, 20))
            ndcg, recall = per_user["ndcg@10"], per_user["recall@20"]
            line = f"nDCG@10 {ndcg.mean():.4f}  Recall@20 {recall.mean():.4f}  away {np.mean(ndcg[away]):.4f}"
            print(f"{name} {arguments.model} {settings}: {line}", flush=True)


if __name__ == "__main__":
    main()
