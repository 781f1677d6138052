"""Several calls that wait for others, at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Callable, Optional, TypeVar

T = TypeVar("T")
Job = TypeVar("Job")


def at_once(n: int, take: Callable[[], Optional[Job]], call: Callable[[Job], T], stop: threading.Event) -> Iterator[T]:
    """Yield `call(take())`, n calls at a time, in the order of arrival, until `take` returns None.

    After an exception no call begins; the results of those under way are still yielded, then it is raised. The
    threads are daemons: those of a ThreadPoolExecutor would keep Ctrl-C waiting for slow servers.
    """
    calls: set[Future[T]] = set()
    results: list[T] = []
    failures: list[BaseException] = []
    try:
        while True:
            while len(calls) < n and not stop.is_set() and (job := take()) is not None:
                future: Future[T] = Future()
                calls.add(future)
                threading.Thread(target=_run, args=(future, call, job), daemon=True).start()
            yield from results
            if not calls:
                break
            done, calls = wait(calls, return_when=FIRST_COMPLETED)
            failures += [error for each in done if (error := each.exception())]
            results = [each.result() for each in done if not each.exception()]
            if failures:
                stop.set()
    finally:
        stop.set()
    if failures:
        raise failures[0]


def _run(future: Future[T], call: Callable[[Job], T], job: Job) -> None:
    try:
        future.set_result(call(job))
    except BaseException as error:
        future.set_exception(error)
