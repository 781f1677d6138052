"""Other libraries on exactly our splits, scored with exactly our metrics, in one table with our own models.

    python -m tests.benchmarks.peers --environments DIR               tuned settings from peers.json, then the tables
    python -m tests.benchmarks.peers --environments DIR --tune        choose them again on val first

Per-user split; relevance from 4 stars; all unseen movies ranked. Every peer runs in a virtual environment of its own
under DIR (PyPI, pinned versions), on one thread; results are kept there too. Peers are tuned on val (fitted on train),
then fitted on train + val and scored on test once. Ours run with their defaults, the same on A and B.
"""

import itertools
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.evaluate import read_set
from recommender import cli
from recommender.evaluate import protocols, run
from recommender.evaluate.protocols import Evaluation
from recommender.evaluate.run import rating_errors, score_lists, start_report
from recommender.learn import registry
from tests.benchmarks import peer_runs, peer_tables
from tests.benchmarks.tools import ROOT, flags

TUNED = Path(__file__).with_suffix(".json")
N = 20
say = partial(print, file=sys.stderr, flush=True)


class PeerModel(NamedTuple):
    """A model, "peer name", and the values of which validation takes the best combination for each data set.

    strict: whether it is run in strict time too, which needs one that folds histories in.  rates: predicts ratings.
    """

    label: str
    grid: dict[str, list[Any]]
    strict: bool = True
    rates: bool = False

    def configurations(self) -> list[dict[str, Any]]:
        return [dict(zip(self.grid, values)) for values in itertools.product(*self.grid.values())]


LAMBDAS, RANKS = [50, 100, 200, 400], [5, 10, 15, 20, 30, 40, 60]
MF = {"k": [20, 100], "learning_rate": [0.01], "lambda_reg": [0.05, 0.1, 0.15], "max_iter": [40, 80]}
ALS = {"factors": [16, 32, 64, 128, 256], "regularization": [5, 10, 20, 40], "alpha": [2, 4, 8]}
SURPRISE = {"n_factors": [20, 100], "n_epochs": [20, 40, 80], "lr_all": [0.01], "reg_all": [0.05, 0.1, 0.15]}
MODELS = (
    PeerModel(
        "implicit als", {"factors": [16, 32, 64, 128, 256], "regularization": [5, 10, 20, 40], "alpha": [2, 4, 8]}
    ),
    PeerModel("cornac ease ratings", {"lamb": [2000, 4000, 8000, 16000], "posB": [True, False]}),
    PeerModel("cornac ease likes", {"lamb": LAMBDAS, "posB": [True, False]}, strict=False),
    PeerModel("rectools ease likes", {"regularization": LAMBDAS}, strict=False),
    PeerModel("rectools pure svd", {"factors": RANKS}, strict=False),
    PeerModel("lenskit ease likes", {"regularization": LAMBDAS}),
    PeerModel("lenskit slim", {"l1_reg": [0.3, 1, 3], "l2_reg": [10, 30], "max_nbrs": [200]}),
    PeerModel("scikit-learn svd likes", {"rank": RANKS}),
    PeerModel("numpy ease likes", {"regularization": LAMBDAS}, strict=False),
    PeerModel("surprise svd", SURPRISE, rates=True),
    PeerModel("cornac mf", MF, rates=True),
)


def main() -> None:
    # environments: where they and results are kept.  peers: some of them, with commas.  tune: choose settings on val
    default = ROOT.parent / "shared/data/ml-latest-small.zip"
    arguments = flags(__doc__, environments=Path, data=default, sets="A,B", peers="", tune=False)
    store = (arguments.environments or Path("peer-envs")).resolve()
    chosen = [model for model in MODELS if not arguments.peers or model.label.split()[0] in arguments.peers.split(",")]
    results, tuned = peer_tables.Results(), json.loads(TUNED.read_text(encoding="utf-8"))
    for name in arguments.sets.split(","):
        source = protocols.Source.from_ratings(*read_set(arguments.data, name))
        if arguments.tune:
            tune(store, name, source, chosen, tuned)
        test(store, name, source, chosen, tuned.get(name, {}), results)
    print(results.markdown())


def tune(store: Path, name: str, source: protocols.Source, chosen: list[PeerModel], tuned: dict[str, Any]) -> None:
    """Choose each model's settings on val (RMSE, or nDCG@10) and write them to peers.json."""
    case = protocols.build(source, "per-user", "val")
    for model in chosen:
        grid = model.configurations()
        say(f"set {name}: tuning {model.label}, {len(grid)} settings")
        outcomes = peer_runs.run(store, model.label, case, grid, N)
        scores = [loss(model, case, outcome) for outcome in outcomes]
        best = int(np.argmin(scores))
        if not np.isfinite(scores[best]):
            say(f"  failed: {outcomes[best]}")
            continue
        found = {"settings": grid[best], "val": round(abs(scores[best]), 4), "n_settings": len(grid)}
        edges = [key for key, values in model.grid.items() if grid[best][key] in (values[0], values[-1])]
        say(f"  {found['val']:.4f} with {grid[best]}; at the edge: {', '.join(edges)}")
        tuned.setdefault(name, {})[model.label] = found
        TUNED.write_text(json.dumps(tuned, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def loss(model: PeerModel, case: Evaluation, outcome: peer_runs.Outcome) -> float:
    if isinstance(outcome, str):
        return np.inf
    return rmse(case, outcome) if model.rates else -case.accuracy(outcome.rows, (10,))["ndcg@10"].mean()


def rmse(case: Evaluation, outcome: peer_runs.Result) -> float:
    """Return the RMSE of predicted ratings, brought into the range of the known ones, as ours are."""
    predicted = np.clip(outcome.predicted, case.known.ratings.min(), case.known.ratings.max())
    return rating_errors(case, predicted)["rmse"]


def test(store: Path, name: str, source: Any, chosen: list[PeerModel], tuned: dict[str, Any], results: Any) -> None:
    """Score the tuned peers and ours on test, all protocols, and leave the figures in `results`."""
    cases = {name: protocols.build(source, name) for name in peer_tables.PROTOCOLS}
    roots = {root: cases[root] for root in ("per-user", "strict-time")}
    reports = {protocol: start_report(case, run.Options()) for protocol, case in cases.items()}
    results.reports.update({(name, protocol): found for protocol, found in reports.items()})

    def add(root: Evaluation, label: str, peer: str, rows: np.ndarray, errors: dict[str, float]) -> None:
        """Score lists made for `root` under every protocol that they answer, and add errors of predicted ratings."""
        results.peers[label] = peer
        for protocol, case in cases.items():
            if len(rows) and root.name == (case.root or case).name:
                of_case = np.searchsorted(root.user_rows, case.user_rows)
                found = score_lists(case, rows[of_case], (10, 20))
                reports[protocol].values[label], reports[protocol].overall[label] = found
        if errors:
            reports["per-user"].overall.setdefault(label, {}).update(errors)

    for model in chosen:
        if model.label not in tuned:
            results.failures.append(f"{model.label} on {name}: no tuned settings (run with --tune)")
            continue
        settings = tuned[model.label]["settings"]
        results.tested.append((name, model.label, settings))
        for root, case in roots.items():
            if root == "per-user" or (model.strict and not model.rates):
                say(f"set {name}: {root}, {model.label} {settings}")
                (outcome,) = peer_runs.run(store, model.label, case, [settings], N)
                if isinstance(outcome, str):
                    results.failures.append(f"{model.label} on {name}, {root}: {outcome}")
                else:
                    errors = {"rmse": rmse(case, outcome)} if model.rates else {}
                    add(case, model.label, model.label.split()[0], outcome.rows, errors)
    for ours in registry.names():
        results.tested.append((name, ours, {}))
        for case in roots.values():
            ranking = rank_ours(store, source, case, ours, {})
            add(case, ours, peer_tables.OURS, ranking.rows, rating_errors(case, ranking.predicted))
    for twin in peer_tables.TWINS:
        if twin.peer in tuned:
            settings, case = twin.translate(tuned[twin.peer]["settings"]), cases["per-user"]
            ranking = rank_ours(store, source, case, twin.ours, settings)
            results.tested.append((name, f"{twin.ours}, to compare with {twin.peer}:", settings))
            results.twins.append((name, twin, score_lists(case, ranking.rows, (10, 20))[0][peer_tables.METRICS[0]]))


def rank_ours(store: Path, source: Any, case: Evaluation, name: str, settings: dict[str, Any]) -> run.Ranking:
    """Return the lists of our model `name`, from the store where nothing that they depend on has changed."""
    options = run.Options(ks=(N,), checkpoint=store / "ours")
    say(f"{case.name}: ours, {name} {settings or ''}")
    return run.rank(run.Spec(name, name, settings), case, source.catalog, options)


if __name__ == "__main__":
    cli.run(lambda _: main())
