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
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess.filter_data import PipelineSettings, read_filtered
from recommender import cli
from recommender.data.artifacts import need_file, need_folder
from recommender.data.errors import ChoiceError, shown
from recommender.data.settings import default_folder
from recommender.data.splits import official_fold
from recommender.evaluate import embeddings, held_out_movies, known_item, plots, protocols, rankings, report, run
from recommender.evaluate.significance import N_RESAMPLES
from recommender.learn import registry
from recommender.text.dialogues import read_dialogues

SETS = {
    "A": {"min_user_ratings": 20, "min_movie_ratings": 50},
    "B": {"min_user_ratings": 0, "min_movie_ratings": 5},
    "all": {"min_user_ratings": 0, "min_movie_ratings": 0},
}
OFFICIAL = "official-"
DEFAULT_MODELS = "popularity,svd,ease"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Evaluate models or embedding backends."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    check_outputs(arguments, "users", "task,split,model", '"format_version": 2,\n "settings"')
    check_flags(arguments, parser)
    reports = rank_models(arguments) if arguments.embeddings is None else compare_embeddings(arguments)
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
        plots.write_plots(arguments.plots, reports)


def make_parser() -> cli.Parser:
    listed = [f"{name} = {meaning}" for name, (_, _, meaning) in protocols.PROTOCOLS.items()]
    listed.append(f"{held_out_movies.NAME} = a tenth of the movies loses all ratings, and only these are ranked")
    listed.append(f"{OFFICIAL}u1 to u5, ua, ub = the folds of MovieLens 100K")
    parser = cli.Parser(
        "model.evaluate",
        "Score models on held-out ratings.",
        renamed={"--models": "--method"},
        epilog=f"protocols: {'; '.join(listed)}",
    )
    add, models = parser.add_argument, ", ".join(registry.names())
    method = f"comma-separated list; choices: {models}; settings as name:key=value (default: {DEFAULT_MODELS})"
    parser.add_common("method", dest="models", default=DEFAULT_MODELS, metavar="NAMES", help=method)
    add("--protocol", default="per-user", metavar="NAMES", help="comma-separated list, or all (default: per-user)")
    add("--split", default="test", choices=("val", "test"), help="tune on val, report on test (default: test)")
    add("--k", default="10,20", metavar="K,K", help="cutoffs (default: 10,20)")
    add("--against", default="first", metavar="NAME", help="reference model: first, best or a name (default: first)")
    parser.add_common("processed", default=None)
    parser.add_common("data", default=None, help="raw data instead: a folder or a .zip")
    add("--set", choices=tuple(SETS), help="with --data: movies with 50 / 5 / any ratings (default: B)")
    parser.add_common("output", help="write users.csv, users-averages.csv and users.json here")
    add("--checkpoint", type=Path, metavar="DIR", help="store finished work in this folder and resume from it")
    add("--embeddings", metavar="NAMES", help=f"compare backends instead; choices: {', '.join(embeddings.BACKENDS)}")
    more = parser.add_more("more").add_argument
    more("--queries", type=Path, metavar="CSV", help="with --embeddings: descriptions of movies (movieId, query)")
    more("--dialogues", type=Path, metavar="JSONL", help="with --embeddings: dialogues of ReDial")
    more("--samples", type=int, default=0, metavar="N", help="with --embeddings: number of example queries to print")
    more("--stages", type=int, default=20, metavar="N", help="number of refits in strict time (default: 20)")
    more("--folds", type=int, default=5, metavar="N", help="held-out folds, 1 to 5, each a tenth of the movies")
    more("--resamples", type=int, default=N_RESAMPLES, metavar="N", help="number of bootstrap samples")
    more("--seed", type=cli.whole_number, default=0, metavar="N", help="random seed of the bootstrap and the folds")
    more("--json", type=Path, metavar="FILE", help="write averages and intervals")
    more("--csv", type=Path, metavar="FILE", help="write the values of each user; .parquet needs the extra parquet")
    more("--plots", type=Path, metavar="DIR", help="write plots (extra: plots)")
    return parser


def check_outputs(arguments: argparse.Namespace, stem: str, csv: str, json: str) -> None:
    """Derive --csv and --json from --output; reject paths that cannot be written, and files of somebody else.

    csv, json: what a file of this program begins with.
    """
    output = arguments.output
    del arguments.output
    for name, mark in (("json", json), ("csv", csv)):
        flag, path = f"--{name}", getattr(arguments, name)
        if output is not None and path is None:
            flag, path = "--output", output / f"{stem}.{name}"
            setattr(arguments, name, path)
        if path is not None:
            need_file(path, flag, mark)
    for name in ("plots", "checkpoint"):
        if (path := getattr(arguments, name, None)) is not None:
            need_folder(path, f"--{name}")
    if arguments.csv is not None:
        need_file(averages_path(arguments.csv), "--csv", csv)
        if arguments.json in (arguments.csv, averages_path(arguments.csv)):
            raise ChoiceError(f"--json {arguments.json} is also written by --csv: give another name")
        report.need_parquet(arguments.csv)


def rank_models(arguments: argparse.Namespace) -> list[report.Report]:
    """Score ranking models; print the tables."""
    ks, names = parse_ks(arguments.k), split_list(arguments.protocol, "--protocol")
    accepted = (*registry.names(), *registry.OLD_NAMES)
    specs = [run.Spec.parse(text, accepted) for text in split_list(arguments.models, "--method")]
    labels = [spec.label for spec in specs]
    references = ["first", *(held_out_movies.BASELINES if held_out_movies.NAME in names else ["best"]), *labels]
    if arguments.against not in references:
        raise ChoiceError(f"--against {arguments.against!r}: give one of {', '.join(references)}")
    source = load_source(arguments, names)
    if ks[-1] > max(source.train.n_movies, 20):  # the default cutoffs are always accepted
        raise ChoiceError(f"--k {ks[-1]} exceeds the {source.train.n_movies:,} movies: give a smaller cutoff")
    for spec in specs:
        registry.make(spec.name, source.catalog, **spec.settings)  # rejects wrong settings before any work
    options = options_of(arguments, ks, "people")
    if names == [held_out_movies.NAME]:
        reference = held_out_movies.REFERENCE if arguments.against == "first" else arguments.against
        found = iter([held_out_movies.evaluate(source, specs, options, arguments.folds, reference)])
    else:
        cases = []
        for name in protocols.PROTOCOLS if names == ["all"] else names:
            if name.startswith(OFFICIAL):
                fold = name[len(OFFICIAL) :]
                cases.append(protocols.from_known(*official_fold(arguments.data, fold), f"official fold {fold}"))
            else:
                cases.append(protocols.build(source, name, arguments.split, arguments.stages))
        found = rankings.evaluate(cases, specs, source.catalog, options, arguments.against)
    reports = []
    for each in found:
        reports.append(each)
        print(report.text(each), end="\n\n", flush=True)
    return reports


def compare_embeddings(arguments: argparse.Namespace) -> list[report.Report]:
    """Compare embedding backends; print the tables."""
    texts = split_list(arguments.embeddings, "--embeddings")
    specs = [run.Spec.parse(text, embeddings.BACKENDS, "embedding backend") for text in texts]
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
    options, stored = options_of(arguments, (10,), "movies"), folder / "artifacts" / "text"
    reports, answers = embeddings.compare_backends(specs, source.catalog, requests, case, options, stored)
    print("\n\n".join(map(report.text, reports)), flush=True)
    if arguments.samples:
        shown = known_item.samples(answers, requests, source.catalog, arguments.samples, arguments.seed)
        print(f"\n{shown}", flush=True)
    return reports


def split_list(text: str, flag: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ChoiceError(f"{flag} {text!r} has no names: give a comma-separated list")
    if len(set(names)) < len(names):
        raise ChoiceError(f"{flag} {text!r} has a repeated name: give each once")
    return names


def parse_ks(text: str) -> tuple[int, ...]:
    parts = split_list(text, "--k")
    for part in parts:
        if not re.fullmatch("[1-9][0-9]{0,8}", part):
            raise ChoiceError(f"--k {shown(part)} is not a cutoff: give whole numbers from 1, such as 10,20")
    return tuple(sorted(set(map(int, parts))))


def check_flags(arguments: argparse.Namespace, parser: cli.Parser) -> None:
    """Reject invalid combinations of flags."""
    for flag, least, most in (("resamples", 1, None), ("stages", 1, None), ("samples", 0, None), ("folds", 1, 5)):
        value = getattr(arguments, flag)
        if value < least or (most and value > most):
            raise ChoiceError(f"--{flag} {value}: give a whole number from {least}" + (f" to {most}" if most else ""))
    of_models = ("data", "set", "models", "protocol", "k", "stages", "folds", "against", "plots")
    flags, problem = of_models, "is for models, not for --embeddings"
    if arguments.embeddings is None:
        flags, problem = ("queries", "dialogues"), "needs --embeddings"
    for flag in flags:
        if getattr(arguments, flag) != parser.get_default(flag):
            raise ChoiceError(f"--{'method' if flag == 'models' else flag} {problem}")
    if arguments.data is not None and arguments.processed is not None:
        raise ChoiceError("--data and --processed exclude each other: give one of them")
    if arguments.set is not None and arguments.data is None:
        raise ChoiceError(f"--set {arguments.set} needs raw data: give --data")
    if OFFICIAL in arguments.protocol and (arguments.data is None or arguments.split != "test"):
        raise ChoiceError(f"{arguments.protocol} needs --data with ml-100k and --split test")
    if held_out_movies.NAME in arguments.protocol and ("," in arguments.protocol or arguments.plots is not None):
        raise ChoiceError(f"{held_out_movies.NAME} cannot be combined with other protocols or --plots: run it alone")
    if arguments.plots is not None:
        plots.need_matplotlib()


def load_source(arguments: argparse.Namespace, names: Sequence[str]) -> protocols.Source:
    """Return the ratings to evaluate on; official folds use all of them, unfiltered."""
    if arguments.data is None:
        return protocols.Source.load(arguments.processed or default_folder("processed"))
    official = all(name.startswith(OFFICIAL) for name in names)
    return load_raw(arguments.data, arguments.set or ("all" if official else "B"))


def load_raw(path: Path, name: str) -> protocols.Source:
    return protocols.Source.from_ratings(*read_filtered(path, PipelineSettings(**SETS[name], movies_first=True)))


def options_of(arguments: argparse.Namespace, ks: tuple[int, ...], unit: str) -> run.Options:
    """Return the options; unit: what progress counts."""
    given = (arguments.resamples, arguments.seed, arguments.checkpoint)
    return run.Options(arguments.split, ks, *given, lambda label: cli.Progress(label, unit))


def averages_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}-averages{path.suffix}")


if __name__ == "__main__":
    cli.run(main)
