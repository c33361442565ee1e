"""A WebSocket, watched as its messages pass: how it ended, when, and why. It changes nothing."""

from __future__ import annotations

from time import perf_counter_ns

from tracker.event import Failure
from tracker.exchange import CLIENT_GONE, LEFT, STOPPED, UNANSWERED, Exchange, Message
from tracker.loops import is_cancelled

CLOSE_STATUS = {1002: 400, 1003: 400, 1007: 400, 1008: 403, 1009: 413, 1010: 400, 1011: 500, 1013: 503, 1014: 502}
"""The status of a WebSocket that the app closed with one of these codes (RFC 6455, 7.4.1, and IANA's registry).

Any other code is a good end, 101: 1000 and 1001 by their meaning, 3000 to 4999 because they are the app's own words.
"""


class SocketExchange(Exchange):
    """A WebSocket, from its handshake to its end."""

    _closed = False
    _why: Failure | None = None

    async def send(self, message: Message) -> None:
        """A message of the app."""
        try:
            await self._app_send(message)
        except OSError:
            self.gone = True
            raise
        try:
            kind = message["type"]
            if kind == "websocket.accept":
                self.status = 101
                self.latency_ns = perf_counter_ns() - self.began
            elif kind == "websocket.http.response.start":
                self.status, self._closed = message["status"], True
            elif kind == "websocket.close" and not (self.gone or self._closed):
                self._closed = True
                if not self.status:
                    self.status = 403  # closed before accept: the handshake is rejected (ASGI, WebSocket close)
                elif (code := message.get("code", 1000)) in CLOSE_STATUS:
                    self.status = CLOSE_STATUS[code]
                    self._why = Failure(f"WebSocket {code}", "closed by the app with an error code")
        except Exception as error:
            self._fault(error)

    def _ended_by(self, error: BaseException) -> None:
        took = perf_counter_ns() - self.began
        cancelled = is_cancelled(error)
        if self.gone or (cancelled and self._left()):
            self._finish(self.status or CLIENT_GONE, took, self._why or LEFT)
        elif cancelled:
            self._finish(self.status or 500, took, self._why or STOPPED)
        else:
            self._finish(500, took, error)

    def _ended_silently(self) -> None:
        took = perf_counter_ns() - self.began
        if self.status:
            self._finish(self.status, took, self._why)
        else:
            self._finish(CLIENT_GONE if self.gone else 500, took, LEFT if self.gone else UNANSWERED)
