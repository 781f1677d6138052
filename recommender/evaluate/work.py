"""Several models on several cases: each model ranks once for each root case, all cases are scored from the lists."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from ..learn import registry
from ..learn.base import Ranker
from . import runner, scoring
from .cases import Case, Source, build
from .comparison import N_RESAMPLES, compare_models
from .report import CaseReport

StartProgress = Callable[[str], Optional[runner.Progress]]


@dataclass(frozen=True)
class ModelSpec:
    """A model and its settings; `label` is what tables call it."""

    label: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read `name:key=value:key=value`; raises `ChoiceError` for another form or a name that does not exist.

        >>> ModelSpec.parse("ease:regularisation=200").settings
        {'regularisation': 200}
        """
        name, *pairs = text.split(":")
        registry.model_class(name)
        return cls(text, name, read_pairs(f"model {text!r}", name, pairs))

    def make(self, catalog: Optional[Catalog]) -> Ranker:
        """Return the model, unfitted; raises `SettingsError` for a setting that it does not have."""
        return registry.make(self.name, catalog=catalog, **self.settings)


def read_pairs(what: str, name: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Return the settings that `key=value` pairs give; `what` begins the message of the `ChoiceError` for bad ones."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise ChoiceError(f"{what}: {pair!r} is not key=value; write {name}:key=value")
        if key in settings:
            raise ChoiceError(f"{what} sets {key} twice: give each setting once")
        settings[key] = _value(value)
    return settings


class Work:
    """The lists made so far, in memory and, where `checkpoint` is a folder, on disk."""

    def __init__(
        self,
        source: Source,
        ks: tuple[int, ...],
        part: str = "test",
        n_stages: int = 20,
        checkpoint: Optional[Path] = None,
        start_progress: StartProgress = lambda label: None,
    ) -> None:
        """`start_progress(label)` is called for each model and root case; it returns what `runner.rank` reports to."""
        self.source, self.ks, self.part, self.n_stages = source, ks, part, n_stages
        self.checkpoint, self.start_progress = checkpoint, start_progress
        self.lists: dict[tuple[str, str], runner.Ranking] = {}
        self._roots: dict[str, Case] = {}
        self._code = runner.code_version()
        self._catalog = catalog_digest(source.catalog)

    def report(
        self,
        case: Case,
        specs: Sequence[ModelSpec],
        reference: str = "first",
        n_resamples: int = N_RESAMPLES,
        seed: int = 0,
    ) -> CaseReport:
        """Return the figures of all models on one case, and their differences from `reference`."""
        groups = scoring.groups_of(case.evaluation)
        genres = self._genres(case)
        results = []
        for spec in specs:
            ranking, places = self.ranking(case, spec)
            seconds = {"fit": ranking.fit_seconds, "rank": ranking.rank_seconds}
            lists = ranking.rows[places]
            result = scoring.score_lists(spec.label, case.evaluation, lists, self.ks, groups, genres, seconds)
            everybody = case.root == case.protocol
            result.overall.update(scoring.rating_errors(case.evaluation, ranking.predicted, everybody))
            results.append(result)
        metrics = [f"{name}@{k}" for k in self.ks for name in ("ndcg", "recall")]
        comparisons = compare_models(results, reference, metrics, np.random.default_rng(seed), n_resamples)
        return CaseReport(case.evaluation, self.part, self.ks, groups, results, comparisons)

    def ranking(self, case: Case, spec: ModelSpec) -> tuple[runner.Ranking, np.ndarray]:
        """Return the lists of the case's root, and which of them belong to the people of the case."""
        if case.root not in self._roots:
            is_root = case.root == case.protocol
            self._roots[case.root] = case if is_root else build(self.source, case.root, self.part, self.n_stages)
        root = self._roots[case.root].evaluation
        if (case.root, spec.label) not in self.lists:
            n = max(self.ks)
            folder = self.checkpoint
            if folder is not None:
                settings = {**spec.settings, "catalog": self._catalog}
                folder = folder / f"{spec.name}-{runner.work_key(root, spec.name, settings, n, self._code)}"
            progress = self.start_progress(f"{case.root}: {spec.label}")
            made = runner.rank(lambda: spec.make(self.source.catalog), root, n, folder, progress)
            self.lists[case.root, spec.label] = made
        places = np.searchsorted(root.user_rows, case.evaluation.user_rows)
        return self.lists[case.root, spec.label], places

    def _genres(self, case: Case) -> Optional[np.ndarray]:
        catalog = self.source.catalog
        if catalog is None or not np.array_equal(catalog.movie_ids, case.evaluation.known.movie_ids):
            return None
        return catalog.genres


def catalog_digest(catalog: Optional[Catalog]) -> str:
    """Return a hash of what models read in a catalogue."""
    if catalog is None:
        return ""
    digest = hashlib.sha256(repr([catalog.genre_names, catalog.raw_titles]).encode())
    for part in (catalog.movie_ids, catalog.genres, catalog.years, catalog.n_ratings):
        digest.update(np.ascontiguousarray(part).tobytes())
    for row in range(len(catalog)):
        digest.update(repr(catalog.movie(row)).encode())  # what movies are about, and who is in them
    return digest.hexdigest()


def _value(text: str) -> Any:
    """Return the value of a setting as people write it: true, false, a number or a word."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
