"""Adam against a plain version in float64: whole trajectories. benchmarks/two_tower_step compares with torch."""

import numpy as np
import pytest

from recommender.learn.two_tower.adam import Adam, Parameter

STEPS, N, K, BATCH = 25, 12, 3, 10
ADAM = Adam(rate=0.05, beta1=0.8, beta2=0.95, epsilon=1e-3)  # an epsilon that is felt tells where it is added


class Walk:
    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.start = rng.normal(size=(N, K))
        self.targets = rng.normal(size=(N, K))
        self.rows = rng.integers(N - 1, size=(STEPS, BATCH))  # the last row is never touched
        self.noise = rng.normal(size=(STEPS, BATCH, K))

    def gradient(self, step: int, weights: np.ndarray) -> np.ndarray:
        rows = self.rows[step]
        return weights[rows] - self.targets[rows] + 0.3 * self.noise[step]


def textbook(walk: Walk, lazy: bool, l2: float = 0.0) -> np.ndarray:
    w, m, v = walk.start.copy(), np.zeros((N, K)), np.zeros((N, K))
    path = []
    for step in range(STEPS):
        t = step + 1
        each = walk.gradient(step, w)
        g = {row: each[walk.rows[step] == row].sum(axis=0) for row in range(N)}
        for row in range(N):
            if lazy and row not in walk.rows[step]:
                continue
            for column in range(K):
                slope = g[row][column] + l2 * w[row, column]
                m[row, column] = ADAM.beta1 * m[row, column] + (1 - ADAM.beta1) * slope
                v[row, column] = ADAM.beta2 * v[row, column] + (1 - ADAM.beta2) * slope**2
                m_hat, v_hat = m[row, column] / (1 - ADAM.beta1**t), v[row, column] / (1 - ADAM.beta2**t)
                epsilon = ADAM.epsilon / (1 - ADAM.beta2**t) ** 0.5 if lazy else ADAM.epsilon
                w[row, column] -= ADAM.rate * m_hat / (v_hat**0.5 + epsilon)
        path.append(w.copy())
    return np.array(path)


def ours(walk: Walk, lazy: bool, dtype: type = np.float64, l2: float = 0.0) -> np.ndarray:
    table = Parameter(walk.start.astype(dtype))
    path = []
    for step in range(STEPS):
        each = walk.gradient(step, table.weights).astype(dtype)
        if lazy:
            table.step_rows(walk.rows[step], each, step + 1, ADAM, l2)
        else:
            whole = np.zeros((N, K), dtype=dtype)
            np.add.at(whole, walk.rows[step], each)
            table.step(whole, step + 1, ADAM)
        path.append(table.weights.copy())
    return np.array(path)


@pytest.mark.parametrize(("lazy", "l2"), [(True, 0.0), (True, 0.4), (False, 0.0)])
def test_trajectory_is_the_textbook_s(lazy: bool, l2: float) -> None:
    for walk in map(Walk, range(2)):
        expected = textbook(walk, lazy, l2)
        np.testing.assert_allclose(ours(walk, lazy, np.float64, l2), expected, rtol=0, atol=1e-12)
        single = ours(walk, lazy, np.float32, l2)
        assert single.dtype == np.float32
        assert not np.shares_memory(Parameter(walk.start).weights, walk.start)
        np.testing.assert_allclose(single, expected, rtol=0, atol=2e-5)
