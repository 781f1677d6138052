"""Replay the session on held-out people: how many movies that they like does each learning rule show in 20 turns?

For every rule and policy four replays: learning, the same without learning, and both again with only the movies that
the person rated. Definitions stand in recommender/evaluate/replay.py.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from preprocess import filter_data
from preprocess.pipeline_settings import PipelineSettings
from recommender import cli as command
from recommender.cli import Parser
from recommender.data import artifacts
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, DataError
from recommender.data.interactions import Interactions
from recommender.data.settings import default_folder, read_settings
from recommender.data.splits import load_all
from recommender.evaluate import plots
from recommender.evaluate.replay import RULE_ALONE, Fold, Outcome, WithoutLearning, make_folds, replay_all
from recommender.evaluate.significance import resampled_means
from recommender.session.fitted_rules import RULES, fit_session_rule
from recommender.session.policy import PolicySettings

N_RESAMPLES = 2000
TITLES = {"alone": "The rule alone", "policy": "With the policy's genre filter and penalties"}
VIEWS = {  # whether answers are heard, whether only rated movies are shown
    "learning": (True, False),
    "no learning": (False, False),
    "rated only": (True, True),
    "rated only, no learning": (False, True),
}


def read_data(path: Path, min_movie: int, min_user: int) -> tuple[Interactions, Catalog]:
    """Return ratings and catalogue, row for row, of a raw data set (filtered here) or a processed folder (as is)."""
    if artifacts.has_manifest(path):
        catalog, data = Catalog.load(path), load_all(path)
        if not np.array_equal(catalog.movie_ids, data.movie_ids):
            raise DataError(f"{path}: ratings and movie list differ: run python -m preprocess.setup again")
        return data, catalog
    settings = PipelineSettings(min_movie_ratings=min_movie, min_user_ratings=min_user, movies_first=True)
    _, filtered = filter_data.run(path, None, settings)
    movies = zip(filtered.movies.ids.tolist(), filtered.movies.titles, filtered.movies.genres)
    rows = [{"movieId": str(movie_id), "title": title, "genres": genres} for movie_id, title, genres in movies]
    return filtered.ratings, Catalog(rows)


class Replayed(NamedTuple):
    """All outcomes of one rule under one policy, by view, in the order of folds and people."""

    rule: str
    policy: str
    outcomes: dict[str, list[Outcome]]


def replay_rule(name: str, folds: Sequence[Fold], policies: dict[str, PolicySettings], n_turns: int) -> list[Replayed]:
    """Fit rule `name` once on each fold and replay it under each policy."""
    results = [Replayed(name, label, {view: [] for view in VIEWS}) for label in policies]
    for fold in folds:
        rule = fit_session_rule(name, fold.train, fold.catalog, policies.get("policy"))
        frozen = WithoutLearning(rule)
        for result, policy in zip(results, policies.values()):
            for view, (learns, rated_only) in VIEWS.items():
                used = rule if learns else frozen
                result.outcomes[view] += replay_all(used, fold.catalog, fold.people, n_turns, policy, rated_only)
    return results


def per_person(outcomes: Sequence[Outcome], field: str) -> np.ndarray:
    """Return the mean of `field` for each person over their draws of favorites, ordered by user id."""
    ids = np.array([outcome.user_id for outcome in outcomes])
    values = np.array([getattr(outcome, field) for outcome in outcomes], dtype=np.float64)
    _, rows = np.unique(ids, return_inverse=True)
    means = np.bincount(rows, weights=values) / np.bincount(rows)
    return means


def gain_of(hits: np.ndarray) -> np.ndarray:
    """Return hits[..., 0] / hits[..., 1] - 1, nan where there is nothing to divide by."""
    still = hits[..., 1]
    ratios = np.full(still.shape, np.nan)
    np.divide(hits[..., 0], still, out=ratios, where=still > 0)
    return ratios - 1


def summary(result: Replayed, n_turns: int) -> dict[str, Any]:
    """Return the figures of one rule under one policy, with 95% bootstrap intervals over people.

    A gain is None where nothing was hit without learning.
    """
    learning, still = result.outcomes["learning"], result.outcomes["no learning"]
    pair = np.column_stack([per_person(learning, "hits"), per_person(still, "hits")])
    means = resampled_means(pair, N_RESAMPLES, np.random.default_rng(0))
    gain, gains = gain_of(pair.mean(axis=0)), gain_of(means)
    figures: dict[str, Any] = {
        "rule": result.rule,
        "policy": result.policy,
        "n_people": len(pair),
        "hits": float(pair[:, 0].mean()),
        "hits_interval": np.quantile(means[:, 0], [0.025, 0.975]).tolist(),
        "hits_without_learning": float(pair[:, 1].mean()),
        "gain": None if np.isnan(gain) else float(gain),
        "gain_interval": None if np.isnan(gains).any() else np.quantile(gains, [0.025, 0.975]).tolist(),
    }
    for view, outcomes in result.outcomes.items():
        total = max(1, sum(outcome.hits for outcome in outcomes))
        turns = [turn for outcome in outcomes for turn in outcome.hit_turns]
        figures[view] = {
            "hits": float(per_person(outcomes, "hits").mean()),
            "rate": float(per_person(outcomes, "rate").mean()),
            "weighted_rate": float(per_person(outcomes, "weighted_rate").mean()),
            "tail_share": sum(outcome.tail_hits for outcome in outcomes) / total,
            "hits_by_turn": (np.bincount(turns, minlength=n_turns + 1)[1:] / len(outcomes)).tolist(),
        }
    return figures


HEADER = (
    f"{'rule':<21}{'hits':>6} {'95% interval':<14}{'rate':>6}{'still':>7}{'gain':>7}"
    f"{'weighted':>10}{'tail':>7}{'rated only':>12}{'still':>7}"
)


def line(figures: dict[str, Any]) -> str:
    """Return one row of the table."""
    low, high = figures["hits_interval"]
    learning, rated = figures["learning"], figures["rated only"]
    gain = "-" if figures["gain"] is None else f"{figures['gain']:+.1%}"
    return (
        f"{figures['rule']:<21}{figures['hits']:>6.2f} {f'{low:.2f} - {high:.2f}':<14}{learning['rate']:>6.3f}"
        f"{figures['hits_without_learning']:>7.2f}{gain:>7}{learning['weighted_rate']:>10.4f}"
        f"{learning['tail_share']:>7.1%}{rated['rate']:>12.3f}{figures['rated only, no learning']['rate']:>7.3f}"
    )


def write_rows(path: Path, results: Sequence[Replayed]) -> None:
    """Write one line for each session."""
    with artifacts.replace_file(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["rule", "policy", "view", *Outcome._fields])
        for result in results:
            for view, outcomes in result.outcomes.items():
                for outcome in outcomes:
                    turns = " ".join(map(str, outcome.hit_turns))
                    writer.writerow([result.rule, result.policy, view, *outcome[:-1], turns])


def write_plots(folder: Path, figures: Sequence[dict[str, Any]]) -> None:
    """Plot hits by turn, with learning and without, a file for each policy."""
    for label, title in TITLES.items():
        hits = {
            f"{row['rule']}, {view}": row[view]["hits_by_turn"]
            for row in figures
            if row["policy"] == label
            for view in ("learning", "no learning")
        }
        plots.session_hits(folder / f"session-hits-{label}.png", hits, title)


def make_parser() -> Parser:
    """Return the parser of the flags."""
    parser = Parser("model.replay_sessions", __doc__.split("\n")[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=default_folder("processed"),
        metavar="PATH",
        help="a raw data set (folder or .zip) or a processed folder (default: %(default)s)",
    )
    parser.add_argument("--min-movie-ratings", type=int, default=5, metavar="N", help="raw data: movies with fewer go")
    parser.add_argument("--min-user-ratings", type=int, default=0, metavar="N", help="raw data: then people with fewer")
    parser.add_argument("--rules", default=",".join(RULES), metavar="A,B", help="learning rules (default: %(default)s)")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy file (default: the one that is shipped)")
    parser.add_argument("--turns", type=int, default=20, metavar="N", help="movies shown (default: %(default)s)")
    parser.add_argument("--favorites", type=int, default=4, metavar="N", help="movies named (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="folds of people (default: %(default)s)")
    parser.add_argument("--seeds", default="0", metavar="A,B", help="draws of favorites (default: %(default)s)")
    parser.add_argument("--fold-seed", type=int, default=0, metavar="N", help="who is in which fold (default: 0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, hits by turn among them")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one line for each session")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="plot hits by turn (extra: plots)")
    return parser


def check_outputs(json_path: Optional[Path], csv_path: Optional[Path]) -> None:
    """Refuse, before any work, files that could not be written after it."""
    for flag, path in (("--json", json_path), ("--csv", csv_path)):
        if path is not None and path.is_dir():
            raise ChoiceError(f"{flag} {path} is a folder: give the name of a file")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if json_path is not None and json_path == csv_path:
        raise ChoiceError(f"--json and --csv both name {json_path}: give two files")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Replay and report."""
    arguments = make_parser().parse_args(argv)
    for flag in ("turns", "favorites"):
        if getattr(arguments, flag) < 1:
            raise ChoiceError(f"--{flag} {getattr(arguments, flag)}: give a whole number from 1")
    names = [name.strip() for name in arguments.rules.split(",")]
    for name in names:
        if name not in RULES:
            raise ChoiceError(f"--rules {name!r}: choose from {', '.join(RULES)}")
    if len(set(names)) < len(names):
        raise ChoiceError(f"--rules {arguments.rules!r} names one rule twice: give each once")
    try:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
    except ValueError:
        raise ChoiceError(f"--seeds {arguments.seeds!r}: give whole numbers joined by commas") from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ChoiceError(f"--seeds {arguments.seeds!r}: give different whole numbers from 0")
    if arguments.fold_seed < 0:
        raise ChoiceError(f"--fold-seed {arguments.fold_seed} is negative: give a whole number from 0")
    check_outputs(arguments.json, arguments.csv)
    if arguments.plots:
        plots.need_matplotlib()
    shipped = read_settings(PolicySettings, arguments.policy or default_folder("config") / "recommender_policy.yaml")
    data, catalog = read_data(arguments.data, arguments.min_movie_ratings, arguments.min_user_ratings)
    folds = make_folds(data, catalog, arguments.folds, arguments.favorites, seeds, arguments.fold_seed)
    n_sessions = sum(len(fold.people) for fold in folds)
    if not n_sessions:
        raise DataError(f"{arguments.data}: nobody likes enough movies (rating >= 4) to be replayed: give more data")
    print(
        f"{data.n_ratings:,} ratings, {data.n_users:,} users x {data.n_movies:,} movies; {n_sessions:,} sessions of "
        f"{arguments.turns} turns"
    )
    print("still: without learning; weighted: by 1 / popularity; tail: hits outside the most rated tenth")
    results: list[Replayed] = []
    started = time.perf_counter()
    for name in names:
        print(f"replaying {name} ...", file=sys.stderr, flush=True)
        results += replay_rule(name, folds, {"alone": RULE_ALONE, "policy": shipped}, arguments.turns)
    figures = [summary(result, arguments.turns) for result in results]
    for label, title in TITLES.items():
        print(f"\n{title}\n{HEADER}")
        for row in figures:
            if row["policy"] == label:
                print(line(row))
    print(f"\n{time.perf_counter() - started:.0f} s")
    if arguments.json:
        with artifacts.replace_file(arguments.json) as part:
            artifacts.dump_json({"turns": arguments.turns, "seeds": seeds, "figures": figures}, part)
    if arguments.csv:
        write_rows(arguments.csv, results)
    if arguments.plots:
        write_plots(arguments.plots, figures)


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
