"""The gradient checker on every layer, loss and network; and planted bugs, which it must catch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recommender.learn.stacking import ranking_network
from recommender.learn.stacking.ranking_network import Network
from recommender.learn.two_tower import layers, losses
from recommender.learn.two_tower.adam import group_rows, sum_groups
from recommender.learn.two_tower.gradient_check import check_gradient, compare
from recommender.learn.two_tower.network import Batch, Design, loss_and_gradient

Arrays = dict[str, np.ndarray]
Case = tuple[Callable[[Arrays], float], Arrays, Arrays]  # loss, gradient by hand, point

B, K_IN, K_OUT, N = 7, 4, 4, 6  # W square: a transposed one fits
INDPTR = np.array([0, 3, 3, 7])
BAG_ROWS = np.array([0, 2, 2, 5, 1, 0, 2])  # the same row twice in a bag, and in two bags
ROWS = np.array([4, 1, 4, 0, 4, 2, 1])
RNG = np.random.default_rng(5)
PULL = RNG.normal(size=(B, K_OUT))  # L = sum(pull * y): makes a loss of any layer, with dy = pull
X, W, BIAS = RNG.normal(size=(B, K_IN)), RNG.normal(size=(K_IN, K_OUT)), RNG.normal(size=K_OUT)
TABLE = RNG.normal(size=(N, K_OUT))
BAG_WEIGHTS = RNG.random(len(BAG_ROWS))
USERS, MOVIES = RNG.normal(size=(B, K_OUT)), RNG.normal(size=(N, K_OUT))
RATINGS = RNG.integers(1, 11, B) / 2
LOG_Q = np.log(RNG.random(N) * 3)


def pulled(y: np.ndarray) -> float:
    return float((PULL[: len(y)] * y).sum())


def linear_case(backward: Callable = layers.linear_backward) -> Case:
    gradient = dict(zip(("x", "W", "b"), backward(PULL, X, W)))
    return lambda p: pulled(layers.linear(p["x"], p["W"], p["b"])), gradient, {"x": X, "W": W, "b": BIAS}


def relu_case(backward: Callable = layers.relu_backward) -> Case:
    return lambda p: pulled(layers.relu(p["z"])), {"z": backward(PULL, layers.relu(X))}, {"z": X}


def normalise_case(backward: Callable = layers.normalise_backward) -> Case:
    return lambda p: pulled(layers.normalise(p["x"])[0]), {"x": backward(PULL, *layers.normalise(X))}, {"x": X}


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
    return (
        lambda p: pulled(layers.bag(p["table"], INDPTR, BAG_ROWS, BAG_WEIGHTS)),
        {"table": gradient},
        {"table": TABLE},
    )


def mse_case(loss: Callable = losses.mse) -> Case:
    return (
        lambda p: losses.mse(p["predicted"], RATINGS)[0],
        {"predicted": loss(X[:, 0], RATINGS)[1]},
        {"predicted": X[:, 0]},
    )


CANDIDATES, OWN, CORRECTIONS = losses.batch_candidates(ROWS, LOG_Q, np.array([5, 4]))
HIDDEN = (np.array([0, 3, 3]), np.array([1, 1, 4]))
OFFSETS = RNG.normal(size=len(CANDIDATES))
TEMPERATURE = 0.7


def in_batch_loss(users: np.ndarray, movies: np.ndarray, biases: np.ndarray, log_q: np.ndarray = LOG_Q) -> float:
    """The loss from its definition, over every draw and not over distinct movies; movies and biases by movie row."""
    drawn = np.concatenate((ROWS, [5, 4]))
    scores = users @ movies[drawn].T / TEMPERATURE + biases[drawn] - log_q[drawn]
    total = 0.0
    for b, own in enumerate(ROWS):
        left_out = {int(CANDIDATES[column]) for line, column in zip(*HIDDEN) if line == b}
        rivals = [j for j, row in enumerate(drawn) if row != own and row not in left_out]
        total += np.log(np.exp(scores[b, [b, *rivals]]).sum()) - scores[b, b]
    return total / B


def softmax_case(function: Callable = losses.sampled_softmax) -> Case:
    biases = RNG.normal(size=N)
    found = function(USERS, MOVIES[CANDIDATES], OWN, CORRECTIONS + biases[CANDIDATES], TEMPERATURE, HIDDEN)
    gradient = {"users": found.users, "movies": np.zeros_like(MOVIES), "biases": np.zeros(N)}
    gradient["movies"][CANDIDATES], gradient["biases"][CANDIDATES] = found.movies, found.biases
    point = {"users": USERS, "movies": MOVIES, "biases": biases}
    return lambda p: in_batch_loss(p["users"], p["movies"], p["biases"]), gradient, point


PEOPLE = np.array([2, 0, 2, 5, 5, 1, 3])


def two_towers_case(objective: str, layer: str = "relu") -> Case:
    """Both towers by ids, every parameter a group; the loss again by plain products over each rating."""
    rng = np.random.default_rng(11)
    shapes = {"people": (N, K_IN), "movies": (N, K_IN), "user_W": (K_IN, K_OUT), "movie_W": (K_IN, K_OUT)}
    point = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    point.update(user_b=rng.normal(size=K_OUT), movie_b=rng.normal(size=K_OUT))
    if objective == "mse":
        batch = Batch(ROWS, PEOPLE, ratings=RATINGS)
    else:
        candidates, own, corrections = losses.batch_candidates(ROWS, LOG_Q)
        batch = Batch(candidates, PEOPLE, own=own, corrections=corrections)
    found, gradient = loss_and_gradient(point, batch, Design(objective, layer, layer, temperature=TEMPERATURE))
    by_hand = dict(gradient.dense)
    for name, (rows, each) in gradient.rows.items():
        by_hand[name] = summed_over_equal_rows(rows, each)

    def loss(p: Arrays) -> float:
        u = p["people"][PEOPLE] @ p["user_W"] + p["user_b"]
        m = p["movies"][ROWS] @ p["movie_W"] + p["movie_b"]
        if layer == "relu":
            u, m = np.maximum(u, 0), np.maximum(m, 0)
        if objective == "mse":
            return float(np.mean(((u * m).sum(axis=1) / TEMPERATURE - RATINGS) ** 2))
        scores = u @ m.T / TEMPERATURE - LOG_Q[ROWS]
        scores[(ROWS[:, None] == ROWS) & ~np.eye(B, dtype=bool)] = -np.inf
        return float(np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores)))

    assert found == pytest.approx(loss(point), rel=1e-12)
    return loss, by_hand, point


def ranking_network_case() -> Case:
    rng = np.random.default_rng(0)
    point = {"W": rng.normal(size=(5, 3)), "b": rng.normal(size=3), "v": rng.normal(size=3), "w": rng.normal(size=5)}
    lists, targets = rng.normal(size=(4, 7, 5)), rng.random((4, 7))
    targets /= targets.sum(axis=1, keepdims=True)

    def loss(p: Arrays) -> float:
        return ranking_network.loss_and_gradient(Network(**p), lists, targets, 0.3)[0]

    return loss, ranking_network.loss_and_gradient(Network(**point), lists, targets, 0.3)[1]._asdict(), point


CORRECT: dict[str, Callable[[], Case]] = {
    "linear": linear_case,
    "relu": relu_case,
    "normalise": normalise_case,
    "dot": dot_case,
    "lookup": lookup_case,
    "bag": bag_case,
    "mse": mse_case,
    "softmax": softmax_case,
    "two towers, mse": lambda: two_towers_case("mse"),
    "two towers, mse, linear": lambda: two_towers_case("mse", "linear"),
    "two towers, softmax": lambda: two_towers_case("softmax"),
    "two towers, softmax, linear": lambda: two_towers_case("softmax", "linear"),
    "ranking network": ranking_network_case,
}


@pytest.mark.parametrize("name", CORRECT)
def test_gradient_by_hand_agrees_with_finite_differences(name: str) -> None:
    loss, gradient, point = CORRECT[name]()
    assert check_gradient(loss, gradient, point, np.random.default_rng(1)) < 1e-6


# Planted bugs: each a mistake that is easily made, in the place of the right backward rule.


def forgotten_mask(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy


def mask_of_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    return dy * (dy > 0)


def transposed_weight(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, ...]:
    return dy @ W, x.T @ dy, dy.sum(axis=0)


def transposed_product(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, ...]:
    return dy @ W.T, dy.T @ x, dy.sum(axis=0)


def mean_for_sum(dy: np.ndarray, x: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, ...]:
    return dy @ W.T, x.T @ dy, dy.mean(axis=0)


def forgotten_term(dy: np.ndarray, y: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return dy / lengths


def forgotten_length(dy: np.ndarray, y: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return dy - y * (y * dy).sum(axis=1, keepdims=True)


def swapped(dp: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    return dp[:, None] * a, dp[:, None] * b


def overwritten(rows: np.ndarray, each: np.ndarray) -> np.ndarray:
    table = np.zeros_like(TABLE)
    table[rows] += each
    return table


def forgotten_weight(
    dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, ...]:
    return layers.bag_backward(dy, indptr, rows, np.ones_like(weights))


def unsorted_weights(
    dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, ...]:
    back = np.argsort(np.argsort(rows, kind="stable"))
    return layers.bag_backward(dy, indptr, rows, weights[back])


def last_of_equal_rows(
    dy: np.ndarray, indptr: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, ...]:
    return rows, np.repeat(dy, np.diff(indptr), axis=0) * weights[:, None]


def missing_one_over_b(predicted: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    return 0.0, 2 * (predicted - ratings)


def missing_two(predicted: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    return 0.0, (predicted - ratings) / len(ratings)


def wrong_sign(predicted: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    return 0.0, 2 * (ratings - predicted) / len(ratings)


def log_q_added(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    shift = 2 * LOG_Q[CANDIDATES]
    return losses.sampled_softmax(users, movies, own, corrections + shift, temperature, hidden)


def copies_as_negatives(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    return losses.sampled_softmax(users, movies, own, corrections[[0, 0]], temperature, hidden)


def copies_counted_once(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    return losses.sampled_softmax(users, movies, own, corrections[[1, 1]], temperature, hidden)


def liked_as_negatives(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    return losses.sampled_softmax(users, movies, own, corrections, temperature)


def forgotten_temperature(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    found = losses.sampled_softmax(users, movies, own, corrections, temperature, hidden)
    return found._replace(users=found.users * temperature)


def sums_not_means(users, movies, own, corrections, temperature, hidden):  # type: ignore[no-untyped-def]
    found = losses.sampled_softmax(users, movies, own, corrections, temperature, hidden)
    return found._replace(movies=found.movies * len(users))


PLANTED: dict[str, tuple[Callable[[], Case], set[str]]] = {
    "ReLU: forgotten mask": (lambda: relu_case(forgotten_mask), {"z"}),
    "ReLU: mask of the gradient": (lambda: relu_case(mask_of_gradient), {"z"}),
    "linear: transposed weight": (lambda: linear_case(transposed_weight), {"x"}),
    "linear: transposed product": (lambda: linear_case(transposed_product), {"W"}),
    "linear: mean over the batch": (lambda: linear_case(mean_for_sum), {"b"}),
    "normalise: forgotten term": (lambda: normalise_case(forgotten_term), {"x"}),
    "normalise: forgotten length": (lambda: normalise_case(forgotten_length), {"x"}),
    "dot: factors swapped": (lambda: dot_case(swapped), {"a", "b"}),
    "lookup: equal rows overwritten": (lambda: lookup_case(overwritten), {"table"}),
    "bag: equal rows overwritten": (lambda: bag_case(last_of_equal_rows), {"table"}),
    "bag: forgotten weight": (lambda: bag_case(forgotten_weight), {"table"}),
    "bag: weights in another order": (lambda: bag_case(unsorted_weights), {"table"}),
    "mse: missing 1/B": (lambda: mse_case(missing_one_over_b), {"predicted"}),
    "mse: missing 2": (lambda: mse_case(missing_two), {"predicted"}),
    "mse: wrong sign": (lambda: mse_case(wrong_sign), {"predicted"}),
    "softmax: log q with the wrong sign": (lambda: softmax_case(log_q_added), {"users", "movies", "biases"}),
    "softmax: accidental hits kept": (lambda: softmax_case(copies_as_negatives), {"users", "movies", "biases"}),
    "softmax: copies counted once": (lambda: softmax_case(copies_counted_once), {"users", "movies", "biases"}),
    "softmax: liked movies as negatives": (lambda: softmax_case(liked_as_negatives), {"users", "movies", "biases"}),
    "softmax: forgotten temperature": (lambda: softmax_case(forgotten_temperature), {"users"}),
    "softmax: sum over the batch": (lambda: softmax_case(sums_not_means), {"movies"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_caught_and_named(name: str) -> None:
    """Every direction of a wrong group fails, by far; a right group beside it passes."""
    make, wrong = PLANTED[name]
    checks = compare(*make(), np.random.default_rng(1))
    assert {check.group for check in checks if check.error > 1e-3} == wrong
    assert all(check.error < 1e-6 for check in checks if check.group not in wrong)
    with pytest.raises(AssertionError, match=f"gradient of {min(wrong)}: finite difference .*, by hand "):
        check_gradient(*make(), np.random.default_rng(1))


def test_a_row_without_length_has_no_direction_and_no_gradient() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    y, lengths = layers.normalise(x)
    assert y.tolist() == [[0, 0], [0.6, 0.8]]
    assert layers.normalise_backward(np.ones((2, 2)), y, lengths)[0].tolist() == [0, 0]


def test_small_errors_are_caught() -> None:
    """One entry of 24 off by a part in a thousand: the tolerance is tight enough to notice."""
    loss, gradient, point = linear_case()
    gradient["W"] = gradient["W"].copy()
    gradient["W"][1, 2] *= 1.001
    with pytest.raises(AssertionError, match="gradient of W"):
        check_gradient(loss, gradient, point, np.random.default_rng(1))


def test_a_gradient_that_is_not_a_number_fails() -> None:
    with pytest.raises(AssertionError, match="by hand nan"):
        check_gradient(lambda p: 0.0, {"w": np.full(2, np.nan)}, {"w": np.ones(2)}, np.random.default_rng(0))


def test_another_shape_is_refused_and_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\), w itself \(3, 1\)"):
        check_gradient(lambda p: 0.0, {"w": np.ones(3)}, {"w": np.ones((3, 1))}, np.random.default_rng(0))
