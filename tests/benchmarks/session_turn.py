"""Time one turn of a session, and one explanation: both learning rules, two catalogue sizes.

    python -m tests.benchmarks.session_turn

A turn is `SessionEngine.step`: hear the answer, score all movies, apply the policy, take the best. Vectors are random
(k = 32; the time does not depend on their values); 20-turn sessions of 4 favorites with answers at random; one BLAS
thread. An explanation is `contributions` of 50 events to all movies.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time

import numpy as np

from recommender.data.catalog import Catalog
from recommender.session.engine import SessionEngine
from recommender.session.gaussian import ConditionalGaussian, Gaussian, GaussianSettings
from recommender.session.policy import PolicySettings
from recommender.session.rules import LearningRule, MovingAverage
from recommender.session.state import ANSWERS, FAVORITE, Event

GENRES = ("Action", "Comedy", "Drama", "Horror", "Romance", "Sci-Fi", "Thriller", "War")
N_SESSIONS = 60
N_TURNS = 20
RANK = 32


def make_catalog(n: int, rng: np.random.Generator) -> Catalog:
    rows = [
        {"movieId": str(i), "title": f"Movie {i} (2000)", "genres": "|".join(rng.choice(GENRES, size=2, replace=False))}
        for i in range(n)
    ]
    return Catalog(rows, {i: int(rng.integers(1000)) for i in range(n)})


def make_rules(n: int, rng: np.random.Generator) -> dict[str, LearningRule]:
    vectors = rng.normal(0, 0.02, (n, RANK)).astype(np.float32)
    small = rng.uniform(0, 0.05, n).astype(np.float32)
    fitted = Gaussian(vectors, small, small + 0.01, small, 100_000)
    return {
        "moving-average": MovingAverage(vectors),
        "conditional-gaussian": ConditionalGaussian(fitted, GaussianSettings()),
    }


def turn_times(engine: SessionEngine, rng: np.random.Generator) -> np.ndarray:
    """Return the time of every turn, milliseconds; the first session warms up and does not count."""
    times = []
    for session in range(N_SESSIONS + 1):
        state = engine.start(rng.choice(len(engine.catalog), size=4, replace=False))
        for _ in range(N_TURNS):
            answer = str(rng.choice(ANSWERS))
            started = time.perf_counter()
            state = engine.step(state, answer)
            if session:
                times.append(1000 * (time.perf_counter() - started))
    return np.array(times)


def explain_time(rule: LearningRule, rng: np.random.Generator) -> float:
    """Return the median of 5, milliseconds."""
    rows = rng.choice(len(rule.movie_vectors), size=50, replace=False).tolist()
    events = [Event(row, FAVORITE if i < 4 else str(rng.choice(ANSWERS))) for i, row in enumerate(rows)]
    everything = np.arange(len(rule.movie_vectors))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        rule.contributions(events, everything)
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'movies':>7} {'rule':<21}{'turn p50 ms':>12}{'p99 ms':>9}{'explain 50 events ms':>22}")
    for n in (13_000, 62_000):
        catalog = make_catalog(n, rng)
        for name, rule in make_rules(n, rng).items():
            times = turn_times(SessionEngine(catalog, rule, PolicySettings()), rng)
            p50, p99 = np.quantile(times, [0.5, 0.99])
            print(f"{n:>7,} {name:<21}{p50:>12.3f}{p99:>9.3f}{explain_time(rule, rng):>22.1f}", flush=True)


if __name__ == "__main__":
    main()
