"""The 20 largest of one line of scores: `recommender.top_n` against `np.argpartition` and a full sort.

    python -m tests.benchmarks.top_k

Prints medians of paired runs in milliseconds, and the ratio to argpartition. One thread.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from typing import Any, Callable

import numpy as np

from recommender.linalg.top_n import top_n

N = 20
REPEATS = 51


def by_partition(scores: np.ndarray) -> np.ndarray:
    columns = np.argpartition(-scores, N, axis=1)[:, :N]
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1)
    return np.take_along_axis(columns, order, axis=1)


def by_sort(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1, kind="stable")[:, :N]


def milliseconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'scores':>10}{'top_n':>10}{'argpartition':>14}{'sort':>10}   top_n / argpartition")
    for width in (3_650, 13_000, 62_000, 1_000_000):
        scores = rng.standard_normal((1, width)).astype(np.float32)
        assert np.array_equal(top_n(scores, N), by_sort(scores))
        calls = (lambda s=scores: top_n(s, N), lambda s=scores: by_partition(s), lambda s=scores: by_sort(s))
        repeats = 5 if width > 100_000 else REPEATS
        times = np.median([[milliseconds(call) for call in calls] for _ in range(repeats)], axis=0)
        print(f"{width:>10,}{times[0]:>10.3f}{times[1]:>14.3f}{times[2]:>10.3f}   {times[0] / times[1]:.3f}")


if __name__ == "__main__":
    main()
