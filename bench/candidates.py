"""The same small Starlette app under each middleware that is compared; `uvicorn --factory bench.candidates:served`.

Nothing leaves this machine: sentry-sdk gets a transport that drops, OpenTelemetry an exporter that drops, and Apitally
an address on loopback where nobody listens.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

KEY = "a key for measuring, of more than 32 bytes"
PATH = "/api/threads/17"

Settle = Callable[[], Awaitable[None]]


def bearer() -> str:
    """A token that the measured middleware verifies, once, and then knows."""
    return "Bearer " + jwt.encode({"email": "ada@example.com", "exp": time.time() + 86_400}, KEY, "HS256")


class Noop:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def endpoint(request: Any) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def nothing() -> None:
    pass


def bare(app: Starlette, database: str) -> Settle:
    return nothing


def noop(app: Starlette, database: str) -> Settle:
    app.add_middleware(Noop)
    return nothing


def guardian(app: Starlette, database: str) -> Settle:
    from tracker import Recorder, UsageTrackingMiddleware

    # In process, the batches are written between the timed stretches and counted apart; on a server as by default.
    interval = float(os.environ.get("BENCH_FLUSH_INTERVAL", "1"))
    recorder = Recorder(database, flush_interval=interval)
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder, jwt_key=KEY)

    async def settle() -> None:
        assert recorder.flush(30)
        stats = recorder.stats()
        assert stats.dropped == 0 and stats.stored == stats.accepted

    return settle


def exporter(app: Starlette, database: str) -> Settle:
    from starlette_exporter import PrometheusMiddleware

    app.add_middleware(PrometheusMiddleware)
    return nothing


def instrumentator(app: Starlette, database: str) -> Settle:
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator().instrument(app)
    return nothing


def sentry(app: Starlette, database: str) -> Settle:
    import sentry_sdk
    from sentry_sdk.transport import Transport

    class Dropping(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass

    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=Dropping)
    return nothing


def opentelemetry(app: Starlette, database: str) -> Settle:
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Dropping(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping()))
    StarletteInstrumentor().instrument_app(app, tracer_provider=provider)

    async def settle() -> None:
        provider.force_flush()

    return settle


def apitally(app: Starlette, database: str) -> Settle:
    import logging

    from apitally.starlette import init

    logging.disable(logging.CRITICAL)  # nobody listens, and it says so every few seconds
    init(app, write_token="apt_" + "a" * 24, env="bench", otlp_endpoint="http://127.0.0.1:9")
    return nothing


def naive(app: Starlette, database: str) -> Settle:
    import aiosqlite

    tasks: set[asyncio.Task[None]] = set()
    opened: list[aiosqlite.Connection] = []
    opening = asyncio.Lock()

    async def store(*row: Any) -> None:
        async with opening:
            if not opened:
                opened.append(await aiosqlite.connect(database))
                await opened[0].execute("PRAGMA journal_mode = WAL")
                await opened[0].execute("CREATE TABLE usage (user, path, method, status, duration, at)")
        await opened[0].execute("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)", row)
        await opened[0].commit()

    async def track(request: Any, call_next: Any) -> Any:
        began = time.perf_counter()
        response = await call_next(request)
        claims = jwt.decode(request.headers["authorization"][7:], KEY, ["HS256"])
        took = time.perf_counter() - began
        row = (claims["email"], request.url.path, request.method, response.status_code, took, time.time())
        task = asyncio.create_task(store(*row))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return response

    app.add_middleware(BaseHTTPMiddleware, dispatch=track)

    async def settle() -> None:
        if tasks:
            await asyncio.wait(tasks)

    return settle


CANDIDATES: dict[str, Callable[[Starlette, str], Settle]] = {
    "bare app": bare,
    "no-op middleware": noop,
    "usage-guardian": guardian,
    "prometheus-fastapi-instrumentator": instrumentator,
    "starlette-exporter": exporter,
    "sentry-sdk, no traces": sentry,
    "apitally": apitally,
    "opentelemetry": opentelemetry,
    "naive: a task and an INSERT each": naive,
}


def build(name: str, database: str) -> tuple[Starlette, Settle]:
    """The app under this middleware, and what waits until all is stored. Raises ImportError for a missing peer."""
    app = Starlette(routes=[Route("/api/threads/{thread_id}", endpoint)])
    return app, CANDIDATES[name](app, database)


def served() -> Starlette:
    """The app that BENCH_NAME says, for uvicorn."""
    return build(os.environ["BENCH_NAME"], os.environ["BENCH_DATABASE"])[0]
