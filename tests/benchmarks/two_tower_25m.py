"""One epoch of the two towers over 25 million ratings, one thread: seconds, milliseconds a step, peak memory.

    python -m tests.benchmarks.two_tower_25m [--data ratings_25m.npz] [--objective mse|softmax] [--share 1.0]

64 wide, batch 1024, Adam 1e-3. The epoch is all that `fit` does in one: shuffling, gathering the batches, stepping.
`--share` runs a part of the epoch and scales its time up. Peak memory is this process's own (VmHWM), with and without
the ratings as they were loaded. Ratings are made up (tests/benchmarks/synthetic.py) where --data is missing.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from pathlib import Path

import numpy as np

from recommender.learn import towers
from recommender.learn.lazy_adam import Adam
from recommender.learn.samplers import log_frequencies, shuffled_batches
from recommender.learn.towers import Tower
from tests.benchmarks.svd_25m import FULL, load, memory

K, BATCH = 64, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("ratings_25m.npz"), help="an .npz of Interactions")
    parser.add_argument("--objective", choices=["mse", "softmax"], default="mse")
    parser.add_argument("--share", type=float, default=1.0, help="part of the epoch that is run")
    arguments = parser.parse_args()
    data = load(arguments.data, FULL)
    before = memory("VmRSS")
    print(f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies, loaded: {before:.2f} GB")
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    users, movies = (Tower.start(n, K, rng) for n in (data.n_users, data.n_movies))
    user_rows = data.user_rows()
    log_q = log_frequencies(data.movie_counts(), BATCH).astype(np.float32)
    prepared = time.perf_counter()
    adam, step, total = Adam(), 0, 0.0
    n_steps = max(1, round(arguments.share * -(-data.n_ratings // BATCH)))
    for chosen in shuffled_batches(data.n_ratings, BATCH, rng):
        rows = user_rows[chosen], data.movie_rows[chosen]
        if arguments.objective == "mse":
            gradient = towers.mse_gradient(users, movies, *rows, data.ratings[chosen])
        else:
            gradient = towers.softmax_gradient(users, movies, *rows, log_q)
        step += 1
        towers.apply(users, movies, gradient, step, adam)
        total += gradient.loss
        if step == n_steps:
            break
    each = (time.perf_counter() - prepared) / step
    print(
        f"{arguments.objective}: one epoch {each * -(-data.n_ratings // BATCH):.1f} s ({step:,} steps run, "
        f"{1e3 * each:.2f} ms each), mean loss {total / step:.4f}; before it {prepared - started:.1f} s"
    )
    peak = memory("VmHWM")
    print(f"peak memory {peak:.2f} GB, of which {peak - before:.2f} GB above the loaded ratings")


if __name__ == "__main__":
    main()
