"""One exchange of ASGI messages, watched as it passes: how it ended, when, and why. It changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter_ns
from typing import Any, Protocol

from tracker.bookkeeping import Why, answer_text, header_values
from tracker.event import Failure
from tracker.loops import is_cancelled, waiting_message
from tracker.notes import KEY, Notes
from tracker.unverified import Unverified

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ABORTED = "response aborted after it had begun"
"""The status of a response that broke off while the client was still there."""
CLIENT_GONE = 499
"""The status of a request whose client left before any answer (nginx's number; no standard has one)."""
STREAMS_NS = 1_000_000_000
"""An answer whose last byte comes this long after its first is a stream, whatever its content type."""
STREAM_TYPES = (b"text/event-stream", b"application/x-ndjson", b"application/jsonl", b"application/stream+json",
                b"multipart/x-mixed-replace")  # fmt: skip
_BODY = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))
LEFT = Failure("HTTP 499", "the client left before an answer")
_BROKEN_OFF = Failure("Aborted", ABORTED)
UNANSWERED = Failure("Aborted", "Internal Server Error")
STOPPED = Failure("Cancelled", "cancelled before an answer")


class Keeper(Protocol):
    """Where an exchange reports."""

    def finished(self, exchange: Exchange, status: int, took: int, why: Why, message: str | None) -> Any:
        """Record the exchange: `took` is in ns, the rest as for `failure_of`. Returns the failure that was recorded."""

    def completed(self, exchange: Exchange, error: BaseException) -> None:
        """Add an exception that was raised after the answer to the recorded failure."""

    def cancelled(self) -> None:
        """The exchange just recorded was cancelled from outside."""

    def fault(self, error: BaseException) -> None:
        """Count an exchange that could not be recorded."""


class Exchange(Notes):
    """What HTTP requests and WebSockets have in common, and the app's notes about them; the object is in the scope
    under KEY. `path` and `root_path` are the original ones. `scope` is None once the exchange is over."""

    # Class defaults, so that a request only pays for what it sets.
    status = 0
    first = 0  # ns to the first byte, where more than one message came
    took = -1  # ns to the last byte, once it has been sent
    said: Any = None  # of an error answer: what it may say, then the failure that was recorded
    gone = False
    pending: Any = None  # what waits for an async identify
    latency_ns: int | None = None  # where it is not the duration
    over = False
    doubtful = False  # its path is one of the usual ones that are skipped, unless a route of the app's own answers

    def __init__(self, scope: Scope, receive: Receive, send: Send, keeper: Keeper) -> None:
        self._app_receive, self._app_send, self._keeper = receive, send, keeper
        self.scope: Any = scope
        self.path: str = scope["path"]
        self.root_path: str = scope.get("root_path") or ""
        if KEY in scope:
            self.__dict__.update(scope[KEY].__dict__)  # said of it before it came to us
        scope[KEY] = self
        self.began = perf_counter_ns()

    def send(self, message: Message) -> Awaitable[None]:
        """A message from the app. Returns what has to be awaited."""
        raise NotImplementedError

    async def receive(self) -> Message:
        """A message for the app."""
        message = await self._app_receive()
        if _is_disconnect(message):
            self.gone = True
        return message

    def raised(self, error: BaseException) -> None:
        """The app has raised this."""
        try:
            if not self.over:
                self._ended_by(error)
                if is_cancelled(error):
                    self._keeper.cancelled()
            elif self.status >= 500 and isinstance(self.said, Unverified) and not is_cancelled(error):
                # An error handler answered and raised again: the exception says more than the answer, which is not
                # verified yet.
                self._keeper.completed(self, error)
        except Exception as fault:
            self._fault(fault)

    def returned(self) -> None:
        """The app has returned."""
        try:
            if not self.over:
                self._ended_silently()
        except Exception as fault:
            self._fault(fault)

    def _ended_by(self, error: BaseException) -> None:
        raise NotImplementedError

    def _ended_silently(self) -> None:
        raise NotImplementedError

    def _left(self) -> bool:
        """Whether the client of a cancelled request has left: some servers cancel for that, and all do on shutdown."""
        if not self.gone:
            self.gone = _is_disconnect(waiting_message(self._app_receive))
        return self.gone

    def _finish(self, status: int, took: int, why: Why = None, message: str | None = None) -> None:
        self.over = True
        try:
            self.said = self._keeper.finished(self, status, took, why, message)
        except Exception as error:
            self._keeper.fault(error)

    def _fault(self, error: BaseException) -> None:
        self.over = True
        self._keeper.fault(error)


def _is_disconnect(message: Any) -> bool:
    return isinstance(message, dict) and message.get("type") in ("http.disconnect", "websocket.disconnect")


class HttpExchange(Exchange):
    """An HTTP request and its answer."""

    _started = 0
    _too_late = False
    _start: Message = {}  # noqa: RUF012  # never changed

    def send(self, message: Message) -> Awaitable[None]:
        """A message from the app. Returns what has to be awaited. Avoids an extra coroutine if nothing has to be done
        afterwards."""
        try:
            if message["type"] == "http.response.start":
                self._start = message
                self.status = message["status"]
                self._started = perf_counter_ns()
                self._too_late = self.gone  # the client has left: nobody gets this answer
                return self._app_send(message)
        except Exception as error:
            self._fault(error)
            return self._app_send(message)
        return self._send_on(message)

    async def _send_on(self, message: Message) -> None:
        try:
            await self._app_send(message)
        except OSError:
            self.gone = True
            raise
        try:
            if self.took < 0 and message["type"] in _BODY:
                took = perf_counter_ns() - self.began
                status = self.status
                if status >= 400 and self.said is None:
                    self.said = answer_text(self._start.get("headers"), message.get("body", b"")) or ""
                if message.get("more_body", False):
                    if not self.first and message.get("body"):
                        self.first = took
                else:
                    self.took = took
                    self.over = True
                    if self.first:
                        self._weigh()
                    if self._too_late and status >= 500:
                        self.status = status = CLIENT_GONE
                    # Recorded now: a background task may run for minutes before the app returns.
                    self.said = self._keeper.finished(self, status, took, self.said or None, None)
        except Exception as error:
            self._fault(error)

    def _weigh(self) -> None:
        """For a streamed answer, record the time to the first byte (or to its start, if no byte came) as the
        latency."""
        if self._is_stream():
            self.latency_ns = self.first or max(0, self._started - self.began)
        elif self.first and self.took - self.first >= STREAMS_NS:
            self.latency_ns = self.first

    def _is_stream(self) -> bool:
        kind = header_values(self._start.get("headers")).get(b"content-type", b"")
        return kind.partition(b";")[0].strip().lower() in STREAM_TYPES

    def _ended_by(self, error: BaseException) -> None:
        took = self._so_far()
        cancelled = is_cancelled(error)
        if self.gone or ((cancelled or isinstance(error, OSError)) and self._left()):
            self._finish(self.status or CLIENT_GONE, took, LEFT)
        elif cancelled:
            # The server stops: started streams end with it, everything else is answered with 500.
            self._finish(self.status or 500, took, STOPPED)
        else:
            self._finish(500, took, error, ABORTED if self.status else None)

    def _ended_silently(self) -> None:
        took = self._so_far()
        if self.gone:
            self._finish(self.status or CLIENT_GONE, took, LEFT)
        else:
            self._finish(500, took, _BROKEN_OFF if self.status else UNANSWERED)

    def _so_far(self) -> int:
        self.took = perf_counter_ns() - self.began
        if self.status:
            self._weigh()
        return self.took
