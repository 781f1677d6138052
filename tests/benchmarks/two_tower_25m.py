"""One epoch of the two towers over 25 million ratings, one thread: seconds, milliseconds a step, peak memory.

mse is the recipe (64 wide, a ReLU layer each, batch 1024, Adam 1e-3), softmax the same towers with the other loss,
over the ratings of 4 stars or more. The epoch is `Training.run_epoch`, all of it: shuffling, batches, steps.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from pathlib import Path

import numpy as np

from recommender.learn.two_tower.network import RECIPE, TwoTowerSettings
from recommender.learn.two_tower.training import Training
from tests.benchmarks.synthetic import FULL, synthetic_interactions


def memory(field: str) -> float:
    """Return a figure of this program's own memory in GB; `ru_maxrss` would count its parent's too."""
    return int(Path("/proc/self/status").read_text("ascii").split(field + ":")[1].split()[0]) * 1024 / 1e9


def main() -> None:
    data = synthetic_interactions(*FULL, np.random.default_rng(0))
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak counts from here
    before = memory("VmRSS")
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies, loaded: {before:.2f} GB")
    training = Training(data, np.zeros((data.n_movies, 0), np.float32), TwoTowerSettings(**RECIPE))
    begun = time.perf_counter()
    loss = training.run_epoch()
    seconds = time.perf_counter() - begun
    print(
        f"one epoch over {len(training.examples):,} examples {seconds:.1f} s "
        f"({training.steps_done:,} steps, {1e3 * seconds / training.steps_done:.2f} ms each), mean loss {loss:.4f}"
    )
    print(f"peak memory {memory('VmHWM'):.2f} GB, of which {memory('VmHWM') - before:.2f} GB above the ratings")


if __name__ == "__main__":
    main()
