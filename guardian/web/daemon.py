"""The process of `guardian run`: the steps and the API in one event loop, ended by SIGTERM, watched by systemd."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

import uvicorn

from guardian.application.root import Application, open_application
from guardian.application.scheduler import running
from guardian.core.log_lines import log_as_json, say_at_the_end
from guardian.core.off_loop import TURN_SECONDS
from guardian.core.storage import StorageError
from guardian.settings.schema import ApiSettings, Settings
from guardian.web.connections import Scarcity, configuration, listen

log = logging.getLogger("guardian.daemon")

REBIND_SECONDS = 5.0
"""How often a standby process checks whether the API's port is free."""


STOP_SECONDS = 4.0
"""A stop that takes longer, because a thread is in a long query, is cut short; the database rolls back."""


M_ARENA_MAX = -8
"""The number of this option in glibc's malloc.h (see mallopt(3))."""


TRIM_SECONDS = 30.0
"""How often memory that is free goes back to the system. Right after the first judged minute that is 4 MB, after a
report on 720 hours with everybody 40, given back within 3 ms. Having the heap shrink by itself, by a fixed threshold
(M_MMAP_THRESHOLD), makes such a report take half as long again, since it asks for the same memory again and again."""


class StartError(Exception):
    """The daemon cannot run; the message is one sentence for the person who runs it."""


def run_daemon(settings: Settings, *, log_json: bool = False) -> int:
    """Run until SIGTERM or SIGINT, then stop within 5 seconds; the exit code.

    0 after a stop that was asked for; 1, with one line on stderr, where the settings, the database or the port cannot
    be used, or where the stop had to be cut short. With `log_json` each line of the log is a JSON object.
    """
    # No effect if the command line has already set up logging, at WARNING. The daemon's own INFO messages are meant to
    # be read, so its logger gets its own level; libraries stay at WARNING.
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("guardian").setLevel(logging.INFO)
    if log_json:
        log_as_json()
    for noisy in ("apscheduler", "httpx2", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # Always, not only while work of ours computes, as in a host app: a health check needs the GIL about ten times.
    sys.setswitchinterval(TURN_SECONDS)
    # The 80,000 objects that are loaded by now stay: a full collection that visits them stops the loop for 30 ms.
    gc.freeze()
    _share_heap()
    try:
        asyncio.run(_run(settings))
    except (StartError, StorageError) as error:
        say_at_the_end(str(error))
        return 1
    return 0


def _share_heap() -> None:
    """Have one heap for all threads, where the C library is glibc; others have that anyway.

    By default each thread has one of its own and keeps in it what a report once took: after eight reports on 720 hours
    the process had 150 to 190 MB instead of 120. Call it before there are threads.
    """
    if mallopt := _of_glibc("mallopt"):
        mallopt(M_ARENA_MAX, 1)


@asynccontextmanager
async def _trimming() -> AsyncIterator[None]:
    """Give memory that is free back to the system again and again while the context is open."""
    task = asyncio.create_task(_trim(), name="guardian-trim")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _trim() -> None:
    trim = _of_glibc("malloc_trim")
    while trim is not None:
        await asyncio.sleep(TRIM_SECONDS)
        await asyncio.to_thread(trim, 0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function that only glibc has, None where the C library is another."""
    with suppress(AttributeError, OSError, TypeError):
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
        return found
    return None


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Scarcity())
    _stop_by_signal(loop, stop)
    async with AsyncExitStack() as stack:
        try:
            app = await stack.enter_async_context(open_application(settings))
        except ValueError as error:
            raise StartError(str(error)) from error
        await stack.enter_async_context(running(app))
        await stack.enter_async_context(_trimming())
        if settings.api.enabled:
            await stack.enter_async_context(_serving(app, stop))
        for named in app.schedules:
            at, covers = named.schedule.upcoming(app.clock())
            log.info("%s: next report goes out %s, covering %s to %s", named.name, at, *covers)
        if not app.schedules:
            log.warning("No schedule is configured: no report goes out by itself")
        role = "leads" if app.token is not None else "stands by for another process that leads"
        log.info("Ready: this process %s", role)
        sd_notify(f"READY=1\nSTATUS={role}")
        await _until(stop)
        sd_notify("STOPPING=1")
        log.info("Stopping")
        _cut_short_after(STOP_SECONDS)


def _stop_by_signal(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # on Windows (asyncio, "Platform Support"), where Ctrl-C is what comes
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _cut_short_after(seconds: float) -> None:
    def cut() -> None:
        log.warning("Stopped after %.1f s although something was still under way", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()


async def _until(stop: asyncio.Event) -> None:
    """Wait for the stop, pinging systemd's watchdog twice in each of its intervals to show that the event loop runs."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    interval = int(microseconds) / 2e6 if microseconds.isdigit() and int(microseconds) else None
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), interval)
        except TimeoutError:
            sd_notify("WATCHDOG=1")


def sd_notify(message: str) -> None:
    """Tell systemd, if it listens (sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(message.encode())
    except OSError as error:
        log.warning("systemd cannot be told %s: %s", message.split("\n")[0], error)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield


@asynccontextmanager
async def _serving(app: Application, stop: asyncio.Event) -> AsyncIterator[None]:
    """Serve the API while the context is open.

    Raises StartError if the port is taken, unless another process leads: then the port is probably that one's, and this
    process waits for it.
    """
    from guardian.web import create_app  # loaded only if it is served

    try:
        listener = listen(app.settings.api.host, app.settings.api.port)
    except OSError as error:
        if app.token is not None:
            raise StartError(_refusal(app.settings.api, error)) from error
        log.info("Another process leads and has the port of the API: this one waits for both")
        listener = None
    server = Server(configuration(create_app(app)))
    task = asyncio.create_task(_serve(app, server, listener, stop), name="guardian-api")
    try:
        yield
    finally:
        server.should_exit = True
        if listener is None and not server.started:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _serve(app: Application, server: Server, listener: socket.socket | None, stop: asyncio.Event) -> None:
    while listener is None:
        await asyncio.sleep(REBIND_SECONDS)
        try:
            listener = listen(app.settings.api.host, app.settings.api.port)
        except OSError as error:
            if app.token is not None:
                log.error(_refusal(app.settings.api, error))
    host, port = listener.getsockname()[:2]
    log.info("The API listens on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    with listener:
        await server.serve(sockets=[listener])
    stop.set()  # if the server ends by itself, the daemon must not look alive


def _refusal(api: ApiSettings, error: OSError) -> str:
    reason = os.strerror(error.errno or 0)
    return f"the API cannot listen on {api.host}:{api.port} ({reason}): stop what uses the port, or set api.port"
