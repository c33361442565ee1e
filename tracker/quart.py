"""Route, user and exception of a Quart app: what only Quart knows, told to the middleware that `track(app)` sets up."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from quart import Quart, got_request_exception, got_websocket_exception, request, websocket
from werkzeug.exceptions import MethodNotAllowed

from tracker.middleware import UsageTrackingMiddleware
from tracker.notes import note_host


def track(app: Quart, database: str | os.PathLike[str] = "guardian.db", **settings: Any) -> Quart:
    """The app, which from now on records who used which route, and what failed: `track(app, database="guardian.db")`.

    `settings` are those of UsageTrackingMiddleware. The user is Quart-Auth's where the app has it; what the app says by
    `note_user` counts more.
    """

    # At teardown, not after the view: it runs for every answer, before its first byte is sent.
    @app.teardown_request
    async def note_request(_: BaseException | None) -> None:
        _note(app, request)

    @app.teardown_websocket
    async def note_websocket(_: BaseException | None) -> None:
        _note(app, websocket)

    # Quart turns exceptions into a 500 before we see them. Async, since Quart runs other receivers in a thread.
    async def note_request_error(_: Quart, exception: Exception, **__: Any) -> None:
        note_host(request, error=exception)

    async def note_websocket_error(_: Quart, exception: Exception, **__: Any) -> None:
        note_host(websocket, error=exception)

    got_request_exception.connect(note_request_error, app, weak=False)
    got_websocket_exception.connect(note_websocket_error, app, weak=False)
    app.asgi_app = UsageTrackingMiddleware(app.asgi_app, database, **settings)  # type: ignore[method-assign]
    return app


def _note(app: Quart, connection: Any) -> None:
    rule = _rule(app, connection)
    note_host(connection, route=None if rule is None else template(rule.rule), user=_signed_in())


def _rule(app: Quart, connection: Any) -> Any:
    """The rule of Werkzeug that the path leads to, also where it does not have the method; None where there is none."""
    refused = connection.routing_exception
    if connection.url_rule is None and isinstance(refused, MethodNotAllowed) and refused.valid_methods:
        adapter = app.create_url_adapter(connection)
        if adapter is not None:
            return adapter.match(method=next(iter(refused.valid_methods)), return_rule=True)[0]
    return connection.url_rule


def _signed_in() -> str | None:
    """Whom Quart-Auth has signed in by a cookie or token that it has checked; None where nobody is, or without it."""
    module = sys.modules.get("quart_auth")
    try:
        return None if module is None else module.current_user.auth_id
    except Exception:  # imported, but not used by the app
        return None


_VARIABLE = re.compile(r"<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>")  # as in werkzeug/routing/rules.py


def template(rule: str) -> str:
    """The template of a rule of Werkzeug: `/threads/<int:id>` is `/threads/{id}`."""
    return _VARIABLE.sub(r"{\1}", rule)
