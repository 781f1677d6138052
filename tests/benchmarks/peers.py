"""Other libraries on exactly our splits, scored with exactly our metrics, in one table with our own models.

    python tests/benchmarks/peers.py --environments DIR               tuned settings from peers.json, then the tables
    python tests/benchmarks/peers.py --environments DIR --tune        choose them again on val first

Sets A and B of ml-latest-small (`model/evaluate.py`); per-user split; relevance from 4 stars; all unseen movies
ranked. Every peer runs in a virtual environment of its own under DIR, which this script makes (PyPI, pinned
versions), on one thread, and hands back lists of movie rows or predicted ratings; results are kept in DIR too. Peers
are tuned on val (fitted on train), then fitted on train + val and scored on test once. Ours run with the settings
that `registry.make(name)` gives, the same on A and B. A peer that can't be installed or fails is named with the reason.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from model.evaluate import load_raw as load
from recommender import cli
from recommender.evaluate import protocols, run
from recommender.evaluate.beyond_accuracy import rating_errors, score_lists
from recommender.evaluate.protocols import Evaluation
from recommender.learn import registry
from tests.benchmarks.peer_runners import environments, exchange, tables
from tests.benchmarks.peer_runners.grids import MODELS, PeerModel

ROOT = Path(__file__).resolve().parents[2]
TUNED = Path(__file__).with_suffix(".json")
PROTOCOLS = ("per-user", "returning-minute", "returning", "strict-time", "strict-time-returning")
N = 20
METRICS = ("ndcg@10", "recall@20")


def main() -> None:
    arguments = parse()
    store = arguments.environments.resolve()
    chosen = [model for model in MODELS if not arguments.peers or model.peer in arguments.peers.split(",")]
    table = tables.Tables(METRICS, arguments.ours)
    tuned = read_tuned()
    for name in arguments.sets.split(","):
        source = load(arguments.data, name)
        if arguments.tune or arguments.tune_only:
            tune(store, name, source, chosen, tuned)
        if not arguments.tune_only:
            test(store, name, source, chosen, tuned.get(name, {}), table)
    if arguments.tune_only:
        return
    if not arguments.no_sizes:
        table.sizes = sizes(store, table)
    print(table.markdown())
    if arguments.json:
        arguments.json.write_text(json.dumps(table.record(), indent=1) + "\n", encoding="utf-8")


def tune(store: Path, name: str, source: protocols.Source, chosen: list[PeerModel], tuned: dict[str, Any]) -> None:
    """Choose each model's settings on val and write them to peers.json."""
    (case,) = protocols.build(source, ["per-user"], "val")
    for model in chosen:
        grid = model.configurations()
        say(f"set {name}: tuning {model.label}, {len(grid)} settings")
        outcomes = attempt(store, model, case, grid)
        scores = [np.inf if isinstance(outcome, str) else loss(model, case, outcome) for outcome in outcomes]
        best = int(np.argmin(scores))
        if not np.isfinite(scores[best]):
            say(f"  failed: {outcomes[best]}")
            continue
        found = {"settings": grid[best], "val": round(abs(scores[best]), 4), "n_settings": len(grid)}
        ends = {key: values[:: len(values) - 1] for key, values in model.grid.items() if len(values) > 2}
        edges = [key for key, values in ends.items() if grid[best][key] in values]
        say(f"  {found['val']:.4f} with {grid[best]}" + (f", at the edge: {', '.join(edges)}" if edges else ""))
        tuned.update(read_tuned())  # another run may have written meanwhile
        tuned.setdefault(name, {})[model.label] = found
        TUNED.write_text(json.dumps(tuned, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_tuned() -> dict[str, Any]:
    """Return what tuning found: set -> model -> settings, the figure on val, how many settings were tried."""
    return json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.is_file() else {}


def loss(model: PeerModel, case: Evaluation, outcome: exchange.Result) -> float:
    """Return what tuning minimises: RMSE, or minus nDCG@10."""
    return rmse(case, outcome) if model.rates else -score_lists(case, outcome.rows, (10,))[1]["ndcg@10"]


def rmse(case: Evaluation, outcome: exchange.Result) -> float:
    """Return the RMSE of predicted ratings, brought into the range of the known ones, as ours are."""
    predicted = np.clip(outcome.predicted, case.known.ratings.min(), case.known.ratings.max())
    return rating_errors(case, predicted)["rmse"]


def test(
    store: Path,
    name: str,
    source: protocols.Source,
    chosen: list[PeerModel],
    tuned: dict[str, Any],
    table: tables.Tables,
) -> None:
    """Score the tuned peers and ours on test, all protocols, and leave the figures in `table`."""
    found = dict(zip(PROTOCOLS, protocols.build(source, PROTOCOLS, "test")))
    roots = {root: found[root] for root in ("per-user", "strict-time")}

    def add_lists(root: Evaluation, rows: np.ndarray, label: str, peer: str, settings: dict[str, Any]) -> None:
        """Score lists made for `root` under every protocol that they answer."""
        for protocol, case in found.items():
            if root is case or root is case.root:
                of_case = np.searchsorted(root.user_rows, case.user_rows)
                table.add(
                    name, protocol, peer, settings, tables.Scored(label, *score_lists(case, rows[of_case], (10, 20)))
                )

    for model in chosen:
        if model.label not in tuned:
            table.failures.append(f"{model.label} on {name}: no tuned settings (run with --tune)")
            continue
        settings = tuned[model.label]["settings"]
        for root, case in roots.items():
            if root == "strict-time" and (model.rates or not model.strict):
                continue
            say(f"set {name}: {root}, {model.label} {settings}")
            (outcome,) = attempt(store, model, case, [settings])
            if isinstance(outcome, str):
                table.failures.append(f"{model.label} on {name}, {root}: {outcome}")
            elif model.rates:
                table.add_rmse(name, model.label, model.peer, settings, rmse(case, outcome))
            else:
                add_lists(case, outcome.rows, model.label, model.peer, settings)
    for ours in registry.names():
        for case in roots.values():
            ranking = rank_ours(store, source, case, ours, {})
            add_lists(case, ranking.rows, ours, environments.OURS, {})
            if errors := rating_errors(case, ranking.predicted):
                table.add_rmse(name, ours, environments.OURS, {}, errors["rmse"])
    for pair in tables.TWINS:
        if pair.peer in tuned:
            settings = pair.translate(tuned[pair.peer]["settings"])
            ranking = rank_ours(store, source, roots["per-user"], pair.ours, settings)
            scored = tables.Scored(pair.ours, *score_lists(roots["per-user"], ranking.rows, (10, 20)))
            table.twins.append((name, pair, settings, scored))


def rank_ours(
    store: Path, source: protocols.Source, case: Evaluation, name: str, settings: dict[str, Any]
) -> run.Ranking:
    """Return the lists of our model `name`, from the store where nothing that they depend on has changed."""
    say(f"{case.name}: ours, {name} {settings or ''}")
    make = functools.partial(registry.make, name, catalog=source.catalog, **settings)
    return run.rank(
        make, case, N, store / "ours" / run.checkpoint_key(case, run.Spec(name, name, settings), N, source.catalog)
    )


def attempt(store: Path, model: PeerModel, case: Evaluation, grid: list[dict[str, Any]]) -> list[exchange.Outcome]:
    try:
        return exchange.run(store, model.peer, model.model, case, grid, N)
    except environments.Unavailable as error:
        return [f"{error}"] * len(grid)


def sizes(store: Path, table: tables.Tables) -> dict[str, dict[str, float]]:
    """Return what each environment weighs, MB by installed package."""
    found = {}
    for name in (environments.OURS, *environments.REQUIREMENTS):
        try:
            found[name] = environments.megabytes(environments.make(store, name))
        except environments.Unavailable as error:
            table.failures.append(f"{name}: {error}")
    return found


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--environments", type=Path, required=True, metavar="DIR", help="where environments and results are kept")
    add("--data", type=Path, default=ROOT.parent / "shared/data/ml-latest-small.zip", help="raw ratings")
    add("--sets", default="A,B", help="which data sets, with commas (default: A,B)")
    add("--peers", default="", help=f"some of {', '.join(environments.REQUIREMENTS)} (default: all)")
    add("--ours", default="stacker", metavar="MODEL", help="our default, compared with the best peer")
    add("--tune", action="store_true", help="choose settings on val first, and write them to peers.json")
    add("--tune-only", action="store_true", help="the same, and do not touch test")
    add("--no-sizes", action="store_true", help="leave out the sizes of the environments")
    add("--json", type=Path, metavar="FILE", help="write every figure")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(lambda _: main())
