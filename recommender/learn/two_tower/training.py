"""Training a two-tower network: examples, batches, steps of Adam, one epoch at a time.

    training = Training(data, features, settings)
    for _ in range(settings.epochs):
        loss = training.run_epoch()
    movie_vectors, biases = training.movie_vectors()

An epoch shows every example once: each liked movie (softmax) or each rating (MSE), with its person; where histories
are read, all but a person's first rating, which has nothing before it. After any epoch
`state()` holds all there is, parameters, Adam's moments and the number of steps, as named arrays; a training that
takes it over with `set_state` goes on to the same bytes as one that was never stopped. The draws of epoch e come from
a generator made of (seed, e), so there is no generator to keep.

The rate of Adam falls in a straight line to 0 at the end of the last planned epoch, if `rate_falls`. So a training
that is ended early is not the same as one that was planned with fewer epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

import numpy as np
import numpy.typing as npt

from ...data.errors import DataError
from ...data.interactions import Interactions
from . import losses, samplers
from .adam import Adam, EmbeddingTable, dense_step
from .history import Reading, bags_before, draw_moments
from .network import Bags, Batch, Design, Gradient, Parameters, loss_and_gradient, movie_inputs, tower
from .settings import TwoTowerSettings

TOO_LARGE = 1e6  # for a weight: products of a few such numbers are beyond float32
_BLOCK = 4096  # movies at a time where all are computed


class Training:
    """A network in training; `parameters` are its present values, views of tables included.

    data: what is learned from.  features: F, (n_movies, n_features), no columns for none.  dtype: of all arithmetic.
    Raises `DataError` where `data` holds no example. Memory: three times the parameters, and the data.
    """

    def __init__(
        self, data: Interactions, features: np.ndarray, settings: TwoTowerSettings, dtype: npt.DTypeLike = np.float32
    ) -> None:
        self.data, self.settings, self.dtype = data, settings, np.dtype(dtype)
        self.design, self.reading = design_of(settings), reading_of(settings)
        self.features = features.astype(dtype)
        self.user_rows = data.user_rows()
        self.examples = self._find_examples()
        self.counts = np.bincount(data.movie_rows[self.examples], minlength=data.n_movies)
        self.sampler = samplers.NegativeSampler(self.counts, settings.negative_power)
        self.log_q = samplers.log_frequencies(
            self.counts, settings.batch, settings.extra_negatives, self.sampler.chances
        ).astype(dtype)
        by_likes = settings.objective == "softmax" and settings.user_input == "id"
        self.likes = data.take(data.ratings >= settings.positives_from) if by_likes else data
        tables, self.dense = self._start(np.random.default_rng([settings.seed, 0]))
        self.tables = {name: EmbeddingTable(table) for name, table in tables.items()}
        self.moments = {name: np.zeros((2, *value.shape), dtype=dtype) for name, value in self.dense.items()}
        self.epochs_done = self.steps_done = 0

    def _find_examples(self) -> np.ndarray:
        """Return the places in `data.movie_rows` that are asked for."""
        asked = np.ones(self.data.n_ratings, dtype=bool)
        if self.settings.objective == "softmax":
            asked = self.data.ratings >= self.settings.positives_from
        if self.settings.user_input == "history":
            asked = asked & (np.arange(self.data.n_ratings) > self.data.indptr[self.user_rows])
        if not asked.any():
            raise DataError("no rating to learn from: give data with liked movies after others of the same person")
        return np.flatnonzero(asked).astype(np.int32 if len(asked) < 2**31 else np.int64)

    def _start(self, rng: np.random.Generator) -> tuple[Parameters, Parameters]:
        """Return the first tables and the first values of all other parameters.

        Rows of movies without an example are 0: nothing would ever move them, so features alone shall speak. Biases
        begin at the logarithm of the movies' counts: with equal vectors that is the order of popularity, and with
        the correction of the softmax the loss is then the one of movies drawn by their popularity.
        """
        chosen, k, dtype = self.settings, self.settings.factors, self.dtype
        n_movies, n_features = self.features.shape
        movies = rng.normal(0, chosen.scale, (n_movies, k)) * (self.counts > 0)[:, None]
        tables = {"movies": movies.astype(dtype)}
        if chosen.movie_bias:
            known = self.design.objective == "softmax"
            tables["bias"] = (np.log(self.counts + 1.0) * known)[:, None].astype(dtype)
        n_inputs = k
        if chosen.user_input == "id":
            tables["people"] = rng.normal(0, chosen.scale, (self.data.n_users, k)).astype(dtype)
        else:
            tables["history"] = rng.normal(0, chosen.scale, (n_movies, k)).astype(dtype)
            n_inputs = k * len(self.reading.spans)
        dense: Parameters = {}
        for side, layer, width in (("user", chosen.user_layer, n_inputs), ("movie", chosen.movie_layer, k)):
            if layer != "none":
                dense[f"{side}_W"] = first_layer(layer, width, k, rng).astype(dtype)
                dense[f"{side}_b"] = np.zeros(k, dtype=dtype)
        if n_features:
            dense["feature_P"] = np.zeros((n_features, k), dtype=dtype)
            if chosen.movie_bias:
                dense["feature_p"] = np.zeros((n_features, 1), dtype=dtype)
        return tables, dense

    @property
    def parameters(self) -> Parameters:
        return {**{name: table.weights for name, table in self.tables.items()}, **self.dense}

    def run_epoch(self) -> float:
        """Show every example once; returns the mean loss over the epoch, each batch's before its step.

        Raises `DataError` where the loss is no number any more, or a weight of a size that is no result.
        """
        self.epochs_done += 1
        rng = np.random.default_rng([self.settings.seed, self.epochs_done])
        moments = self._draw_moments(rng) if self.settings.user_input == "history" else self.examples
        total = 0.0
        for lines in samplers.shuffled_batches(len(self.examples), self.settings.batch, rng):
            batch = self.make_batch(lines, moments[lines], rng)
            with np.errstate(over="ignore", invalid="ignore"):
                loss, gradient = loss_and_gradient(self.parameters, batch, self.design)
                self.step(gradient)
            total += loss * len(lines)
        mean = total / len(self.examples)
        largest = np.max([np.abs(values).max(initial=0) for values in self.parameters.values()])
        if not np.isfinite(mean) or not largest < TOO_LARGE:
            what = f"after epoch {self.epochs_done} the loss is {mean:g} and the largest weight {largest:g}"
            raise DataError(f"{what}: give a rate below {self.settings.rate:g}, or less of scale and l2")
        return mean

    def _draw_moments(self, rng: np.random.Generator) -> np.ndarray:
        """Return the place up to which each example's history is read, (n_examples,)."""
        begins = self.data.indptr[self.user_rows[self.examples]]
        chosen = self.settings
        return begins + draw_moments(self.examples - begins, chosen.ahead, chosen.anywhere, rng)

    def make_batch(self, lines: np.ndarray, moments: np.ndarray, rng: np.random.Generator) -> Batch:
        """Return the batch of the examples `lines` (B,), each with its history up to place `moments` (B,)."""
        chosen = self.settings
        places = self.examples[lines]
        people = self.user_rows[places].astype(np.int64)
        own_rows = self.data.movie_rows[places].astype(np.int64)
        bags = None
        if chosen.user_input == "history":
            bags = bags_before(self.data, moments.astype(np.int64), people, self.reading)
            bags = [part._replace(weights=part.weights.astype(self.dtype)) for part in bags]
        if chosen.objective == "mse":
            batch = Batch(own_rows, people, bags, ratings=self.data.ratings[places].astype(self.dtype))
        else:
            extra = self.sampler.draw(chosen.extra_negatives, rng)
            rows, own, corrections = losses.batch_candidates(own_rows, self.log_q, extra)
            hidden = self._known_pairs(people, rows, own, bags)
            batch = Batch(rows, people, bags, own=own, corrections=corrections, hidden=hidden)
        if self.features.shape[1]:
            batch = batch._replace(features=self.features[batch.movie_rows])
        if chosen.drop_ids > 0:
            kept = rng.random((len(batch.movie_rows), 1)) >= chosen.drop_ids
            batch = batch._replace(kept=kept.astype(self.dtype))
        return batch

    def _known_pairs(
        self, people: np.ndarray, rows: np.ndarray, own: np.ndarray, bags: Optional[list[Bags]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (lines, columns) of candidates that are no negatives for a person: in the history, or liked too."""
        column_of = np.full(self.data.n_movies, -1)
        column_of[rows] = np.arange(len(rows))
        if bags is not None:
            longest = max(bags, key=lambda part: len(part.movie_rows))  # it reads what the others read
            lines = np.repeat(np.arange(len(people)), np.diff(longest.indptr))
            columns = column_of[longest.movie_rows]
        else:
            counts = np.diff(self.likes.indptr)[people]
            lines = np.repeat(np.arange(len(people)), counts)
            within = np.arange(len(lines)) - np.repeat(np.cumsum(counts) - counts, counts)
            columns = column_of[self.likes.movie_rows[self.likes.indptr[people][lines] + within]]
        others = (columns >= 0) & (columns != own[lines])
        return lines[others], columns[others]

    def step(self, gradient: Gradient) -> None:
        """Move all parameters by one step along the gradient of a batch."""
        chosen = self.settings
        rate = chosen.rate
        if chosen.rate_falls:
            steps = chosen.epochs * -(-len(self.examples) // chosen.batch)
            rate *= max(1 - self.steps_done / steps, 0.0)
        adam = Adam(rate)
        self.steps_done += 1
        for name, (rows, values) in gradient.rows.items():
            l2 = 0.0 if name == "bias" else chosen.l2
            self.tables[name].step(rows, values, self.steps_done, adam, l2)
        for name, values in gradient.dense.items():
            first, second = self.moments[name]
            dense_step(self.dense[name], values, first, second, self.steps_done, adam)

    def movie_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs of the movie tower for all movies, (n_movies, k), and their biases, (n_movies,)."""
        parameters = self.parameters
        vectors, biases = [], []
        for low in range(0, self.data.n_movies, _BLOCK):
            rows = np.arange(low, min(low + _BLOCK, self.data.n_movies))
            batch = Batch(rows, features=self.features[rows] if self.features.shape[1] else None)
            x, bias = movie_inputs(parameters, batch)
            vectors.append(tower(x, "movie", self.design.movie_layer, self.design.normalised, parameters).output)
            biases.append(np.zeros(len(rows), dtype=self.dtype) if bias is None else bias[:, 0])
        return np.concatenate(vectors), np.concatenate(biases)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that changes in training, by name, as copies."""
        return {"progress": np.array([self.epochs_done, self.steps_done]), **_copies(self._parts())}

    def _parts(self) -> dict[str, np.ndarray]:
        """Return the arrays that training changes in place."""
        parts: dict[str, np.ndarray] = {}
        for name, table in self.tables.items():
            parts.update({f"{name}.weights": table.weights, f"{name}.m": table.first, f"{name}.v": table.second})
        for name, value in self.dense.items():
            first, second = self.moments[name]
            parts.update({f"{name}.weights": value, f"{name}.m": first, f"{name}.v": second})
        return parts

    def set_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` of a training on the same data and settings returned.

        Raises `DataError` where names, shapes or dtypes are not those of this network.
        """
        wanted = {name: (value.shape, value.dtype) for name, value in self.state().items()}
        given = {name: (value.shape, value.dtype) for name, value in arrays.items()}
        if given != wanted:
            wrong = min(set(wanted.items()) ^ set(given.items()), key=str)[0]
            raise DataError(f"a stored training that does not fit at {wrong!r}: resume with the same data and settings")
        self.epochs_done, self.steps_done = (int(n) for n in arrays["progress"])
        for name, part in self._parts().items():
            part[...] = arrays[name]


def _copies(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value.copy() for name, value in arrays.items()}


def first_layer(layer: str, n_in: int, n_out: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first W (n_in, n_out): for a linear layer the identity (of each sum), for ReLU random (He, 2015)."""
    if layer == "linear":
        return np.tile(np.eye(n_out), (-(-n_in // n_out), 1))[:n_in]
    return rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out))


def design_of(chosen: TwoTowerSettings) -> Design:
    """Return what network the settings ask for."""
    return Design(chosen.objective, chosen.user_layer, chosen.movie_layer, chosen.normalised, chosen.temperature)


def reading_of(chosen: TwoTowerSettings) -> Reading:
    """Return how histories are read; a span of 0 is left out."""
    spans = [span for span in (chosen.short_span, chosen.long_span) if span > 0]
    added = chosen.user_layer == "none"
    return Reading(chosen.middling_weight, chosen.poor_weight, spans or [np.inf], chosen.longest_history, added)
