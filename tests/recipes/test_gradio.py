"""Gradio: the queue answers 200 whatever becomes of the call, and tells the failure in its stream of events."""

import json

import pytest

pytest.importorskip("gradio")

import gradio
from fastapi import FastAPI, Request

from tracker import UsageTrackingMiddleware, note_error, note_user


class QueueFailures:
    """Notes a failure that Gradio's queue tells in its event stream."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def look(message):
            body = message.get("body", b"")
            if b'"process_completed"' in body and b'"success":false' in body:
                note_error(scope, "queue error", failed=True)
            await send(message)

        await self.app(scope, receive, look)


def user_of(request: Request):
    user = {"key-ann": "ann@example.com"}.get(request.headers.get("x-key", ""))
    note_user(request, user)
    return user


def test_failures_in_the_queue_and_users_are_known(database, drive, asking, rows):
    def shout(text):
        if text == "fail":
            raise gradio.Error("secret of a client")
        return text.upper()

    app = FastAPI()
    demo = gradio.Interface(shout, "text", "text", api_name="shout")
    gradio.mount_gradio_app(app, demo, path="/demo", auth_dependency=user_of)
    app.add_middleware(QueueFailures)
    app.add_middleware(UsageTrackingMiddleware, database=database)
    headers = {"content-type": "application/json", "x-key": "key-ann"}

    async def work(app):
        for text in ("fine", "fail"):
            body = json.dumps({"data": [text]}).encode()
            joined = await asking(app, "POST", "/demo/gradio_api/call/shout", headers=headers, body=body)
            assert joined.status == 200, joined.body
            event = json.loads(joined.body)["event_id"]
            await asking(app, "GET", f"/demo/gradio_api/call/shout/{event}", headers=headers)
            body = json.dumps({"data": [text], "fn_index": 0, "session_hash": text}).encode()
            joined = await asking(app, "POST", "/demo/gradio_api/queue/join", headers=headers, body=body)
            assert joined.status == 200, joined.body
            seen = await asking(app, "GET", f"/demo/gradio_api/queue/data?session_hash={text}", headers=headers)
            assert (b'"success":false' in seen.body) == (text == "fail")
        assert (await asking(app, "GET", "/demo/gradio_api/queue/data?session_hash=x")).status == 401

    drive(app, work)
    recorded = rows("user_email", "endpoint", "status_code", "success")
    assert [row for row in recorded if row[1].endswith("data")] == [
        ("ann@example.com", "/demo/gradio_api/queue/data", 200, 1),
        ("ann@example.com", "/demo/gradio_api/queue/data", 200, 0),
        ("anonymous", "/demo/gradio_api/queue/data", 401, 0),
    ]
    assert ("ann@example.com", "/demo/gradio_api/call/{api_name}", 200, 1) in recorded
