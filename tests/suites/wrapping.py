"""A pytest plugin that puts every app of a foreign test suite behind the tracker; frameworks.py loads it.

    pytest -p wrapping --guardian MODE --guardian-report FILE [--guardian-backend trio]

The modes: `bare` changes nothing, `wrap` hands each test client `UsageTrackingMiddleware(app)` with a database of its
own, `shared` the same with the default file in the working folder, `add` calls `add_middleware` on each Starlette or
FastAPI app. FILE gets, as JSON, each test's outcome, what the tracker logged, and the threads and descriptors at the
end.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

RANK = {"failed": 2, "passed": 1, "skipped": 0}


def pytest_addoption(parser: Any) -> None:
    """The plugin's options."""
    parser.addoption("--guardian", choices=["bare", "wrap", "shared", "add"], default="bare")
    parser.addoption("--guardian-report", required=True)
    parser.addoption("--guardian-backend", choices=["asyncio", "trio"], default="asyncio")


def pytest_configure(config: Any) -> None:
    """Patch the test clients before the first test module is loaded."""
    mode = config.getoption("--guardian")
    patch_clients(mode, config.getoption("--guardian-backend"))
    config.pluginmanager.register(Watch(Path(config.getoption("--guardian-report")), mode), "guardian-watch")


def patch_clients(mode: str, backend: str) -> None:
    """Make each client that a test makes call the app through the tracker, as `mode` says."""
    import httpx2
    from starlette.testclient import TestClient

    init = TestClient.__init__
    serve = httpx2.ASGITransport.__init__
    folder = Path(mkdtemp(prefix="databases-", dir=os.environ.get("TMPDIR")))
    tracked = tracking(mode, folder)

    @wraps(init)
    def client_init(self: Any, app: Any, *args: Any, **named: Any) -> None:
        if len(args) < 3:  # the backend is the fourth argument
            named.setdefault("backend", backend)
        if mode == "add":
            tracked(app)
        init(self, app, *args, **named)
        if mode in ("wrap", "shared"):
            # Not before: the client makes an app of version 2 of ASGI one of version 3.
            self.app = self._transport.app = tracked(self.app)

    @wraps(serve)
    def transport_init(self: Any, app: Any, *args: Any, **named: Any) -> None:
        serve(self, app if mode == "bare" else tracked(app) or app, *args, **named)

    TestClient.__init__ = client_init
    httpx2.ASGITransport.__init__ = transport_init


def tracking(mode: str, folder: Path) -> Any:
    """A function that puts an app behind the tracker and gives back the outermost; for `add`, None."""
    if mode == "bare":
        return lambda app: app
    from tracker import UsageTrackingMiddleware

    class Tracked(UsageTrackingMiddleware):
        """Passes for the app where a test looks at its client's app."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or "app" not in self.__dict__:
                raise AttributeError(name)
            return getattr(self.app, name)

    number = iter(range(1_000_000))

    def wrap(app: Any) -> Any:
        if isinstance(app, UsageTrackingMiddleware):
            return app
        return Tracked(app) if mode == "shared" else Tracked(app, database=folder / f"{next(number)}.db")

    def add(app: Any) -> None:
        from starlette.applications import Starlette

        if isinstance(app, Starlette) and app.middleware_stack is None:
            middleware = getattr(app, "user_middleware", ())
            if not any(one.cls is UsageTrackingMiddleware for one in middleware):
                app.add_middleware(UsageTrackingMiddleware, database=folder / f"{next(number)}.db")

    return add if mode == "add" else wrap


class Watch:
    """Notes outcomes as the tests go, and what the process holds at the end."""

    def __init__(self, file: Path, mode: str) -> None:
        self.file, self.mode = file, mode
        self.outcomes: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.most = Counter(threads=0, descriptors=0)
        self.logged: Counter[str] = Counter()
        self.began = time.perf_counter()

    def pytest_sessionstart(self) -> None:
        """Listen to the tracker's log, whatever the tests do with theirs."""
        counted = self.logged

        class Count(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                counted[record.getMessage()] += 1

        logging.getLogger("tracker").addHandler(Count())

    def pytest_runtest_logreport(self, report: Any) -> None:
        """The worst of a test's three phases is its outcome."""
        known = self.outcomes.get(report.nodeid, "skipped")
        if RANK[report.outcome] >= RANK[known]:
            self.outcomes[report.nodeid] = report.outcome
        if report.failed:
            self.reasons.setdefault(report.nodeid, f"{report.when}: {str(report.longrepr)[-1500:]}")

    def pytest_collectreport(self, report: Any) -> None:
        """A module that cannot be loaded is a failure too."""
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
            self.reasons[report.nodeid] = str(report.longrepr)[-1500:]

    def pytest_runtest_logfinish(self) -> None:
        """How many threads and descriptors there were at most."""
        for name, number in held().items():
            self.most[name] = max(self.most[name], number)

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        seconds = time.perf_counter() - self.began
        names = Counter(thread.name.split("-")[0] for thread in threading.enumerate())
        before = held()
        gc.collect()
        time.sleep(0.5)
        versions = {name: getattr(sys.modules.get(name), "__version__", "?") for name in ("starlette", "fastapi")}
        self.file.write_text(
            json.dumps(
                {
                    "mode": self.mode, "seconds": seconds, "outcomes": self.outcomes, "reasons": self.reasons,
                    "most": self.most, "at_the_end": before, "after_collection": held(), "threads": names,
                    "logged": self.logged, "versions": versions,
                }
            )
        )  # fmt: skip


def held() -> dict[str, int]:
    """What this process holds now."""
    return {"threads": threading.active_count(), "descriptors": len(os.listdir("/proc/self/fd"))}
