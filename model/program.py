"""What the training programs share: where the processed data lie, where the model is stored, how well it ranks."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from recommender import cli as command
from recommender.data import artifacts
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder
from recommender.evaluate import protocols
from recommender.evaluate.metrics import find_hits, ndcg
from recommender.learn.base import Ranker

RANKED_PEOPLE = 2_000
RANKING_BLOCK = 256


def make_parser(module: str, description: str, stored: str) -> command.Parser:
    """Return the parser of `python -m model.<module>` with the flags that all have; `stored`: its default folder."""
    parser = command.Parser(f"model.{module}", description)
    parser.add_argument(
        "--processed",
        type=Path,
        default=default_folder("processed"),
        metavar="DIR",
        help="what python -m preprocess.setup wrote (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where to store the model (default: artifacts/{stored} in the folder of --processed)",
    )
    return parser


def output_folder(arguments: argparse.Namespace, stored: str, kind: str = "") -> Path:
    """Return where to store the model; raises `ArtifactError` where that can't be, before any work is done.

    stored: name of the default folder.  kind: of the artifact, where it is another word.
    """
    folder: Path = arguments.output or arguments.processed / "artifacts" / stored
    if arguments.output or not arguments.processed.is_file():  # a wrong --processed is told by who reads it
        artifacts.need_folder(folder, kind=kind or stored)
    return folder


def validation_case(train: Interactions, held_out: Interactions) -> protocols.Evaluation:
    """Return whom to rank for: everybody with liked movies in `held_out`, or `RANKED_PEOPLE` of them, evenly chosen."""
    case = protocols.from_known(train, held_out, "val")
    if case.n_users <= RANKED_PEOPLE:
        return case
    keep = np.zeros(case.n_users, dtype=bool)
    keep[np.linspace(0, case.n_users - 1, RANKED_PEOPLE).astype(int)] = True
    return case.select(keep, "val", "not in the sample")


def ranking_quality(model: Ranker, case: protocols.Evaluation, k: int = 10) -> float:
    """Return the mean nDCG@k over the people of `case`, all unseen movies ranked."""
    indptr, relevant = case.relevant()
    values = []
    for low in range(0, case.n_users, RANKING_BLOCK):
        people = case.user_rows[low : low + RANKING_BLOCK]
        ids, _ = model.recommend(case.known, people, k, case.at[low : low + RANKING_BLOCK])
        rows = np.where(ids < 0, -1, np.searchsorted(case.known.movie_ids, ids))
        bounds = indptr[low : low + len(people) + 1]
        hits = find_hits(rows, bounds - bounds[0], relevant[bounds[0] : bounds[-1]], case.known.n_movies)
        values.append(ndcg(hits, np.diff(bounds), k))
    return float(np.concatenate(values).mean()) if values else float("nan")
