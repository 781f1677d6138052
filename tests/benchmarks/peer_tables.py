"""The figures of peers and of ours, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple

import numpy as np
import pandas as pd

from recommender.evaluate.report import Report
from recommender.evaluate.significance import N_RESAMPLES, bootstrap, holm

PROTOCOLS = {"per-user": "all", "returning": "away > 1 day", "strict-time": "strict time"}
OURS, BEST_OF_OURS = "tastevec", "stacker"
METRICS = ("ndcg@10", "recall@20")  # the first decides which peer is the best


class Twin(NamedTuple):
    """One of our models that should equal a peer's; `translate` gives our settings for the peer's."""

    ours: str
    peer: str
    translate: Callable[[dict[str, Any]], dict[str, Any]]


def _ials(s: dict[str, Any]) -> dict[str, Any]:
    """implicit's alpha is the whole confidence of a like, ours what it has beyond an unobserved cell."""
    own = {"regularisation": s["regularization"], "alpha": s["alpha"] - 1, "recency_span": 0}
    return {"factors": s["factors"], **own}


TWINS = (
    Twin("ease", "rectools ease likes", lambda s: {"values": "likes", "regularisation": s["regularization"]}),
    Twin("ease", "cornac ease ratings", lambda s: {"values": "ratings", "regularisation": s["lamb"]}),
    Twin("ials", "implicit als", _ials),
    Twin("svd", "scikit-learn svd likes", lambda s: {"rank": s["rank"], "signal": "binary"}),
)


@dataclass
class Results:
    """reports: (data set, protocol) -> all models.  peers: label -> library.  tested: (data set, label, settings)."""

    reports: dict[tuple[str, str], Report] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    tested: list[tuple[str, str, Any]] = field(default_factory=list)
    twins: list[tuple[str, Twin, np.ndarray]] = field(default_factory=list)  # data, twin, (n_users,) of METRICS[0]
    failures: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Return all tables and the list of what was scored on test."""
        metric, data = METRICS[0], list(dict.fromkeys(name for name, _ in self.reports))
        ranked = self._figures([(name, "per-user", metric) for name in data]).mean(axis=1).dropna()
        order = ranked.sort_values(ascending=False, kind="stable").index
        later = [(name, protocol, metric) for name in data for protocol in list(PROTOCOLS)[1:]]
        rmse = self._figures([(name, "per-user", "rmse") for name in data]).dropna(how="all")
        people = [f"{name}, {PROTOCOLS[p]}: {len(report.units)} people" for (name, p), report in self.reports.items()]
        tested = [f"- {name}: {label} {settings or '(default settings)'}" for name, label, settings in self.tested]
        parts = [
            table(self._figures([(name, "per-user", m) for name in data for m in METRICS]).loc[order], "model"),
            table(self._figures(later).loc[order], "model") + "\n\n" + "; ".join(people) + ".",
            table(self._against_best(), "case"),
            table(self._agreement(), f"ours ({metric})"),
            table(rmse.loc[rmse.mean(axis=1).sort_values().index], "predicted ratings"),
            "Scored on test, each once:\n\n" + "\n".join(tested),
            "\n".join(["Failed:\n", *(f"- {line}" for line in self.failures)]) if self.failures else "",
        ]
        return "\n\n".join(part for part in parts if part)

    def _figures(self, columns: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
        found = {}
        for data, protocol, metric in columns:
            overall = self.reports[data, protocol].overall
            name = f"{data}, {PROTOCOLS[protocol]}: {metric}"
            found[name] = {label: overall.get(label, {}).get(metric, np.nan) for label in self.peers}
        frame = pd.DataFrame(found, index=list(self.peers))
        return frame.rename(index={label: f"**{label}** (ours)" for label in self.peers if self.peers[label] == OURS})

    def _against_best(self) -> pd.DataFrame:
        """Compare our default with the peer that is best on the very figure: a choice in the peer's favor."""
        rows = []
        for metric in METRICS:
            for (data, protocol), report in self.reports.items():
                values = {label: found[metric] for label, found in report.values.items()}
                peers = [label for label in values if self.peers[label] != OURS]
                if BEST_OF_OURS in values and peers:
                    best = max(peers, key=lambda label, values=values: values[label].mean())
                    differences = values[BEST_OF_OURS] - values[best]
                    (found,) = bootstrap(differences[:, None], N_RESAMPLES, np.random.default_rng(0))
                    rows.append((f"{data}, {PROTOCOLS[protocol]}", metric, best, *found[:4]))
        names = ["case", "metric", "best peer", f"{BEST_OF_OURS} - best peer", "low", "high", "p (Holm)"]
        frame = pd.DataFrame(rows, columns=names).set_index("case")
        return frame.assign(**{"p (Holm)": holm(frame["p (Holm)"])})

    def _agreement(self) -> pd.DataFrame:
        """Compare our models with their twins, settings alike; standard errors over people."""
        rows = []
        for data, twin, ours in self.twins:
            theirs = self.reports[data, "per-user"].values.get(twin.peer, {}).get(METRICS[0])
            if theirs is not None:
                error, paired = (x.std(ddof=1) / np.sqrt(len(x)) for x in (theirs, ours - theirs))
                difference = (ours - theirs).mean()
                figures = (ours.mean(), theirs.mean(), difference, error, paired)
                rows.append((f"{data}: {twin.ours}", twin.peer, *figures, ["no", "yes"][abs(difference) <= error]))
        names = ["", "peer", "ours", "peer's", "difference", "peer's standard error", "of the difference", "within"]
        return pd.DataFrame(rows, columns=names).set_index("")


def table(frame: pd.DataFrame, corner: str) -> str:
    """Return a Markdown table, figures to the right; nothing for no rows."""
    if frame.empty:
        return ""
    lines = ["| " + " | ".join([corner, *frame.columns]) + " |", "|---|" + "---:|" * len(frame.columns)]
    for name, row in zip(frame.index, frame.itertuples(index=False)):
        cells = ["" if x != x else f"{x:.4f}" if isinstance(x, float) else str(x) for x in row]
        lines.append("| " + " | ".join([str(name), *cells]) + " |")
    return "\n".join(lines)
