"""One epoch of the two towers over 25 million ratings, one thread: seconds, milliseconds a step, peak memory.

mse is the recipe (64 wide, a ReLU layer each, batch 1024, Adam 1e-3), softmax the same towers with the other loss,
over the ratings of 4 stars or more. The epoch is `Training.run_epoch`, all of it: shuffling, batches, steps. Ratings
are made up (tests/benchmarks/synthetic.py) where --data is missing.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from pathlib import Path

import numpy as np

from recommender.learn.two_tower.settings import RECIPE, TwoTowerSettings
from recommender.learn.two_tower.training import Training
from tests.benchmarks.svd_25m import load


def memory(field: str) -> float:
    """Return a figure of this program's own memory in GB; `ru_maxrss` would count its parent's too."""
    return int(Path("/proc/self/status").read_text("ascii").split(field + ":")[1].split()[0]) * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("ratings_25m.npz"), help="an .npz of Interactions")
    parser.add_argument("--objective", choices=["mse", "softmax"], default="mse")
    arguments = parser.parse_args()
    data = load(arguments.data)
    before = memory("VmRSS")
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies, loaded: {before:.2f} GB")
    settings = TwoTowerSettings(**{**RECIPE, "objective": arguments.objective})
    training = Training(data, np.zeros((data.n_movies, 0), np.float32), settings)
    begun = time.perf_counter()
    loss = training.run_epoch()
    seconds = time.perf_counter() - begun
    print(
        f"{arguments.objective}: one epoch over {len(training.examples):,} examples {seconds:.1f} s "
        f"({training.steps_done:,} steps, {1e3 * seconds / training.steps_done:.2f} ms each), mean loss {loss:.4f}"
    )
    peak = memory("VmHWM")
    print(f"peak memory {peak:.2f} GB, of which {peak - before:.2f} GB above the loaded ratings")


if __name__ == "__main__":
    main()
