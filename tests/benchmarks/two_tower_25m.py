"""One epoch of the two towers over 25 million ratings, one thread: seconds, milliseconds a step, peak memory.

    python -m tests.benchmarks.two_tower_25m [--data ratings_25m.npz] [--objective mse|softmax] [--share 0.1]

mse is the recipe (64 wide, a ReLU layer each, batch 1024, Adam 1e-3), softmax the same towers with the other loss,
over the ratings of 4 stars or more. `--share` runs a random part of the examples and scales the time up. The epoch is
`Training.run_epoch`, all of it: shuffling, batches, steps. Peak memory is this process's own (VmHWM), and what it is
above the loaded ratings. Ratings are made up (tests/benchmarks/synthetic.py) where --data is missing.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from pathlib import Path

import numpy as np

from recommender.learn.two_tower.settings import RECIPE, TwoTowerSettings
from recommender.learn.two_tower.training import Training
from tests.benchmarks.svd_25m import FULL, load, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("ratings_25m.npz"), help="an .npz of Interactions")
    parser.add_argument("--objective", choices=["mse", "softmax"], default="mse")
    parser.add_argument("--share", type=float, default=1.0, help="part of the examples that is run")
    arguments = parser.parse_args()
    data = load(arguments.data, FULL)
    before = memory("VmRSS")
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies, loaded: {before:.2f} GB")
    settings = TwoTowerSettings(**{**RECIPE, "objective": arguments.objective})
    training = Training(data, np.zeros((data.n_movies, 0), np.float32), settings)
    n_examples = len(training.examples)
    if arguments.share < 1:
        order = np.random.default_rng(1).permutation(training.examples)
        training.examples = order[: round(arguments.share * n_examples)]
    begun = time.perf_counter()
    loss = training.run_epoch()
    seconds = time.perf_counter() - begun
    print(
        f"{arguments.objective}: one epoch over {n_examples:,} examples {seconds / arguments.share:.1f} s "
        f"({training.steps_done:,} steps run, {1e3 * seconds / training.steps_done:.2f} ms each), mean loss {loss:.4f}"
    )
    peak = memory("VmHWM")
    print(f"peak memory {peak:.2f} GB, of which {peak - before:.2f} GB above the loaded ratings")


if __name__ == "__main__":
    main()
