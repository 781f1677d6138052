"""Where blocks of people are processed: one after another in this process, or in parallel by the workers of Dask.

    place(function, *columns)    the blocks: function applied to each row of the columns, kept where they were made
    map(function, *columns)      what function returns for each, in order
    sum(function, *columns)      the sum of that

`columns` are lists of equal length, as of the builtin `map`; what `place` returned is one of them. `shared` follows as
further arguments, the same for each. A kernel knows nothing of this: a loop over blocks is one machine, a map is many.

Dask calls functions by name, so they stand at the top of a module that the workers can import. Tasks hold what their
blocks are made of (packed.py): when a worker dies, the others make its blocks again and nothing else is lost.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from ..data.errors import ChoiceError, ServiceError
from .packed import Packed, pack, stamp_of, unpack

BLOCK_ENTRIES = 50_000_000  # stored values in a block, at 16 bytes each in a matrix
AHEAD = 2  # results of `map` per worker that may wait to be taken
WAIT = 20  # seconds for a scheduler and its first worker
EXTRA = "--engine dask needs Dask: pip install 'tastevec[scale]'"


class Engine:
    """The engine of one process; `n_workers` blocks are worked on at once.

    >>> int(Engine().sum(np.multiply, [1, 2], [10, 100]))
    210
    """

    n_workers = 1
    grain = 1  # how many small pieces of work go well into one call

    def bounds(self, indptr: np.ndarray) -> list[tuple[int, int]]:
        """Cut compressed rows into blocks of about equally many values: as many blocks as workers, or a multiple."""
        n_values = int(indptr[-1])
        n_blocks = self.n_workers * max(1, -(-n_values // (BLOCK_ENTRIES * self.n_workers)))
        cuts = np.searchsorted(indptr, np.linspace(0, n_values, n_blocks + 1)[1:-1])
        edges = np.unique([0, *cuts, len(indptr) - 1]).tolist()
        return list(zip(edges, edges[1:]))

    def place(self, function: Callable[..., Any], *columns: Sequence[Any], shared: Sequence[Any] = ()) -> list[Any]:
        """Return the blocks, which only this engine can read."""
        return [function(*row, *shared) for row in zip(*columns)]

    def map(self, function: Callable[..., Any], *columns: Iterable[Any], shared: Sequence[Any] = ()) -> Iterator[Any]:
        """Yield the results in order; a few are ahead of what was taken."""
        return (function(*row, *shared) for row in zip(*columns))

    def sum(self, function: Callable[..., Any], *columns: Sequence[Any], shared: Sequence[Any] = ()) -> Any:
        """Return the sum of the results, added in a fixed order."""
        rows = zip(*columns)
        total = function(*next(rows), *shared)
        for row in rows:
            total += function(*row, *shared)
        return total

    def memory(self) -> str:
        """Return what the workers have needed, in words; "" for one process."""
        return ""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class DaskEngine(Engine):
    """The workers behind a Dask scheduler; without an address those of a cluster of this machine's cores.

    memory_limit: of each of these workers, in bytes or as "4GB"; by default they share what the machine has. One that
    needs more is started anew.

    Raises `ChoiceError` where Dask is not installed, `ServiceError` for an address that does not answer, for a
    cluster without workers or without this package, and where one task has killed several workers. Dask itself warns
    of workers that have other versions.
    """

    grain = 16  # a task costs about 10 ms

    def __init__(
        self,
        address: Optional[str] = None,
        n_workers: Optional[int] = None,
        memory_limit: Union[str, int] = "auto",
    ) -> None:
        try:
            dask, self._distributed = importlib.import_module("dask"), importlib.import_module("distributed")
        except ModuleNotFoundError:
            raise ChoiceError(EXTRA) from None
        # Workers would give memory back at every chance, which costs a quarter of the time.
        changes: dict[str, Any] = {"nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
        changes |= {"worker.profile.enabled": False, "admin.large-graph-warning-threshold": "1TB"}  # of arrays in tasks
        dask.config.set({f"distributed.{name}": value for name, value in changes.items()})
        with contextlib.ExitStack() as stack:  # closed from the last to the first
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tastevec-"))
            cluster: Any = None
            if address is None:
                one = {"threads_per_worker": 1, "memory_limit": memory_limit, "dashboard_address": ":0"}
                cluster = self._distributed.LocalCluster(n_workers=n_workers, silence_logs="CRITICAL", **one)
                stack.enter_context(cluster)
            try:
                if address and self._distributed.comm.parse_address(address)[0] == "tcp":
                    _wait_for_greeting(*self._distributed.comm.get_address_host_port(address))
                self._client = stack.enter_context(self._distributed.Client(address or cluster, timeout=WAIT))
                self._client.wait_for_workers(1 if address else len(cluster.workers), timeout=WAIT)
                self._client.run(_peak)  # something of this package
            except (OSError, ValueError, TypeError, MemoryError) as error:  # memory: another program answered
                start = "start one with dask scheduler and dask worker ADDRESS, or leave --scheduler out"
                raise ServiceError(f"no Dask workers at {address}: {start}") from error
            except ImportError as error:
                raise ServiceError(
                    f"workers at {address} lack this package ({error}): install tastevec there"
                ) from None
            self._file = stack.enter_context(open(Path(folder, "arrays"), "wb"))
            self._close = stack.pop_all().close
        self.n_workers = len(self._workers())

    def place(self, function: Callable[..., Any], *columns: Sequence[Any], shared: Sequence[Any] = ()) -> list[Any]:
        common, workers = self._common(shared), self._workers()
        homes = workers if len(workers) > 1 else [None]  # in turns, or the first to be ready would keep most
        placed = [self._submit(function, row, common, homes[at % len(homes)]) for at, row in enumerate(zip(*columns))]
        self._wait(placed)
        free: dict[str, Any] = {future.key: () for future in placed}  # a lost block is made again by any worker
        self._client.sync(self._client.scheduler.set_restrictions, worker=free)
        return placed

    def map(self, function: Callable[..., Any], *columns: Iterable[Any], shared: Sequence[Any] = ()) -> Iterator[Any]:
        common, waiting = self._common(shared), deque[Any]()
        for row in zip(*columns):
            waiting.append(self._submit(function, row, common))
            if len(waiting) > AHEAD * self.n_workers:
                yield self._taken(waiting.popleft())
        while waiting:
            yield self._taken(waiting.popleft())

    def sum(self, function: Callable[..., Any], *columns: Sequence[Any], shared: Sequence[Any] = ()) -> Any:
        common = self._common(shared)
        parts = [self._submit(function, row, common) for row in zip(*columns)]
        while len(parts) > 1:  # neighbors are added by the workers
            pairs = zip(parts[::2], parts[1::2])
            parts = [self._submit(np.add, pair, ()) for pair in pairs] + parts[len(parts) & ~1 :]
        return self._taken(parts[0])

    def memory(self) -> str:
        peaks = self._client.run(_peak)
        limit = min(worker["memory_limit"] for worker in self._client.scheduler_info(-1)["workers"].values())
        return f"{len(peaks)} workers, at most {max(peaks.values()):.2f} GB each of {limit / 1e9:.2f} allowed"

    def __exit__(self, *error: object) -> None:
        self._close()

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(-1)["workers"])

    def _submit(
        self, function: Callable[..., Any], row: Sequence[Any], common: Sequence[Any], worker: Optional[str] = None
    ) -> Any:
        """Return the future of `function(*row, *common)`; what is in `row` may be a future."""
        given = [value if isinstance(value, self._distributed.Future) else self._packed(value) for value in row]
        where = {"workers": [worker], "allow_other_workers": True} if worker else {}
        return self._client.submit(_call, function, *given, *common, pure=False, **where)

    def _common(self, shared: Sequence[Any]) -> list[Any]:
        """Return futures of what all tasks share, so that it is sent once and passed on from worker to worker."""
        self._seen: dict[str, bool] = {}  # whether all workers see a file; others may have come since the last time
        return [self._client.submit(_same, self._packed(value), pure=False) for value in shared]

    def _packed(self, value: Any) -> Packed:
        return pack(value, self._file, self._sees)

    def _sees(self, path: str) -> bool:
        if path not in self._seen:
            answers, own = self._client.run(stamp_of, path, on_error="return").values(), stamp_of(path)
            self._seen[path] = own is not None and set(answers) == {own}
        return self._seen[path]

    def _wait(self, futures: Sequence[Any]) -> None:
        """Wait until all are done; raises `ServiceError` where no worker is left to do them."""
        while True:
            with contextlib.suppress(self._distributed.TimeoutError):
                self._distributed.wait(futures, timeout=WAIT)
                return
            stuck, keys = True, [future.key for future in futures]
            with contextlib.suppress(self._distributed.TimeoutError):
                self._client.wait_for_workers(1, timeout=WAIT)
                states = self._client.sync(self._client.scheduler.get_task_status, keys=keys)
                stuck = "no-worker" in states.values()  # bound to the addresses of dead ones
            if stuck:
                raise ServiceError("all workers of these blocks died: start others, or give a worker more memory")

    def _taken(self, future: Any) -> Any:
        self._wait([future])
        try:
            result = future.result()
            return np.require(result, requirements="A") if isinstance(result, np.ndarray) else result
        except self._distributed.KilledWorker as error:
            remedy = "give a worker more memory, or take more workers, whose blocks are smaller"
            raise ServiceError(f"{error.allowed_failures + 1} workers died of the same block: {remedy}") from None


def _wait_for_greeting(host: str, port: int) -> None:
    """Raise `OSError` if the server does not speak first, as Dask does; its client would wait for ever."""
    with socket.create_connection((host, port), WAIT) as connection:
        if not connection.recv(1):
            raise ConnectionError


def _call(function: Callable[..., Any], *given: Any) -> Any:
    return function(*(unpack(value) if isinstance(value, Packed) else value for value in given))


def _same(value: Any) -> Any:
    return value


def _peak() -> float:
    """Return the largest resident memory of this process so far, in GB; its present size if that is not reported."""
    with contextlib.suppress(OSError, StopIteration):  # not ru_maxrss, which begins at that of the parent
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9
    return float(importlib.import_module("psutil").Process().memory_info().rss / 1e9)
