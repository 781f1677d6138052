"""Time one turn of a session, and one explanation: both learning rules, two catalogue sizes.

    python -m tests.benchmarks.session_turn

A turn is `SessionEngine.step`; an explanation is `contributions` of 50 events to all movies. Random vectors (k = 32),
20-turn sessions of 4 favorites with answers at random, one BLAS thread.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
import timeit

import numpy as np

from recommender.session.engine import SessionEngine
from recommender.session.gaussian import ConditionalGaussian, Gaussian, GaussianSettings
from recommender.session.rules import LearningRule, MovingAverage
from recommender.session.state import ANSWERS, FAVORITE, Event
from tests.test_session import make_catalog

N_SESSIONS, N_TURNS, RANK = 60, 20, 32


def make_rules(n: int, rng: np.random.Generator) -> dict[str, LearningRule]:
    vectors = rng.normal(0, 0.02, (n, RANK)).astype(np.float32)
    small = rng.uniform(0, 0.05, n).astype(np.float32)
    gaussian = ConditionalGaussian(Gaussian(vectors, small, small + 0.01, small, 100_000), GaussianSettings())
    return {"moving-average": MovingAverage(vectors), "conditional-gaussian": gaussian}


def turn_times(engine: SessionEngine, rng: np.random.Generator) -> np.ndarray:
    times = []  # seconds
    for _ in range(N_SESSIONS + 1):  # the first session warms up
        state = engine.start(rng.choice(len(engine.catalog), size=4, replace=False))
        for answer in rng.choice(ANSWERS, size=N_TURNS).tolist():
            started = time.perf_counter()
            state = engine.step(state, answer)
            times.append(time.perf_counter() - started)
    return np.array(times[N_TURNS:])


def explain_time(rule: LearningRule, n: int, rng: np.random.Generator) -> float:
    rows = rng.choice(n, size=50, replace=False).tolist()
    events = [Event(row, FAVORITE if i < 4 else str(rng.choice(ANSWERS))) for i, row in enumerate(rows)]
    return float(np.median(timeit.repeat(lambda: rule.contributions(events, np.arange(n)), number=1, repeat=5)))


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'movies':>7} {'rule':<21}{'turn p50 ms':>12}{'p99 ms':>9}{'explain 50 events ms':>22}")
    for n in (13_000, 62_000):
        catalog = make_catalog(n)
        for name, rule in make_rules(n, rng).items():
            p50, p99 = 1000 * np.quantile(turn_times(SessionEngine(catalog, rule), rng), [0.5, 0.99])
            print(f"{n:>7,} {name:<21}{p50:>12.3f}{p99:>9.3f}{1000 * explain_time(rule, n, rng):>22.1f}", flush=True)


if __name__ == "__main__":
    main()
