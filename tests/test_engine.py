"""Blocks of people on two workers of Dask give what one process gives, also when a worker dies."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
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
from recommender.linalg.sparse import SparseMatrix
from recommender.session.gaussian import GaussianSettings
from recommender.session.taste_covariance import fit_gaussian
from tests.test_session import make_catalog
from tests.tiny import random_ratings

ROWS, COLUMNS = 300, 40


def two_workers():
    pytest.importorskip("distributed")
    with DaskEngine(n_workers=2) as engine:
        assert engine.n_workers == 2
        yield engine


two = pytest.fixture(scope="module")(two_workers)
mortal = pytest.fixture(two_workers)  # for a test that kills some


@pytest.fixture(autouse=True)
def no_dense_svd(monkeypatch):
    """Small matrices go through the products, as large ones do."""
    monkeypatch.setattr(randomized_svd, "DENSE_CELLS", 0)


class Three(Engine):
    """One process that works on three blocks."""

    n_workers, n_used = 3, 0

    def sum(self, function, *columns, **shared):
        self.n_used += len(columns[0])
        return super().sum(function, *columns, **shared)


def parts(rng: np.random.Generator):
    full = rng.standard_normal((ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < 0.2)
    rows, columns = np.nonzero(full)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=ROWS))))
    return indptr, columns.astype(np.int32), full[rows, columns].astype(np.float32), COLUMNS


def blocks_of(indptr, columns, values, n_columns, engine: Engine) -> BlockMatrix:
    return BlockMatrix(*place_rows(indptr, columns, values, n_columns, engine), n_columns, engine)


def check_products(A: BlockMatrix, whole: SparseMatrix, rng: np.random.Generator) -> None:
    X, Y = (rng.standard_normal((n, 7)).astype(np.float32) for n in (COLUMNS, ROWS))
    for ours, exact in (
        (A.times(X), whole.times(X)),
        (A.transposed_times(Y), whole.transposed_times(Y)),
        (A.gram_times(X), whole.gram_times(X)),
        (A.dense(), whole.dense()),
    ):
        np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())
    assert A.energy() == pytest.approx(whole.energy())


def dies_once(value: int, marker: str) -> int:
    if value == 3 and not os.path.exists(marker):
        open(marker, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def process_of(block: SparseMatrix) -> int:
    return os.getpid()


def sum_and_file(array: np.ndarray) -> tuple[int, str]:
    """Return the sum, and the name of the file that the array is mapped from; "" if it is none."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return int(array.sum()), Path(getattr(whole, "filename", "")).name


def dies(value: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_blocks_cover_all_rows_and_none_is_too_large(monkeypatch):
    indptr = np.concatenate(([0], np.cumsum(np.arange(1, 101))))
    monkeypatch.setattr(engines, "BLOCK_ENTRIES", 500)
    bounds = Three().bounds(indptr)
    assert len(bounds) == 12  # a multiple of three
    assert [low for low, _ in bounds[1:]] == [high for _, high in bounds[:-1]]
    assert (bounds[0][0], bounds[-1][1]) == (0, 100)
    assert max(indptr[high] - indptr[low] for low, high in bounds) <= 500
    assert Engine().bounds(np.array([0, 0])) == [(0, 1)]


def test_products_of_blocks_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    given = parts(rng)
    check_products(blocks_of(*given, Three()), SparseMatrix(*given), rng)


@pytest.mark.parametrize("name", [name for name in registry.names() if registry.model_class(name).by_blocks])
def test_a_model_fitted_by_blocks_scores_as_one_fitted_whole(name):
    check_model(name, engine := Three())
    assert engine.n_used >= 3


def check_model(name: str, engine: Engine) -> None:
    """The scores of one fitted by an engine of several workers are those of one fitted whole."""
    data, catalog = random_ratings(0, 300, COLUMNS), make_catalog(COLUMNS)
    settings = {"rank": 5} if name == "svd" else {}
    whole, blocks = (registry.make(name, catalog, **settings) for _ in range(2))
    blocks.engine = engine
    exact, ours = (model.fit(data).score(data, np.arange(300)) for model in (whole, blocks))
    np.testing.assert_allclose(ours, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())


def check_covariance(engine: Engine) -> None:
    data, catalog, settings = random_ratings(0, 300, COLUMNS), make_catalog(COLUMNS), GaussianSettings(rank=8)
    whole, blocks = fit_gaussian(data, catalog, settings), fit_gaussian(data, catalog, settings, engine)
    for ours, exact in zip(blocks[1:4], whole[1:4]):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(blocks.vectors @ blocks.vectors.T, whole.vectors @ whole.vectors.T, atol=1e-5)


def test_the_covariance_of_tastes_by_blocks():
    check_covariance(engine := Three())
    assert engine.n_used >= 3


@pytest.mark.parametrize("flags", [[], ["--engine", "dask"]])
def test_an_empty_address_of_a_scheduler(flags):
    with pytest.raises(SettingsError, match="--scheduler: the address is empty"):
        train_svd_model.main([*flags, "--scheduler", ""])


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


def test_dask_missing_and_flags_that_do_not_go_together(monkeypatch):
    with pytest.raises(SettingsError, match="--engine dask"):
        train_svd_model.main(["--scheduler", "tcp://127.0.0.1:1"])
    with pytest.raises(ChoiceError, match=r"fitted in one process.* ease, directed_ease"):
        train_ranking_model.main(["--method", "popularity", "--engine", "dask"])
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ChoiceError, match=r"tastevec\[scale\]"):
        DaskEngine()


@pytest.mark.dev
def test_products_on_dask_also_after_a_worker_died(mortal):
    rng = np.random.default_rng(1)
    given = parts(rng)
    A, whole = blocks_of(*given, mortal), SparseMatrix(*given)
    assert len(A.blocks) == 2
    check_products(A, whole, rng)
    os.kill(mortal.sum(process_of, A.blocks[:1]), signal.SIGKILL)
    check_products(A, whole, rng)


@pytest.mark.dev
def test_a_map_goes_on_when_a_worker_dies(mortal, tmp_path):
    shared = [str(tmp_path / "died")]
    assert list(mortal.map(dies_once, range(20), shared=shared)) == [value**2 for value in range(20)]
    assert (tmp_path / "died").exists()
    assert re.match(r"[12] workers, at most 0\.\d\d GB each of", mortal.memory())


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
def test_what_kills_every_worker_is_said(mortal):
    with pytest.raises(ServiceError, match="4 workers died"):
        list(mortal.map(dies, [1]))


@pytest.mark.dev
def test_the_program_by_address_stores_what_one_process_does(two, tmp_path, capsys):
    for name, flags in (("one", []), ("two", ["--engine", "dask", "--scheduler", two._client.scheduler.address])):
        train_svd_model.main(["--output", str(tmp_path / name), "--signal", "ones", *flags])
    assert "2 workers, at most" in capsys.readouterr().out
    one, other = (SvdModel.load(tmp_path / name) for name in ("one", "two"))
    for name in ("user_ids_", "movie_ids", "movie_counts_", "movie_means_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    exact, ours = (model.user_embeddings_ @ model.movie_embeddings_.T for model in (one, other))  # U diag(s) V'
    assert np.linalg.norm(ours - exact) < 1e-4 * np.linalg.norm(exact)
    assert np.abs(one.singular_values_ / other.singular_values_ - 1).max() < 1e-5


@pytest.mark.dev
def test_gram_matrices_and_covariance_on_dask(two):
    for name in ("ease", "directed_ease"):
        check_model(name, two)
    check_covariance(two)


@pytest.mark.dev
def test_lists_of_everybody_on_dask_are_the_same_bytes(two, tmp_path):
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path, flags in zip(paths, ([], ["--engine", "dask", "--scheduler", two._client.scheduler.address])):
        recommend.main(["--all", str(path), "--method", "svd", *flags])
    one, other = (path.read_bytes() for path in paths)
    assert one.count(b"\n") > 20_000
    assert one == other


@pytest.mark.dev
def test_no_scheduler_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "WAIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for address in ("tcp://127.0.0.1:1", f"tcp://127.0.0.1:{port}", "nonsense", "tls://127.0.0.1:1"):
            with pytest.raises(ServiceError, match=f"no Dask workers at {address}"):
                DaskEngine(address)


@pytest.mark.dev
def test_a_web_server_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "WAIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse_all, args=(server,), daemon=True).start()
        with pytest.raises(ServiceError, match="no Dask workers at"):
            DaskEngine(f"tcp://127.0.0.1:{server.getsockname()[1]}")


def refuse_all(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed
        while True:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
