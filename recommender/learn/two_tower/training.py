"""Training a two-tower network: examples, batches, steps of Adam, one epoch at a time.

An epoch shows every example once: each liked movie, or each rating where the loss is on ratings, with its user; where
histories are read, all but a user's first rating, which has nothing before it. The rate of Adam falls in a straight
line to 0 at the end of the last planned epoch, if `rate_falls`: to stop early is not to plan fewer epochs. When to
stop is for the caller to decide. The draws of epoch e come from a generator made of (seed, e), so there is none to
keep: a training that takes over the `state` of another continues to the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from ...data.errors import DataError
from ...data.interactions import LIKED, Interactions
from .adam import Adam, Parameter
from .losses import LOSSES, batch_candidates, log_frequencies
from .network import Bags, Batch, Gradient, Parameters, TwoTowerSettings, loss_and_gradient, movie_inputs, tower
from .users import bags_before, draw_ends

TOO_LARGE = 1e6  # for a weight: products of a few such numbers are beyond float32


class Training:
    """A network in training; `parameters` are its present values.

    features: F, (n_movies, n_features), no columns for none.  dtype: of all arithmetic.  Raises `DataError` where
    `data` has no example. Memory: three times the parameters, and the data.
    """

    def __init__(
        self, data: Interactions, features: np.ndarray, settings: TwoTowerSettings, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self.data, self.settings, self.dtype = data, settings, np.dtype(dtype)
        self.features = features.astype(dtype)
        self.in_batch, self.reads_history = LOSSES[settings.objective].in_batch, settings.user_input == "history"
        self.user_rows = data.user_rows()
        asked = data.ratings >= (LIKED if self.in_batch else 0)
        if self.reads_history:
            asked &= np.arange(data.n_ratings) > data.indptr[self.user_rows]
        if not asked.any():
            raise DataError("no rating to learn from: give data with liked movies after others of the same user")
        self.examples = np.flatnonzero(asked).astype(np.int32 if len(asked) < 2**31 else np.int64)  # positions in data
        self.counts = np.bincount(data.movie_rows[self.examples], minlength=data.n_movies)
        self.log_q = log_frequencies(self.counts, settings.batch).astype(dtype)
        self.likes = data.take(data.ratings >= LIKED) if self.in_batch and not self.reads_history else data
        first = self._first_values(np.random.default_rng([settings.seed, 0]))
        self.learned = {name: Parameter(values.astype(dtype)) for name, values in first.items()}
        self.epochs_done = self.steps_done = 0

    def _first_values(self, rng: np.random.Generator) -> Parameters:
        """Return the parameters before the first step.

        Rows of movies without an example are 0, as nothing would ever move them: their features count alone. A linear
        layer begins as the identity, ReLU as He, 2015.
        """
        settings, k = self.settings, self.settings.factors
        n_movies, n_features = self.features.shape

        def normal(deviation: float, n: int) -> np.ndarray:
            return rng.normal(0, deviation, (n, k)).astype(self.dtype)

        first = {"movies": normal(settings.scale, n_movies) * (self.counts > 0)[:, None]}
        if settings.movie_bias:
            # ln n: with equal vectors the order of popularity, as after the logQ correction
            first["bias"] = np.log(self.counts + 1.0)[:, None] if self.in_batch else np.zeros((n_movies, 1))
        name, n = ("history", n_movies) if self.reads_history else ("users", self.data.n_users)
        first[name] = normal(settings.scale, n)
        for side, layer in (("user", settings.user_layer), ("movie", settings.movie_layer)):
            if layer != "none":
                first[f"{side}_W"] = np.eye(k) if layer == "linear" else normal(np.sqrt(2 / k), k)
                first[f"{side}_b"] = np.zeros(k)
        if n_features:
            first["feature_P"] = np.zeros((n_features, k))
            if settings.movie_bias:
                first["feature_p"] = np.zeros((n_features, 1))
        return first

    @property
    def parameters(self) -> Parameters:
        return {name: part.weights for name, part in self.learned.items()}

    def run_epoch(self) -> float:
        """Show every example once; returns the mean loss over the epoch, each batch's before its step.

        Raises `DataError` if the loss is not finite, or a weight diverges.
        """
        self.epochs_done += 1
        rng = np.random.default_rng([self.settings.seed, self.epochs_done])
        ends = self.draw_ends(rng) if self.reads_history else self.examples
        total = 0.0
        for rows in shuffled_batches(len(self.examples), self.settings.batch, rng):
            batch = self.make_batch(rows, ends[rows], rng)
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradient = loss_and_gradient(self.parameters, batch, self.settings)
                self.step(gradient)
            total += loss * len(rows)
        mean = total / len(self.examples)
        largest = np.max([np.abs(values).max(initial=0) for values in self.parameters.values()])
        if not np.isfinite(mean) or not largest < TOO_LARGE:
            what = f"after epoch {self.epochs_done} the loss is {mean:g} and the largest weight {largest:g}"
            raise DataError(f"{what}: give a rate below {self.settings.rate:g}, or less of scale and l2")
        return mean

    def draw_ends(self, rng: np.random.Generator) -> np.ndarray:
        """Return the position in `data` before which each example's history ends, (n_examples,)."""
        begins = self.data.indptr[self.user_rows[self.examples]]
        return begins + draw_ends(self.examples - begins, self.settings.ahead, self.settings.anywhere, rng)

    def make_batch(self, rows: np.ndarray, ends: np.ndarray, rng: np.random.Generator) -> Batch:
        """Return the batch of the examples `rows` (B,), each with its history up to position `ends` (B,)."""
        position = self.examples[rows]
        users = self.user_rows[position].astype(np.int64)
        movies = self.data.movie_rows[position].astype(np.int64)
        more: dict[str, Any] = {}
        if self.reads_history:
            bags = bags_before(self.data, ends.astype(np.int64), users, self.settings)
            more["bags"] = bags._replace(weights=bags.weights.astype(self.dtype))
        if self.in_batch:
            movies, positive, more["offsets"] = batch_candidates(movies, self.log_q)
            more.update(positive=positive, masked=self._known_pairs(users, movies, positive, more.get("bags")))
        else:
            more["ratings"] = self.data.ratings[position].astype(self.dtype)
        if self.features.shape[1]:
            more["features"] = self.features[movies]
        if self.settings.drop_ids > 0:
            more["kept"] = (rng.random((len(movies), 1)) >= self.settings.drop_ids).astype(self.dtype)
        return Batch(movies, users, **more)

    def _known_pairs(
        self, users: np.ndarray, candidates: np.ndarray, positive: np.ndarray, bags: Optional[Bags]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, columns) of candidates that are no wrong answers: in the user's history, or liked too."""
        column_of = np.full(self.data.n_movies, -1)
        column_of[candidates] = np.arange(len(candidates))
        known = bags or self.likes.select(users)
        rows, columns = np.repeat(np.arange(len(users)), np.diff(known.indptr)), column_of[known.movie_rows]
        others = (columns >= 0) & (columns != positive[rows])
        return rows[others], columns[others]

    def step(self, gradient: Gradient) -> None:
        """Move all parameters by one step along the gradient of a batch."""
        settings = self.settings
        planned = settings.epochs * -(-len(self.examples) // settings.batch)
        left = max(1 - self.steps_done / planned, 0.0) if settings.rate_falls else 1.0
        adam = Adam(settings.rate * left)
        self.steps_done += 1
        for name, (rows, values) in gradient.rows.items():
            l2 = 0.0 if name == "bias" else settings.l2  # it would pull popular movies to the mean
            self.learned[name].step_rows(rows, values, self.steps_done, adam, l2)
        for name, values in gradient.dense.items():
            self.learned[name].step(values, self.steps_done, adam)

    def movie_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs of the movie tower for all movies, (n_movies, k), and their biases, (n_movies,)."""
        rows = np.arange(self.data.n_movies)
        x, bias = movie_inputs(self.parameters, rows, self.features if self.features.shape[1] else None)
        y = tower(x, "movie", self.settings.movie_layer, self.parameters)
        return y, np.zeros(len(rows), dtype=self.dtype) if bias is None else bias[:, 0]

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that changes in training, by name, as copies."""
        progress = np.array([self.epochs_done, self.steps_done])
        return {"progress": progress, **{name: part.copy() for name, part in self._arrays().items()}}

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Resume from the `state` of a training on the same data and settings."""
        self.epochs_done, self.steps_done = (int(n) for n in arrays["progress"])
        for name, part in self._arrays().items():
            part[...] = arrays[name]

    def _arrays(self) -> dict[str, np.ndarray]:
        return {f"{name}.{key}": array for name, part in self.learned.items() for key, array in vars(part).items()}


def shuffled_batches(n_rows: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield every row of 0..n_rows-1 once, in random order, `batch` at a time; the last batch may be shorter.

    >>> [len(rows) for rows in shuffled_batches(5, 2, np.random.default_rng(0))]
    [2, 2, 1]
    """
    order = np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)
    rng.shuffle(order)
    for low in range(0, n_rows, batch):
        yield order[low : low + batch]
