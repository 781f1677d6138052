"""Choose the settings of iALS and of the rating predictor on validation data: one setting changed at a time.

    python tests/benchmarks/tune_own.py ials --data ../shared/data/ml-latest-small.zip
    python tests/benchmarks/tune_own.py rating_predictor --data ../shared/data/ml-latest-small.zip

Fitted on train, scored on val, one set of values for sets A and B together: the sum over both of nDCG@10 and half of
Recall@20 (each divided by what the shipped settings reach), or of RMSE. Three seeds are averaged for iALS. Test ratings
are never read. Every combination tried is printed, the best last; `--rounds 0` scores the shipped settings alone.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import functools
import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.evaluate import beyond_accuracy, cases, run
from recommender.learn import registry
from tests.benchmarks.peers import load

Values = dict[str, float]
LADDERS: dict[str, dict[str, list[float]]] = {
    "ials": {
        "factors": [32, 48, 64, 96, 128],
        "regularisation": [5, 10, 15, 20, 30, 40],
        "frequency_exponent": [0, 0.25, 0.5, 0.75, 1],
        "alpha": [2, 3, 5, 8, 12],
        "middling_weight": [0, 0.1, 0.2],
        "low_weight": [0, 0.1],
        "recency_floor": [0.03, 0.07, 0.15, 0.3],
        "recency_span": [0, 3, 5, 8, 15],
        "n_sweeps": [5, 8, 12, 15, 25],
        "cg_steps": [2, 3, 5],
    },
    "rating_predictor": {
        "movie_damping": [3, 5, 8],
        "user_damping": [3, 5, 8],
        "company_factors": [12, 16, 20, 24],
        "liking": [0, 0.05, 0.08, 0.12, 0.15],
        "company": [0.2, 0.3, 0.4],
        "genres": [0.1, 0.15, 0.2],
        "years": [0.08, 0.12, 0.18],
        "quality": [0.01, 0.03, 0.06],
        "fame": [0.01, 0.03, 0.06],
        "level": [0.07, 0.11, 0.17],
        "mood": [0.02, 0.046, 0.09],
        "mood_span": [40, 87, 150],
        "drift": [0, 0.1, 0.17, 0.3],
        "drift_span": [50, 100, 200],
        "keenness": [1, 1.4, 1.7, 2.5],
        "rare": [3, 5.8, 10],
        "longest_history": [250, 400, 600],
        "alike_factors": [16, 32, 48],
        "alike": [0.04, 0.08, 0.12],
        "alike_level": [0.002, 0.005, 0.02],
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=tuple(LADDERS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=2, help="times through all settings (default: 2)")
    parser.add_argument("--only", help="comma-separated names of the settings to change (default: all)")
    arguments = parser.parse_args()
    sources = {name: load(arguments.data, name) for name in "AB"}
    scorer = Scorer(arguments.model, sources)
    best: Values = {}
    print(f"shipped: {scorer.line(best)}", flush=True)
    names = arguments.only.split(",") if arguments.only else list(LADDERS[arguments.model])
    for _ in range(arguments.rounds):
        before = dict(best)
        for name in names:
            for value in LADDERS[arguments.model][name]:
                trial = {**best, name: value}
                if scorer.value(trial) > scorer.value(best) + 1e-5:
                    best = trial
                print(f"{name} {value:g}: {scorer.line(trial)}", flush=True)
        if best == before:
            break
    print(f"best: {best or 'the shipped settings'}: {scorer.line(best)}")


class Scorer:
    """Scores settings on the val part of both sets; higher is better, the shipped settings have 3 or -2."""

    def __init__(self, model: str, sources: dict[str, cases.Source]) -> None:
        self.model = model
        self.sources = sources
        self.cases = {name: cases.build(source, ["per-user"], "val")[0] for name, source in sources.items()}
        self.known: dict[str, list[float]] = {}
        self.shipped = self.figures({})

    def value(self, values: Values) -> float:
        ratios = [got / base for got, base in zip(self.figures(values), self.shipped)]
        if self.model == "ials":
            return ratios[0] + ratios[2] + 0.5 * (ratios[1] + ratios[3])
        return -sum(ratios)

    def line(self, values: Values) -> str:
        return " ".join(f"{figure:.4f}" for figure in self.figures(values))

    def figures(self, values: Values) -> list[float]:
        """Return nDCG@10 and Recall@20 on A and on B, or RMSE on A and on B."""
        key = repr(sorted(values.items()))
        if key not in self.known:
            self.known[key] = [figure for name in self.cases for figure in self._one(name, values)]
        return self.known[key]

    def _one(self, name: str, values: Values) -> list[float]:
        case = self.cases[name]
        if self.model == "rating_predictor":
            make = functools.partial(registry.make, self.model, self.sources[name].catalog, **values)
            return [beyond_accuracy.rating_errors(case, run.rank(make, case, 1).predicted)["rmse"]]
        found = []
        for seed in range(3):
            make = functools.partial(registry.make, self.model, **values, seed=seed)
            _, overall = beyond_accuracy.score_lists(case, run.rank(make, case, 20).rows, (10, 20))
            found.append([overall["ndcg@10"], overall["recall@20"]])
        return np.mean(found, axis=0).tolist()


if __name__ == "__main__":
    main()
