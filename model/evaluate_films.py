"""What `model.evaluate` does where films, not ratings, are held out, and where vectors of films are compared."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recommender.errors import ChoiceError
from recommender.evaluate import cases, held_out_movies, held_out_report, report, work
from recommender.evaluate.genre_baselines import BASELINES, REFERENCE


def check_held_out(arguments: argparse.Namespace, protocols: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse, before any work, what held-out movies cannot do."""
    name = held_out_report.NAME
    if len(protocols) > 1:
        raise ChoiceError(f"--protocol {','.join(protocols)}: {name} has tables of its own, run it alone")
    if not 1 <= arguments.folds <= held_out_movies.MOST_FOLDS:
        raise ChoiceError(f"--folds {arguments.folds}: give a whole number from 1 to {held_out_movies.MOST_FOLDS}")
    if arguments.against not in ("first", *BASELINES, *labels):
        raise ChoiceError(f"--against {arguments.against!r}: give one of {', '.join([*BASELINES, *labels])}")
    if arguments.plots is not None:
        raise ChoiceError(f"--plots draws the other protocols: leave it out for {name}")


def held_out(
    arguments: argparse.Namespace,
    source: cases.Source,
    specs: Sequence[work.ModelSpec],
    ks: tuple[int, ...],
    start_progress: work.StartProgress,
) -> None:
    """Evaluate on movies that were never rated; print the tables and write the files asked for."""
    found = held_out_report.evaluate(
        source,
        specs,
        arguments.split,
        ks,
        arguments.folds,
        arguments.resamples,
        arguments.seed,
        REFERENCE if arguments.against == "first" else arguments.against,
        arguments.checkpoint,
        start_progress,
    )
    print(held_out_report.text(found), flush=True)
    if arguments.json is not None:
        value = {"format_version": 1, "settings": flags_given(arguments), "models": held_out_report.average_rows(found)}
        report.write_value(arguments.json, value)
    if arguments.csv is not None:
        report.write_rows(arguments.csv, held_out_report.per_user_rows(found))
        report.write_rows(averages_path(arguments.csv), held_out_report.average_rows(found))


def flags_given(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the flags of a run as JSON can hold them."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}


def averages_path(path: Path) -> Path:
    """Return where averages go when `path` takes a row for each person."""
    return path.with_name(f"{path.stem}-averages{path.suffix}")
