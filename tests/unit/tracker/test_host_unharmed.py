"""Whatever odd thing an app, a server or another middleware does, it goes as it goes without the tracker.

Each case is driven by hand, without any event loop: nothing in the tracker's way through a request may need one.
"""

import asyncio
import gc
import weakref
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType, SimpleNamespace

import pytest

from tracker import Recorder, UsageTrackingMiddleware

MISSING = object()
START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"ok"}
ACCEPT = {"type": "websocket.accept"}
JSON = [(b"content-type", b"application/json")]


class Hostile:
    """Raises whatever is done with it."""

    def _refuse(self, *_):
        raise RuntimeError("hostile")

    __getattr__ = __eq__ = __hash__ = __bool__ = __iter__ = __len__ = __str__ = __repr__ = _refuse
    __getitem__ = __contains__ = __lt__ = __ge__ = __int__ = __index__ = __bytes__ = _refuse


class HostileText(str):
    """Text that cannot be compared, hashed or searched."""

    def _refuse(self, *_):
        raise RuntimeError("hostile")

    lower = upper = strip = rstrip = startswith = encode = __eq__ = __hash__ = _refuse


HOSTILE = Hostile()
ODD = [("nothing", None), ("a number", 5), ("bytes", b"x"), ("an empty text", ""), ("a text", "x"), ("a list", []),
       ("a mapping", {}), ("hostile", HOSTILE), ("hostile text", HostileText("/x")), ("missing", MISSING)]  # fmt: skip


def scope(kind="http", changed=(), **more):
    made = {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/x",
        "raw_path": b"/x", "query_string": b"", "root_path": "", "scheme": "http", "headers": [(b"host", b"a")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}, **more,
    }  # fmt: skip
    if kind == "websocket":
        del made["method"]
    return {key: value for key, value in {**made, **dict(changed)}.items() if value is not MISSING}


def answer(status=200, headers=(), body=BODY["body"], **more):
    messages = {"type": "http.response.start", "status": status, "headers": headers}, {**BODY, "body": body, **more}
    return [{key: value for key, value in message.items() if value is not MISSING} for message in messages]


def sends(*messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    return app


def reads(*messages):
    async def app(scope, receive, send):
        await receive()
        await sends(*messages)(scope, receive, send)

    return app


def raises(error, *messages):
    async def app(scope, receive, send):
        await sends(*messages)(scope, receive, send)
        raise error

    return app


def changes(**entries):
    async def app(scope, receive, send):
        scope.update(entries)
        await sends(START, BODY)(scope, receive, send)

    return app


async def empties(scope, receive, send):
    scope.clear()
    await sends(START, BODY)(scope, receive, send)


CASES = {}  # name: app, scope, what receive gives, what send raises


def case(name, app, scope=None, received=None, broken=None):
    CASES[name] = app, scope, received, broken


for what, value in [*ODD, ("an empty mapping", {}), ("no type", {"type": None}), ("a proxy", MappingProxyType({}))]:
    if value is not MISSING:
        case(f"received: {what}", reads(START, BODY), scope(), value)
        case(f"received by a WebSocket: {what}", reads(ACCEPT), scope("websocket"), value)
        case(f"sent: {what}", sends(value, BODY), scope())
        case(f"sent to a WebSocket: {what}", sends(value), scope("websocket"))
        case(f"sent to an accepted WebSocket: {what}", sends(ACCEPT, value), scope("websocket"))
STATUSES = [HTTPStatus.OK, HTTPStatus.NOT_FOUND, 404.0, True, "200", 0, -1, 99, 103, 600, 1000, 1200, 10**30]
for what, value in [*ODD, *((repr(status), status) for status in STATUSES)]:
    case(f"status: {what}", sends(*answer(value)), scope())
    denial = {"type": "websocket.http.response.start", **({} if value is MISSING else {"status": value})}
    case(f"status of a denial: {what}", sends(denial), scope("websocket"))
for what, value in [*ODD, ("text", "1000"), ("a private one", 4999), ("a huge one", 10**30)]:
    case(f"close code: {what}", sends(ACCEPT, {"type": "websocket.close", "code": value}), scope("websocket"))
HEADERS = [*ODD, ("a single", [(b"content-type",)]), ("of text", [("content-type", "application/json")]),
           ("of lists", [[b"content-type", b"application/json"]]), ("of nothing", [(None, None)]),
           ("flat", [b"content-type: a"]), ("a hostile one", [(b"content-type", HOSTILE)]),
           ("an unknown charset", [(b"content-type", b"application/json; charset=x-none")])]  # fmt: skip
for what, value in HEADERS:
    case(f"headers of an error: {what}", sends(*answer(400, value)), scope())
    case(f"headers of a request: {what}", sends(*answer()), scope(headers=value))
    case(f"headers of a preflight: {what}", sends(*answer()), scope(headers=value, method="OPTIONS"))
DEEP = b'{"detail":' + b"[" * 2000 + b"]" * 2000 + b"}"
for what, value in [*ODD, ("deep", DEEP), ("half", DEEP[:50]), ("not UTF-8", b"\xff"), ("a view", memoryview(b"{}"))]:
    case(f"body of an error: {what}", sends(*answer(400, JSON, value)), scope())
    case(f"more_body: {what}", sends(*answer(200, (), b"", more_body=value)), scope())
for key in scope():
    for what, value in ODD:
        case(f"scope without a good {key}: {what}", sends(*answer(404)), scope(changed={key: value}))
        case(f"a WebSocket's without a good {key}: {what}", sends(ACCEPT), scope("websocket", changed={key: value}))
SET = ("user", "session", "route", "endpoint", "path_params", "app", "auth", "fastapi", "path", "root_path", "method",
       "type", "guardian.note", "guardian.notes", "state", "path_template", "router", "headers")  # fmt: skip
for key in SET:
    for what, value in ODD:
        if value is not MISSING:
            case(f"the app sets {key}: {what}", changes(**{key: value}), scope())
for what, value in [("a hostile user", {"user": HOSTILE}), ("an object", SimpleNamespace(user=HOSTILE)),
                    ("a hostile address", {"user": {"email": HOSTILE}}), ("half a pair", {"email": "a\ud800@b.c"}),
                    ("a huge address", {"email": "a@b.c" * 100_000})]:  # fmt: skip
    case(f"state: {what}", sends(*answer()), scope(state=value))
case("the app empties the scope", empties, scope())
case("no answer", sends(), scope())
case("a body first", sends(BODY, START), scope())
case("two answers", sends(START, BODY, START, BODY), scope())
ERRORS = [ValueError("x"), KeyboardInterrupt(), SystemExit(3), GeneratorExit(), asyncio.CancelledError(), MemoryError(),
          RecursionError(), ExceptionGroup("x", [ValueError()]), BaseExceptionGroup("x", [asyncio.CancelledError()]),
          type("Silent", (Exception,), {"__str__": Hostile._refuse, "__repr__": Hostile._refuse})()]  # fmt: skip
for error in ERRORS:
    for what, first in [("at once", []), ("after the start", [START]), ("in the end", answer()), ("5", answer(500))]:
        case(f"raised {what}: {type(error).__name__}", raises(error, *first), scope())
    case(f"raised by a WebSocket: {type(error).__name__}", raises(error, ACCEPT), scope("websocket"))
    case(f"raised at start-up: {type(error).__name__}", raises(error), scope("lifespan"))
for error in (OSError(), ConnectionResetError(), RuntimeError(), asyncio.CancelledError()):
    case(f"the server raises: {type(error).__name__}", sends(START, BODY), scope(), broken=error)
    case(f"the server raises at a WebSocket: {type(error).__name__}", sends(ACCEPT), scope("websocket"), broken=error)


def drive(app, given, received, broken):
    """What the server was sent, and what came out: nothing, or the very exception."""
    sent = []

    async def receive():
        return received

    async def send(message):
        sent.append(message)
        if broken is not None:
            raise broken

    call = app(dict(given), receive, send)
    try:
        call.send(None)
    except StopIteration:
        return sent, None
    except BaseException as error:
        return sent, error
    raise AssertionError("the tracker waited for something")


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    recorder = Recorder(tmp_path_factory.mktemp("odd") / "guardian.db")
    yield recorder
    assert recorder.close()
    counts = recorder.stats()
    assert counts.queued == 0
    assert counts.accepted == counts.stored + counts.dropped


@pytest.mark.parametrize("name", CASES)
def test_what_is_odd_goes_as_it_goes_without_the_tracker(recorder, name):
    app, *how = CASES[name]
    bare, raised = drive(app, *how)
    tracked, raised_tracked = drive(UsageTrackingMiddleware(app, recorder=recorder), *how)
    assert len(tracked) == len(bare)
    assert all(one is other for one, other in zip(tracked, bare, strict=True))
    # The same object where there is one; where the app itself made it in passing, the same kind.
    assert raised_tracked is raised or (type(raised_tracked) is type(raised) and how[-1] is None)


class Served:
    """A connection of a server, whose `receive` and `send` lead to the scope, as uvicorn's do."""

    def __init__(self, kind):
        self.scope = scope(kind)

    async def receive(self):
        return {"type": "websocket.connect" if self.scope["type"] == "websocket" else "http.request", "body": b""}

    async def send(self, message):
        pass


@pytest.mark.parametrize(
    ("kind", "messages"),
    [("http", answer()), ("http", answer(404)), ("websocket", [ACCEPT, {"type": "websocket.close"}])],
    ids=["an answer", "an error", "a WebSocket"],
)
def test_a_request_leaves_nothing_for_the_garbage_collector(recorder, kind, messages):
    async def app(scope, receive, send):
        await receive()
        for message in messages:
            await send(message)

    tracked = UsageTrackingMiddleware(app, recorder=recorder)
    was_on = gc.isenabled()
    gc.disable()
    try:
        for _ in range(2):  # the first request of an app goes another way
            served = Served(kind)
            gone = weakref.ref(served)
            with suppress(StopIteration):
                tracked(served.scope, served.receive, served.send).send(None)
            del served
            assert gone() is None
    finally:
        if was_on:
            gc.enable()
