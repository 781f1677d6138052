"""What the training programs share: flags, where the model is stored, how well it ranks on validation."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import numpy as np

from recommender import cli
from recommender.data import artifacts
from recommender.data.interactions import Interactions
from recommender.evaluate import protocols
from recommender.evaluate.metrics import find_hits, ndcg
from recommender.learn.base import Ranker, best_unseen

RANKED_USERS = 2_000
RANKING_BLOCK = 256


def make_parser(module: str, text: str, stored: str, renamed: Optional[Mapping[str, str]] = None) -> cli.Parser:
    """Return the parser of `python -m model.<module>` with the flags that all have; `stored`: its default folder."""
    parser = cli.Parser(f"model.{module}", text, renamed)
    parser.add_common("processed")
    parser.add_common("output", help=f"where to store the model (default: artifacts/{stored} in --processed)")
    return parser


def output_folder(arguments: argparse.Namespace, stored: str, kind: str = "") -> Path:
    """Return where to store the model; raises `ArtifactError` where that can't be, before any work is done.

    stored: name of the default folder.  kind: of the artifact, where it is another word.
    """
    folder: Path = arguments.output or arguments.processed / "artifacts" / stored
    if arguments.output or not arguments.processed.is_file():  # who reads --processed says what is wrong with it
        artifacts.need_folder(folder, kind=kind or stored)
    return folder


def validation_case(train: Interactions, held_out: Interactions) -> protocols.Evaluation:
    """Return whom to rank for: everybody with liked movies in `held_out`, or `RANKED_USERS` of them, evenly chosen."""
    case = protocols.from_known(train, held_out, "val")
    if case.n_users <= RANKED_USERS:
        return case
    keep = np.zeros(case.n_users, dtype=bool)
    keep[np.linspace(0, case.n_users - 1, RANKED_USERS).astype(int)] = True
    return case.select(keep, "val", "not in the sample")


def ranking_quality(model: Ranker, case: protocols.Evaluation, k: int = 10) -> float:
    """Return the mean nDCG@k over the users of `case`, all unseen movies ranked."""
    indptr, relevant = case.relevant()
    values = []
    for low in range(0, case.n_users, RANKING_BLOCK):
        users, at = case.user_rows[low : low + RANKING_BLOCK], case.at[low : low + RANKING_BLOCK]
        rows = best_unseen(model.score(case.known, users, at), case.known, users, k)
        bounds = indptr[low : low + len(users) + 1]
        hits = find_hits(rows, bounds - bounds[0], relevant[bounds[0] : bounds[-1]], case.known.n_movies)
        values.append(ndcg(hits, np.diff(bounds), k))
    return float(np.concatenate(values).mean()) if values else float("nan")
