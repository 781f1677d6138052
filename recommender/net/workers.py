"""Threads that wait for others: started together, heard as they answer, stopped together."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Callable, Optional, TypeVar, Union

Report = TypeVar("Report")


def in_threads(
    n_threads: int, work: Callable[[Callable[[Report], None]], None], stop: threading.Event
) -> Generator[Report, None, None]:
    """Run `work(report)` in n threads at once; yield what they report, in the order of arrival.

    The first exception sets `stop`, which `work` has to look at before it begins anything. What is under way is still
    waited for and yielded; then the exception is raised. Closing the generator sets `stop` too, and waits for nobody:
    the threads are daemons, so that Ctrl-C does not wait for slow servers.

    >>> sorted(in_threads(2, lambda report: report("done"), threading.Event()))
    ['done', 'done']
    """
    heard: queue.SimpleQueue[Union[_Ended, Report]] = queue.SimpleQueue()

    def run() -> None:
        ended = _Ended(None)
        try:
            work(heard.put)
        except BaseException as error:
            stop.set()
            ended = _Ended(error)
        finally:
            heard.put(ended)

    for _ in range(n_threads):
        threading.Thread(target=run, daemon=True).start()
    n_running = n_threads
    failure: Optional[BaseException] = None
    try:
        while n_running:
            report = heard.get()
            if isinstance(report, _Ended):
                n_running -= 1
                failure = failure or report.error
            else:
                yield report
    finally:
        stop.set()
    if failure is not None:
        raise failure


class _Ended:
    """The last word of a thread, and the exception that ended it."""

    def __init__(self, error: Optional[BaseException]) -> None:
        self.error = error
