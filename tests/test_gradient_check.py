"""The gradient checker on every layer and loss; and planted bugs, which it must catch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recommender.learn import ranking_network
from recommender.learn.ranking_network import Network
from recommender.learn.two_tower import layers, losses
from recommender.learn.two_tower.adam import group_rows, sum_groups
from recommender.learn.two_tower.gradient_check import check_gradient, compare

Arrays = dict[str, np.ndarray]
Case = tuple[Callable[[Arrays], float], Arrays, Arrays]  # loss, gradient by hand, point

B, K, N = 7, 4, 6  # W is square: a transposed one fits
INDPTR = np.array([0, 3, 3, 7])
BAG_ROWS = np.array([0, 2, 2, 5, 1, 0, 2])  # the same row twice in a bag, and in two bags
BAG_OF = np.array([0, 0, 0, 2, 2, 2, 2])
ROWS = np.array([4, 1, 4, 0, 4, 2, 1])
RNG = np.random.default_rng(5)
PULL = RNG.normal(size=(B, K))  # L = sum(pull * y): makes a loss of any layer, with dy = pull
X, W, BIAS, TABLE = RNG.normal(size=(B, K)), RNG.normal(size=(K, K)), RNG.normal(size=K), RNG.normal(size=(N, K))
BAG_WEIGHTS = RNG.random(len(BAG_ROWS))
USERS = RNG.normal(size=(B, K))
RATINGS = RNG.integers(1, 11, B) / 2
LOG_Q = np.log(RNG.random(N) * 3)
SCORES = RNG.normal(size=(B, N))  # of every movie
CANDIDATES, POSITIVE, OFFSETS = losses.batch_candidates(ROWS, LOG_Q)
MASKED = (np.array([0, 3, 3]), np.array([1, 1, 3]))


def pulled(y: np.ndarray) -> float:
    return float((PULL[: len(y)] * y).sum())


def linear_case(backward: Callable = layers.linear_backward) -> Case:
    gradient = dict(zip(("x", "W", "b"), backward(PULL, X, W)))
    return lambda p: pulled(layers.linear(p["x"], p["W"], p["b"])), gradient, {"x": X, "W": W, "b": BIAS}


def relu_case(backward: Callable = layers.relu_backward) -> Case:
    return lambda p: pulled(layers.relu(p["z"])), {"z": backward(PULL, layers.relu(X))}, {"z": X}


def dot_case(backward: Callable = layers.rowwise_dot_backward) -> Case:
    gradient = dict(zip("ab", backward(PULL[:, 0], USERS, X)))
    return lambda p: float(PULL[:, 0] @ layers.rowwise_dot(p["a"], p["b"])), gradient, {"a": USERS, "b": X}


def summed_over_equal_rows(rows: np.ndarray, each: np.ndarray) -> np.ndarray:
    table = np.zeros_like(TABLE)
    groups = group_rows(rows)
    table[groups.distinct] = sum_groups(groups, each)
    return table


def lookup_case(scatter: Callable = summed_over_equal_rows) -> Case:
    return lambda p: pulled(layers.lookup(p["table"], ROWS)), {"table": scatter(ROWS, PULL)}, {"table": TABLE}


def bag_case(backward: Callable = layers.bag_backward) -> Case:
    rows, summed = backward(PULL[:3], INDPTR, BAG_ROWS, BAG_WEIGHTS)
    gradient = np.zeros_like(TABLE)
    gradient[rows] = summed
    loss = lambda p: pulled(layers.bag(p["table"], INDPTR, BAG_ROWS, BAG_WEIGHTS))  # noqa: E731
    return loss, {"table": gradient}, {"table": TABLE}


def mse_case(loss: Callable = losses.mse) -> Case:
    gradient = {"predicted": loss(X[:, 0], RATINGS)[1]}
    return lambda p: losses.mse(p["predicted"], RATINGS)[0], gradient, {"predicted": X[:, 0]}


def in_batch_loss(scores: np.ndarray) -> float:
    """The loss from its definition, over every example and not over distinct movies; scores (B, N) of all movies."""
    total = 0.0
    for b, own in enumerate(ROWS):
        left_out = {int(CANDIDATES[column]) for row, column in zip(*MASKED) if row == b}
        rivals = [row for row in ROWS if row != own and row not in left_out]
        s = (scores[b] - LOG_Q)[[own, *rivals]]
        total += np.log(np.exp(s).sum()) - s[0]
    return total / B


def softmax_case(function: Callable = losses.sampled_softmax) -> Case:
    gradient = np.zeros_like(SCORES)
    gradient[:, CANDIDATES] = function(SCORES[:, CANDIDATES], POSITIVE, OFFSETS, MASKED)[1]
    return lambda p: in_batch_loss(p["scores"]), {"scores": gradient}, {"scores": SCORES}


def ranking_network_case() -> Case:
    rng = np.random.default_rng(0)
    point = {"W": rng.normal(size=(5, 3)), "b": rng.normal(size=3), "v": rng.normal(size=3), "w": rng.normal(size=5)}
    lists, targets = rng.normal(size=(4, 7, 5)), rng.random((4, 7))
    targets /= targets.sum(axis=1, keepdims=True)

    def loss(p: Arrays) -> float:
        return ranking_network.loss_and_gradient(Network(**p), lists, targets, 0.3)[0]

    return loss, ranking_network.loss_and_gradient(Network(**point), lists, targets, 0.3)[1]._asdict(), point


CASES = (linear_case, relu_case, dot_case, lookup_case, bag_case, mse_case, softmax_case, ranking_network_case)


@pytest.mark.parametrize("case", CASES)
def test_gradient_by_hand_agrees_with_finite_differences(case: Callable[[], Case]) -> None:
    assert check_gradient(*case(), np.random.default_rng(1)) < 1e-6
    found = losses.sampled_softmax(SCORES[:, CANDIDATES], POSITIVE, OFFSETS, MASKED)[0]
    assert found == pytest.approx(in_batch_loss(SCORES), rel=1e-12)


def overwritten(rows: np.ndarray, each: np.ndarray) -> np.ndarray:
    table = np.zeros_like(TABLE)
    table[rows] += each
    return table


def unsorted_weights(dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> Any:
    return layers.bag_backward(dy, indptr, rows, weights[np.argsort(np.argsort(rows, kind="stable"))])


def softmax_with(change: Callable[[np.ndarray], np.ndarray] = lambda offsets: offsets, masked: Any = MASKED) -> Any:
    return lambda scores, positive, offsets, _: losses.sampled_softmax(scores, positive, change(offsets), masked)


def probabilities(scores: np.ndarray, positive: np.ndarray, *others: Any) -> tuple[float, np.ndarray]:
    loss, ds = losses.sampled_softmax(scores, positive, *others)
    ds[np.arange(B), positive] += 1 / B
    return loss, ds


# Planted bugs: each a mistake that is easily made, in the place of the right rule; and which gradients it makes wrong.
PLANTED: dict[str, tuple[Callable[[Any], Case], Callable, str]] = {
    "ReLU: missing mask": (relu_case, lambda dy, y: dy, "z"),
    "ReLU: mask of the gradient": (relu_case, lambda dy, y: dy * (dy > 0), "z"),
    "linear: transposed weight": (linear_case, lambda dy, x, W: (dy @ W, x.T @ dy, dy.sum(axis=0)), "x"),
    "linear: transposed product": (linear_case, lambda dy, x, W: (dy @ W.T, dy.T @ x, dy.sum(axis=0)), "W"),
    "linear: mean over the batch": (linear_case, lambda dy, x, W: (dy @ W.T, x.T @ dy, dy.mean(axis=0)), "b"),
    "dot: factors swapped": (dot_case, lambda dp, a, b: (dp[:, None] * a, dp[:, None] * b), "ab"),
    "lookup: equal rows overwritten": (lookup_case, overwritten, "table"),
    "bag: equal rows overwritten": (bag_case, lambda dy, _, rows, w: (rows, dy[BAG_OF] * w[:, None]), "table"),
    "bag: missing weight": (bag_case, lambda *given: layers.bag_backward(*given[:3], np.ones(7)), "table"),
    "bag: weights in another order": (bag_case, unsorted_weights, "table"),
    "mse: missing 1/B": (mse_case, lambda p, r: (0.0, 2 * (p - r)), "predicted"),
    "mse: missing 2": (mse_case, lambda p, r: (0.0, (p - r) / B), "predicted"),
    "mse: wrong sign": (mse_case, lambda p, r: (0.0, 2 * (r - p) / B), "predicted"),
    "softmax: log q with the wrong sign": (softmax_case, softmax_with(lambda c: c + 2 * LOG_Q[CANDIDATES]), "scores"),
    "softmax: accidental hits kept": (softmax_case, softmax_with(lambda c: c[[0, 0]]), "scores"),
    "softmax: copies counted once": (softmax_case, softmax_with(lambda c: c[[1, 1]]), "scores"),
    "softmax: liked movies as wrong answers": (softmax_case, softmax_with(masked=None), "scores"),
    "softmax: missing positive": (softmax_case, probabilities, "scores"),
    "softmax: sum over the batch": (softmax_case, lambda *g: (0.0, B * losses.sampled_softmax(*g)[1]), "scores"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_caught_and_named(name: str) -> None:
    """Every direction of a wrong gradient fails, by far; a right one beside it passes."""
    make, rule, names = PLANTED[name]
    wrong = set(names) if names == "ab" else {names}
    checks = compare(*make(rule), np.random.default_rng(1))
    assert {check.name for check in checks if check.error > 1e-3} == wrong
    assert all(check.error < 1e-6 for check in checks if check.name not in wrong)
    with pytest.raises(AssertionError, match=f"gradient of {min(wrong)}: finite difference .*, by hand "):
        check_gradient(*make(rule), np.random.default_rng(1))


def test_small_errors_values_that_are_no_numbers_and_other_shapes_are_caught() -> None:
    loss, gradient, point = linear_case()
    gradient["W"][1, 2] *= 1.001  # one entry of 16
    with pytest.raises(AssertionError, match="gradient of W"):
        check_gradient(loss, gradient, point, np.random.default_rng(1))
    with pytest.raises(AssertionError, match="by hand nan"):
        check_gradient(lambda p: 0.0, {"w": np.full(2, np.nan)}, {"w": np.ones(2)}, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"shape \(3,\), w itself \(3, 1\)"):
        check_gradient(lambda p: 0.0, {"w": np.ones(3)}, {"w": np.ones((3, 1))}, np.random.default_rng(0))
