"""The benchmark against other libraries: cases go out and lists come back unharmed, failures are told."""

import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.evaluate.protocols import Source
from recommender.learn import registry
from tests.benchmarks import peer_models, peer_runs, peers

from .tiny import random_ratings, rank

SETTINGS = {"regularization": 3.0}


@pytest.mark.parametrize("n_stages", [0, 4])
def test_a_peer_on_the_same_case_gives_the_lists_of_our_twin(tmp_path, monkeypatch, n_stages) -> None:
    monkeypatch.setattr(peer_runs, "environment", lambda store, peer: Path(sys.executable))
    case = Source.from_ratings(random_ratings(n_movies=30)).case()
    later = case.strict_time(n_stages) if n_stages else case

    def run(case, *settings):
        return peer_runs.run(tmp_path, "numpy ease likes", case, settings, n=5)

    wrong, found = run(later, {"lamb": 3}, SETTINGS)
    assert "lamb" in wrong
    ours = rank(lambda: registry.make("ease", values="likes", regularisation=3.0), later, 5)
    assert np.array_equal(found.rows, ours.rows)

    def refuse(store, peer):
        raise peer_runs.Unavailable("no matching distribution")

    monkeypatch.setattr(peer_runs, "environment", refuse)
    assert np.array_equal(run(later, SETTINGS)[0].rows, found.rows), "kept"
    assert run(case.strict_time(3), SETTINGS) == ["no matching distribution"], "for the same case alone"


def test_every_peer_has_a_model_and_every_twin_is_run() -> None:
    labels = {model.label for model in peers.MODELS}
    assert labels == set(peer_models.MODELS)
    assert {label.split()[0] for label in labels} == set(peer_runs.REQUIREMENTS)
    assert set(peers.TWINS) <= labels
