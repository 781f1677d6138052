"""Which way of weighting a person's movies finds more of what they like next, and what the vectors cost.

    python tests/benchmarks/user_vectors.py [--part val] [--backend local minilm] [--half-life 30 365 3650]

Movies' texts are embedded, a person's vector is made from train (with --part test: train and val),
and all movies that they have not rated are ranked by their cosine with it. Relevant is what they rated at 4 or more in
the held-out part. Printed are HitRate@10, nDCG@10 and Recall@20 of the same people for every method, the difference of
nDCG@10 to `average` with its 95% paired bootstrap interval, and popularity's figures for comparison.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.data.catalog import Catalog
from recommender.data.settings import default_folder
from recommender.data.splits import load_split
from recommender.evaluate import metrics
from recommender.evaluate.protocols import Evaluation, from_parts
from recommender.evaluate.run import best_rows
from recommender.evaluate.significance import bootstrap
from recommender.learn.base import mask_seen
from recommender.text.backends.local import LocalBackend
from recommender.text.movie_text import movie_text
from recommender.text.people import METHODS, UserVectorSettings, align, user_vectors
from recommender.text.registry import make_backend

HEADER = f"{'':28}{'HitRate@10':>11}{'nDCG@10':>9}{'Recall@20':>10}   nDCG@10 over average"


def figures(scores: Callable[[np.ndarray], np.ndarray], case: Evaluation, people: np.ndarray) -> np.ndarray:
    """Return (n_people, 3): hit rate, nDCG, recall of lists by `scores(positions)`."""
    found = scores(people).astype(np.float32)
    mask_seen(found, case.known, case.user_rows[people])
    lists = best_rows(found, 20)
    chosen = case.select(np.isin(np.arange(case.n_users), people), case.name, "no vector")
    indptr, relevant = chosen.relevant()
    hits = metrics.find_hits(lists, indptr, relevant, case.known.n_movies)
    n = np.diff(indptr)
    return np.column_stack([metrics.hit_rate(hits, n, 10), metrics.ndcg(hits, n, 10), metrics.recall(hits, n, 20)])


def compare(case: Evaluation, movies: np.ndarray, half_lives: Sequence[float]) -> None:
    rng = np.random.default_rng(0)
    base = user_vectors(case.known, movies, UserVectorSettings(), rng)
    ids = case.known.user_ids[case.user_rows]
    people = np.flatnonzero(np.isin(ids, base.user_ids))
    print(f"{len(people)} people with a vector and a relevant movie\n{HEADER}")
    average: Optional[np.ndarray] = None
    for method in METHODS:
        for half_life in half_lives if method in ("temporal", "weighted") else half_lives[:1]:
            settings = UserVectorSettings(method=method, half_life_days=half_life)
            users = user_vectors(case.known, movies, settings, np.random.default_rng(0))
            U = align(ids, users.user_ids, users.vectors)
            found = figures(lambda at, U=U: U[at] @ movies.T, case, people)
            average = found if average is None else average
            gain = bootstrap((found - average)[:, 1:2], None, 2000, np.random.default_rng(0))[0]
            name = f"{method}, half-life {half_life:g} d" if method in ("temporal", "weighted") else method
            means = found.mean(axis=0)
            over = f"{gain[0]:+.4f} [{gain[1]:+.4f}, {gain[2]:+.4f}]"
            print(f"{name:28}{means[0]:11.3f}{means[1]:9.4f}{means[2]:10.4f}   {over}")
    counts = case.known.movie_counts().astype(np.float64)
    means = figures(lambda at: np.tile(counts, (len(at), 1)), case, people).mean(axis=0)
    print(f"{'popularity':28}{means[0]:11.3f}{means[1]:9.4f}{means[2]:10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("val", "test"), default="val")
    parser.add_argument("--backend", nargs="+", default=["local"])
    parser.add_argument("--half-life", type=float, nargs="+", default=[30.0, 365.0, 3650.0])
    parser.add_argument("--processed", type=Path, default=default_folder("processed"))
    arguments = parser.parse_args()
    catalog = Catalog.load(arguments.processed)
    texts = [movie_text(catalog.movie(row)) for row in range(len(catalog))]
    parts = [load_split(arguments.processed, name) for name in ("train", "val", "test")]
    case = from_parts(*parts, arguments.part, "shipped")
    for name in arguments.backend:
        backend = LocalBackend.fit(texts) if name == "local" else make_backend(name)
        print(f"\n{name}, {arguments.part}:")
        compare(case, backend.embed_texts(texts), arguments.half_life)


if __name__ == "__main__":
    main()
