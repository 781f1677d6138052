"""The benchmark against other libraries: cases go out and lists come back unharmed, failures are told."""

import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.data.interactions import Interactions
from recommender.evaluate.protocols import Evaluation, Source
from recommender.learn import registry
from tests.benchmarks.peer_runners import environments, exchange, tables
from tests.benchmarks.peer_runners.grids import MODELS

from .tiny import rank

SETTINGS = {"regularization": 3.0}


@pytest.fixture
def case() -> Evaluation:
    rng = np.random.default_rng(0)
    users, movies = np.nonzero(rng.random((40, 30)) < 0.5)
    ratings, times = rng.integers(1, 11, len(users)) / 2, rng.permutation(len(users))
    return Source.from_ratings(Interactions.from_columns(users, movies, ratings, times)).case()


@pytest.fixture(autouse=True)
def _this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "make", lambda store, peer: Path(sys.executable))


@pytest.mark.parametrize("n_stages", [0, 4])
def test_a_peer_on_the_same_case_gives_the_lists_of_our_twin(
    tmp_path: Path, case: Evaluation, n_stages: int, monkeypatch
) -> None:
    if n_stages:
        case = case.strict_time(n_stages)
    ours = rank(lambda: registry.make("ease", values="likes", regularisation=3.0), case, 5)
    for _ in range(2):  # the second time it is kept
        (found,) = exchange.run(tmp_path, "numpy", "ease likes", case, [SETTINGS], n=5)
        assert np.array_equal(found.rows, ours.rows)
        monkeypatch.setattr(environments, "make", None)


def test_a_failing_setting_is_told_and_the_others_still_run(tmp_path: Path, case: Evaluation) -> None:
    wrong, right = exchange.run(tmp_path, "numpy", "ease likes", case, [{"lamb": 3}, SETTINGS], n=5)
    assert "lamb" in wrong
    assert isinstance(right, exchange.Result)


def test_every_peer_has_a_runner_and_every_twin_is_run() -> None:
    labels = {model.label for model in MODELS}
    assert {model.peer for model in MODELS} == set(environments.REQUIREMENTS)
    assert all((exchange.FOLDER / exchange.script(peer)).is_file() for peer in environments.REQUIREMENTS)
    assert all(twin.peer in labels for twin in tables.TWINS)
