"""Notes that only the app can make about a request: who sent it, what it was for, and that it failed despite a 200."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

KEY = "guardian.notes"
"""The key of the scope under which a request's notes travel: one object, so that a copy of the scope has it too."""
MAX_FEATURE = 100
"""The most characters of a feature's name."""


class Notes:
    """The app's notes about one request, and under `host_…` those of its framework's shim. `touched` is True once there
    is any. `inner` is the identity of an inner tracking middleware that left the request to the outer one.
    """

    touched = False
    user: str | None = None
    nameless = False  # a user was noted who has no name
    feature: str | None = None
    misnamed = False  # a feature was given an invalid name
    text: str | None = None
    failed = False
    host_error: BaseException | None = None
    host_route: str | None = None
    host_user: Any = None
    left_out = False
    inner: Any = None


def notes_of(request: Any) -> Notes:
    """The notes of a request, made where there are none yet; `request` is an ASGI scope, or anything that has one.

    What has none, as a request under WSGI, gets notes that nobody reads: a note never raises into the app.
    """
    scope: Any = request if isinstance(request, MutableMapping) else getattr(request, "scope", None)
    if not isinstance(scope, MutableMapping):
        return Notes()
    notes = scope.get(KEY)
    if not isinstance(notes, Notes):
        notes = scope[KEY] = Notes()
    notes.touched = True
    return notes


def note_user(request: Any, user: Any) -> None:
    """Say who sent a request: `note_user(request, user)`, in the dependency, endpoint or middleware that knows it.

    `user` is a text, a number, or a mapping, row, proxy or object with one of the usual names (see docs/tracker.md);
    what it is called is read at once. It counts before all but `identify`. None takes it back; what has no name counts
    for nothing, and is counted. Only pass on whom the app has verified. `request` is a request or WebSocket of
    Starlette, FastAPI, Litestar, Quart or Django, or the ASGI scope.
    """
    from tracker.names import names_of

    notes = notes_of(request)
    try:
        notes.user = None if user is None else names_of(user, trusted=True).best
        notes.nameless = user is not None and notes.user is None
    except Exception:
        notes.user, notes.nameless = None, True


def note_error(request: Any, text: str | None = None, *, failed: bool = False) -> None:
    """Say more of an error than its status does: `note_error(request, "quota used up")`.

    With `failed` the request counts as a server error though its answer is good, as GraphQL, JSON-RPC, MCP and streams
    answer: the status stays what it is, and `success` is 0. Only a text that is a literal in the app's own code is
    stored, so a text with a value in it is not.
    """
    notes = notes_of(request)
    if isinstance(text, str):
        notes.text = text
    if failed:
        notes.failed = True


def name_feature(request: Any, name: str) -> None:
    """Say which feature a request used, where its route does not tell: `name_feature(request, "chat")`.

    A name of 1 to 100 printable characters that begins with no bracket; anything else is not taken, and counted. Use
    few names: they are kept for good.
    """
    notes = notes_of(request)
    text = name.strip() if isinstance(name, str) else ""
    if 1 <= len(text) <= MAX_FEATURE and text.isprintable() and not text.startswith("("):
        notes.feature = text
    else:
        notes.misnamed = True


def note_host(request: Any, *, route: str | None = None, user: Any = None, error: BaseException | None = None) -> None:
    """Say what a framework knows that leaves nothing in the scope; for `tracker.django` and `tracker.quart`.

    `route` is a finished template, `/threads/{id}/`. `user` is one whom the framework has verified: it counts like the
    scope's user, after what the app itself noted. `error` is an exception that the framework answers by itself.
    """
    notes = notes_of(request)
    if route is not None:
        notes.host_route = route
    if user is not None:
        notes.host_user = user
    if error is not None:
        notes.host_error = error


def leave_out(request: Any) -> None:
    """Let a request not be recorded at all: Guardian's own pages, mounted in an app, are nobody's use of that app."""
    notes_of(request).left_out = True
