"""What an engine of Dask does when its workers die, and when a file that they map is replaced."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from recommender.data.errors import ServiceError
from recommender.linalg import engine as engines
from recommender.linalg.engine import DaskEngine
from recommender.linalg.packed import pack, unpack
from tests.test_engine import dies, sum_and_file, two_workers

mortal = pytest.fixture(two_workers)  # for a test that kills some


def dies_in_a_while(value: int) -> None:
    time.sleep(0.5)  # until the other one has begun as well
    dies(value)


@pytest.mark.dev
@pytest.mark.parametrize("n_workers", [1, 2])
def test_blocks_are_made_again_when_all_workers_died(n_workers, monkeypatch):
    pytest.importorskip("distributed")
    with DaskEngine(n_workers=n_workers) as engine:
        blocks = engine.place(np.ones, [5, 6, 7])
        for process in engine._client.run(os.getpid).values():
            os.kill(process, signal.SIGKILL)
        assert engine.sum(np.sum, blocks) == 18
        monkeypatch.setattr(engines, "WAIT", 0.5)
        engine._client.cluster.scale(0)
        with pytest.raises(ServiceError, match="all workers of these blocks died"):
            engine.sum(np.sum, blocks)


@pytest.mark.dev
def test_all_workers_die_while_blocks_are_made(mortal, monkeypatch):
    monkeypatch.setattr(engines, "WAIT", 5)
    with pytest.raises(ServiceError, match="all workers of these blocks died"):
        mortal.place(dies_in_a_while, [1, 2])


def test_a_file_that_was_replaced(tmp_path):
    for name, value in (("stored", 1), ("new", 7)):
        np.save(tmp_path / f"{name}.npy", np.full(200_000, value))
    array = np.load(tmp_path / "stored.npy", "c")
    with open(tmp_path / "arrays", "wb") as file:
        packed = pack(np.asarray(array), file, os.path.exists)
        assert sum_and_file(unpack(packed)) == (200_000, "stored.npy")
        os.replace(tmp_path / "new.npy", tmp_path / "stored.npy")
        assert sum_and_file(unpack(pack(np.asarray(array), file, os.path.exists))) == (200_000, "arrays")
    with pytest.raises(ServiceError, match="changed or missing"):
        unpack(packed)
    (tmp_path / "stored.npy").unlink()
    with pytest.raises(ServiceError, match="changed or missing"):
        unpack(packed)
