"""One person's ratings as a Gaussian process over movies and over their own past.

Rating n of a person, of movie i at place n in their history (0 = first), less what everybody thinks of that movie:

    y_n = f(i, n) + noise,     var(noise) = 1 + rare / (ratings of i + 1)
    cov(f(i, n), f(j, m)) = keen (phi_i . phi_j) ((1 - drift) + drift exp(-|n - m| / drift_span))   what they like
                            + level + mood exp(-|n - m| / mood_span)                             how generous they are

With K the covariance of the known ratings, alpha = inv(K + noise) y; a movie t rated next is expected at

    phi_t . w + shift,   w = keen sum_n phi_n g_n alpha_n,
                         shift = sum_n (level + mood exp(-(N - n) / mood_span)) alpha_n,
    g_n = (1 - drift) + drift exp(-(N - n) / drift_span)

so the whole catalogue costs one product with w. Variances are in units of the noise's, which differs from person to
person: its prior is an inverse gamma worth `PRIOR_RATINGS` ratings. Some people have sharp tastes and some like nearly
everything alike: `keen` takes the values 1 / keenness, 1 and keenness, weighed by how likely each makes the ratings.
Rasmussen and Williams 2006, "Gaussian processes for machine learning", equations 2.23 (the mean), 2.30 (how likely;
here the noise integrated out, which makes it a Student's t) and 5.12 (`left_out_errors`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Covariance(NamedTuple):
    """The constants of the covariance above."""

    level: float
    mood: float
    mood_span: float
    drift: float
    drift_span: float
    rare: float
    keenness: float


PRIOR_RATINGS = 4.0
PRIOR_NOISE = 0.55  # stars squared


class Taste(NamedTuple):
    """What a history lets expect: of movie t, `phi_t . weights + shift`."""

    weights: np.ndarray
    shift: float


def expect(features: np.ndarray, y: np.ndarray, n_ratings: np.ndarray, covariance: Covariance) -> Taste:
    """Return the posterior mean after a history, oldest first.

    features (N, d): phi of each movie; y (N,): ratings less what was expected of the movies; n_ratings (N,): how often
    each movie was rated in all. Cost O(N^2 d + N^3); without a history, the expectation is 0.
    """
    c = covariance
    since = len(y) - np.arange(len(y))
    remembered = 1 - c.drift + c.drift * np.exp(-since / c.drift_span)
    generous = c.level + c.mood * np.exp(-since / c.mood_span)
    tastes, evidence = [], []
    for keen in (1.0,) if c.keenness == 1 else (1 / c.keenness, 1.0, c.keenness):
        K = covariance_matrix(features, n_ratings, c, keen)
        alpha = np.linalg.solve(K, y)
        tastes.append(np.append(keen * (remembered * alpha) @ features, generous @ alpha))
        spread = y @ alpha + PRIOR_RATINGS * PRIOR_NOISE
        evidence.append(-0.5 * (len(y) + PRIOR_RATINGS) * np.log(spread) - 0.5 * np.linalg.slogdet(K)[1])
    weights = np.exp(np.array(evidence) - max(evidence))
    mixed = weights @ np.array(tastes) / weights.sum()
    return Taste(mixed[:-1], float(mixed[-1]))


def left_out_errors(features: np.ndarray, y: np.ndarray, n_ratings: np.ndarray, covariance: Covariance) -> np.ndarray:
    """Return (N,): each y less what the other N - 1 let expect of it, keen = 1: alpha_n / inv(K)_nn, not N solves."""
    inverse = np.linalg.inv(covariance_matrix(features, n_ratings, covariance))
    errors = (inverse @ y) / np.diag(inverse)
    return errors


def covariance_matrix(
    features: np.ndarray, n_ratings: np.ndarray, covariance: Covariance, keen: float = 1.0
) -> np.ndarray:
    """Return K + noise (N, N) of a history, oldest first."""
    c = covariance
    places = np.arange(len(features))
    apart = np.abs(places[:, None] - places)
    K = keen * (features @ features.T) * (1 - c.drift + c.drift * np.exp(-apart / c.drift_span))
    K += c.level + c.mood * np.exp(-apart / c.mood_span)
    K[places, places] += 1 + c.rare / (n_ratings + 1)
    result = K
    return result
