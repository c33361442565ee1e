"""How long Guardian keeps the event loop of its process, or of the host app, from turning.

    PYTHONPATH=. python bench/loop.py [--users 5000] [--events 200000]

A ticker wakes every millisecond; printed is the longest time between two of its ticks while each thing is done, on the
application itself and on Guardian mounted in a host app. The goal is 10 ms at most. The mail server is another process.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import jwt
from starlette.applications import Starlette
from starlette.routing import Mount

import guardian
from guardian.application.reporting import send_report_now
from guardian.application.root import Application, open_application
from guardian.application.scheduler import STEPS
from guardian.settings.schema import Settings
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

KEY = "an admin key of at least 32 bytes!"
GOAL_MS = 10.0
SOMEBODY = "someone.with.a.long.name.00000@department.example.com"
KINDS = ("error_rate", "feature_down", "user_burst", "latency", "traffic_drop", "traffic_spike", "new_error")


class Sink:
    """A mail server's handler that takes everything."""

    async def handle_DATA(self, server, session, envelope) -> str:
        return "250 OK"


def mail_server(port: multiprocessing.Queue) -> None:
    """Serve SMTP on a port of the system's choice, which is put into the queue, until the process ends."""
    from tests.support.mail_servers import serving

    with serving(Sink()) as sink:
        port.put(sink.port)
        time.sleep(3600)


def fill(path: Path, number: int, users: int, now: datetime) -> None:
    """Write so many events of the last 24 hours, of which 3 in 100 failed."""
    chance, writer = random.Random(7), Writer(str(path))
    boom = Failure("KeyError", "Internal Server Error", "app.py:7 chat")
    begin = int((now - timedelta(hours=24)).timestamp()) * 1_000_000
    batch = []
    for n in range(number):
        bad, feature = chance.random() < 0.03, f"feature_{chance.randrange(30)}"
        user = SOMEBODY.replace("00000", f"{n % users:05}")
        at_us = begin + n * 86_400_000_000 // number
        duration = int(chance.lognormvariate(11, 1))
        what = (f"/api/{feature}", "POST", feature, 500 if bad else 200, duration, boom if bad else None)
        batch.append(Event(at_us, user, *what))
        if len(batch) == 10_000:
            writer.write(batch)
            batch = []
    writer.write(batch)
    writer.close()


async def longest_gap(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Do the work; the longest time between two ticks, and how long it took, in milliseconds."""
    longest, done = 0.0, False

    async def tick() -> None:
        nonlocal longest
        last = time.perf_counter()
        while not done:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    began = time.perf_counter()
    await work()
    took = time.perf_counter() - began
    done = True
    await ticker
    return longest * 1000, took * 1000


async def show(name: str, work: Callable[[], Awaitable[object]], rounds: int) -> None:
    """Print the longest gap of some rounds, and of the median one."""
    gaps = [await longest_gap(work) for _ in range(rounds)]
    each = sorted(gap for gap, _ in gaps)
    took, goal = max(took for _, took in gaps), "met" if each[-1] <= GOAL_MS else "missed"
    times = f"{each[-1]:8.1f} ms longest  {each[rounds // 2]:8.1f} ms median  {took:8.0f} ms in all"
    print(f"{name:<40} {times}  ({goal})", flush=True)


async def by_itself(settings: Settings, rounds: int) -> None:
    """The steps and an on-demand report, as `guardian run` does them."""
    async with open_application(settings) as app:
        app.token = await app.state.acquire_lease("daemon", app.holder, app.clock(), timedelta(hours=1))
        await show("nothing", lambda: asyncio.sleep(0.5), rounds)
        await show("a report, made and mailed", lambda: send_report_now(app, hours=24), rounds)
        for step in STEPS:
            await show(f"step {step.name}", lambda step=step: run(app, step), rounds)


async def run(app: Application, step) -> None:
    await step.run(app, app.clock(), app.token)


async def mounted(settings: Settings, rounds: int) -> None:
    """What a host app meets that has mounted Guardian, by way of the API."""
    inner = guardian.app(settings)
    host = Starlette(lifespan=inner.lifespan, routes=[Mount("/guardian", inner)])
    token = jwt.encode({"sub": "bench", "role": "admin", "exp": int(time.time()) + 3600}, KEY, "HS256")
    transport = httpx2.ASGITransport(app=host)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://host", headers=headers, timeout=120) as client:
        await show("mounted: start", lambda: client.get("/guardian/api/usage/health"), 1)
        for method, path in (
            ("GET", "/openapi.json"),
            ("GET", "/api/usage/health"),
            ("GET", "/api/usage/summary?hours=24"),
            ("POST", "/api/usage/generate-report?hours=24"),
            ("POST", "/api/guardian/send-report?hours=24"),
            ("GET", "/api/guardian/status"),
            ("GET", f"/api/usage/users/{SOMEBODY}/export"),
        ):

            async def ask(method: str = method, path: str = path) -> None:
                (await client.request(method, f"/guardian{path}")).raise_for_status()

            await show(f"mounted: {path.partition('?')[0]}", ask, rounds)
        async with inner.lifespan():
            pass


def main() -> None:
    """Fill a database, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    spawn = multiprocessing.get_context("spawn")
    port = spawn.Queue()
    server = spawn.Process(target=mail_server, args=(port,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(
            folder / "guardian.db", given.events // 4, given.users, datetime.now(UTC) - timedelta(days=400)
        )  # to purge
        fill(folder / "guardian.db", given.events, given.users, datetime.now(UTC))
        settings = Settings(
            database=folder / "guardian.db",
            reports_dir=folder / "reports",
            admins=("a@example.com", "b@example.com"),
            schedules=("daily at 08:00",),
            rules={kind: {} for kind in KINDS},
            mail={"sender": "guardian@example.com",
                  "smtp": {"host": "127.0.0.1", "port": port.get(), "security": "none"}},
            api={"jwt_key": KEY},
        )  # fmt: skip
        asyncio.run(by_itself(settings, given.rounds))
        asyncio.run(mounted(settings, given.rounds))
    server.terminate()


if __name__ == "__main__":
    main()
