"""Compare a gradient written by hand with finite differences: the tool, for layers and whole networks alike.

    numeric  = (L(w + h d) - L(w - h d)) / 2h        along a random direction d, |d| = 1, h = 1e-6
    analytic = g . d
    error    = |numeric - analytic| / max(|numeric|, |analytic|, floor)

Central differences in float64 are right to about 1e-9, so a correct gradient stays far below 1e-6, and a term that is
missing or has the wrong sign far above. A few random directions test all entries of a parameter at once. Where a kink
(ReLU) lies within h of the point, the check can fail although the gradient is right: take another point. Source:
Griewank and Walther, Evaluating Derivatives (2008), chapter 1; the projection is that of autograd's `check_grads`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

STEP = 1e-6
TOLERANCE = 1e-6
FLOOR = 1e-3  # slopes below this are compared absolutely, as rounding of L leaves about 1e-10 / FLOOR


Arrays = Mapping[str, np.ndarray]
Loss = Callable[[dict[str, np.ndarray]], float]  # L as a function of all parameters


class Check(NamedTuple):
    """One direction of one parameter: the slope found and the slope claimed."""

    name: str
    numeric: float
    analytic: float

    @property
    def error(self) -> float:
        return abs(self.numeric - self.analytic) / max(abs(self.numeric), abs(self.analytic), FLOOR)


def compare(
    loss: Loss, gradient: Arrays, parameters: Arrays, rng: np.random.Generator, n_directions: int = 5
) -> list[Check]:
    """Return a `Check` for each direction of each parameter in `gradient`, which may hold fewer than `parameters`.

    parameters: the point, arrays by name; copied to float64.  Cost: 2 n_directions losses for each parameter.
    """
    point = {name: np.array(value, dtype=np.float64) for name, value in parameters.items()}
    checks = []
    for name, g in gradient.items():
        if np.shape(g) != point[name].shape:
            raise ValueError(f"gradient of {name} has shape {np.shape(g)}, {name} itself {point[name].shape}")
        for _ in range(n_directions):
            d = rng.standard_normal(point[name].shape)
            d /= np.linalg.norm(d)
            above, below = (loss({**point, name: point[name] + h * d}) for h in (STEP, -STEP))
            checks.append(Check(name, (above - below) / (2 * STEP), float(np.sum(np.asarray(g, np.float64) * d))))
    return checks


def check_gradient(loss: Loss, gradient: Arrays, parameters: Arrays, rng: np.random.Generator, **more: int) -> float:
    """Return the largest error of `compare`; raises `AssertionError`, naming every failing parameter and both numbers.

    >>> square = lambda p: float(np.sum(p["w"] ** 2))
    >>> w = np.array([1.0, -2.0])
    >>> check_gradient(square, {"w": 2 * w}, {"w": w}, np.random.default_rng(0)) < 1e-6
    True
    >>> check_gradient(square, {"w": w}, {"w": w}, np.random.default_rng(0), n_directions=1)
    Traceback (most recent call last):
    AssertionError: gradient of w: finite difference 4.2763, by hand 2.13815, relative error 5.0e-01
    """
    checks = compare(loss, gradient, parameters, rng, **more)
    message = "gradient of {}: finite difference {:.6g}, by hand {:.6g}, relative error {:.1e}"
    bad = [message.format(*check, check.error) for check in checks if not check.error < TOLERANCE]  # NaN is bad too
    if bad:
        raise AssertionError("; ".join(bad))
    return max((check.error for check in checks), default=0.0)
