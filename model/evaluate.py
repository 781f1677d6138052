"""Score models on held-out ratings: all metrics are written to files.

    python -m model.evaluate --method popularity,ease,ials
    python -m model.evaluate --protocol per-user,returning,strict-time --k 10,20 --output results
    python -m model.evaluate --data ml-latest-small.zip --set A --method ease:regularisation=200 --split val
    python -m model.evaluate --protocol held-out-movies --method content
    python -m model.evaluate --embeddings local,minilm,random --queries tests/description_queries.csv

Tune on `--split val` (models fitted on train); report `--split test` (fitted on train and val) once.
With `--checkpoint DIR` an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from preprocess.filter_data import PipelineSettings, read_filtered
from recommender import cli, hybrid
from recommender.data.artifacts import need_file, need_folder
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, shown
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder
from recommender.evaluate import embeddings, held_out_movies, known_item, protocols, report, run
from recommender.evaluate.run import Options, Spec
from recommender.evaluate.significance import N_RESAMPLES
from recommender.learn import registry
from recommender.text.dialogues import read_dialogues

SETS = {
    "A": {"min_user_ratings": 20, "min_movie_ratings": 50},
    "B": {"min_user_ratings": 0, "min_movie_ratings": 5},
    "all": {"min_user_ratings": 0, "min_movie_ratings": 0},
}
HELD_OUT = held_out_movies.NAME
DEFAULT_MODELS = "popularity,svd,ease"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Evaluate models or embedding backends."""
    hybrid.register()
    parser = make_parser()
    arguments = parser.parse_args(argv)
    check_flags(arguments, parser)
    check_files(arguments, "users", "task,split,model", '"format_version": 2,\n "settings"')
    ks, unit = sorted(split_numbers(arguments.k, "--k", 1)), "people" if arguments.embeddings is None else "movies"
    given = (arguments.split, tuple(ks), arguments.resamples, arguments.seed, arguments.checkpoint)
    options = Options(*given, lambda label: cli.Progress(label, unit))
    reports = (rank_models if arguments.embeddings is None else compare_embeddings)(arguments, options)
    averages = report.averages(reports)
    if arguments.json is not None:
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}
        tasks = [{"task": each.task, "n_units": len(each.units), "notes": each.notes} for each in reports]
        figures = averages.astype(object).where(averages.notna(), None).to_dict("records")
        value = {"format_version": 2, "settings": settings, "tasks": tasks, "averages": figures}
        report.write_json(arguments.json, value)
    if arguments.csv is not None:
        report.write_table(arguments.csv, report.units(reports))
        report.write_table(averages_path(arguments.csv), [averages])
    if arguments.plots is not None:
        report.write_plots(arguments.plots, reports)


def make_parser() -> cli.Parser:
    listed = [f"{name} = {meaning}" for name, (_, _, meaning) in protocols.PROTOCOLS.items()]
    listed.append(f"{HELD_OUT} = a tenth of the movies loses all ratings, and only these are ranked")
    about, renamed = "Score models on held-out ratings.", {"--models": "--method"}
    parser = cli.Parser("model.evaluate", about, renamed, epilog=f"protocols: {'; '.join(listed)}")
    add, models = parser.add_argument, ", ".join(registry.names())
    method = f"comma-separated list; choices: {models}; settings as name:key=value (default: {DEFAULT_MODELS})"
    parser.add_common("method", dest="models", default=DEFAULT_MODELS, metavar="NAMES", help=method)
    add("--protocol", default="per-user", metavar="NAMES", help="comma-separated list, or all (default: per-user)")
    add("--split", default="test", choices=("val", "test"), help="tune on val, report on test (default: test)")
    add("--k", default="10,20", metavar="K,K", help="cutoffs (default: 10,20)")
    add("--checkpoint", type=Path, metavar="DIR", help="store finished work in this folder and resume from it")
    add("--embeddings", metavar="NAMES", help=f"compare backends instead; choices: {', '.join(embeddings.BACKENDS)}")
    more = parser.add_more("more").add_argument
    more("--queries", type=Path, metavar="CSV", help="with --embeddings: descriptions of movies (movieId, query)")
    more("--dialogues", type=Path, metavar="JSONL", help="with --embeddings: dialogues of ReDial")
    more("--samples", type=cli.whole_number, default=0, metavar="N", help="with --embeddings: example queries to print")
    more("--stages", type=count, default=20, metavar="N", help="number of refits in strict time (default: 20)")
    folds = "held-out folds, 1 to 5, each a tenth of the movies (default: 5)"
    more("--folds", type=int, choices=range(1, held_out_movies.MOST_FOLDS + 1), default=5, metavar="N", help=folds)
    more("--resamples", type=count, default=N_RESAMPLES, metavar="N", help="number of bootstrap samples")
    more("--seed", type=cli.whole_number, default=0, metavar="N", help="random seed of the bootstrap and the folds")
    add_files(parser, "users.csv, users-averages.csv and users.json")
    return parser


def count(text: str) -> int:
    """Read a whole number from 1."""
    if not cli.whole_number(text):
        raise argparse.ArgumentTypeError("0 is too few: give a whole number from 1")
    return int(text)


def add_files(parser: cli.Parser, files: str) -> None:
    """Add the flags of what is read and written."""
    parser.add_common("processed", default=None)
    parser.add_common("data", default=None, help="raw data instead: a folder or a .zip")
    parser.add_argument("--set", choices=tuple(SETS), help="with --data: movies with 50 / 5 / any ratings (default: B)")
    parser.add_common("output", help=f"write {files} here")
    more = parser.add_more("files").add_argument
    more("--json", type=Path, metavar="FILE", help="write averages, intervals and settings")
    more("--csv", type=Path, metavar="FILE", help="write all values of users or sessions (.parquet: extra parquet)")
    more("--plots", type=Path, metavar="DIR", help="write plots (extra: plots)")


def check_files(arguments: argparse.Namespace, stem: str, csv: str, json: str) -> None:
    """Derive --csv and --json from --output; reject paths that cannot be written, and files of somebody else.

    csv, json: what a file of this program begins with.
    """
    refuse(
        (arguments.data and arguments.processed, "--data and --processed exclude each other: give one of them"),
        (arguments.set and not arguments.data, f"--set {arguments.set} needs raw data: give --data"),
    )
    if output := arguments.output:
        arguments.json = arguments.json or output / f"{stem}.json"
        arguments.csv = arguments.csv or output / f"{stem}.csv"
    del arguments.output
    averages = arguments.csv and averages_path(arguments.csv)
    for flag, path, mark in (("--json", arguments.json, json), ("--csv", arguments.csv, csv), ("--csv", averages, csv)):
        if path is not None:
            need_file(path, "--output" if output else flag, mark)
    for flag in ("plots", "checkpoint"):
        if (path := getattr(arguments, flag, None)) is not None:
            need_folder(path, f"--{flag}")
    if arguments.csv is not None:
        is_same = arguments.json in (arguments.csv, averages)
        refuse((is_same, f"--json {arguments.json} is also written by --csv: give another name"))
        report.need_parquet(arguments.csv)
    if arguments.plots is not None:
        report.need_matplotlib()


def check_flags(arguments: argparse.Namespace, parser: cli.Parser) -> None:
    """Reject invalid combinations of flags."""
    flags, problem = ["queries", "dialogues"], "needs --embeddings"
    if arguments.embeddings is not None:
        flags = ["data", "set", "models", "protocol", "k", "stages", "folds", "plots"]
        problem = "is for models, not for --embeddings"
    for flag in flags:
        is_given = getattr(arguments, flag) != parser.get_default(flag)
        refuse((is_given, f"--{'method' if flag == 'models' else flag} {problem}"))
    with_others = HELD_OUT in arguments.protocol and (arguments.protocol != HELD_OUT or arguments.plots)
    refuse((with_others, f"{HELD_OUT} cannot be combined with other protocols or --plots: run it alone"))


def refuse(*problems: tuple[object, str]) -> None:
    """Raise `ChoiceError` with the message of the first problem that is there."""
    for is_there, message in problems:
        if is_there:
            raise ChoiceError(message)


def rank_models(arguments: argparse.Namespace, options: Options) -> list[report.Report]:
    """Score ranking models; print the tables."""
    names, k = split_list(arguments.protocol, "--protocol"), max(options.ks)
    accepted = (*registry.names(), *registry.OLD_NAMES)
    specs = [Spec.parse(text, accepted) for text in split_list(arguments.models, "--method")]
    if arguments.data is None:
        source = protocols.Source.load(arguments.processed or default_folder("processed"))
    else:
        source = protocols.Source.from_ratings(*read_set(arguments.data, arguments.set or "B"))
    n_movies = source.train.n_movies
    # The default cutoffs are always accepted.
    refuse((k > max(n_movies, 20), f"--k {k} exceeds the {n_movies:,} movies: give a smaller cutoff"))
    for spec in specs:
        registry.make(spec.name, source.catalog, **spec.settings)  # rejects wrong settings before any work
    if HELD_OUT in names:
        return show([held_out_movies.evaluate(source, specs, options, arguments.folds)])
    chosen = protocols.PROTOCOLS if names == ["all"] else names
    cases = [protocols.build(source, name, arguments.split, arguments.stages) for name in chosen]
    return show(run.evaluate(cases, specs, source.catalog, options))


def show(reports: Iterable[report.Report]) -> list[report.Report]:
    """Print each report as soon as it is there; return all."""
    shown = []
    for each in reports:
        print(report.text(each), end="\n\n", flush=True)
        shown.append(each)
    return shown


def compare_embeddings(arguments: argparse.Namespace, options: Options) -> list[report.Report]:
    """Compare embedding backends; print the tables."""
    texts = split_list(arguments.embeddings, "--embeddings")
    specs = [Spec.parse(text, embeddings.BACKENDS, "embedding backend") for text in texts]
    folder = arguments.processed or default_folder("processed")
    source = protocols.Source.load(folder)
    assert source.catalog is not None
    requests = []
    if arguments.queries is not None:
        requests.append(known_item.descriptions(arguments.queries, source.catalog, arguments.split))
    if arguments.dialogues is not None:
        dialogues = read_dialogues(arguments.dialogues, "redial")
        requests.append(known_item.dialogue_requests(dialogues, source.catalog, arguments.split))
    case = protocols.build(source, "per-user", arguments.split)
    stored = folder / "artifacts" / "text"
    reports, answers = embeddings.compare_backends(specs, source.catalog, requests, case, options, stored)
    show(reports)
    if arguments.samples:
        print(known_item.samples(answers, requests, source.catalog, arguments.samples, arguments.seed).lstrip())
    return reports


def split_list(text: str, flag: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    refuse(
        (not names, f"{flag} {text!r} has no names: give a comma-separated list"),
        (len(set(names)) < len(names), f"{flag} {text!r} has a repeated name: give each once"),
    )
    return names


def split_numbers(text: str, flag: str, least: int = 0) -> list[int]:
    parts = split_list(text, flag)
    if not all(part.isdecimal() and len(part) < 19 and int(part) >= least for part in parts):
        raise ChoiceError(f"{flag} {shown(text)}: give different whole numbers from {least}, such as 10,20")
    return [int(part) for part in parts]


def read_set(path: Path, name: str) -> tuple[Interactions, Catalog]:
    """Return the ratings and the catalogue of set `name` of the raw data at `path`."""
    return read_filtered(path, PipelineSettings(**SETS[name], movies_first=True))


def averages_path(path: Path) -> Path:
    return path.parent / f"{path.stem}-averages{path.suffix}"


if __name__ == "__main__":
    cli.run(main)
