"""Time one turn of a session after 20, 200 and 1,000 answers, and one explanation: both rules, two catalogue sizes.

    python -m tests.benchmarks.session_turn
    python -m tests.benchmarks.session_turn --rank 256

A turn is `SessionEngine.step`; median and 99th percentile of 20 turns of each of 15 sessions, one after another: the
first ten before so many answers, the others after. An explanation is `contributions` of 50 events to all movies. Random
vectors, 4 favorites, answers at random, one BLAS thread. The fitted model has rank 256.
"""

from __future__ import annotations

import time
import timeit

import numpy as np

from recommender.session.engine import SessionEngine
from recommender.session.gaussian import ConditionalGaussian, Gaussian, GaussianSettings
from recommender.session.rules import LearningRule, MovingAverage
from recommender.session.state import ANSWERS, FAVORITE, Event
from tests.benchmarks.tools import flags
from tests.test_session import make_catalog

N_SESSIONS, N_TURNS, N_ANSWERS = 15, 20, (20, 200, 1000)


def make_rules(n: int, rank: int, rng: np.random.Generator) -> dict[str, LearningRule]:
    vectors = rng.normal(0, 0.02, (n, rank)).astype(np.float32)
    small = rng.uniform(0, 0.05, n).astype(np.float32)
    gaussian = ConditionalGaussian(Gaussian(vectors, small, small + 0.01, small, 100_000), GaussianSettings())
    return {"moving-average": MovingAverage(vectors), "conditional-gaussian": gaussian}


def turn_times(engine: SessionEngine, n_answers: int, rng: np.random.Generator) -> np.ndarray:
    times = []  # seconds
    for _ in range(N_SESSIONS):
        rows = rng.choice(len(engine.catalog), size=n_answers - N_TURNS // 2 + 4, replace=False).tolist()
        state = engine.start(rows[:4])
        state = engine.answer(state, {row: str(rng.choice(ANSWERS)) for row in rows[4:]})
        for answer in rng.choice(ANSWERS, size=N_TURNS).tolist():
            started = time.perf_counter()
            state = engine.step(state, answer)
            times.append(time.perf_counter() - started)
    return np.array(times)


def explain_time(rule: LearningRule, n: int, rng: np.random.Generator) -> float:
    rows = rng.choice(n, size=50, replace=False).tolist()
    events = [Event(row, FAVORITE if i < 4 else str(rng.choice(ANSWERS))) for i, row in enumerate(rows)]
    return float(np.median(timeit.repeat(lambda: rule.contributions(events, np.arange(n)), number=1, repeat=5)))


def main() -> None:
    rank, rng = flags(__doc__, rank=32).rank, np.random.default_rng(0)
    columns = "".join(f"{f'{n:,} answers':>17}" for n in N_ANSWERS)
    print(f"ms of a turn, p50 (p99), rank {rank}\n{'movies':>7} {'rule':<21}{columns}{'explain 50 events':>19}")
    for n in (13_000, 62_000):
        catalog = make_catalog(n)
        for name, rule in make_rules(n, rank, rng).items():
            found = [turn_times(SessionEngine(catalog, rule), answers, rng) for answers in N_ANSWERS]
            cells = ["{:.3f} ({:.2f})".format(*1000 * np.quantile(times, [0.5, 0.99])) for times in found]
            line = "".join(f"{cell:>17}" for cell in cells)
            print(f"{n:>7,} {name:<21}{line}{1000 * explain_time(rule, n, rng):>19.1f}", flush=True)


if __name__ == "__main__":
    main()
