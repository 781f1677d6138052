"""How well the two-tower network ranks on set B of ml-latest-small: several seeds, mean and spread, seconds of a fit.

    python tests/benchmarks/two_tower_ranking.py --data ../shared/data/ml-latest-small.zip
    python tests/benchmarks/two_tower_ranking.py --data ... --seeds 1 --settings ahead=3 l2=3e-4
    python tests/benchmarks/two_tower_ranking.py --data ... --split test --preset recipe

Settings were chosen on val, the default here: fitted on train, scored on val. Test was for the shipped settings
and the recipe alone. Per-user split, all unseen movies ranked, relevant from 4 stars, as `model.evaluate` has it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import functools
import sys
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import yaml

from recommender.evaluate import beyond_accuracy, cases, run
from recommender.learn.two_tower.model import TwoTower
from recommender.learn.two_tower.settings import RECIPE
from tests.benchmarks.peers import load

PRESETS: dict[str, dict[str, Any]] = {"shipped": {}, "recipe": RECIPE}
METRICS = ("ndcg@10", "recall@20")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="B", choices=("A", "B"))
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--protocol", default="per-user", choices=tuple(cases.PROTOCOLS))
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 (default: 5)")
    parser.add_argument("--preset", default="shipped", choices=tuple(PRESETS))
    parser.add_argument("--settings", nargs="*", default=[], metavar="NAME=VALUE", help="in place of the preset's")
    arguments = parser.parse_args()
    given = {name: yaml.safe_load(value) for name, value in (text.split("=") for text in arguments.settings)}
    source = load(arguments.data, arguments.set)
    case = cases.build(source, [arguments.protocol], arguments.split)[0]
    found = []
    for seed in range(arguments.seeds):
        settings = {**PRESETS[arguments.preset], **given, "seed": seed}
        ranking = run.rank(functools.partial(TwoTower, source.catalog, **settings), case, 20)
        _, overall = beyond_accuracy.score_lists(case, ranking.rows, (10, 20))
        found.append([overall[name] for name in METRICS])
        print(f"seed {seed}: {line(found[-1])}, fitted in {ranking.fit_seconds:.1f} s", flush=True)
    spread = np.std(found, axis=0, ddof=1) if len(found) > 1 else np.zeros(2)
    print(f"mean {line(np.mean(found, axis=0).tolist())}; standard deviation over seeds {line(spread.tolist())}")


def line(values: list[float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in zip(METRICS, values))


if __name__ == "__main__":
    main()
