"""What an exchange of ASGI messages is recorded as: direct calls, so that every order of messages can be had."""

import asyncio
import logging
import sys
import types

import pytest
from starlette.requests import ClientDisconnect

from tracker import Recorder, UsageTrackingMiddleware, name_feature, note_error, note_user
from tracker.event import ANONYMOUS, UNMATCHED, Event, Failure
from tracker.notes import leave_out
from tracker.tracebacks import location_of


class Kept:
    """Stands in the recorder's place and keeps what it is given, as it is given."""

    def __init__(self):
        self.events, self.lost, self.notes = [], 0, []

    def add(self, event):
        self.events.append(event)

    def add_lost(self, why):
        self.lost += 1

    def note(self, kind, detail):
        self.notes.append((kind, detail))


START = {"type": "http.response.start", "status": 200, "headers": []}
CHUNK = {"type": "http.response.body", "body": b"a", "more_body": True}
LAST = {"type": "http.response.body", "body": b"b"}
DISCONNECT = {"type": "http.disconnect"}


def answer(status, body=b"", content_type=b"application/json", *extra):
    return (
        {"type": "http.response.start", "status": status, "headers": [(b"Content-Type", content_type), *extra]},
        {"type": "http.response.body", "body": body},
    )


def http(path="/chat", method="GET", headers=(), **more):
    return {"type": "http", "method": method, "path": path, "headers": list(headers), "state": {}, **more}


def websocket(path="/live"):
    return {"type": "websocket", "path": path, "headers": []}


def play(*steps):
    """An app that sends messages, raises exceptions and, at "receive", waits for what the server says."""

    async def app(scope, receive, send):
        for step in steps:
            if step == "receive":
                await receive()
            elif isinstance(step, dict):
                await send(step)
            else:
                raise step

    return app


async def run(app, scope, *, incoming=(), broken_after=None, **settings):
    """What was recorded, what was sent, and what was raised. Sending fails from message `broken_after` on."""
    kept, sent, messages = Kept(), [], list(incoming)

    async def receive():
        return messages.pop(0)

    async def send(message):
        if broken_after is not None and len(sent) >= broken_after:
            raise OSError("the connection is gone")
        sent.append(message)

    raised = None
    try:
        await UsageTrackingMiddleware(app, recorder=kept, **settings)(scope, receive, send)
    except BaseException as error:
        raised = error
    return kept, sent, raised


ABORTED = "response aborted after it had begun"
BOOM = KeyError("boom of ada@example.com")


@pytest.mark.parametrize(
    ("steps", "incoming", "broken_after", "status", "kind", "message"),
    [
        ([START, LAST], [], None, 200, None, None),
        ([START, CHUNK, CHUNK, LAST], [], None, 200, None, None),
        ([START, {"type": "http.response.pathsend", "path": "/x"}], [], None, 200, None, None),
        # An exception before, amid and after the answer.
        ([BOOM], [], None, 500, "KeyError", "Internal Server Error"),
        ([START, BOOM], [], None, 500, "KeyError", ABORTED),
        ([START, CHUNK, BOOM], [], None, 500, "KeyError", ABORTED),
        ([START, LAST, BOOM], [], None, 200, None, None),
        # The app's outermost error handler answers, then raises again.
        ([*answer(500, b"Internal Server Error", b"text/plain"), BOOM], [], None, 500, "KeyError", None),
        # The app returns without having finished.
        ([START, CHUNK], [], None, 500, "Aborted", ABORTED),
        ([], [], None, 500, "Aborted", "Internal Server Error"),
        # The client leaves: seen in receive, seen in send, or the server cancels.
        (["receive"], [DISCONNECT], None, 499, "HTTP 499", "the client left before an answer"),
        (["receive", ClientDisconnect()], [DISCONNECT], None, 499, "HTTP 499", "the client left before an answer"),
        ([START, CHUNK, "receive"], [DISCONNECT], None, 200, None, None),
        ([START, CHUNK, CHUNK], [], 2, 200, None, None),
        ([START, CHUNK, asyncio.CancelledError()], [], None, 200, None, None),
        # Nothing but a server that stops cancels while the client waits: it answers with 500.
        ([asyncio.CancelledError()], [], None, 500, "Cancelled", "cancelled before an answer"),
        ([asyncio.CancelledError()], [DISCONNECT], None, 499, "HTTP 499", "the client left before an answer"),
        ([BaseExceptionGroup("", [asyncio.CancelledError()])], [], None, 500, "Cancelled", None),
        # An OSError of the app's own is not the client's.
        ([FileNotFoundError("/home/ada/x")], [], None, 500, "FileNotFoundError", "Internal Server Error"),
    ],
)
async def test_the_status_of_an_http_exchange_is_the_truth(steps, incoming, broken_after, status, kind, message):
    kept, _, _ = await run(play(*steps), http(), incoming=incoming, broken_after=broken_after)
    [event] = kept.events
    assert event.status == status
    assert (event.failure is None) == (kind is None)
    if kind is not None:
        assert event.failure.kind == kind
    if message is not None:
        assert event.failure.message == message


@pytest.mark.parametrize("error", [BOOM, asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("before", [[], [START], [START, LAST]])
async def test_what_the_app_raises_goes_on_unchanged(error, before):
    _, sent, raised = await run(play(*before, error), http())
    assert raised is error
    assert sent == before


async def test_messages_pass_as_they_are():
    steps = [START, CHUNK, {"type": "http.response.debug", "info": {}}, LAST]
    _, sent, _ = await run(play(*steps), http())
    assert all(mine is theirs for mine, theirs in zip(sent, steps, strict=True))


async def test_an_exception_is_stored_by_class_and_place_never_by_message():
    async def app(scope, receive, send):
        raise ValueError("token of ada@example.com")

    kept, _, _ = await run(app, http())
    [event] = kept.events
    assert "ada" not in repr(event)
    location = location_of(event.failure.frames)
    assert location.endswith(" app")
    assert "test_middleware.py:" in location


async def test_an_event_is_handed_on_at_the_last_byte_and_waits_for_no_background_task():
    kept = Kept()

    async def app(scope, receive, send):
        await send(START)
        await send(LAST)
        assert len(kept.events) == 1

    async def nothing(*args):
        pass

    await UsageTrackingMiddleware(app, recorder=kept)(http(), nothing, nothing)
    assert len(kept.events) == 1


@pytest.mark.parametrize("status", [200, 503])
async def test_the_duration_reaches_from_arrival_to_the_last_byte(monkeypatch, status):
    now = 1_000_000_000
    monkeypatch.setattr("tracker.exchange.perf_counter_ns", lambda: now)

    def later(ms):
        nonlocal now
        now += ms * 1_000_000

    async def app(scope, receive, send):
        later(3)
        await send({**START, "status": status})
        later(20)
        await send(CHUNK)
        later(100)
        await send(LAST)
        later(60_000)  # a background task

    kept, _, _ = await run(app, http())
    assert kept.events[0].duration_us == 123_000


ACCEPT = {"type": "websocket.accept"}
TEXT = {"type": "websocket.send", "text": "hello"}
GONE = {"type": "websocket.disconnect", "code": 1001}


def close(code):
    return {"type": "websocket.close", "code": code}


@pytest.mark.parametrize(
    ("steps", "incoming", "status", "kind"),
    [
        ([ACCEPT, TEXT, close(1000)], [], 101, None),
        ([ACCEPT, TEXT], [], 101, None),
        ([ACCEPT, close(1001)], [], 101, None),
        ([ACCEPT, close(4001)], [], 101, None),
        ([ACCEPT, {"type": "websocket.close"}], [], 101, None),
        ([ACCEPT, "receive"], [GONE], 101, None),
        ([ACCEPT, "receive", RuntimeError("client is gone")], [GONE], 101, None),
        ([ACCEPT, asyncio.CancelledError()], [], 101, None),
        ([ACCEPT, close(1011)], [], 500, "WebSocket 1011"),
        ([ACCEPT, close(1013)], [], 503, "WebSocket 1013"),
        ([ACCEPT, close(1008)], [], 403, "WebSocket 1008"),
        ([ACCEPT, close(1009)], [], 413, "WebSocket 1009"),
        ([ACCEPT, BOOM], [], 500, "KeyError"),
        ([BOOM], [], 500, "KeyError"),
        ([close(1000)], [], 403, "HTTP 403"),
        ([], [], 500, "Aborted"),
        (["receive"], [GONE], 499, "HTTP 499"),
        ([{"type": "websocket.http.response.start", "status": 401, "headers": []}], [], 401, "HTTP 401"),
    ],
)
async def test_the_status_of_a_websocket_is_the_truth(steps, incoming, status, kind):
    kept, _, _ = await run(play(*steps), websocket(), incoming=incoming)
    [event] = kept.events
    assert (event.status, event.failure and event.failure.kind) == (status, kind)
    assert event.method == "WEBSOCKET"


async def test_a_websocket_whose_connection_breaks_in_send_ended_well():
    kept, _, raised = await run(play(ACCEPT, TEXT), websocket(), broken_after=1)
    assert kept.events[0].status == 101
    assert isinstance(raised, OSError)


async def test_unknown_kinds_of_scope_pass_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    async def receive(): ...
    async def send(message): ...

    scope = {"type": "telegraph"}
    await UsageTrackingMiddleware(app, recorder=Kept())(scope, receive, send)
    assert seen == [(scope, receive, send)]


@pytest.mark.parametrize("path", ["/health", "/metrics", "/static/app.js", "/docs"])
async def test_paths_to_skip_are_not_recorded(path):
    kept, sent, _ = await run(play(START, LAST), http(path))
    assert (kept.events, sent) == ([], [START, LAST])


async def test_a_cors_preflight_is_not_recorded_but_other_options_are():
    preflight = http(method="OPTIONS", headers=[(b"access-control-request-method", b"POST")])
    assert (await run(play(START, LAST), preflight))[0].events == []
    assert len((await run(play(START, LAST), http(method="OPTIONS")))[0].events) == 1


async def test_the_user_is_read_after_the_app_has_run():
    async def app(scope, receive, send):
        scope["state"]["claims"] = {"email": "Ada@Example.com"}
        await send(START)
        await send(LAST)

    kept, _, _ = await run(app, http())
    assert kept.events[0].user == "ada@example.com"


@pytest.mark.parametrize(
    ("body", "content_type", "extra", "candidate"),
    [
        (b'{"detail": "File too large"}', b"application/json", (), "File too large"),
        (b"File too large", b"text/plain; charset=utf-8", (), "File too large"),
        (b'{"detail": "File too large"}', b"application/json", ((b"content-encoding", b"gzip"),), None),
        (b'{"detail": "' + b"x" * 5000 + b'"}', b"application/json", (), None),
        (b"<h1>no</h1>", b"text/html", (), None),
        (b"{", b"application/json", (), None),
    ],
)
async def test_of_an_error_answer_one_small_text_is_kept_to_be_compared(body, content_type, extra, candidate):
    kept, _, _ = await run(play(*answer(413, body, content_type, *extra)), http())
    [event] = kept.events
    assert event.failure.candidate == candidate
    assert "large" not in repr(event)


async def test_only_the_first_chunk_of_an_error_answer_is_looked_at():
    start, last = answer(400, b'{"detail": "second"}')
    first = {**last, "body": b"first ", "more_body": True}
    kept, _, _ = await run(play(start, first, last), http())
    assert kept.events[0].failure.candidate is None


async def test_nothing_of_a_good_answer_is_looked_at():
    kept, _, _ = await run(play(*answer(200, b'{"detail": "secret"}')), http())
    assert kept.events[0].failure is None


async def test_an_app_can_say_more_of_an_error_and_of_an_exception():
    async def answers(scope, receive, send):
        note_error(scope, "the quota is used up")
        for message in answer(429, b'{"detail": "no"}'):
            await send(message)

    async def raises(scope, receive, send):
        note_error(scope, "the quota is used up")
        raise BOOM

    for app, kind in ((answers, "HTTP 429"), (raises, "KeyError")):
        kept, _, _ = await run(app, http())
        assert (kept.events[0].failure.kind, kept.events[0].failure.candidate) == (kind, "the quota is used up")


@pytest.mark.parametrize(
    "headers",
    [[("content-type", "application/json")], [(b"a", b"b", b"c")], [None], None, 7, [(b"content-type", object())]],
)
async def test_strange_headers_of_an_answer_are_the_servers_business(headers):
    messages = ({"type": "http.response.start", "status": 404, "headers": headers}, LAST)
    kept, sent, raised = await run(play(*messages), http())
    assert (len(kept.events), len(sent), raised) == (1, 2, None)


async def test_a_fault_of_the_tracker_never_reaches_the_app_and_is_counted_and_said_once(caplog):
    class Broken(Kept):
        def add(self, event):
            raise RuntimeError("secret of ada@example.com")

    kept = Broken()
    middleware = UsageTrackingMiddleware(play(START, LAST), recorder=kept)
    sent = []

    async def send(message):
        sent.append(message)

    for _ in range(3):
        await middleware(http(), None, send)
    assert (kept.lost, len(sent)) == (3, 6)
    assert [record.message for record in caplog.records] == [
        "The tracker could not record a request (RuntimeError); the app is not affected. Said once."
    ]


async def test_a_failing_identify_makes_an_anonymous_user():
    def identify(scope):
        raise RuntimeError("no directory")

    kept, _, raised = await run(play(START, LAST), http(), identify=identify)
    assert (kept.events[0].user, raised) == (ANONYMOUS, None)


# What the app says of a request


def saying(*words):
    """An app that says something of its request, and answers with 200."""

    async def app(scope, receive, send):
        for word in words:
            word(scope)
        await send(START)
        await send(LAST)

    return app


async def test_an_answer_of_200_that_the_app_calls_failed_is_a_failure():
    kept, _, _ = await run(saying(lambda scope: note_error(scope, "tool error", failed=True)), http())
    [event] = kept.events
    assert (event.status, event.outcome, event.failure.kind, event.failure.candidate) == (
        200, 1200, "Noted", "tool error",
    )  # fmt: skip
    kept, _, _ = await run(saying(lambda scope: note_error(scope, failed=True)), http())
    assert kept.events[0].failure == Failure("Noted", "noted as failed")


async def test_a_text_alone_makes_no_failure_of_a_good_answer():
    kept, _, _ = await run(saying(lambda scope: note_error(scope, "slow")), http())
    assert kept.events[0].failure is None


async def test_an_app_names_user_and_feature_of_a_request():
    kept, _, _ = await run(
        saying(
            lambda scope: note_user(scope, {"id": 7, "email": "Ada@Example.com"}), lambda s: name_feature(s, "chat")
        ),
        http(),
    )
    assert (kept.events[0].user, kept.events[0].feature) == ("ada@example.com", "chat")


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", None, 7])
async def test_a_feature_name_that_is_none_is_not_taken(name):
    kept, _, _ = await run(saying(lambda scope: name_feature(scope, name)), http())
    assert kept.events[0].feature == UNMATCHED


async def test_what_an_app_says_on_a_copy_of_the_scope_counts():
    async def copies(scope, receive, send):
        await saying(lambda inner: note_user(inner, "ada@example.com"))(dict(scope), receive, send)

    kept, _, _ = await run(copies, http())
    assert kept.events[0].user == "ada@example.com"


async def test_what_is_left_out_is_not_recorded():
    kept, sent, _ = await run(saying(leave_out), http())
    assert (kept.events, sent, kept.lost) == ([], [START, LAST], 0)


async def test_an_async_identify_is_asked_after_the_last_byte():
    order = []

    async def identify(scope):
        order.append("identify")
        return "ada@example.com"

    async def app(scope, receive, send):
        await send(START)
        await send(LAST)
        order.append("a background task")

    kept, _, _ = await run(app, http(), identify=identify)
    assert order == ["a background task", "identify"]
    assert kept.events[0].user == "ada@example.com"


async def test_an_app_inside_that_is_tracked_too_makes_no_second_row_and_lends_its_identity():
    kept, inner = Kept(), Kept()

    async def nothing(*_): ...

    inside = UsageTrackingMiddleware(play(START, LAST), recorder=inner, identify=lambda scope: "ada@example.com")
    await UsageTrackingMiddleware(inside, recorder=kept)(http(), nothing, nothing)
    assert [event.user for event in kept.events] == ["ada@example.com"]
    assert inner.events == []


# Streams: what latency means for them


@pytest.mark.parametrize(
    ("content_type", "waits_ms", "latency_ms"),
    [
        (b"text/event-stream; charset=utf-8", 10, 40),
        (b"application/x-ndjson", 10, 40),
        (b"text/html", 10, None),
        (b"text/html", 1_000, 40),
        (None, 15 * 60_000, 40),
    ],
)
async def test_a_stream_is_known_by_its_type_or_by_a_first_byte_long_before_the_last(
    monkeypatch, content_type, waits_ms, latency_ms
):
    now = 1_000_000_000
    monkeypatch.setattr("tracker.exchange.perf_counter_ns", lambda: now)

    async def app(scope, receive, send):
        nonlocal now
        await send({**START, "headers": [] if content_type is None else [(b"content-type", content_type)]})
        now += 40_000_000
        await send(CHUNK)
        now += waits_ms * 1_000_000
        await send(LAST)

    kept, _, _ = await run(app, http())
    [event] = kept.events
    assert event.duration_us == (40 + waits_ms) * 1_000
    assert event.latency_us == (None if latency_ms is None else latency_ms * 1_000)


async def test_the_latency_of_a_websocket_is_the_time_to_its_acceptance(monkeypatch):
    now = 1_000_000_000
    monkeypatch.setattr("tracker.exchange.perf_counter_ns", lambda: now)
    monkeypatch.setattr("tracker.websocket.perf_counter_ns", lambda: now)

    async def app(scope, receive, send):
        nonlocal now
        now += 5_000_000
        await send({"type": "websocket.accept"})
        now += 900_000_000_000

    kept, _, _ = await run(app, websocket())
    assert (kept.events[0].latency_us, kept.events[0].duration_us) == (5_000, 900_005_000)


@pytest.mark.parametrize("strange", [None, {}, [], {"type": None}, 7])
async def test_strange_messages_of_a_server_reach_the_app_and_nothing_else(strange):
    async def app(scope, receive, send):
        assert await receive() is strange
        await send(START)
        await send(LAST)

    kept, _, raised = await run(app, http(), incoming=[strange])
    assert (len(kept.events), raised) == (1, None)


@pytest.mark.parametrize("headers", [None, 7, [None], [(b"a",)]])
async def test_strange_headers_of_a_request_reach_the_app_and_nothing_else(headers):
    scope = {"type": "http", "method": "OPTIONS", "path": "/x", "headers": headers}
    _, sent, raised = await run(play(START, LAST), scope, jwt_key="k" * 32)
    assert (sent, raised) == ([START, LAST], None)


async def test_an_error_answer_with_a_background_task_is_recorded_when_it_was_sent():
    kept = Kept()

    async def app(scope, receive, send):
        for message in answer(503, b"later", b"text/plain"):
            await send(message)
        assert len(kept.events) == 1

    async def nothing(*_): ...

    await UsageTrackingMiddleware(app, recorder=kept)(http(), nothing, nothing)
    assert len(kept.events) == 1


LONG = b"x" * 100_000
HOSTILE_HEADERS = [
    (b"authorization", b""),
    (b"authorization", b"Bearer"),
    (b"authorization", b"Bearer " + LONG),
    (b"authorization", b"Bearer a.b.c"),
    (b"authorization", b"Bearer \xff\xfe\x00"),
    (b"authorization", b"Bearer eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFkYUBleGFtcGxlLmNvbSJ9."),
    (b"authorization", b"Basic YWRhOmFkYQ=="),
    (b"x-user-email", b"root@example.com"),
    (b"cookie", LONG),
]


@pytest.mark.parametrize("header", HOSTILE_HEADERS, ids=lambda header: header[1][:20])
async def test_hostile_headers_are_recorded_as_anonymous(header, caplog):
    kept, _, raised = await run(play(START, LAST), http(headers=[header]), jwt_key="k" * 32)
    assert [event.user for event in kept.events] == [ANONYMOUS]
    assert (raised, kept.lost, caplog.records) == (None, 0, [])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("BREW", "/x"),
        ("GET" * 1000, "/x"),
        ("get", "/x"),
        ("", "/x"),
        ("GET", "/\udcff\udc80"),
        ("GET", "/\x00"),
        ("GET", ""),
    ],
)
async def test_hostile_methods_and_paths_leave_nothing_of_themselves(method, path):
    kept, _, raised = await run(play(START, LAST), http(path, method))
    [event] = kept.events
    assert (event.endpoint, event.feature, raised) == (UNMATCHED, UNMATCHED, None)
    assert event.method == ("GET" if method == "GET" else "OTHER")


async def test_an_event_has_the_documented_shape():
    kept, _, _ = await run(play(START, LAST), http())
    [event] = kept.events
    assert type(event) is Event
    assert event[1:6] == (ANONYMOUS, UNMATCHED, "GET", UNMATCHED, 200)
    assert event.at_us > 1_700_000_000_000_000
    assert event.failure is None


async def test_a_websocket_closed_with_an_error_says_so_in_its_failure():
    kept, _, _ = await run(play(ACCEPT, close(1011)), websocket())
    assert kept.events[0].failure == Failure("WebSocket 1011", "closed by the app with an error code")


async def lifespan(app, *incoming, **settings):
    messages = [{"type": kind} for kind in incoming]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])
        sent.extend([message["message"]] if "message" in message else [])

    raised = None
    try:
        middleware = UsageTrackingMiddleware(app, "never-made.db", **settings)
        middleware.recorder.drain = lambda: sent.append("stored")
        middleware.recorder._buffer.values.append(None)  # something waits
        await middleware({"type": "lifespan"}, receive, send)
    except BaseException as error:
        raised = error
    middleware.recorder._buffer.values.clear()
    return sent, raised


STARTUP, SHUTDOWN = "lifespan.startup", "lifespan.shutdown"


async def test_what_waits_is_stored_before_the_server_hears_of_the_shutdown():
    app = play("receive", {"type": f"{STARTUP}.complete"}, "receive", {"type": f"{SHUTDOWN}.complete"})
    sent, raised = await lifespan(app, STARTUP, SHUTDOWN)
    assert (sent, raised) == ([f"{STARTUP}.complete", "stored", f"{SHUTDOWN}.complete"], None)


@pytest.mark.parametrize(
    "app",
    [play(AssertionError("http only")), play(ValueError("Django can only handle ASGI/HTTP")), play()],
    ids=["asserts", "as Django", "returns"],
)
async def test_an_app_without_lifespan_is_drained_all_the_same(app):
    sent, raised = await lifespan(app, STARTUP, SHUTDOWN)
    assert (sent, raised) == ([f"{STARTUP}.complete", "stored", f"{SHUTDOWN}.complete"], None)


async def test_what_an_app_raises_that_cannot_even_be_made_goes_on_unchanged():
    error = RuntimeError("a setting is missing")
    assert await lifespan(play(error), STARTUP) == ([], error)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"jwt_key": "short"}, "jwt_key: the key has 5 bytes: a secret needs at least 32"),
        ({"jwks": "http://example.com/k"}, "jwks = 'http://example.com/k' would be fetched without TLS: use https"),
        ({"jwks": "http://u:pw@id.example/k"}, "jwks = 'http://id.example/…' would be fetched without TLS: use https"),
        ({"jwks": "http://id.example/k?t=s3"}, "jwks = 'http://id.example/…' would be fetched without TLS: use https"),
        ({"databse": "x.db"}, "databse is not an argument of UsageTrackingMiddleware: did you mean database?"),
        ({"features": {"threads": "x"}}, "features['threads'] = 'x': the key must be a path with or without a method, "
                                         "as in 'POST /api/threads'"),
        ({"skip": "/x"}, "skip = '/x' must be a list of paths, as in ['/health']"),
        ({"jwt_audience": "a"}, "jwt_audience is set, but no jwt_key or jwks to check tokens with"),
        ({"jwt_key": "k" * 32, "jwks": "x"}, "both jwt_key and jwks are set: tokens are checked with one of them"),
        ({"identify": "me"}, "identify = 'me' must be a function that takes the scope"),
        ({"routes": "/x"}, "routes = '/x' must be a list of templates, as in ['/threads/{id}']"),
        ({"feature_names": "path"}, "feature_names = 'path' must be \"method\", or left out"),
        ({"session_user_key": 7}, "session_user_key = 7 must be a name without spaces, as in 'user_id'"),
        ({"jwt_key": "k" * 32, "jwt_leeway": "60"}, "jwt_leeway = '60' must be a number of seconds from 0 to 86400, "
                                                    "without quotes"),
        ({"jwt_key": "k" * 32, "jwt_audience": ""}, "jwt_audience = '' must be a text or a list of texts"),
        ({"jwt_key": "k" * 32, "jwt_user_claim": []}, "jwt_user_claim = [] must be a text or a list of texts"),
        ({"jwt_key": 5}, "jwt_key is a int and must be a text or bytes, such as key.get_secret_value()"),
        ({"jwks": "https://"}, "jwks = 'https://' names no host, as in 'https://example.com/jwks.json'"),
        ({"jwt_secret": "x"}, "jwt_secret is not an argument of UsageTrackingMiddleware: did you mean jwt_key?"),
        ({"skip_defaults": "no"}, "skip_defaults = 'no' must be True or False"),
        ({"skip": None}, "skip = None must be a list of paths, as in ['/health']"),
        ({"routes": ["/{a"]}, "routes = '/{a' must have its parameters in braces, as in '/threads/{id}'"),
        ({"identify": "no scope"}, "identify = 'no scope' must be a function that takes the scope"),
        ({"gateway_header": "x y"}, "gateway_header = 'x y' must be a name without spaces, as in 'user_id'"),
    ],
)  # fmt: skip
async def test_a_wrong_setting_stops_the_start_with_one_sentence_and_is_no_error_of_any_request(
    settings, sentence, caplog
):
    sent, raised = await lifespan(play(AssertionError("never asked")), STARTUP, **settings)
    assert sent == ["lifespan.startup.failed", f"UsageTrackingMiddleware: {sentence}"]
    assert repr(raised) == repr(ValueError(sent[1]))  # as Starlette's lifespan raises, for its TestClient
    # Where there is no lifespan: the app serves, everybody is anonymous, and the log says so once.
    kept = Kept()
    middleware = UsageTrackingMiddleware(play(START, LAST), recorder=kept, **settings)

    async def nothing(*_): ...

    for _ in range(3):
        await middleware(http(), nothing, nothing)
    assert [event.user for event in kept.events] == [ANONYMOUS] * 3
    assert [record.message for record in caplog.records] == [
        f"The tracker is not set up as it should be, and goes on without that: {sentence}"
    ]
    assert kept.notes == [("setting", sentence)]


async def test_a_startup_that_fails_goes_on_unchanged():
    error = RuntimeError("no database")
    sent, raised = await lifespan(play("receive", {"type": f"{STARTUP}.failed"}, error), STARTUP)
    assert (sent, raised) == ([f"{STARTUP}.failed"], error)


async def test_a_log_that_raises_harms_nobody(monkeypatch):
    class Broken(Kept):
        def add(self, event):
            raise RuntimeError

    def raising(record):
        raise ZeroDivisionError

    monkeypatch.setattr(logging.getLogger("tracker"), "filters", [raising])
    _, sent, raised = await run(play(START, LAST), http(), identify=lambda scope: 1 / 0)
    assert (sent, raised) == ([START, LAST], None)

    async def nothing(*_): ...

    await UsageTrackingMiddleware(play(START, LAST), recorder=Broken())(http(), nothing, nothing)


async def test_an_error_answer_that_cannot_be_read_costs_its_text_and_not_the_event(monkeypatch):
    def broken(*_, **__):
        raise Exception("json was patched")

    monkeypatch.setattr("json.loads", broken)
    kept, _, _ = await run(play(*answer(400, b'{"detail": "no"}')), http())
    assert (kept.events[0].failure.kind, kept.events[0].failure.candidate, kept.lost) == ("HTTP 400", None, 0)


async def test_what_is_no_recorder_is_refused_and_no_error_of_any_request(caplog):
    middleware = UsageTrackingMiddleware(play(START, LAST), recorder="guardian.db")
    assert middleware.problem == "recorder = 'guardian.db' must be a tracker.Recorder: for a file, write database="
    sent = []

    async def send(message):
        sent.append(message)

    await middleware(http(), None, send)
    assert sent == [START, LAST]


def test_an_argument_without_a_name_is_refused():
    middleware = UsageTrackingMiddleware(play(), "guardian.db", {"/chat": "chat"})
    assert middleware.problem.startswith("only the app and database may be given without a name")


@pytest.mark.parametrize("interval", ["1", True, 0, 10_000, float("nan")])
def test_an_interval_that_is_none_is_refused(interval):
    problem = UsageTrackingMiddleware(play(), flush_interval=interval).problem
    assert problem.startswith(f"flush_interval = {interval!r} must be a number of seconds from 0.001 to 3600")


async def test_an_inner_app_with_an_async_identify_lends_it(caplog):
    async def identify(scope):
        return "ada@example.com"

    async def nothing(*_): ...

    kept = Kept()
    inside = UsageTrackingMiddleware(play(START, LAST), recorder=Kept(), identify=identify)
    await UsageTrackingMiddleware(inside, recorder=kept)(http(), nothing, nothing)
    assert [event.user for event in kept.events] == ["ada@example.com"]


async def test_a_stream_whose_client_left_before_any_byte_has_the_latency_of_its_start(monkeypatch):
    now = 1_000_000_000
    monkeypatch.setattr("tracker.exchange.perf_counter_ns", lambda: now)

    async def app(scope, receive, send):
        nonlocal now
        now += 40_000_000
        await send({**START, "headers": [(b"content-type", b"text/event-stream")]})
        await send({**CHUNK, "body": b""})
        now += 900_000_000_000
        await receive()

    kept, _, _ = await run(app, http(), incoming=[DISCONNECT])
    assert (kept.events[0].status, kept.events[0].latency_us) == (200, 40_000)


@pytest.mark.parametrize("trio", [None, types.ModuleType("trio")])
async def test_something_of_trios_name_that_is_not_trio_does_no_harm(monkeypatch, trio):
    monkeypatch.setitem(sys.modules, "trio", trio)
    kept, _, raised = await run(play(asyncio.CancelledError()), http())
    assert (kept.events[0].status, kept.lost, type(raised)) == (500, 0, asyncio.CancelledError)


@pytest.mark.parametrize(("status", "recorded"), [(500, 499), (503, 499), (400, 400), (200, 200)])
async def test_an_answer_that_begins_after_the_client_has_left_is_no_failure_of_the_server(status, recorded):
    app = play("receive", *answer(status, b"x", b"text/plain"))
    kept, _, _ = await run(app, http(method="POST"), incoming=[DISCONNECT])
    assert kept.events[0].status == recorded


async def test_a_name_of_a_feature_that_is_not_taken_is_counted():
    kept, _, _ = await run(saying(lambda scope: name_feature(scope, "(unmatched)")), http())
    assert kept.notes == [("name_refused", "name_feature was given something that is no name of 1 to 100 characters")]


@pytest.mark.parametrize(
    ("settings", "variable", "problem"),
    [
        ({"flush": "always"}, "", "flush = 'always' must be 'response', or be left out"),
        (
            {"database": "firestore://p", "pseudonymous": True},
            "secret",
            "TRACKER_PSEUDONYMS_KEY holds no key: let it be 64 hexadecimal digits, as 'openssl rand -hex 32' prints "
            "them",
        ),
    ],
    ids=["flush", "pseudonymous"],
)
def test_what_cannot_be_done_is_said_at_the_start(monkeypatch, settings, variable, problem):
    monkeypatch.setenv("TRACKER_PSEUDONYMS_KEY", variable)
    assert UsageTrackingMiddleware(play(), **settings).problem == problem


async def test_what_waits_is_stored_before_the_call_of_a_request_ends_where_that_is_asked_for(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db", flush_interval=3600, batch_size=1000)
    sent = []

    async def send(message):
        sent.append((message["type"], recorder.stats().stored))

    answer = ({"type": "http.response.start", "status": 200, "headers": []}, {"type": "http.response.body"})
    app = UsageTrackingMiddleware(play(*answer), recorder=recorder, flush="response")
    scope = {"type": "http", "method": "GET", "path": "/chat", "headers": []}
    await app(scope, None, send)
    assert recorder.stats() == (1, 1, 0, 0)
    assert recorder.close()
    assert [stored for _, stored in sent] == [0, 0], "the answer did not wait for it"


def test_a_refused_token_is_counted_once_for_each_request():
    async def routed(scope, receive, send):
        scope.update(route=route, endpoint=routed)
        for message in answer(200):
            await send(message)

    route = types.SimpleNamespace(path="/chat", endpoint=routed)
    kept, sent = Kept(), []
    middleware = UsageTrackingMiddleware(routed, recorder=kept, jwt_key="a key of more than 32 bytes, for tests")

    async def send(message):
        sent.append(message)

    for _ in range(3):
        asyncio.run(middleware(http(headers=[(b"authorization", b"Bearer a.b.c")]), None, send))
    assert [event.user for event in kept.events] == [ANONYMOUS] * 3
    assert [kind for kind, _ in kept.notes] == ["token_refused"] * 3
