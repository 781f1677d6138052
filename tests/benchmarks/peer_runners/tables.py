"""The figures of peers and of ours, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import numpy as np

from recommender.evaluate.significance import N_RESAMPLES, bootstrap, holm

from .environments import OURS

_NAMES = {
    "per-user": "all",
    "returning-minute": "away > 1 minute",
    "returning": "away > 1 day",
    "strict-time": "strict time",
    "strict-time-returning": "strict time, away > 1 day",
}


class Scored(NamedTuple):
    """One model on one case: measure -> (n_users,), and measure -> value."""

    model: str
    values: dict[str, np.ndarray]
    overall: dict[str, float]


class Twin(NamedTuple):
    """One of our models that should equal a peer's; `translate` gives our settings for the peer's."""

    ours: str
    peer: str
    translate: Callable[[dict[str, Any]], dict[str, Any]]


def _ease(values: str, key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: {"values": values, "regularisation": found[key]}


def _ials(found: dict[str, Any]) -> dict[str, Any]:
    """implicit's alpha is the whole confidence of a like, ours what it has beyond an unobserved cell."""
    return {
        "factors": found["factors"],
        "regularisation": found["regularization"],
        "alpha": found["alpha"] - 1,
        "recency_span": 0,
    }


TWINS = (
    Twin("ease", "rectools ease likes", _ease("likes", "regularization")),
    Twin("ease", "cornac ease ratings", _ease("ratings", "lamb")),
    Twin("ials", "implicit als", _ials),
    Twin("item_knn", "implicit knn tf-idf", lambda found: {"neighbours": found["neighbours"]}),
    Twin("svd", "scikit-learn svd likes", lambda found: {"rank": found["rank"], "signal": "binary"}),
)


class Tables:
    """Collects figures; `metrics[0]` decides which peer is the best."""

    def __init__(self, metrics: Sequence[str], ours: str) -> None:
        self.metrics, self.ours = tuple(metrics), ours
        self.scored: dict[tuple[str, str], dict[str, Scored]] = {}
        self.rmse: dict[str, dict[str, float]] = {}
        self.peers: dict[str, str] = {}
        self.tested: dict[tuple[str, str], dict[str, Any]] = {}
        self.twins: list[tuple[str, Twin, dict[str, Any], Scored]] = []
        self.failures: list[str] = []
        self.sizes: dict[str, dict[str, float]] = {}

    def add(self, data: str, protocol: str, peer: str, settings: dict[str, Any], result: Scored) -> None:
        self.peers[result.model] = peer
        self.tested[data, result.model] = settings
        self.scored.setdefault((data, protocol), {})[result.model] = result

    def add_rmse(self, data: str, label: str, peer: str, settings: dict[str, Any], rmse: float) -> None:
        self.peers[label] = peer
        self.tested[data, label] = settings
        self.rmse.setdefault(data, {})[label] = rmse

    def markdown(self) -> str:
        """Return all tables and the list of what was scored on test."""
        parts = [self._accuracy(), self._tonight(), self._against_best(), self._agreement(), self._ratings()]
        parts += [self._sizes(), self._tested()]
        if self.failures:
            parts.append("Failed:\n\n" + "\n".join(f"- {line}" for line in self.failures))
        return "\n\n".join(part for part in parts if part)

    def record(self) -> dict[str, Any]:
        """Return every figure for JSON."""
        figures = {
            f"{data} {protocol}": {
                label: {"n_users": len(result.values["ndcg@10"]), **{m: result.overall[m] for m in self.metrics}}
                for label, result in results.items()
            }
            for (data, protocol), results in self.scored.items()
        }
        tested = [{"data": data, "model": label, "settings": s} for (data, label), s in self.tested.items()]
        tested += [{"data": data, "model": twin.ours, "settings": s} for data, twin, s, _ in self.twins]
        more = {"rmse": self.rmse, "tested": tested, "sizes_mb": self.sizes, "failed": self.failures}
        return {"figures": figures, **more}

    def _data(self) -> list[str]:
        return list(dict.fromkeys(data for data, _ in self.scored))

    def _labels(self) -> list[str]:
        """Return all that rank, best first (mean over data sets of the first metric, all test users)."""
        found: dict[str, list[float]] = {}
        for data in self._data():
            for label, result in self.scored[data, "per-user"].items():
                found.setdefault(label, []).append(result.overall[self.metrics[0]])
        return sorted(found, key=lambda label: -float(np.mean(found[label])))

    def _name(self, label: str) -> str:
        return f"**{label}** (ours)" if self.peers[label] == OURS else label

    def _columns(self, columns: Sequence[tuple[str, str, str]]) -> str:
        header = ["model", *(f"{data}, {_NAMES[p]}: {m}" for data, p, m in columns)]
        rows = []
        for label in self._labels():
            found = [self.scored.get((data, p), {}).get(label) for data, p, _ in columns]
            cells = ["" if f is None else f"{f.overall[m]:.4f}"[1:] for f, (_, _, m) in zip(found, columns)]
            rows.append([self._name(label), *cells])
        return table(header, rows)

    def _accuracy(self) -> str:
        return self._columns([(data, "per-user", metric) for data in self._data() for metric in self.metrics])

    def _tonight(self) -> str:
        """Return the protocols that say what serves somebody who comes back, with the number of people."""
        metric = self.metrics[0]
        columns = [(data, p, metric) for data in self._data() for p in list(_NAMES)[1:] if (data, p) in self.scored]
        counts = []
        for data, p, _ in columns:
            some = next(iter(self.scored[data, p].values()))
            counts.append(f"{data}, {_NAMES[p]}: {len(some.values[metric])} people")
        return self._columns(columns) + "\n\n" + "; ".join(counts) + "."

    def _against_best(self) -> str:
        """Compare our default with the peer that is best on the very figure: a choice in the peer's favor."""
        lines = []
        for metric in self.metrics:
            for (data, protocol), results in self.scored.items():
                peers = [label for label in results if self.peers[label] != OURS]
                if self.ours not in results or not peers:
                    continue
                best = max(peers, key=lambda label: results[label].overall[metric])
                ours, theirs = (results[label].values[metric][:, None] for label in (self.ours, best))
                (found,) = bootstrap(ours, theirs, N_RESAMPLES, np.random.default_rng(0))
                lines.append(([f"{data}, {_NAMES[protocol]}", metric, best], found))
        corrected = holm([found.p_value for _, found in lines])
        rows = [
            [*cells, f"{d.value:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", f"{p:.4f}"]
            for (cells, d), p in zip(lines, corrected)
        ]
        return table(["case", "metric", "best peer", f"{self.ours} - best peer", "95% interval", "p (Holm)"], rows)

    def _agreement(self) -> str:
        """Compare our models with their twins, settings alike; standard errors over people."""
        metric, rows = self.metrics[0], []
        for data, twin, _, ours in self.twins:
            theirs = self.scored.get((data, "per-user"), {}).get(twin.peer)
            if theirs is None:
                continue
            a, b = ours.values[metric], theirs.values[metric]
            error, paired = (float(x.std(ddof=1) / np.sqrt(len(x))) for x in (b, a - b))
            agree = "yes" if abs((a - b).mean()) <= error else "no"
            figures = [f"{a.mean():.4f}", f"{b.mean():.4f}", f"{(a - b).mean():+.4f}", f"{error:.4f}", f"{paired:.4f}"]
            rows.append([f"{data}: {twin.ours}", twin.peer, *figures, agree])
        header = [f"ours ({metric})", "peer", "ours", "peer", "difference", "peer's standard error"]
        return table([*header, "of the difference", "within"], rows)

    def _ratings(self) -> str:
        def mean(label: str) -> float:
            return float(np.mean([found[label] for found in self.rmse.values() if label in found]))

        rows = []
        for label in sorted({label for found in self.rmse.values() for label in found}, key=mean):
            cells = [f"{found[label]:.4f}" if label in found else "" for found in self.rmse.values()]
            rows.append([self._name(label), *cells])
        return table(["predicted ratings", *(f"{data}: RMSE" for data in self.rmse)], rows)

    def _sizes(self) -> str:
        rows = []
        for name, found in sorted(self.sizes.items(), key=lambda item: sum(item[1].values())):
            largest = sorted(found, key=lambda package: -found[package])[:4]
            total, ours = sum(found.values()), sum(self.sizes[OURS].values())
            parts = ", ".join(f"{package} {found[package]:.0f}" for package in largest)
            rows.append([name, f"{total:.0f}", f"{total / ours:.2f}", parts])
        return table(["installed, with dependencies", "MB", "of ours", "largest parts, MB"], rows)

    def _tested(self) -> str:
        lines = [f"- {data}: {label} {s or '(default settings)'}" for (data, label), s in self.tested.items()]
        lines += [f"- {data}: {twin.ours} {s}, to compare with {twin.peer}" for data, twin, s, _ in self.twins]
        return "Scored on test, each once:\n\n" + "\n".join(lines)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, figures to the right; nothing for no rows."""
    if not rows:
        return ""
    line = "|---|" + "---:|" * (len(header) - 1)
    return "\n".join(["| " + " | ".join(header) + " |", line, *("| " + " | ".join(row) + " |" for row in rows)])
