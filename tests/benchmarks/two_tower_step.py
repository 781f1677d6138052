"""One training step of the two towers against PyTorch on the CPU: 162k users x 59k movies, 64 wide, batch 1024.

Needs torch (pip install torch). One thread each, float32, the same batches in turns; medians, and the median of the
ratio within a turn. Contestants, all from the same weights:

    sparse   nn.Embedding(sparse=True) with SparseAdam, Adam for the linear layers: what PyTorch offers for this
    dense    nn.Embedding with Adam, which walks over both tables in every step
    ours     the step of recommender.learn.two_tower.training, with the settings of the recipe

The line "same numbers" is the largest difference of the towers' matrices after all turns, which shows that both did
the same work.
"""

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn import Embedding, Linear, Module, ModuleList
from torch.nn.functional import cross_entropy, mse_loss

from recommender.data.interactions import Interactions
from recommender.learn.two_tower.losses import batch_candidates, log_frequencies
from recommender.learn.two_tower.network import RECIPE, Batch, TwoTowerSettings, loss_and_gradient
from recommender.learn.two_tower.training import Training
from tests.benchmarks.synthetic import FULL, synthetic_interactions
from tests.benchmarks.tools import ratio

K, BATCH = 64, 1024
SIDES = ("user", "movie")


class Theirs(Module):
    def __init__(self, start: dict[str, np.ndarray], sparse: bool) -> None:
        super().__init__()
        tables = [torch.tensor(start[name]) for name in ("users", "movies")]
        self.tables = ModuleList(Embedding.from_pretrained(t, freeze=False, sparse=sparse) for t in tables)
        self.layers = ModuleList(Linear(K, K) for _ in SIDES)
        for layer, side in zip(self.layers, SIDES):
            layer.weight.data = torch.tensor(start[f"{side}_W"].T.copy())
            layer.bias.data = torch.tensor(start[f"{side}_b"])
        self.optimizers = [torch.optim.Adam(self.layers.parameters(), lr=1e-3)]
        make = torch.optim.SparseAdam if sparse else torch.optim.Adam
        self.optimizers.append(make(list(self.tables.parameters()), lr=1e-3))

    def step(self, objective: str, users: Any, movies: Any, ratings: Any, log_q: Any) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        u, m = (torch.relu(layer(table(r))) for layer, table, r in zip(self.layers, self.tables, (users, movies)))
        if objective == "mse":
            loss = mse_loss((u * m).sum(dim=1), ratings)
        else:
            copies = (movies[:, None] == movies) & ~torch.eye(BATCH, dtype=torch.bool)  # no wrong answers
            scores = (u @ m.T - log_q[movies]).masked_fill(copies, float("-inf"))
            loss = cross_entropy(scores, torch.arange(BATCH))
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()


def our_step(training: Training, users: np.ndarray, movies: np.ndarray, ratings: np.ndarray, log_q: np.ndarray) -> None:
    batch = Batch(movies, users, ratings=ratings)
    if training.settings.objective == "softmax":
        rows, positive, offsets = batch_candidates(movies, log_q)
        batch = Batch(rows, users, positive=positive, offsets=offsets)
    training.step(loss_and_gradient(training.parameters, batch, training.settings)[1])


def compare(objective: str, data: Interactions, batches: list[tuple[np.ndarray, ...]], log_q: np.ndarray) -> None:
    settings = TwoTowerSettings(**{**RECIPE, "objective": objective})
    training = Training(data, np.zeros((data.n_movies, 0), np.float32), settings)
    start = {name: value.copy() for name, value in training.parameters.items()}
    nets = {"sparse": Theirs(start, sparse=True), "dense": Theirs(start, sparse=False)}
    seconds: dict[str, list[float]] = {"sparse": [], "dense": [], "ours": []}

    def timed(name: str, step: Any, *given: Any) -> None:
        started = time.perf_counter()
        step(*given)
        seconds[name].append(time.perf_counter() - started)

    for turn, batch in enumerate(batches):
        tensors = [torch.tensor(part) for part in (*batch, log_q)]
        for name, net in nets.items():
            if name == "sparse" or (objective == "mse" and turn % 4 == 0):  # dense takes a tenth of a second
                timed(name, net.step, objective, *tensors)
        timed("ours", our_step, training, *batch, log_q)
    for name, values in seconds.items():
        if values:
            found = ratio(seconds["ours"][:: 4 if name == "dense" else 1], values)
            print(f"  {objective:<8}{name:<8}{1e3 * median(values):8.2f} ms   ours / this {found:.3f}")
    theirs = [layer.weight.detach().numpy().T for layer in nets["sparse"].layers]
    apart = max(float(np.abs(training.parameters[f"{side}_W"] - their).max()) for side, their in zip(SIDES, theirs))
    print(f"  same numbers: the matrices differ by up to {apart:.1e}")


def main() -> None:
    torch.set_num_threads(1)
    data = synthetic_interactions(*FULL[:2], 5_000_000, np.random.default_rng(0))
    print(f"numpy {np.__version__}, torch {torch.__version__}, {data.n_ratings:,} ratings")
    chosen = np.random.default_rng(1).integers(data.n_ratings, size=(60, BATCH))
    users, movies = data.user_rows()[chosen].astype(np.int64), data.movie_rows[chosen].astype(np.int64)
    log_q = log_frequencies(data.movie_counts(), BATCH).astype(np.float32)
    for objective in ("mse", "softmax"):
        compare(objective, data, list(zip(users, movies, data.ratings[chosen])), log_q)


if __name__ == "__main__":
    main()
