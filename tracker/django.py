"""Route, user and exception of a Django app under ASGI: what only Django knows, told to the middleware around it.

MIDDLEWARE = ["tracker.django.RouteAndUser", …]                                      # settings.py, the first line
application = UsageTrackingMiddleware(get_asgi_application(), database="guardian.db")  # asgi.py
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.urls import Resolver404, resolve
from django.utils.functional import LazyObject, empty

from tracker.notes import note_host


class RouteAndUser:
    """A Django middleware, for sync and async: notes route, user and exception of each request. It changes nothing.

    First in `MIDDLEWARE` it also knows the route of what an inner middleware answers by itself (a 503, a 429). The user
    is the one of `request.user`, or of Django REST framework's request, if the app has asked for it by then: it never
    runs a query, so a request in whose view nobody asked who the user is stays anonymous. What the app says by
    `note_user` counts more. Under WSGI it does nothing.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Django's response to `request`, or what is awaited for it."""
        if self._is_async:
            return self._awaited(request)
        response = self._get_response(request)
        _note(request)
        return response

    def process_exception(self, request: Any, exception: BaseException) -> None:
        """Note an exception from a view that no other middleware answered, since Django's 500 does not reveal it."""
        if hasattr(request, "scope"):
            note_host(request.scope, error=exception)

    async def _awaited(self, request: Any) -> Any:
        response = await self._get_response(request)
        _note(request)
        return response


def _note(request: Any) -> None:
    scope = getattr(request, "scope", None)  # Django's ASGIRequest has one, its WSGIRequest has none
    if scope is not None:
        note_host(scope, route=_route(request), user=loaded_user(request))


def _route(request: Any) -> str | None:
    """The template of the view that answered or would have; None if the path matches none."""
    match = request.resolver_match
    if match is None:
        try:
            match = resolve(request.path_info, getattr(request, "urlconf", None))
        except Resolver404:
            return None
    return template(match.route)


def loaded_user(request: Any) -> str | None:
    """The address, the login name or else the id of the user that the app has asked for; None where there is none.

    Reads only what is loaded and never queries the database: a deferred field counts as missing.
    """
    user = vars(request).get("user")
    if isinstance(user, LazyObject):
        user = vars(user)["_wrapped"]
        if user is empty:
            user = vars(request).get("_acached_user")  # where `await request.auser()` keeps it
    if user is None or getattr(user, "is_authenticated", False) is not True:
        return None
    fields = vars(user)
    payload = getattr(fields.get("token"), "payload", None)  # simplejwt's TokenUser: a checked token, no row
    if isinstance(payload, dict):
        names = [payload.get("email"), payload.get("username"), user.pk]
    else:
        own = (getattr(type(user), key, None) for key in ("EMAIL_FIELD", "USERNAME_FIELD"))
        names = [fields.get(key) for key in (*filter(None, own), "email", "username", "id")]
    found = [str(name) for name in names if name not in (None, "")]
    return next((name for name in found if "@" in name), found[0] if found else None)


_CONVERTER = re.compile(r"<(?:[^<>:]+:)?(\w+)>")
_IS_REGEX = re.compile(r"[\\^$()\[]")
_QUANTIFIER = re.compile(r"(?:[?*+]|\{\d*,?\d*\})[?+]?")
_UNNAMED = "{var}"  # as in Django's admindocs


def template(route: str) -> str:
    """The template of `ResolverMatch.route`: `threads/<int:id>/` is `/threads/{id}/`; those of `re_path()` likewise.

    An unnamed part, or one with alternatives, becomes `{var}`.
    """
    plain = _CONVERTER.sub(r"{\1}", route) if not _IS_REGEX.search(route) else _of_regex(route)
    return "/" + plain.lstrip("/")


def _of_regex(route: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(route):
        char = route[at]
        part, end = char, at + 1
        if char == "\\":
            following = route[at + 1 : at + 2]
            part, end = "" if following in "AZbB" else _UNNAMED if following in "dDwWsS" else following, at + 2
        elif char == "(":
            end = _closing(route, at)
            part = _of_group(route[at + 1 : end - 1])
        elif char == "[":
            part, end = _UNNAMED, _closing(route, at)
        elif char in "^$":
            part = ""
        elif char == "<" and (converter := _CONVERTER.match(route, at)):
            part, end = "{" + converter[1] + "}", converter.end()
        quantifier = _QUANTIFIER.match(route, end)
        if quantifier:
            end = quantifier.end()
            if char == "." or (len(part) == 1 and quantifier[0][0] != "?"):
                part = _UNNAMED
        if not (part == _UNNAMED and parts and parts[-1] == _UNNAMED):
            parts.append(part)
        at = end
    return "".join(parts)


def _of_group(inside: str) -> str:
    named = re.match(r"\?P<(\w+)>", inside)
    if named:
        return "{" + named[1] + "}"
    if inside.startswith("?:") and "|" not in inside:
        return _of_regex(inside[2:])
    return "" if re.match(r"\?(?:[=!#]|<[=!]|[aiLmsux-]+$)", inside) else _UNNAMED


def _closing(route: str, at: int) -> int:
    """The position after the bracket that closes the one at `at`; the end of the text if none does."""
    if route[at] == "[":
        end = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]").match(route, at)
        return end.end() if end else len(route)
    depth = 0
    while at < len(route):
        if route[at] == "\\":
            at += 1
        elif route[at] == "[":
            at = _closing(route, at) - 1
        elif route[at] in "()":
            depth += 1 if route[at] == "(" else -1
            if depth == 0:
                return at + 1
        at += 1
    return len(route)
