"""Replay sessions on held-out users: how many liked movies does each learning rule show in 20 turns?

Four replays for every rule and policy: with and without learning, and both again with only the movies that the user
rated. Definitions: recommender/evaluate/replay.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from model.evaluate import check_outputs, split_list
from preprocess.filter_data import PipelineSettings, read_filtered
from recommender import cli
from recommender.data import artifacts
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, DataError
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder, read_settings
from recommender.data.splits import load_all
from recommender.evaluate import plots, report
from recommender.evaluate.replay import RULE_ALONE, VIEWS, Fold, Outcome, WithoutLearning, make_folds, replay_all
from recommender.evaluate.replay import summary as summarize
from recommender.session.fitted_rules import RULES, fit_session_rule
from recommender.session.policy import PolicySettings

TITLES = {"alone": "The rule alone", "policy": "With the policy's genre filter and penalties"}
HEADER = ["rule", "hits", "95% interval", "rate", "still", "gain", "weighted", "tail", "rated only", "still"]
Outcomes = dict[str, list[Outcome]]


def read_data(path: Path, min_movie: int, min_user: int) -> tuple[Interactions, Catalog]:
    """Return ratings and catalogue, row for row, of a raw data set (filtered here) or a processed folder (as is)."""
    if artifacts.has_manifest(path):
        catalog, data = Catalog.load(path), load_all(path)
        if not np.array_equal(catalog.movie_ids, data.movie_ids):
            raise DataError(f"{path}: ratings and movie list differ: run python -m preprocess.setup --output {path}")
        return data, catalog
    settings = PipelineSettings(min_movie_ratings=min_movie, min_user_ratings=min_user, movies_first=True)
    return read_filtered(path, settings)


def replay_rule(name: str, folds: Sequence[Fold], policies: dict[str, PolicySettings], n_turns: int) -> list[Outcomes]:
    """Fit rule `name` once on each fold and replay it under each policy; outcomes by view, in order of folds."""
    results: list[Outcomes] = [{view: [] for view in VIEWS} for _ in policies]
    for fold in folds:
        rule = fit_session_rule(name, fold.train, fold.catalog, policies.get("policy"))
        frozen = WithoutLearning(rule)
        for result, policy in zip(results, policies.values()):
            for view, (learns, rated_only) in VIEWS.items():
                used = rule if learns else frozen
                result[view] += replay_all(used, fold.catalog, fold.people, n_turns, policy, rated_only)
    return results


def line(values: dict[str, Any]) -> list[str]:
    """Return one row of the table."""
    low, high = values["hits_interval"]
    learning, rated, still = values["learning"], values["rated only"], values["rated only, no learning"]
    gain = "-" if values["gain"] is None else f"{values['gain']:+.1%}"
    cells = [values["rule"], f"{values['hits']:.2f}", f"{low:.2f} - {high:.2f}", f"{learning['rate']:.3f}"]
    cells += [f"{values['hits_without_learning']:.2f}", gain, f"{learning['weighted_rate']:.4f}"]
    return [*cells, f"{learning['tail_share']:.1%}", f"{rated['rate']:.3f}", f"{still['rate']:.3f}"]


def make_parser() -> cli.Parser:
    """Return the parser of the flags."""
    parser = cli.Parser("model.replay_sessions", (__doc__ or "").split("\n")[0])
    add = parser.add_argument
    parser.add_common("processed")
    parser.add_common("data", default=None, help="raw data instead: a folder or a .zip")
    add("--min-movie-ratings", type=int, default=5, metavar="N", help="raw data: minimum number of ratings of a movie")
    add("--min-user-ratings", type=int, default=0, metavar="N", help="raw data: then of a user")
    add("--rules", default=",".join(RULES), metavar="A,B", help="learning rules (default: %(default)s)")
    add("--policy", type=Path, metavar="FILE", help="policy file (default: the shipped one)")
    add("--turns", type=int, default=20, metavar="N", help="number of movies shown (default: %(default)s)")
    add("--favorites", type=int, default=4, metavar="N", help="number of favorites (default: %(default)s)")
    add("--folds", type=int, default=5, metavar="N", help="number of folds of users (default: %(default)s)")
    add("--seeds", default="0", metavar="A,B", help="random seeds of the favorites (default: %(default)s)")
    add("--fold-seed", type=cli.whole_number, default=0, metavar="N", help="random seed of the folds (default: 0)")
    parser.add_common("output", help="write sessions.csv and sessions.json here")
    more = parser.add_more("files").add_argument
    more("--json", type=Path, metavar="FILE", help="write all values, including hits by turn")
    more("--csv", type=Path, metavar="FILE", help="write one row for each session")
    more("--plots", type=Path, metavar="DIR", help="plot hits by turn (extra: plots)")
    return parser


def check_flags(arguments: argparse.Namespace) -> tuple[list[str], list[int]]:
    """Return rules and seeds; reject invalid flags."""
    for flag in ("turns", "favorites"):
        if getattr(arguments, flag) < 1:
            raise ChoiceError(f"--{flag} {getattr(arguments, flag)}: give a whole number from 1")
    names, seeds = split_list(arguments.rules, "--rules"), split_list(arguments.seeds, "--seeds")
    for name in names:
        if name not in RULES:
            raise ChoiceError(f"--rules {name!r}: choose from {', '.join(RULES)}")
    if not all(seed.isdecimal() and len(seed) < 19 for seed in seeds):
        raise ChoiceError(f"--seeds {arguments.seeds!r}: give distinct whole numbers from 0")
    check_outputs(arguments, "sessions", "rule,policy,view", '"turns"')
    if arguments.plots:
        plots.need_matplotlib()
    return names, [int(seed) for seed in seeds]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Replay and report."""
    import pandas as pd

    arguments = make_parser().parse_args(argv)
    names, seeds = check_flags(arguments)
    shipped = read_settings(PolicySettings, arguments.policy or default_folder("config") / "recommender_policy.yaml")
    policies = {"alone": RULE_ALONE, "policy": shipped}
    path = arguments.data or arguments.processed
    data, catalog = read_data(path, arguments.min_movie_ratings, arguments.min_user_ratings)
    folds = make_folds(data, catalog, arguments.folds, arguments.favorites, seeds, arguments.fold_seed)
    n_sessions = sum(len(fold.people) for fold in folds)
    if not n_sessions:
        raise DataError(f"{path}: no user likes enough movies (rating >= 4): use more data")
    size = f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies"
    print(f"{size}; {n_sessions:,} sessions of {arguments.turns} turns")
    print("still: without learning; weighted: by 1 / popularity; tail: hits outside the most rated tenth")
    started, progress = time.perf_counter(), cli.Progress("replaying", "rules")
    figures, sessions = [], []
    for number, name in enumerate(names):
        progress(number, len(names), name)
        for policy, outcomes in zip(policies, replay_rule(name, folds, policies, arguments.turns)):
            figures.append({"rule": name, "policy": policy, **summarize(outcomes, arguments.turns)})
            for view, of_view in outcomes.items():
                turns = [" ".join(map(str, outcome.hit_turns)) for outcome in of_view]
                of_each = pd.DataFrame(of_view).assign(hit_turns=turns)
                for column, value in (("view", view), ("policy", policy), ("rule", name)):
                    of_each.insert(0, column, value)
                sessions.append(of_each)
    progress(len(names), len(names))
    for label, title in TITLES.items():
        of_policy = [row for row in figures if row["policy"] == label]
        print(f"\n{title}\n{report.table(HEADER, [line(row) for row in of_policy])}")
        if arguments.plots:
            views = [(row, view) for row in of_policy for view in ("learning", "no learning")]
            hits = {f"{row['rule']}, {view}": row[view]["hits_by_turn"] for row, view in views}
            plots.session_hits(arguments.plots / f"session-hits-{label}.png", hits, title)
    print(f"\n{time.perf_counter() - started:.0f} s")
    if arguments.json:
        report.write_json(arguments.json, {"turns": arguments.turns, "seeds": seeds, "figures": figures})
    if arguments.csv:
        report.write_table(arguments.csv, sessions)


if __name__ == "__main__":
    cli.run(main)
