"""What the tracker keeps in memory when every request is a new one: growth of the process, threads, descriptors.

    python bench/memory.py [--requests 1000000] [--only NAMES]

Each case is a process of its own, which calls one small Starlette app behind the tracker, as a server would. After a
warm-up of ordinary requests the growth of resident memory is measured over requests that each have a new path, method,
agent, user … The goal is 20 MB at most. Two cases make apps as a host's tests do, without ending one: what they leave.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GOAL_MB = 20.0
WARM_UP = 20_000
STRETCH = 4_000
"""How many requests come between two writes of the buffer, which takes 10,000."""
APPS = 750
BIG = "x" * 60_000
KEY = "a key for the bench, of more than thirty-two bytes"
HEADERS = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*")]


def request(path: str = "/notes/1", method: str = "GET", **more: Any) -> dict[str, Any]:
    """What a server makes of a request."""
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": HEADERS, "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000), "state": {}, **more,
    }  # fmt: skip


def header(name: bytes, value: str) -> dict[str, Any]:
    """A request with one more header."""
    return request(headers=[*HEADERS, (name, value.encode())])


def token(number: int) -> str:
    """A bearer header whose signature is good, for somebody else each time."""
    import jwt

    return "Bearer " + jwt.encode({"sub": f"user{number}@example.com", "exp": 4_000_000_000}, KEY, "HS256")


CASES = {
    "paths": lambda number: request(f"/nowhere/{number}"),
    "path values": lambda number: request(f"/notes/{number}"),
    "queries": lambda number: request(query_string=b"q=%d" % number),
    "methods": lambda number: request(method=f"M{number}"),
    "big methods": lambda number: request(method=f"{BIG}{number}"),
    "agents": lambda number: header(b"user-agent", f"agent {number}"),
    "users": lambda number: header(b"x-user", f"user{number}@example.com"),
    "big users": lambda number: header(b"x-user", f"{BIG}{number}@example.com"),
    "no tokens": lambda number: header(b"authorization", f"Bearer {number}.{number}.{number}"),
    "big no tokens": lambda number: header(b"authorization", f"Bearer {BIG}.{BIG}.{number}"),
    "tokens": lambda number: header(b"authorization", token(number)),
    "root paths": lambda number: request(root_path=f"/{number}", path=f"/{number}/notes/1"),
    "mounts": lambda number: request(f"/org/{number}/notes/1"),
    "big mounts": lambda number: request(f"/org/{number}{BIG}/notes/1"),
    "error texts": lambda number: request(f"/broken/{number}"),
    "big error texts": lambda number: request(f"/broken/{number}{BIG}"),
    "raised": lambda number: request(f"/raised/{number}"),
    "noted": lambda number: request(f"/noted/{number}"),
    "websockets": lambda number: request(f"/live/{number}", type="websocket", subprotocols=[]),
}
"""What is new in each request, by name. Those with big values are asked 5,000 times at most."""


def main() -> None:
    """Print the table."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--requests", type=int, default=1_000_000)
    made.add_argument("--only", help="names of cases, with commas; default: all")
    made.add_argument("--tracker", default=str(ROOT), help="the checkout whose tracker is measured; default: this one")
    made.add_argument("--case", help=argparse.SUPPRESS)
    options = made.parse_args()
    sys.path.insert(0, options.tracker)
    if options.case:
        number = min(options.requests, 5_000) if options.case.startswith("big") else options.requests
        measured = apps(options.case) if options.case.startswith("apps") else asyncio.run(grow(options.case, number))
        print(json.dumps(measured))
        return
    print(f"{'':20}{'requests':>10}{'MB grown':>10}{'threads':>9}{'descriptors':>13}{'accepted':>10}{'dropped':>9}")
    for case in options.only.split(",") if options.only else [*CASES, "apps with a file each", "apps with one file"]:
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, __file__, "--case", case, "--requests", str(options.requests),
                     "--tracker", options.tracker]  # fmt: skip
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{case:20} {done.stderr.strip().splitlines()[-1][:150]}", flush=True)
            continue
        one = json.loads(done.stdout)
        print(f"{case:20}{one['requests']:>10}{one['grown']:>10.1f}{one['threads']:>9}{one['descriptors']:>13}"
              f"{one['accepted']:>10}{one['dropped']:>9}{'  above the goal' if one['grown'] > GOAL_MB else ''}",
              flush=True)  # fmt: skip


def host() -> Any:
    """An app with a route of each kind."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    from tracker import note_error

    async def note(request: Any) -> Any:
        return PlainTextResponse("a note")

    async def broken(request: Any) -> Any:
        raise HTTPException(400, f"cannot find {request.path_params['what']}")

    async def raised(request: Any) -> Any:
        raise LookupError(request.path_params["what"])

    async def noted(request: Any) -> Any:
        note_error(request, f"cannot find {request.path_params['what']}")
        return PlainTextResponse("no", status_code=409)

    async def live(socket: Any) -> None:
        await socket.close(1008)

    return Starlette(
        routes=[
            Route("/notes/{note}", note),
            Route("/broken/{what}", broken),
            Route("/raised/{what}", raised),
            Route("/noted/{what}", noted),
            WebSocketRoute("/live/{room}", live),
            Mount("/org/{org}", routes=[Route("/notes/{note}", note)]),
        ]
    )


async def grow(case: str, number: int) -> dict[str, Any]:
    """How much the process grows over so many requests that each bring something new."""
    from tracker import UsageTrackingMiddleware

    how = {"jwt_key": KEY} if "tokens" in case else {"gateway_header": "x-user"}
    app = UsageTrackingMiddleware(host(), database="guardian.db", **how)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def ask(scopes: Iterator[dict[str, Any]]) -> None:
        for asked, scope in enumerate(scopes, 1):
            with contextlib.suppress(LookupError):
                await app(scope, receive, send)
            if asked % STRETCH == 0:
                app.recorder.flush()

    # The case itself, so that what any first request loads is loaded; many, so that ordinary caches have their size.
    await ask(request(f"/notes/{one % 100}") for one in range(WARM_UP))
    await ask(CASES[case](-one) for one in range(1, 101))
    app.recorder.flush()
    before = resident()
    await ask(CASES[case](one) for one in range(number))
    app.recorder.flush()
    counts = app.recorder.stats()
    return {"requests": number, "grown": resident() - before, **held(), "accepted": counts.accepted,
            "dropped": counts.dropped}  # fmt: skip


def apps(case: str) -> dict[str, Any]:
    """What is left of apps that a test client asked once, without lifespan, and nobody holds any more."""
    from starlette.testclient import TestClient

    from tracker import UsageTrackingMiddleware

    def one(number: int) -> None:
        database = {"database": f"{number}.db"} if case == "apps with a file each" else {}
        assert TestClient(UsageTrackingMiddleware(host(), **database)).get("/notes/1").status_code == 200

    one(-1)
    before = resident()
    for number in range(APPS):
        one(number)
    return {"requests": APPS, "grown": resident() - before, **held(), "accepted": "", "dropped": ""}


def resident() -> float:
    """MB of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def held() -> dict[str, int]:
    """Threads and descriptors of this process."""
    return {"threads": threading.active_count(), "descriptors": len(os.listdir("/proc/self/fd"))}


if __name__ == "__main__":
    main()
