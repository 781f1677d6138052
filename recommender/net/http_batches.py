"""Send texts to `/v1/embeddings` in batches, several at the same time, and give the vectors as they come.

At most `concurrency` requests are under way. A batch that the server refuses for its size is halved, down to one
text, and the batches still to be made are no larger than the halves. After an error no new request begins; those
under way are waited for and given out, because they are paid for, and then the error is raised.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Callable, Optional

import numpy as np

from ..data.errors import DataError, TastevecError
from .http_answers import is_too_large, read_answer, request_body
from .web import Client, WebError
from .workers import in_threads

Batch = list[int]


def embed_in_batches(
    client: Client,
    model: str,
    texts: Sequence[str],
    dimensions: int = 0,
    batch_size: int = 64,
    concurrency: int = 4,
    encoding: str = "float",
    extra: Optional[Mapping[str, str]] = None,
) -> Generator[tuple[Batch, np.ndarray], None, None]:
    """Yield (positions in `texts`, (n, d) float32) for each batch, in the order of arrival.

    extra: what else each request says.  Closed before its end, it begins no more requests.
    Raises `WebError`, `ServiceError` for an answer that can't be right, and `DataError` for one text too long.
    """
    work = _Work(len(texts), batch_size)
    n_threads = max(1, min(concurrency, -(-len(texts) // batch_size)))
    slots = threading.Semaphore(2 * n_threads)  # of answers under way or not read yet, lest they pile up

    def run(report: Callable[[tuple[Batch, bytes]], None]) -> None:
        while slots.acquire() and (batch := work.take()) is not None:
            try:
                body = request_body(model, [texts[position] for position in batch], dimensions, encoding)
                report((batch, client.post_bytes("embeddings", {**body, **(extra or {})}, work.stop)))
            except WebError as error:
                if not is_too_large(error):
                    raise
                if len(batch) == 1:
                    raise _too_long(texts[batch[0]], model, error.detail) from None
                work.halve(batch)
                slots.release()

    failure: Optional[TastevecError] = None
    try:
        for batch, content in in_threads(n_threads, run, work.stop):
            slots.release()
            try:
                # Read here and not by the threads, which send the next requests meanwhile.
                vectors = read_answer(client.read_json(content), len(batch), client.home.host, client.key)
            except TastevecError as error:
                failure = failure or error
                work.stop.set()
            else:
                yield batch, vectors
    finally:
        work.stop.set()
        slots.release(n_threads)
    if failure is not None:
        raise failure


class _Work:
    """The texts that no request was made for yet."""

    def __init__(self, n_texts: int, batch_size: int) -> None:
        self.stop = threading.Event()
        self._next, self._n_texts, self._batch_size = 0, n_texts, batch_size
        self._halves: deque[Batch] = deque()
        self._lock = threading.Lock()

    def take(self) -> Batch | None:
        """Return the next batch; None where there is no more, or the work has stopped."""
        with self._lock:
            if self.stop.is_set():
                return None
            if self._halves:
                return self._halves.popleft()
            batch = list(range(self._next, min(self._next + self._batch_size, self._n_texts)))
            self._next += len(batch)
            return batch or None

    def halve(self, batch: Batch) -> None:
        """Put back a batch that was too large."""
        middle = len(batch) // 2
        with self._lock:
            self._halves.extend((batch[:middle], batch[middle:]))
            self._batch_size = min(self._batch_size, max(1, middle))


def _too_long(text: str, model: str, detail: str) -> DataError:
    start = " ".join(text[:200].split())[:60]
    return DataError(f"the text {start!r}... ({len(text):,} characters) is too long for {model} ({detail}): shorten it")
