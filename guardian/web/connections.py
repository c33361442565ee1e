"""How many connections the daemon's API holds open, and how long it waits for a request to arrive whole."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger("guardian.daemon")

ARRIVE_SECONDS = 10.0
"""A request that has not arrived whole after this, head and body, is given up: bodies have 64 KiB at most."""

LINGER_SECONDS = 10.0
"""A closing connection whose client does not read the answer is aborted after this."""

READ_SECONDS = 30.0
"""A client that reads nothing of its answer for this long is cut off; a slow one is not."""

MOST = 1000
"""The most connections, however many descriptors the process may have."""

SCARCE_SECONDS = 60.0
"""The shortest interval between log messages that no descriptor is left."""


def descriptor_limit() -> int:
    """How many descriptors the process may have open (getrlimit(2), the soft limit); 65,536 where there is no limit."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, where sockets are not file descriptors
        return 65_536
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if soft == resource.RLIM_INFINITY else soft


def room(limit: int) -> tuple[int, int]:
    """For a process of `limit` descriptors: (most connections, how many are taken from the system at once).

    Those beyond are closed as they come, but a few rounds of them are open for a moment; with them two thirds of the
    descriptors are in use, and a third is left for the database, the mail and the log.
    """
    return min(MOST, max(1, limit // 2)), min(128, max(1, limit // 16))


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the address cannot be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=128)
    # Recreated from its descriptor, the socket knows its protocol (TCP), which create_server leaves at 0; only then
    # does asyncio set TCP_NODELAY. Without it, answers on kept connections wait 40 ms for the client's ACK.
    return socket.socket(fileno=made.detach())


class Connection(H11Protocol):
    """uvicorn's h11 protocol with a limit on waiting for a request, which it lacks.

    When there are too many connections, the one that has waited longest for its request is closed, or the newest if all
    are being answered: half-sent requests never keep out complete ones.
    """

    most = MOST
    """How many there may be at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waits: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request; make room."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.most:
            waiting = [each for each in self.connections if isinstance(each, Connection) and each.waits_since]
            oldest = min(waiting, key=lambda each: each.waits_since or 0.0, default=self)
            oldest.give_up()

    @property
    def waits_since(self) -> float | None:
        """When the waiting for a whole request began, by the loop's clock; None while there is one, or after it."""
        return None if self._waits is None else self._waits.when()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The client may send the next request; uvicorn ends the connection if none begins."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        super().connection_lost(exc)
        self._stop_waiting()
        self._stop_looking()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: watch whether it reads at all."""
        super().pause_writing()
        self._look_again()

    def resume_writing(self) -> None:
        """The client has read nearly all that was written."""
        super().resume_writing()
        self._stop_looking()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is kept but not used."""
        super().timeout_keep_alive_handler()
        self._cut_later()

    def give_up(self) -> None:
        """Close the connection, even if the request is incomplete."""
        self._stop_waiting()
        self.transport.close()
        self._cut_later()

    def _watch(self) -> None:
        """Wait while the request is not whole; an unused kept connection waits as uvicorn says."""
        arriving = self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and self.timeout_keep_alive_task is None
        if not arriving:
            self._stop_waiting()
        elif self._waits is None and not self.transport.is_closing():
            self._waits = self.loop.call_later(ARRIVE_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _look_again(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(READ_SECONDS, self._cut_unless_read, left)

    def _cut_unless_read(self, left: int) -> None:
        if self.transport.get_write_buffer_size() < left:
            self._look_again()
        else:
            self.transport.abort()

    def _stop_looking(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _cut_later(self) -> None:
        # close() first flushes, however long that takes; abort() after it finishes the job.
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def configuration(app: Any) -> uvicorn.Config:
    """uvicorn's settings for the API: sparing with descriptors, and never logging what clients send."""
    most, at_once = room(descriptor_limit())
    return uvicorn.Config(
        app, http=type("Connection", (Connection,), {"most": most}), ws="none", lifespan="off", backlog=at_once,
        access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=1,
        proxy_headers=False,  # uvicorn would believe them of everybody on this machine: see web/doors/visitor.py
    )  # fmt: skip


class Scarcity:
    """A loop's exception handler that says once a minute, not once a try, that no connection can be accepted.

    asyncio reports each try with a traceback: 300 idle connections wrote 138 MB in 75 s. The rest goes to the loop's
    own handler.
    """

    def __init__(self) -> None:
        self._said_at = -SCARCE_SECONDS

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle what `loop.call_exception_handler` was given."""
        error = context.get("exception")
        none_left = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        if not isinstance(error, OSError) or error.errno not in none_left or "accept" not in context.get("message", ""):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._said_at >= SCARCE_SECONDS:
            self._said_at = time.monotonic()
            log.error(
                "No connection can be accepted (%s; the process may have %d descriptors): raise LimitNOFILE",
                error.strerror, descriptor_limit(),
            )  # fmt: skip
