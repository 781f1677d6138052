"""What `model.evaluate` does where movies, not ratings, are held out, and where vectors of movies are compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recommender.data.errors import ChoiceError
from recommender.data.settings import default_folder
from recommender.evaluate import cases, embedding_report, held_out_movies, held_out_report, known_item, report, work
from recommender.evaluate.embedding_backends import BackendSpec
from recommender.evaluate.embedding_comparison import compare_backends, people_with_likes
from recommender.evaluate.genre_baselines import BASELINES, REFERENCE
from recommender.text.dialogues import read_redial
from recommender.text.people import UserVectorSettings


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


def embeddings(arguments: argparse.Namespace, start_progress: work.StartProgress) -> None:
    """Compare embedding backends; print the tables and write the files asked for."""
    specs = [BackendSpec.parse(text) for text in arguments.embeddings.split(",") if text.strip()]
    if not specs:
        raise ChoiceError(f"--embeddings {arguments.embeddings!r} names nothing: give one or more backends")
    if len({spec.label for spec in specs}) < len(specs):
        raise ChoiceError(f"--embeddings {arguments.embeddings!r} names one thing twice: give each once")
    folder = arguments.processed or default_folder("processed")
    source = cases.Source.load(folder)
    if source.catalog is None:
        raise ChoiceError(f"{folder} has no catalogue: run python -m preprocess.setup")
    part = arguments.split
    requests = []
    if arguments.queries is not None:
        requests.append(known_item.descriptions(arguments.queries, source.catalog, part))
    if arguments.dialogues is not None:
        dialogues = read_redial(arguments.dialogues)
        requests.append(known_item.dialogue_requests(dialogues, source.catalog, part))
    case = cases.build_all(source, ["per-user"], part)[0].evaluation
    results = compare_backends(
        specs,
        source.catalog,
        requests,
        case,
        arguments.resamples,
        arguments.seed,
        folder / "artifacts" / "text",
        arguments.checkpoint,
        start_progress,
    )
    print(embedding_report.text(results, requests, part, len(source.catalog), case), flush=True)
    if arguments.samples:
        shown = embedding_report.samples(results, requests, source.catalog, arguments.samples, arguments.seed)
        print(f"\n{shown}", flush=True)
    averages = embedding_report.average_rows(results, part)
    if arguments.json is not None:
        report.write_value(
            arguments.json, {"format_version": 1, "settings": flags_given(arguments), "figures": averages}
        )
    if arguments.csv is not None:
        people = people_with_likes(case, UserVectorSettings())
        ids = case.known.user_ids[case.user_rows[people]].tolist()
        report.write_rows(arguments.csv, embedding_report.unit_rows(results, requests, part, ids))
        report.write_rows(averages_path(arguments.csv), averages)


def check_embeddings(arguments: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    """Refuse, before any work, flags that say nothing about vectors; `defaults` are what flags have unless given."""
    flags = ("data", "set", "models", "protocol", "k", "stages", "folds", "against", "plots")
    for flag in flags:
        if getattr(arguments, flag) != defaults[flag]:
            raise ChoiceError(f"--{flag} is for models, not for --embeddings: leave it out")
    if arguments.samples < 0:
        raise ChoiceError(f"--samples {arguments.samples}: give a whole number from 0")
