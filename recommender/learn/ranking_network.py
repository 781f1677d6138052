"""A small network that ranks a list, its gradients by hand: ReLU units beside a linear path, listwise softmax.

    s_c  = v . max(0, W' f_c + b) + w . f_c           score of candidate c from its features f_c
    p    = softmax of s over the candidates of one user
    loss = -sum_c t_c ln p_c,  t spread evenly over the relevant candidates;  the mean over users

plus l2 / 2 times the squared weights of W, v, w. Source: Cao et al., Learning to Rank: From Pairwise Approach to
Listwise Approach (ICML 2007), section 4 (top-one softmax). The steps are those of `two_tower.adam`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .two_tower.adam import Adam, Parameter

BATCH = 32  # lists a step


class Network(NamedTuple):
    """The parameters, of one dtype."""

    W: np.ndarray  # (n_features, n_hidden)
    b: np.ndarray  # (n_hidden,)
    v: np.ndarray  # (n_hidden,)
    w: np.ndarray  # (n_features,)


def start(w: np.ndarray, n_hidden: int, rng: np.random.Generator) -> Network:
    """Return a network that begins near the linear ranking `w` (n_features,), in its dtype."""
    W = rng.normal(0, 1 / np.sqrt(max(len(w), 1)), (len(w), n_hidden))
    v = rng.normal(0, 0.1, n_hidden)
    return Network(W.astype(w.dtype), np.zeros(n_hidden, dtype=w.dtype), v.astype(w.dtype), w.copy())


def scores(network: Network, features: np.ndarray) -> np.ndarray:
    """Return (B, C) from `features` (B, C, n_features); each user's list is scored for itself."""
    W, b, v, w = network
    return np.maximum(features @ W + b, 0) @ v + features @ w


def loss_and_gradient(network: Network, features: np.ndarray, targets: np.ndarray, l2: float) -> tuple[float, Network]:
    """Return the loss with its l2 term, and its gradient.

    features: (B, C, n_features).  targets: (B, C), t above: not negative, each row summing to 1.
    """
    W, b, v, w = network
    z = features @ W + b  # (B, C, n_hidden)
    hidden = np.maximum(z, 0)
    s = hidden @ v + features @ w
    s -= s.max(axis=1, keepdims=True)
    log_p = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
    loss = -(targets * log_p).sum() / len(s) + l2 / 2 * sum(float((part**2).sum()) for part in (W, v, w))
    ds = ((np.exp(log_p) - targets) / len(s)).ravel()  # ds_c = p_c - t_c, (B C,)
    f, h = features.reshape(-1, features.shape[-1]), hidden.reshape(-1, len(b))
    dz = np.outer(ds, v) * (z.reshape(-1, len(b)) > 0)  # dz_c = ds_c v [z_c > 0]
    # dW = sum f_c dz_c'   db = sum dz_c   dv = sum ds_c h_c   dw = sum ds_c f_c
    gradient = Network(f.T @ dz + l2 * W, dz.sum(axis=0), h.T @ ds + l2 * v, f.T @ ds + l2 * w)
    return float(loss), gradient


def train(
    net: Network, lists: np.ndarray, targets: np.ndarray, rng: np.random.Generator, epochs: int, rate: float, l2: float
) -> Network:
    """Return the network after `epochs` passes of Adam over the lists, (B, C, n_features), shuffled by `rng`."""
    parameters = [Parameter(part) for part in net]
    network = Network(*(part.weights for part in parameters))  # views: every step moves them
    t = 0
    for _ in range(epochs):
        order = rng.permutation(len(lists))
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            _, gradient = loss_and_gradient(network, lists[some], targets[some], l2)
            t += 1
            for part, g in zip(parameters, gradient):
                part.step(g, t, Adam(rate))
    return network
