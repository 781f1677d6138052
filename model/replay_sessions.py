"""Replay sessions on held-out users: how many liked movies does each learning rule show in 20 turns?

Four replays for every rule and policy: with and without learning, and both again with only the movies that the user
rated. Definitions: recommender/evaluate/replay.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from model.evaluate import add_files, check_files, count, read_set, refuse, split_list, split_numbers
from recommender import cli
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.settings import default_folder, read_settings
from recommender.data.splits import load_all
from recommender.evaluate import plots, report
from recommender.evaluate.replay import RULE_ALONE, make_folds, replay_rule
from recommender.evaluate.replay import summary as summarize
from recommender.session.fitted_rules import RULES
from recommender.session.policy import PolicySettings

TITLES = {"alone": "The rule alone", "policy": "With the policy's genre filter and penalties"}
HEADER = ["rule", "hits", "95% interval", "rate", "still", "gain", "weighted", "tail", "rated only", "still"]


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
    add("--rules", default=",".join(RULES), metavar="A,B", help="learning rules (default: %(default)s)")
    add("--policy", type=Path, metavar="FILE", help="policy file (default: the shipped one)")
    add("--turns", type=count, default=20, metavar="N", help="number of movies shown (default: %(default)s)")
    add("--favorites", type=count, default=4, metavar="N", help="number of favorites (default: %(default)s)")
    add("--folds", type=count, default=5, metavar="N", help="number of folds of users (default: %(default)s)")
    add("--seeds", default="0", metavar="A,B", help="random seeds of the favorites (default: %(default)s)")
    add("--fold-seed", type=cli.whole_number, default=0, metavar="N", help="random seed of the folds (default: 0)")
    add_files(parser, "sessions.csv and sessions.json")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Replay and report."""
    import pandas as pd

    arguments = make_parser().parse_args(argv)
    names, seeds = split_list(arguments.rules, "--rules"), split_numbers(arguments.seeds, "--seeds")
    unknown = [name for name in names if name not in RULES]
    refuse((unknown, f"--rules {unknown}: choose from {', '.join(RULES)}"))
    check_files(arguments, "sessions", "rule,policy,view", '"turns"')
    shipped = read_settings(PolicySettings, arguments.policy or default_folder("config") / "recommender_policy.yaml")
    folder = arguments.processed or default_folder("processed")
    if arguments.data is None:
        data, catalog = load_all(folder), Catalog.load(folder)
    else:
        data, catalog = read_set(arguments.data, arguments.set or "B")
    folds = make_folds(data, catalog, arguments.folds, arguments.favorites, seeds, arguments.fold_seed)
    n_sessions = sum(len(fold.people) for fold in folds)
    if not n_sessions:
        raise DataError("no user likes enough movies (rating >= 4): use more data")
    size = f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies"
    print(f"{size}; {n_sessions:,} sessions of {arguments.turns} turns")
    print("still: without learning; weighted: by 1 / popularity; tail: hits outside the most rated tenth")
    started, progress = time.perf_counter(), cli.Progress("replaying", "rules")
    figures, sessions = [], {}
    for number, name in enumerate(names):
        progress(number, len(names), name)
        found = replay_rule(name, folds, {"alone": RULE_ALONE, "policy": shipped}, arguments.turns)
        for policy, outcomes in found.items():
            figures.append({"rule": name, "policy": policy, **summarize(outcomes, arguments.turns)})
            sessions.update({(name, policy, view): pd.DataFrame(of_view) for view, of_view in outcomes.items()})
    progress(len(names), len(names))
    for policy, title in TITLES.items():
        of_policy = [row for row in figures if row["policy"] == policy]
        print(f"\n{title}\n{report.table(HEADER, [line(row) for row in of_policy])}")
        if arguments.plots:
            views = [(row, view) for row in of_policy for view in ("learning", "no learning")]
            hits = {f"{row['rule']}, {view}": row[view]["hits_by_turn"] for row, view in views}
            plots.session_hits(arguments.plots / f"session-hits-{policy}.png", hits, title)
    print(f"\n{time.perf_counter() - started:.0f} s")
    if arguments.json:
        report.write_json(arguments.json, {"turns": arguments.turns, "seeds": seeds, "figures": figures})
    if arguments.csv:
        table = pd.concat(sessions, names=["rule", "policy", "view"]).reset_index(level=[0, 1, 2])
        turns = [" ".join(map(str, hit_turns)) for hit_turns in table["hit_turns"]]
        report.write_table(arguments.csv, [table.assign(hit_turns=turns)])


if __name__ == "__main__":
    cli.run(main)
