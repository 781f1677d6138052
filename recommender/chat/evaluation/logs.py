"""A log of chats (chat/turns.py) measured: how near the five are to the taste before and after the re-ranking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import DataError
from ...evaluate.embeddings import add_means
from ...evaluate.report import Report
from ...evaluate.run import Options
from ...evaluate.significance import compare
from ...facade import Recommender
from ..preferences import read_lines
from .replay import TOP, alignment, in_common

BEFORE = "retrieval"
_FIELDS = {"user": str, "candidates": list, "final": list, "reranker": str, "status": str}


def read_log(path: Path, width: int) -> list[dict[str, Any]]:
    """Return the turns of a log that show movies and have a taste; raises `DataError` for the first wrong line.

    width: of the text vectors; a taste of another backend can't be compared with them.
    """
    turns = []
    for where, turn in read_lines(path, "give a log of model.chat"):
        try:
            right = all(isinstance(turn[name], kind) for name, kind in _FIELDS.items())
            taste = np.array(turn["taste"] or [], dtype=np.float32)
            turn["candidates"] = [int(movie_id) for movie_id, _ in turn["candidates"]]
            turn["seconds"], turn["tokens"] = float(turn["seconds"]), int(turn["tokens"])
            if not right or not np.isfinite(taste).all() or not {*turn["final"]} <= {*turn["candidates"]}:
                raise ValueError
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{where} is no turn of model.chat: give a log that it wrote") from None
        if len(taste) not in (0, width):
            raise DataError(f"{where}: a taste of {len(taste)} numbers, but texts have {width} here: "
                            "give the --backend of the chat")  # fmt: skip
        if len(taste) and turn["final"]:
            turns.append({**turn, "taste": taste})
    if not turns:
        raise DataError(f"{path} has no turn with movies and a taste: talk to model.chat with --log first")
    return turns


def reports(path: Path, recommender: Recommender, options: Options) -> list[Report]:
    """Return a report for each re-ranker; its unit is a person, or a turn where there is one person."""
    vectors, made = recommender.free_text.vectors, []
    turns = read_log(path, vectors.shape[1])
    for name in dict.fromkeys(turn["reranker"] for turn in turns):
        own = [turn for turn in turns if turn["reranker"] == name]
        users, of_turn = np.unique([turn["user"] for turn in own], return_inverse=True)
        if len(users) == 1:
            users, of_turn = np.arange(1, len(own) + 1), np.arange(len(own))
        notes = [f"{len(own):,} turns of {len({turn['user'] for turn in own}):,} people: {of_turns(own)}"]
        if (again := repeated(own)) is not None:
            notes.append(f"of the same candidates {again:.2f} of the {TOP} were chosen again")
        tables = {"mean (95% interval)": ["cosine", "variance"]}
        report = Report(f"log, {name}", "log", users, notes, tables, reference=BEFORE)
        for label, kind in ((BEFORE, "candidates"), (name, "final")):
            movies = [[i for i in turn[kind][: len(turn["final"])] if i in recommender.catalog] for turn in own]
            rows = [[recommender.catalog.row_of(i) for i in ids] for ids in movies]
            values = np.array([alignment(turn["taste"], vectors[each]) for turn, each in zip(own, rows)])
            means = [np.bincount(of_turn, column) / np.bincount(of_turn) for column in values.T]
            add_means(report, label, dict(zip(("cosine", "variance"), means)), options)
        rng = np.random.default_rng(options.seed)
        report.compared = compare(report.values, BEFORE, ["cosine", "variance"], options.n_resamples, rng)
        made.append(report)
    return made


def of_turns(turns: Sequence[Mapping[str, Any]]) -> str:
    """Return how the re-ranking went: shares of the statuses, tokens and seconds a turn."""
    statuses = Counter(turn["status"].partition(",")[0] for turn in turns)
    shares = ", ".join(f"{status} {n / len(turns):.0%}" for status, n in statuses.most_common())
    seconds = np.quantile([turn["seconds"] for turn in turns], [0.5, 0.99])
    tokens = np.mean([turn["tokens"] for turn in turns])
    return f"{shares}; {tokens:,.0f} tokens a turn; {seconds[0]:.3f} s, {seconds[1]:.3f} s at p99"


def repeated(turns: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean share of movies chosen again from the same candidates, None where none came twice."""
    same: dict[tuple[int, ...], list[list[int]]] = {}
    for turn in turns:
        same.setdefault(tuple(sorted(turn["candidates"])), []).append(turn["final"])
    shares = [in_common(*pair) for finals in same.values() for pair in combinations(finals, 2)]
    return float(np.mean(shares)) if shares else None
