"""Where blocks of people are worked on: one after another in this process, or all at once by the workers of Dask.

    place(function, *columns)    the blocks: function applied to each row of the columns, kept where it was made
    map(function, *columns)      what function returns for each, in order
    sum(function, *columns)      the sum of that

`columns` are lists of equal length, as of the builtin `map`; what `place` returned is one of them. `shared` follows as
further arguments, the same for each. A kernel knows nothing of this: a loop over blocks is one machine, a map is many.

Dask calls functions by name, so they stand at the top of a module that the workers can import. Blocks are sent inside
the tasks that make them: when a worker dies, its blocks are made again by the others and nothing else is lost.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from ..data.errors import ChoiceError, ServiceError

BLOCK_ENTRIES = 50_000_000  # stored values in a block, at 16 bytes each in a matrix
AHEAD = 2  # results of `map` that a worker may be ahead of what was taken
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

    def place(self, function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
        """Return the blocks, which only this engine can read."""
        return list(map(function, *columns))

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

    Raises `ChoiceError` where Dask is not installed, `ServiceError` for an address that does not answer, for a
    cluster without workers, and where one task has killed several workers.
    """

    grain = 16  # a task costs about 10 ms

    def __init__(self, address: Optional[str] = None, n_workers: Optional[int] = None) -> None:
        try:
            dask, self._distributed = importlib.import_module("dask"), importlib.import_module("distributed")
        except ModuleNotFoundError:
            raise ChoiceError(EXTRA) from None
        # blocks travel inside tasks on purpose
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
        self._cluster: Any = None
        if address is None:
            self._cluster = self._distributed.LocalCluster(
                n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
            )
        try:
            self._client = self._distributed.Client(address or self._cluster, timeout=WAIT)
            self._client.wait_for_workers(1 if address else len(self._cluster.workers), timeout=WAIT)
        except (OSError, ValueError, TimeoutError) as error:
            start = "start one with dask scheduler and dask worker ADDRESS, or leave --scheduler out"
            raise ServiceError(f"no Dask workers at {address}: {start}") from error
        self.n_workers = len(self._workers())

    def place(self, function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
        workers, rows = self._workers(), enumerate(zip(*columns))  # in turns, or the first to be ready would keep most
        return [self._submit(function, row, (), workers[at % len(workers)]) for at, row in rows]

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
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(-1)["workers"])

    def _submit(
        self, function: Callable[..., Any], row: Sequence[Any], common: Sequence[Any], worker: Optional[str] = None
    ) -> Any:
        """Return the future of `function(*row, *common)`; what is in `row` may be a future."""
        futures = [value for value in row if isinstance(value, self._distributed.Future)]
        plain = [None if isinstance(value, self._distributed.Future) else value for value in row]
        where = {"workers": [worker], "allow_other_workers": True} if worker else {}
        packed = pickle.dumps(plain, protocol=5)
        return self._client.submit(_call, function, packed, len(futures), *futures, *common, pure=False, **where)

    def _common(self, shared: Sequence[Any]) -> list[Any]:
        """Return the future of what all tasks share, so that it is sent once and passed on from worker to worker."""
        return [self._client.submit(_same, pickle.dumps(shared, protocol=5), pure=False)] if shared else []

    def _taken(self, future: Any) -> Any:
        try:
            result = future.result()
            return np.require(result, requirements="A") if isinstance(result, np.ndarray) else result
        except self._distributed.KilledWorker as error:
            remedy = "give a worker more memory, or take more workers, whose blocks are smaller"
            raise ServiceError(f"{error.allowed_failures + 1} workers died of the same block: {remedy}") from None


# Dask unpacks an array wherever it comes to lie, and numpy multiplies one at an odd address twenty times slower.
# So what is sent is packed here, into one piece, and unpacked by the function below.
_unpacked = functools.lru_cache(maxsize=1)(pickle.loads)


def _call(function: Callable[..., Any], packed: bytes, n_futures: int, *more: Any) -> Any:
    """Return `function(*row, *shared)`; `more`: the values of the futures in the row, then what is shared, packed."""
    futures, shared = iter(more[:n_futures]), _unpacked(more[-1]) if len(more) > n_futures else ()
    row = [next(futures) if value is None else value for value in pickle.loads(packed)]
    return function(*row, *shared)


def _same(value: Any) -> Any:
    return value


def _peak() -> float:
    """Return the largest resident memory of this process so far, in GB; that of now where the system does not tell."""
    with contextlib.suppress(OSError, StopIteration):  # not ru_maxrss, which begins at that of the parent
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e9
    return float(importlib.import_module("psutil").Process().memory_info().rss / 1e9)
