"""Score models on held-out ratings: a table here, every figure in files.

    python -m model.evaluate --models popularity,ease,ials
    python -m model.evaluate --protocol per-user,returning,strict-time --k 10,20 --json out.json --csv users.csv
    python -m model.evaluate --data ml-latest-small.zip --set A --models ease:regularisation=200 --split val
    python -m model.evaluate --protocol held-out-movies --models content
    python -m model.evaluate --embeddings local,minilm,random --queries tests/description_queries.csv

Tune on `--split val` (models fitted on train); report `--split test` (fitted on train and val) once.
With `--checkpoint DIR` an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from model import evaluate_movies
from model.evaluate_movies import averages_path
from recommender import cli as command
from recommender.cli import Parser
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError
from recommender.data.settings import default_folder
from recommender.evaluate import cases, comparison, held_out_report, report, work
from recommender.evaluate.official import official_fold
from recommender.learn import registry
from recommender.text import registry as backends

SETS = {
    "A": {"min_user_ratings": 20, "min_movie_ratings": 50},
    "B": {"min_user_ratings": 0, "min_movie_ratings": 5},
    "all": {"min_user_ratings": 0, "min_movie_ratings": 0},
}
OFFICIAL = "official-"
DEFAULT_MODELS = "popularity,svd,ease"


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Evaluate as the flags say; returns the exit code."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.embeddings is not None:
        evaluate_movies.check_embeddings(arguments, vars(parser.parse_args([])))
        check_files(arguments)
        evaluate_movies.embeddings(arguments, lambda label: Progress(label, "movies"))
        return 0
    ks = parse_ks(arguments.k)
    specs = [work.ModelSpec.parse(text) for text in split_list(arguments.models, "--models")]
    protocols = split_list(arguments.protocol, "--protocol")
    check_flags(arguments, [spec.label for spec in specs], protocols)
    source = load_source(arguments, protocols)
    if ks[-1] > max(source.train.n_movies, 20):  # the default cutoffs are for any data
        raise ChoiceError(f"--k {ks[-1]} is more than the {source.train.n_movies:,} movies: give a smaller cutoff")
    for spec in specs:
        spec.make(source.catalog)  # a wrong setting is refused before any work
    if protocols == [held_out_report.NAME]:
        evaluate_movies.held_out(arguments, source, specs, ks, Progress)
        return 0
    found = build_cases(source, protocols, arguments)
    doing = work.Work(source, ks, arguments.split, arguments.stages, arguments.checkpoint, Progress)
    reports = []
    for case in found:
        reports.append(doing.report(case, specs, arguments.against, arguments.resamples, arguments.seed))
        print(report.text(reports[-1]), end="\n\n", flush=True)
    write_files(reports, arguments)
    return 0


class Progress:
    """One line on stderr that is written over; in a pipe, a line for each new step."""

    def __init__(self, label: str, unit: str = "people") -> None:
        self.label, self.unit, self.last, self.width = label, unit, "", 0
        self.live = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        line = f"{self.label}: {what}, {done:,} of {total:,} {self.unit}"
        if self.live:
            print("\r" + line.ljust(self.width), end="", file=sys.stderr, flush=True)
            self.width = len(line)
        elif what.startswith("fit") and what != self.last:
            print(line, file=sys.stderr, flush=True)
        self.last = what

        if self.live and what == "done":
            print("\r" + " " * self.width + "\r", end="", file=sys.stderr, flush=True)


def make_parser() -> Parser:
    """Return the parser of all flags."""
    parser = Parser(
        "model.evaluate",
        "Score models on held-out ratings.",
        epilog="protocols: "
        + "; ".join(f"{name} = {meaning}" for name, meaning in cases.PROTOCOLS.items())
        + f"; {held_out_report.NAME} = a tenth of the movies without any rating, only they are ranked"
        + f"; {OFFICIAL}u1 to u5, ua, ub = the folds that came with MovieLens 100K",
    )
    add = parser.add_argument
    add("--processed", type=Path, metavar="DIR", help="what preprocess wrote (default: the shipped data)")
    add("--data", type=Path, metavar="PATH", help="raw data instead: a folder or a .zip")
    add("--set", choices=tuple(SETS), help="with --data: movies with 50 / 5 / any ratings (default: B)")
    add(
        "--models",
        default=DEFAULT_MODELS,
        metavar="NAMES",
        help=f"of {', '.join(registry.names())}, with commas; "
        f"settings as name:key=value:key=value (default: {DEFAULT_MODELS})",
    )
    add(
        "--embeddings",
        metavar="NAMES",
        help=f"compare embedding backends instead: of {', '.join(backends.names())}, random, with commas; settings as "
        "name:key=value:key=value, with which local is fitted anew",
    )
    add("--queries", type=Path, metavar="CSV", help="with --embeddings: descriptions of movies (movieId, query)")
    add("--dialogues", type=Path, metavar="JSONL", help="with --embeddings: dialogues of ReDial")
    add("--samples", type=int, default=0, metavar="N", help="with --embeddings: show so many requests of each kind")
    add("--k", default="10,20", metavar="K,K", help="cutoffs (default: 10,20)")
    add("--protocol", default="per-user", metavar="NAMES", help="one or more, with commas, or all (default: per-user)")
    add("--split", default="test", choices=("val", "test"), help="tune on val, report on test (default: test)")
    add("--stages", type=int, default=20, metavar="N", help="times that strict time fits anew (default: 20)")
    add("--folds", type=int, default=5, metavar="N", help=f"tenths that {held_out_report.NAME} takes (default: 5)")
    add("--against", default="first", metavar="NAME", help="compare with: first, best or a model (default: first)")
    add("--resamples", type=int, default=comparison.N_RESAMPLES, metavar="N", help="bootstrap samples of people")
    add("--seed", type=int, default=0, metavar="N", help="seed of the bootstrap and of held-out movies (default: 0)")
    add("--json", type=Path, metavar="FILE", help="write averages and intervals")
    add(
        "--csv",
        type=Path,
        metavar="FILE",
        help="write a row for each person and model; averages go to "
        "FILE-averages.csv; a name that ends in .parquet writes Parquet (extra: parquet)",
    )
    add("--plots", type=Path, metavar="DIR", help="write plots (extra: plots)")
    add("--checkpoint", type=Path, metavar="DIR", help="keep finished work here and take it up again")
    return parser


def split_list(text: str, flag: str) -> list[str]:
    """Return the names between the commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ChoiceError(f"{flag} {text!r} names nothing: give one or more names, with commas between")
    if len(set(names)) < len(names):
        raise ChoiceError(f"{flag} {text!r} names one thing twice: give each once")
    return names


def parse_ks(text: str) -> tuple[int, ...]:
    """Return the cutoffs, ascending."""
    ks = []
    for part in split_list(text, "--k"):
        if not part.isascii() or not part.isdigit() or int(part) < 1:
            raise ChoiceError(f"--k {part!r} is not a cutoff: give whole numbers from 1, such as 10,20")
        ks.append(int(part))
    return tuple(sorted(set(ks)))


def check_flags(arguments: argparse.Namespace, labels: Sequence[str], protocols: Sequence[str]) -> None:
    """Refuse, before any work, what would fail after it."""
    official = [protocol for protocol in protocols if protocol.startswith(OFFICIAL)]
    if official and (arguments.data is None or arguments.split != "test"):
        raise ChoiceError(f"protocol {official[0]} needs --data, the folder of ml-100k, and has no split but test")
    if held_out_report.NAME in protocols:
        evaluate_movies.check_held_out(arguments, protocols, labels)
    elif arguments.against not in ("first", "best", *labels):
        raise ChoiceError(f"--against {arguments.against!r}: give first, best or one of {', '.join(labels)}")
    check_files(arguments)
    for flag in ("queries", "dialogues"):
        if getattr(arguments, flag) is not None:
            raise ChoiceError(f"--{flag} is for --embeddings: name backends with it")
    if arguments.stages < 1:
        raise ChoiceError(f"--stages {arguments.stages}: give a whole number from 1")
    if arguments.data is not None and arguments.processed is not None:
        raise ChoiceError("--data and --processed name two data sets: give one of them")
    if arguments.set is not None and arguments.data is None:
        raise ChoiceError(f"--set {arguments.set} chooses from raw data: give --data too")
    if arguments.plots is not None:
        from recommender.evaluate import plots

        plots.need_matplotlib()


def check_files(arguments: argparse.Namespace) -> None:
    """Refuse files that cannot be written and numbers out of range; make the folders that are missing."""
    for flag in ("json", "csv"):
        path = getattr(arguments, flag)
        if path is not None and path.is_dir():
            raise ChoiceError(f"--{flag} {path} is a folder: give the name of a file")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if arguments.csv is not None:
        if arguments.json in (arguments.csv, averages_path(arguments.csv)):
            raise ChoiceError(f"--json {arguments.json} is also what --csv writes: give another name")
        report.need_parquet(arguments.csv)
    if arguments.checkpoint is not None:
        arguments.checkpoint.mkdir(parents=True, exist_ok=True)
    if arguments.resamples < 1:
        raise ChoiceError(f"--resamples {arguments.resamples}: give a whole number from 1")
    if arguments.seed < 0:
        raise ChoiceError(f"--seed {arguments.seed} is negative: give a whole number from 0")


def build_cases(source: cases.Source, protocols: Sequence[str], arguments: argparse.Namespace) -> list[cases.Case]:
    """Return the cases of the protocols in the order named, official folds included."""
    if protocols == ["all"]:
        protocols = list(cases.PROTOCOLS)
    found = []
    for protocol in protocols:
        if protocol.startswith(OFFICIAL):
            fold = official_fold(arguments.data, protocol[len(OFFICIAL) :])
            found.append(cases.Case(protocol, fold, protocol))
        else:
            found += cases.build_all(source, [protocol], arguments.split, arguments.stages)
    return found


def load_source(arguments: argparse.Namespace, protocols: Sequence[str]) -> cases.Source:
    """Return the ratings to evaluate on; folds that came with the data are of all of it, so nothing is filtered."""
    if arguments.data is None:
        return cases.Source.load(arguments.processed or default_folder("processed"))
    name = arguments.set or ("all" if all(protocol.startswith(OFFICIAL) for protocol in protocols) else "B")
    from preprocess import filter_data
    from preprocess.pipeline_settings import PipelineSettings

    settings = PipelineSettings(**SETS[name], movies_first=True)
    _, filtered = filter_data.run(arguments.data, None, settings)
    columns = zip(filtered.movies.ids.tolist(), filtered.movies.titles, filtered.movies.genres)
    catalog = Catalog([{"movieId": str(ident), "title": title, "genres": genres} for ident, title, genres in columns])
    return cases.Source.from_ratings(filtered.ratings, catalog)


def write_files(reports: Sequence[report.CaseReport], arguments: argparse.Namespace) -> None:
    if arguments.json is not None:
        report.write_json(arguments.json, reports, evaluate_movies.flags_given(arguments))
    if arguments.csv is not None:
        report.write_rows(arguments.csv, report.per_user_rows(reports))
        report.write_rows(averages_path(arguments.csv), report.average_rows(reports))
    if arguments.plots is not None:
        from recommender.evaluate import plots

        plots.write_plots(arguments.plots, reports)


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
