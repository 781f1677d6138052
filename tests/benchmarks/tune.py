"""Score combinations of a ranking model's settings on validation data, one line each, and never on test.

    python -m tests.benchmarks.tune ease regularisation=1000,4000 values=ratings --data data/ml-latest-small.zip
    python -m tests.benchmarks.tune rating_predictor taste_range=1.4,1.7 --data data/ml-latest-small.zip

Fitted on train. Printed for sets A and B: nDCG@10 of everybody, and of the users who had been away for more than a
minute (about 90 in each set, so a difference below .02 says little); for models that predict ratings, RMSE.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import itertools
from pathlib import Path

import numpy as np

from recommender.evaluate import protocols
from recommender.evaluate.metrics import rmse
from recommender.evaluate.protocols import ranking_quality
from recommender.learn import registry
from tests.benchmarks.peers import load


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("method", choices=registry.names())
    parser.add_argument("grid", nargs="*", metavar="setting=value,value")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    grid = {name: values.split(",") for name, values in (text.split("=") for text in arguments.grid)}
    for name in "AB":
        source = load(arguments.data, name)
        case = protocols.from_known(source.train, source.val, "val")
        for values in itertools.product(*grid.values()):
            settings = {key: _value(text) for key, text in zip(grid, values)}
            model = registry.make(arguments.method, source.catalog, **settings).fit(case.known)
            line = f"nDCG@10 {ranking_quality(model, case):.4f}  away {ranking_quality(model, case.returning(60)):.4f}"
            if model.scores_are_ratings:
                held_out = case.held_out
                scores = np.clip(model.score(case.known, np.arange(held_out.n_users)), 0.5, 5)
                predicted = scores[held_out.user_rows(), held_out.movie_rows]
                line += f"  RMSE {rmse(predicted, held_out.ratings):.4f}"
            print(f"{name} {arguments.method} {settings}: {line}", flush=True)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
