"""Slow clients: a connection that does not bring a request whole in time is closed.

The time for head and body is `SECONDS` and one more for each `RATE` bytes that came, from the connection or the first
byte of a later request; uvicorn itself closes one that is idle between requests.
"""

from __future__ import annotations

import asyncio
from typing import Optional

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SECONDS, RATE = 20.0, 10_000.0


class Prompt(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """The protocol that uvicorn chooses, for `uvicorn.Config(http=Prompt)`."""

    _timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle and not (self.cycle.more_body or self.cycle.response_complete):
            self._stop()  # the request is whole: its answer takes its time
        elif self._timer:
            self._until += len(data) / RATE
        else:
            self._wait()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._stop()
        super().connection_lost(error)

    def _wait(self) -> None:
        self._until: float = self.loop.time() + SECONDS
        self._timer = self.loop.call_later(SECONDS, self._end)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _end(self) -> None:
        if (left := self._until - self.loop.time()) > 0:
            self._timer = self.loop.call_later(left, self._end)
        else:
            self.transport.abort()
