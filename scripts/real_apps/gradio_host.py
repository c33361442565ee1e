"""Gradio behind a gateway that says who somebody is; the line of its own is `note_user`."""

import os

import gradio
from fastapi import FastAPI, Request

from tracker import UsageTrackingMiddleware


def shout(text):
    """The text in capitals."""
    if text == "fail":
        raise ValueError("no shouting")
    return text.upper()


def user_of(request: Request):
    """Whom the gateway names."""
    user = request.headers.get("x-person")
    if "TRACKED" in os.environ:
        from tracker import note_user

        note_user(request, user)
    return user


class QueueFailures:
    """The middleware of docs/tracker.md: notes the failures that Gradio's queue tells in its event stream."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Pass everything on."""

        async def look(message):
            body = message.get("body", b"")
            if b'"process_completed"' in body and b'"success":false' in body:
                from tracker import note_error

                note_error(scope, "queue error", failed=True)
            await send(message)

        await self.app(scope, receive, look)


demo = gradio.Interface(shout, "text", "text", api_name="shout")
app = FastAPI()
gradio.mount_gradio_app(app, demo, path="/demo", auth_dependency=user_of)
if "TRACKED" in os.environ:
    app.add_middleware(QueueFailures)
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"])
