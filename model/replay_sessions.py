"""Replay sessions on held-out users: how many liked movies does each learning rule show in 20 turns?

    python -m model.replay_sessions --rules conditional-gaussian,popularity --familiarity 1 0
    python -m model.replay_sessions --tastes tests/tastes.yaml
    python -m model.replay_sessions --requests tests/everyday_requests.yaml

Definitions: recommender/evaluate/replay.py. With `--tastes` it prints the first ten suggestions for tastes in a YAML
file instead, with `--requests` the first five movies found for words (recommender/evaluate/tastes.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from model.evaluate import add_files, check_files, count, read_set, refuse, split_list, split_numbers
from recommender import cli
from recommender.data.catalog import Catalog, Movie
from recommender.data.errors import ChoiceError, DataError
from recommender.data.settings import default_folder, read_settings
from recommender.data.splits import load_all
from recommender.evaluate import report, tastes
from recommender.evaluate.replay import N_FAMOUS, N_KNOWN, NO_TERMS, make_folds, replay_rule
from recommender.evaluate.replay import summary as summarize
from recommender.facade import Recommender
from recommender.session.fitted_rules import RULES
from recommender.session.policy import PolicySettings
from recommender.text import registry

TITLES = {"policy": "The session: rule and policy", "alone": "The rule alone"}
PLOTTED = ("learning", "no learning")
HEADER = ["rule", "view", "hits", "95% interval", "outside", "famous", "median rank", "weighted", "rate", "never shown"]


def line(rule: str, view: str, figures: dict[str, Any]) -> list[str]:
    """Return one row of the table."""
    low, high = figures["hits_interval"]
    cells = [rule, view, f"{figures['hits']:.2f}", f"{low:.2f} - {high:.2f}", f"{figures['outside']:.2f}"]
    cells += [f"{figures['famous']:.3f}", f"{figures['median_rank']:.0f}", f"{figures['weighted_rate']:.4f}"]
    return [*cells, f"{figures['rate']:.3f}", f"{figures['never_shown']:,}"]


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
    last = "replay users with ids up to this one; all others always train (the shipped data: 610 = ml-latest-small's)"
    add("--last-user", type=cli.whole_number, metavar="ID", help=last)
    add("--familiarity", type=float, nargs="+", default=(), metavar="F", help="also replay with these values, 0 to 1")
    add("--tastes", type=Path, metavar="YAML", help="print the first suggestions for these tastes instead")
    add("--requests", type=Path, metavar="YAML", help="print what is found for these requests instead")
    more = parser.add_more("with --requests").add_argument
    more("--part", choices=tastes.PARTS, default="tune", help="which of them (default: %(default)s)")
    more("--backend", choices=registry.names(), help="text backend (default: minilm, if stored)")
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
    policies = {"policy": shipped, "alone": replace(shipped, **NO_TERMS)}
    for value in arguments.familiarity:
        policies[f"familiarity {value:g}"] = replace(shipped, familiarity=value)
    folder = arguments.processed or default_folder("processed")
    if arguments.tastes is not None:
        return print_tastes(Recommender.load(folder, policy=arguments.policy), arguments.tastes)
    if arguments.requests is not None:
        recommender = Recommender.load(folder, policy=arguments.policy, backend=arguments.backend)
        return print_requests(recommender, tastes.read_requests(arguments.requests, arguments.part))
    if arguments.data is None:
        data, catalog = load_all(folder), Catalog.load(folder)
    else:
        data, catalog = read_set(arguments.data, arguments.set or "B")
    drawn = (arguments.folds, arguments.favorites, seeds, arguments.fold_seed, arguments.last_user)
    folds = make_folds(data, catalog, *drawn)
    n_sessions = sum(len(fold.people) for fold in folds)
    if not n_sessions:
        raise DataError("no user likes enough movies (rating >= 4): use more data")
    size = f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies"
    print(f"{size}; {n_sessions:,} sessions of {arguments.turns} turns")
    print(f"outside: hits outside the {N_KNOWN} most rated; famous: share shown of the {N_FAMOUS} most rated")
    print("weighted: rate by 1 / popularity; a movie never rated is of no interest, unless unrated = skip")
    started, progress = time.perf_counter(), cli.Progress("replaying", "rules")
    figures, sessions = [], []
    for number, name in enumerate(names):
        progress(number, len(names), name)
        for policy, views in replay_rule(name, folds, policies, arguments.turns).items():
            for view, outcomes in views.items():
                how = {"rule": name, "policy": policy, "view": view}
                figures.append({**how, **summarize(outcomes, arguments.turns, len(catalog))})
                sessions += [{**how, **one._asdict()} for one in outcomes]
    progress(len(names), len(names))
    for policy in policies:
        of_policy = [row for row in figures if row["policy"] == policy]
        rows = [line(row["rule"], row["view"], row) for row in of_policy]
        print(f"\n{TITLES.get(policy, f'With the policy at {policy}')}\n{report.table(HEADER, rows)}")
        if arguments.plots:
            hits = {f"{row['rule']}, {row['view']}": row["hits_by_turn"] for row in of_policy if row["view"] in PLOTTED}
            name = f"session-hits-{policy.replace(' ', '-')}.png"
            report.session_hits(arguments.plots / name, hits, TITLES.get(policy, policy))
    print(f"\n{time.perf_counter() - started:.0f} s")
    if arguments.json:
        report.write_json(arguments.json, {"turns": arguments.turns, "seeds": seeds, "figures": figures})
    if arguments.csv:
        table = pd.DataFrame(sessions)
        for column in ("hit_turns", "shown"):
            table[column] = [" ".join(map(str, cell)) for cell in table[column]]
        report.write_table(arguments.csv, [table])


def print_tastes(recommender: Recommender, path: Path) -> None:
    """Print a page for each taste, their means, and how many parts of a series stand among similar movies."""
    catalog, found = recommender.catalog, tastes.pages(recommender.engine(), tastes.read_tastes(path))
    of_these = f"of the {tastes.N_MOST_RATED} most rated"
    for name, page in found.items():
        print(f"{name}: {page.fit} of {len(page.movies)} fit, {page.most_rated} {of_these}")
        for movie in page.movies:
            print(f"  {movie}")
    fit, most_rated = np.mean([page[1:] for page in found.values()], axis=0)
    print(f"mean of {len(found)} tastes: {fit:.2f} fit, {most_rated:.2f} {of_these}")

    def similar(row: int, n: int) -> list[int]:
        return [recommender.row_of(found.movie) for found in recommender.similar_movies(int(catalog.movie_ids[row]), n)]

    share = tastes.series_found(similar, catalog)
    print(f"other parts of a series among the first {tastes.N_SHOWN} similar movies: {share:.3f}")


def print_requests(recommender: Recommender, requests: list[dict[str, Any]]) -> None:
    """Print what is found for each request, wrong movies with a ?, absurd ones with a !, and the means."""

    def search(words: str, n: int) -> list[Movie]:
        try:
            return [found.movie for found in recommender.search_text(words, n)]
        except ChoiceError:  # no word is known
            return []

    found = tastes.answers(search, requests)
    for words, answer in found.items():
        movies = zip(answer.movies, answer.right, answer.absurd)
        listed = [f"{'! ' if absurd else '' if right else '? '}{movie}" for movie, right, absurd in movies]
        print(f"{words}: {sum(answer.right)} right\n  {', '.join(listed)}")
    right, absurd = (np.mean([sum(column) for column in columns]) for columns in list(zip(*found.values()))[1:])
    print(f"mean of {len(found)} requests: {right:.2f} right, {absurd:.2f} absurd among the first {tastes.N_FOUND}")


if __name__ == "__main__":
    cli.run(main)
