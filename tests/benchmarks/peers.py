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
from recommender.evaluate.run import rating_errors
from recommender.evaluate.significance import bootstrap, holm
from recommender.learn import registry
from tests.benchmarks import peer_runs
from tests.benchmarks.tools import ROOT, flags

TUNED = Path(__file__).with_suffix(".json")
N, N_RESAMPLES, METRIC, BEST_OF_OURS = 20, 10_000, "ndcg@10", "stacker"
PROTOCOLS = {"per-user": "", "returning": " away > 1 day", "strict-time": " strict time"}
Figures = dict[str, dict[str, Any]]  # column, such as "A strict time" -> model -> METRIC of each person (n_users,)
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


# What should be equal to a peer, and its settings for the peer's.
TWINS: dict[str, tuple[str, Any]] = {
    "rectools ease likes": ("ease", lambda s: {"values": "likes", "regularisation": s["regularization"]}),
    "cornac ease ratings": ("ease", lambda s: {"values": "ratings", "regularisation": s["lamb"]}),
    # implicit's alpha is the whole confidence of a like, ours what it has beyond an unobserved cell
    "implicit als": (
        "ials",
        lambda s: {
            "factors": s["factors"], "regularisation": s["regularization"], "alpha": s["alpha"] - 1, "recency_span": 0
        },
    ),
    "scikit-learn svd likes": ("svd", lambda s: {"rank": s["rank"], "signal": "binary"}),
}  # fmt: skip


def main() -> None:
    # environments: where they and results are kept.  peers: some of them, with commas.  tune: choose settings on val
    default = ROOT.parent / "shared/data/ml-latest-small.zip"
    given = flags(__doc__, environments=Path, data=default, sets="A,B", peers="", tune=False)
    store = (given.environments or Path("peer-envs")).resolve()
    chosen = [model for model in MODELS if not given.peers or model.label.split()[0] in given.peers.split(",")]
    tuned, figures, errors = json.loads(TUNED.read_text(encoding="utf-8")), Figures(), Figures()
    for name in given.sets.split(","):
        source = protocols.Source.from_ratings(*read_set(given.data, name))
        if given.tune:
            tune(store, name, source, chosen, tuned)
        test(store, name, source, chosen, tuned.get(name, {}), figures, errors)
    means = {column: {label: each.mean() for label, each in found.items()} for column, found in figures.items()}
    print(METRIC, table(means), against_best(figures), "RMSE of predicted ratings", table(errors), sep="\n\n")


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


def test(
    store: Path,
    name: str,
    source: protocols.Source,
    chosen: list[PeerModel],
    tuned: dict[str, Any],
    figures: Figures,
    errors: Figures,
) -> None:
    """Score the tuned peers and ours on test, all protocols; what failed and twins are told at once."""
    cases = {protocol: protocols.build(source, protocol) for protocol in PROTOCOLS}
    roots = {root: cases[root] for root in ("per-user", "strict-time")}

    def add(root: Evaluation, label: str, rows: np.ndarray) -> None:
        """Score lists made for `root` under every protocol that they answer."""
        for protocol, case in cases.items():
            if len(rows) and root.name == (case.root or case).name:
                found = case.accuracy(rows[np.searchsorted(root.user_rows, case.user_rows)], (10,))[METRIC]
                figures.setdefault(name + PROTOCOLS[protocol], {})[label] = found

    def rank_ours(case: Evaluation, model: str, **settings: Any) -> run.Ranking:
        """Return our lists, from the store where nothing that they depend on has changed."""
        say(f"{name}, {case.name}: ours, {model} {settings or ''}")
        options = run.Options(ks=(N,), checkpoint=store / "ours")
        return run.rank(run.Spec(model, model, settings), case, source.catalog, options)

    for ours in registry.names():
        for root in roots.values():
            ranking = rank_ours(root, ours)
            add(root, f"**{ours}** (ours)", ranking.rows)
            if root is roots["per-user"] and len(ranking.predicted):
                errors.setdefault(name, {})[f"**{ours}** (ours)"] = rating_errors(root, ranking.predicted)["rmse"]
    for model in (model for model in chosen if model.label in tuned):
        settings = tuned[model.label]["settings"]
        for root in list(roots.values())[: 2 if model.strict and not model.rates else 1]:
            say(f"{name}, {root.name}: {model.label} {settings}")
            (outcome,) = peer_runs.run(store, model.label, root, [settings], N)
            if isinstance(outcome, str):
                say(f"  failed: {outcome}")
            elif model.rates:
                errors.setdefault(name, {})[model.label] = rmse(root, outcome)
            else:
                add(root, model.label, outcome.rows)
        if model.label in TWINS and model.label in figures[name]:
            twin, translate = TWINS[model.label]
            rows = rank_ours(roots["per-user"], twin, **translate(settings)).rows
            theirs = figures[name][model.label]
            apart = (roots["per-user"].accuracy(rows, (10,))[METRIC] - theirs).mean()
            error = theirs.std(ddof=1) / len(theirs) ** 0.5
            print(f"{name}: {twin} less {model.label} {apart:+.4f}, where the standard error is {error:.4f}")


def against_best(figures: Figures) -> str:
    """Compare our default with the peer that is best on the very figure: a choice in the peer's favor."""
    rows, p_values = {}, []
    for column, found in figures.items():
        own, peers = f"**{BEST_OF_OURS}** (ours)", [label for label in found if "(ours)" not in label]
        if own in found and peers:
            best = max(peers, key=lambda label, found=found: found[label].mean())
            difference = (found[own] - found[best])[:, None]
            (gap,) = bootstrap(difference, N_RESAMPLES, np.random.default_rng(0))
            rows[f"{column}, {len(difference)} people"] = f"{gap[0]:+.4f} ({gap[1]:+.4f} to {gap[2]:+.4f}) over {best}"
            p_values.append(gap[3])
    return "\n".join(f"{row}: {said}, p {p:.4f}" for (row, said), p in zip(rows.items(), holm(p_values)))


def table(figures: Figures) -> str:
    """Return a Markdown table, a column for each data set and protocol, the best of the first column first."""
    labels = dict.fromkeys(label for found in figures.values() for label in found)
    order = sorted(labels, key=lambda label: -next(iter(figures.values())).get(label, -1))
    lines = ["| model | " + " | ".join(figures) + " |", "|---|" + "---:|" * len(figures)]
    for label in order:
        cells = [f"{found[label]:.4f}" if label in found else "" for found in figures.values()]
        lines.append("| " + " | ".join([label, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(lambda _: main())
