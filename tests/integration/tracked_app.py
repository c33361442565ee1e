"""Apps that uvicorn serves in tests: Starlette, and one without any framework."""

import os

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tracker import UsageTrackingMiddleware

KEY = "a key for tests, of more than thirty-two bytes"
SETTINGS = {"database": os.environ.get("TRACKED_DATABASE", "unused.db"), "jwt_key": KEY, "flush_interval": 0.2}


async def note(request):
    return PlainTextResponse("a note")


mounted = Starlette(routes=[Route("/notes/{note_id}", note)])
starlette = Starlette(routes=[Route("/notes/{note_id}", note), Mount("/org/{org_id}", mounted)])
starlette.add_middleware(UsageTrackingMiddleware, **SETTINGS)


async def plain(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


bare = UsageTrackingMiddleware(plain, **SETTINGS)
