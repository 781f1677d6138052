"""One training step of the two towers against PyTorch on the CPU: 162k users x 59k movies, 64 wide, batch 1024.

    python -m tests.benchmarks.two_tower_step [--data ratings_25m.npz] [--repeats 60] [--uniform]

torch is needed beside what the project needs (pip install torch). One thread each, float32, the same batches in turns;
medians, and the median of the ratio within a turn. Contestants, all from the same weights:

    sparse   nn.Embedding(sparse=True) with SparseAdam, Adam for the linear layers: what PyTorch offers for this
    dense    nn.Embedding with Adam, which walks over both tables in every step
    ours     the step of recommender.learn.two_tower.training, with the settings of the recipe

Popular movies come up several times in a batch of real ratings, of which ours makes use; `--uniform` draws people and
movies evenly instead, so that hardly any comes twice. The line "same numbers" is the largest difference of the towers'
matrices after all turns, which shows that both did the same work.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from pathlib import Path
from typing import Callable

import numpy as np
import torch

from recommender.data.interactions import Interactions
from recommender.learn.two_tower.losses import batch_candidates
from recommender.learn.two_tower.network import Batch, loss_and_gradient
from recommender.learn.two_tower.samplers import log_frequencies
from recommender.learn.two_tower.settings import RECIPE, TwoTowerSettings
from recommender.learn.two_tower.training import Training
from tests.benchmarks.synthetic import synthetic_interactions

N_USERS, N_MOVIES, K, BATCH = 162_000, 59_000, 64, 1024
SIDES = ("user", "movie")
Step = Callable[[int], None]
Weights = dict[str, np.ndarray]


class Batches:
    """Rows and ratings of `n` batches, (n, BATCH) each, and ln q of every movie."""

    def __init__(self, data: Interactions, n: int, uniform: bool) -> None:
        rng = np.random.default_rng(1)
        chosen = rng.integers(data.n_ratings, size=(n, BATCH))
        self.users, self.movies = data.user_rows()[chosen].astype(np.int64), data.movie_rows[chosen].astype(np.int64)
        counts = data.movie_counts()
        if uniform:
            self.users, self.movies = rng.integers(N_USERS, size=(n, BATCH)), rng.integers(N_MOVIES, size=(n, BATCH))
            counts = np.ones(N_MOVIES, dtype=np.int64)
        self.ratings = data.ratings[chosen]
        self.log_q = log_frequencies(counts, BATCH).astype(np.float32)
        distinct = [np.mean([len(np.unique(rows)) for rows in part]) for part in (self.users, self.movies)]
        print(
            f"{n} batches of {BATCH}: {distinct[0]:.0f} distinct people, {distinct[1]:.0f} distinct movies on average"
        )


class Theirs(torch.nn.Module):
    """The same network in PyTorch, from the same weights."""

    def __init__(self, start: Weights, sparse: bool) -> None:
        super().__init__()
        self.tables = torch.nn.ModuleList(
            torch.nn.Embedding.from_pretrained(torch.tensor(start[name]), freeze=False, sparse=sparse)
            for name in ("people", "movies")
        )
        self.layers = torch.nn.ModuleList(torch.nn.Linear(K, K) for _ in SIDES)
        for layer, side in zip(self.layers, SIDES):
            layer.weight.data = torch.tensor(start[f"{side}_W"].T.copy())
            layer.bias.data = torch.tensor(start[f"{side}_b"])
        if sparse:
            self.optimizers = [torch.optim.SparseAdam(list(self.tables.parameters()), lr=1e-3)]
            self.optimizers.append(torch.optim.Adam(self.layers.parameters(), lr=1e-3))
        else:
            self.optimizers = [torch.optim.Adam(self.parameters(), lr=1e-3)]

    def vectors(self, *rows: torch.Tensor) -> list[torch.Tensor]:
        return [torch.relu(layer(table(r))) for layer, table, r in zip(self.layers, self.tables, rows)]

    def step(self, loss: Callable[..., torch.Tensor], users: torch.Tensor, movies: torch.Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss(*self.vectors(users, movies)).backward()
        for optimizer in self.optimizers:
            optimizer.step()


def their_step(objective: str, batches: Batches, net: Theirs) -> Step:
    users, movies, ratings = (torch.tensor(part) for part in (batches.users, batches.movies, batches.ratings))
    log_q, diagonal, eye = torch.tensor(batches.log_q), torch.arange(BATCH), torch.eye(BATCH, dtype=torch.bool)

    def mse(number: int) -> None:
        net.step(
            lambda u, m: torch.nn.functional.mse_loss((u * m).sum(dim=1), ratings[number]),
            users[number],
            movies[number],
        )

    def softmax(number: int) -> None:
        rows = movies[number]

        def loss(u: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
            copies = (rows[:, None] == rows) & ~eye  # the same movie again is no negative
            scores = (u @ m.T - log_q[rows]).masked_fill(copies, float("-inf"))
            return torch.nn.functional.cross_entropy(scores, diagonal)

        net.step(loss, users[number], rows)

    return mse if objective == "mse" else softmax


def our_step(batches: Batches, training: Training) -> Step:
    def step(number: int) -> None:
        people, movies = batches.users[number], batches.movies[number]
        if training.settings.objective == "mse":
            batch = Batch(movies, people, ratings=batches.ratings[number])
        else:
            rows, own, corrections = batch_candidates(movies, batches.log_q)
            batch = Batch(rows, people, own=own, corrections=corrections)
        training.step(loss_and_gradient(training.parameters, batch, training.design)[1])

    return step


def compare(objective: str, data: Interactions, batches: Batches, repeats: int) -> None:
    """Run all contestants in turns and print medians, ratios, and how far the weights differ at the end."""
    settings = TwoTowerSettings(**{**RECIPE, "objective": objective})
    training = Training(data, np.zeros((data.n_movies, 0), np.float32), settings)
    rng = np.random.default_rng(0)
    for table in training.tables.values():  # of movies without an example too, which --uniform asks for
        table.weights[...] = 0.1 * rng.standard_normal(table.weights.shape, dtype=np.float32)
    start = {name: value.copy() for name, value in training.parameters.items()}
    nets = {"sparse": Theirs(start, sparse=True), "dense": Theirs(start, sparse=False)}
    steps = {name: their_step(objective, batches, net) for name, net in nets.items()}
    steps["ours"] = our_step(batches, training)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats):
        for name, step in steps.items():
            if name == "dense" and (objective != "mse" or turn % 4):  # it takes a tenth of a second
                continue
            started = time.perf_counter()
            step(turn)
            seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        if values:
            rivals = seconds["ours"][:: 4 if name == "dense" else 1]
            ratio = np.median(np.array(rivals) / np.array(values))
            print(f"  {objective:<8}{name:<8}{1e3 * np.median(values):8.2f} ms   ours / this {ratio:.3f}")
    theirs = [layer.weight.detach().numpy().T for layer in nets["sparse"].layers]
    ours = [training.parameters[f"{side}_W"] for side in SIDES]
    apart = max(float(np.abs(our - their).max()) for our, their in zip(ours, theirs))
    moved = max(float(np.abs(our - start[f"{side}_W"]).max()) for our, side in zip(ours, SIDES))
    print(f"  same numbers: matrices moved by up to {moved:.1e} in {repeats} steps and differ by up to {apart:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="an .npz of Interactions of that size; made up when left out")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--uniform", action="store_true", help="draw people and movies evenly")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = (
        Interactions.load(arguments.data)
        if arguments.data
        else synthetic_interactions(N_USERS, N_MOVIES, 5_000_000, np.random.default_rng(0))
    )
    print(f"numpy {np.__version__}, torch {torch.__version__}, {data.n_ratings:,} ratings")
    batches = Batches(data, arguments.repeats, arguments.uniform)
    for objective in ("mse", "softmax"):
        compare(objective, data, batches, arguments.repeats)


if __name__ == "__main__":
    main()
