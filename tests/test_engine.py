"""Blocks of people on two workers of Dask give what one process gives, also when workers die; the rest is one line."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from model import recommend, train_ranking_model, train_session_model, train_svd_model
from recommender import models
from recommender.data.errors import ChoiceError, ServiceError, SettingsError
from recommender.learn import registry
from recommender.learn.svd import SvdModel
from recommender.linalg import engine as engines
from recommender.linalg import randomized_svd
from recommender.linalg.block_matrix import BlockMatrix, place_rows
from recommender.linalg.engine import DaskEngine, Engine
from recommender.linalg.packed import pack, unpack
from recommender.linalg.sparse import SparseMatrix
from recommender.session.gaussian import GaussianSettings
from recommender.session.taste_covariance import fit_gaussian
from tests.test_session import make_catalog
from tests.tiny import random_ratings

ROWS, COLUMNS = 300, 40


class Three(Engine):
    """One process that works on three blocks."""

    n_workers, n_sums = 3, 0

    def sum(self, *given, **shared):
        self.n_sums += 1
        return super().sum(*given, **shared)


def two_workers():
    pytest.importorskip("distributed")
    with DaskEngine(n_workers=2) as engine:
        assert engine.n_workers == 2
        yield engine


two = pytest.fixture(scope="module")(two_workers)
mortal = pytest.fixture(two_workers)  # for a test that kills some


@pytest.fixture(params=["three", pytest.param("two", marks=pytest.mark.dev)])
def several(request):
    return Three() if request.param == "three" else request.getfixturevalue("two")


@pytest.fixture(autouse=True)
def no_dense_svd(monkeypatch):
    """Small matrices go through the products, as large ones do."""
    monkeypatch.setattr(randomized_svd, "DENSE_CELLS", 0)


def check_products(engine: Engine, between=lambda A: None) -> None:
    rng = np.random.default_rng(0)
    full = rng.standard_normal((ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < 0.2)
    rows, columns = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=ROWS))))
    parts = indptr, columns.astype(np.int32), full[rows, columns].astype(np.float32), COLUMNS
    A, whole = BlockMatrix(*place_rows(*parts, engine), COLUMNS, engine), SparseMatrix(*parts)
    assert len(A.blocks) == engine.n_workers
    between(A)
    X, Y = (rng.standard_normal((n, 7)).astype(np.float32) for n in (COLUMNS, ROWS))
    for ours, exact in (
        (A.times(X), whole.times(X)),
        (A.transposed_times(Y), whole.transposed_times(Y)),
        (A.gram_times(X), whole.gram_times(X)),
        (A.dense(), whole.dense()),
    ):
        np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())
    assert A.energy() == pytest.approx(whole.energy())


# What workers do in tests: at the top, as Dask calls functions by name.
def process_of(block: SparseMatrix) -> int:
    return os.getpid()


def dies(value: int, marker: str = "") -> int:
    """Kill the worker where `marker` is no file, which it makes first."""
    if not os.path.exists(marker):
        if marker:
            open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def dies_in_a_while(value: int) -> None:
    time.sleep(0.5)  # until the other one has begun as well
    dies(value)


def sum_and_file(array: np.ndarray) -> tuple[int, str]:
    """Return the sum, and the name of the file that the array is mapped from; "" if it is none."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return int(array.sum()), Path(getattr(whole, "filename", "")).name


def test_blocks_cover_all_rows_and_none_is_too_large(monkeypatch):
    indptr = np.concatenate(([0], np.cumsum(np.arange(1, 101))))
    monkeypatch.setattr(engines, "BLOCK_ENTRIES", 500)
    bounds = Three().bounds(indptr)
    assert len(bounds) == 12  # a multiple of three
    assert [low for low, _ in bounds[1:]] == [high for _, high in bounds[:-1]]
    assert (bounds[0][0], bounds[-1][1]) == (0, 100)
    assert max(indptr[high] - indptr[low] for low, high in bounds) <= 500
    assert Engine().bounds(np.array([0, 0])) == [(0, 1)]


def test_products_of_blocks_are_those_of_the_whole(several):
    check_products(several)


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.model_class(name).by_blocks])
def test_a_model_fitted_by_blocks_scores_as_one_fitted_whole(name, several):
    data, catalog = random_ratings(0, 300, COLUMNS), make_catalog(COLUMNS)
    whole, blocks = (registry.make(name, catalog, **({"rank": 5} if name == "svd" else {})) for _ in range(2))
    blocks.engine = several
    exact, ours = (model.fit(data).score(data, np.arange(300)) for model in (whole, blocks))
    np.testing.assert_allclose(ours, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())
    assert getattr(several, "n_sums", 1)  # it is used


def test_the_covariance_of_tastes_by_blocks(several):
    data, catalog, settings = random_ratings(0, 300, COLUMNS), make_catalog(COLUMNS), GaussianSettings(rank=8)
    whole, blocks = fit_gaussian(data, catalog, settings), fit_gaussian(data, catalog, settings, several)
    for ours, exact in zip(blocks[1:4], whole[1:4]):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(blocks.vectors @ blocks.vectors.T, whole.vectors @ whole.vectors.T, atol=1e-5)


@pytest.mark.parametrize("program", [train_svd_model, train_session_model, train_ranking_model])
def test_the_memory_of_this_machine_does_not_refuse_dask(program, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "free_memory", lambda: 1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    flags = ["--output", str(tmp_path), *(["--method", "ease"] if program is train_ranking_model else [])]
    with pytest.raises(ChoiceError, match="are free"):
        program.main(flags)
    with pytest.raises(ChoiceError, match=r"tastevec\[scale\]"):  # past the check
        program.main([*flags, "--engine", "dask"])
    assert "ratings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "flags", "message"),
    [
        (train_svd_model, ["--scheduler", "tcp://127.0.0.1:1"], "--engine dask"),
        (train_svd_model, ["--engine", "dask", "--scheduler", ""], "--scheduler: the address is empty"),
        (
            train_ranking_model,
            ["--method", "popularity", "--engine", "dask"],
            r"fitted in one process.* ease, directed",
        ),
    ],
)
def test_flags_that_do_not_go_together(program, flags, message):
    with pytest.raises((SettingsError, ChoiceError), match=message):
        program.main(flags)


def test_a_file_that_was_replaced(tmp_path):
    for name, value in (("stored", 1), ("new", 7)):
        np.save(tmp_path / f"{name}.npy", np.full(200_000, value))
    array = np.load(tmp_path / "stored.npy", "c")
    with open(tmp_path / "arrays", "wb") as file:
        packed = pack(np.asarray(array), file, os.path.exists)
        assert sum_and_file(unpack(packed)) == (200_000, "stored.npy")
        os.replace(tmp_path / "new.npy", tmp_path / "stored.npy")
        assert sum_and_file(unpack(pack(np.asarray(array), file, os.path.exists))) == (200_000, "arrays")
    for change in (lambda: None, (tmp_path / "stored.npy").unlink):
        change()
        with pytest.raises(ServiceError, match="changed or missing"):
            unpack(packed)


@pytest.mark.dev
def test_workers_map_large_arrays_and_get_others_in_the_task(two, tmp_path, monkeypatch):
    np.save(tmp_path / "stored.npy", numbers := np.arange(200_000))
    mapped = np.asarray(np.load(tmp_path / "stored.npy", "c"))
    given = [numbers[3:90_000], numbers[:10], numbers[1::2], mapped[7:90_000], mapped[::2]]
    files = ["arrays", "", "", "stored.npy", ""]
    assert list(two.map(sum_and_file, given)) == [(int(one.sum()), file) for one, file in zip(given, files)]
    monkeypatch.setattr(two, "_sees", lambda path: False)  # as workers on other machines
    assert list(two.map(sum_and_file, given)) == [(int(one.sum()), "") for one in given]


@pytest.mark.dev
def test_when_a_worker_dies_others_go_on_and_make_its_blocks_again(mortal, tmp_path):
    check_products(mortal, lambda A: os.kill(mortal.sum(process_of, A.blocks[:1]), signal.SIGKILL))
    marker = str(tmp_path / "died")
    assert list(mortal.map(dies, range(20), shared=[marker])) == [value**2 for value in range(20)]
    assert re.match(r"[12] workers, at most 0\.\d\d GB each of", mortal.memory())
    with pytest.raises(ServiceError, match="4 workers died"):
        list(mortal.map(dies, [1]))


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


@pytest.mark.dev
def test_programs_by_address_store_what_one_process_does(two, tmp_path, capsys):
    dask = ["--engine", "dask", "--scheduler", two._client.scheduler.address]
    for name, flags in (("one", []), ("two", dask)):
        train_svd_model.main(["--output", str(tmp_path / name), "--signal", "ones", *flags])
        recommend.main(["--all", str(tmp_path / f"{name}.csv"), "--method", "svd", *flags])
    assert "2 workers, at most" in capsys.readouterr().out
    one, other = (SvdModel.load(tmp_path / name) for name in ("one", "two"))
    for name in ("user_ids_", "movie_ids", "movie_counts_", "movie_means_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    exact, ours = (model.user_embeddings_ @ model.movie_embeddings_.T for model in (one, other))  # U diag(s) V'
    assert np.linalg.norm(ours - exact) < 1e-4 * np.linalg.norm(exact)
    assert np.abs(one.singular_values_ / other.singular_values_ - 1).max() < 1e-5
    lists, same = ((tmp_path / f"{name}.csv").read_bytes() for name in ("one", "two"))
    assert lists.count(b"\n") > 20_000
    assert lists == same


@pytest.mark.dev
def test_no_scheduler_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "WAIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as web:
        threading.Thread(target=refuse_all, args=(web,), daemon=True).start()
        there = [f"tcp://127.0.0.1:{server.getsockname()[1]}" for server in (silent, web)]
        for address in (*there, "tcp://127.0.0.1:1", "nonsense", "tls://127.0.0.1:1"):
            with pytest.raises(ServiceError, match=f"no Dask workers at {address}"):
                DaskEngine(address)


def refuse_all(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed
        while True:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
