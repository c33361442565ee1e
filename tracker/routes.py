"""Where a request went, without the values in its path: the route's template, a feature's name, the method."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from tracker.event import UNMATCHED

Scope = MutableMapping[str, Any]

DEFAULT_SKIP = (
    "/health", "/healthz", "/livez", "/readyz", "/ready", "/ping", "/metrics", "/docs", "/redoc", "/openapi.json",
    "/static", "/assets", "/favicon.ico", "/robots.txt",
)  # fmt: skip
"""Path prefixes, whole segments each, that are not recorded unless the app says otherwise."""

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"))
"""The methods that are recorded by name; any other is OTHER, since a client makes it up."""

_CACHE_CAP = 10_000


def method_name(scope: Scope) -> str:
    """GET, POST …, OTHER for a method that HTTP does not know, WEBSOCKET for a WebSocket."""
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    method = scope["method"]
    return method if method in METHODS else "OTHER"


class PathFilter:
    """Tells the paths that are not to be recorded: those equal to a prefix, or below it."""

    def __init__(self, skip: Iterable[str]) -> None:
        """Raises ValueError for a prefix that does not start with a slash."""
        prefixes = tuple(skip)
        for prefix in prefixes:
            if not prefix.startswith("/"):
                raise ValueError(f"skip = {prefix!r} must start with a slash, as in '/health'")
        self._exact = frozenset(prefix.rstrip("/") or "/" for prefix in prefixes)
        self._below = tuple(prefix.rstrip("/") + "/" for prefix in prefixes if prefix != "/")
        # One look-up of its first characters settles nearly every path that is recorded.
        self._length = min((len(prefix) for prefix in self._below), default=1)
        self._heads = frozenset(prefix[: self._length] for prefix in (*self._exact, *self._below))

    def __call__(self, path: str) -> bool:
        """True for a path that is not to be recorded."""
        return path[: self._length] in self._heads and (path in self._exact or path.startswith(self._below))


def route_template(scope: Scope, root: Any = None) -> str:
    """The template of the route that the app chose, read after it has run: `/api/threads/{id}`, mounts included.

    `root` is the outermost app, whose routes tell the templates of mounts. `(unmatched)` where no route was chosen,
    and for apps without routes unless they set `scope["route"]` to an object with a `path`. A mounted app without
    routes of its own, such as StaticFiles, is its mount's template and `/*`.
    """
    route = scope.get("route")
    context = scope.get("fastapi")
    if context:
        # FastAPI since 0.138: `route` knows its path within its router only, this one the whole of it.
        route = context.get("effective_route_context") or route
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(path, str):
        return UNMATCHED
    mounted = scope.get("root_path", "")[len(scope.get("app_root_path", "")) :] if "app_root_path" in scope else ""
    if not mounted:
        return _plain(path)
    prefix = mount_template(getattr(root, "routes", None) or (), scope["path"][len(scope["app_root_path"]) :], mounted)
    if hasattr(route, "app") and not hasattr(route, "methods"):
        # The mount itself is all that matched: fine where it has no routes, a 404 where it has.
        return UNMATCHED if getattr(route, "routes", None) else (prefix or MOUNTED) + "/*"
    return _plain((prefix if prefix is not None else MOUNTED) + path)


MOUNTED = "/(mounted)"
"""Stands for the prefix of a mount whose template could not be found: the path itself may hold values."""


def mount_template(routes: Iterable[Any], path: str, mounted: str) -> str | None:
    """The template of the mounts that took `mounted` off the front of `path`; None where they cannot be found."""
    if not mounted:
        return ""
    for route in routes:
        inner = getattr(route, "routes", None)
        regex = getattr(route, "path_regex", None)
        if regex is None or getattr(route, "app", None) is None:
            if inner and hasattr(route, "host_regex"):
                found = mount_template(inner, path, mounted)
                if found is not None:
                    return found
            continue
        match = regex.match(path)
        if not match:
            continue
        rest = match.groupdict().get("path", "")
        taken = path[: len(path) - len(rest)].rstrip("/")
        if mounted == taken:
            return route.path
        if mounted.startswith(taken + "/"):
            found = mount_template(inner or (), "/" + rest.lstrip("/"), mounted[len(taken) :])
            if found is not None:
                return route.path + found
    return None


_CONVERTOR = re.compile(r":\w+}")


@lru_cache(maxsize=_CACHE_CAP)
def _plain(path: str) -> str:
    """A template without convertors: {id:int} is {id}."""
    return _CONVERTOR.sub("}", path)


class FeatureNames:
    """Names what a route is for. `/api/chat/message` is `chat_message`; a configured name wins.

    `configured` maps `"POST /api/threads"`, `"/api/threads"` or a prefix `"/api/admin/*"` to a name; the most exact
    entry counts. Raises ValueError for another form of key.
    """

    def __init__(self, configured: Mapping[str, str] | None = None) -> None:
        self._exact: dict[tuple[str | None, str], str] = {}
        self._prefixes: list[tuple[str | None, str, str]] = []
        for key, name in (configured or {}).items():
            method, _, path = key.strip().rpartition(" ")
            method = method.strip().upper()
            if not path.startswith("/") or (method and method not in METHODS | {"WEBSOCKET", "OTHER"}):
                raise ValueError(
                    f"features[{key!r}] must be a path with or without a method, as in 'POST /api/threads'"
                )
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"features[{key!r}] = {name!r} must be a name, as in 'thread_create'")
            if path.endswith("*"):
                self._prefixes.append((method or None, path[:-1], name.strip()))
            else:
                self._exact[method or None, path] = name.strip()
        self._prefixes.sort(key=lambda entry: (-len(entry[1]), entry[0] is None))
        self._known: dict[tuple[str, str], str] = {}

    def name(self, method: str, endpoint: str) -> str:
        """The feature of a route."""
        key = (method, endpoint)
        known = self._known.get(key)
        if known is None:
            known = self._find(method, endpoint)
            if len(self._known) >= _CACHE_CAP:
                self._known.clear()
            self._known[key] = known
        return known

    def _find(self, method: str, endpoint: str) -> str:
        for key in ((method, endpoint), (None, endpoint)):
            if key in self._exact:
                return self._exact[key]
        for wanted, prefix, name in self._prefixes:
            if endpoint.startswith(prefix) and wanted in (None, method):
                return name
        return default_name(endpoint)


def default_name(endpoint: str) -> str:
    """A name made of the template's fixed parts, without `api`, versions and parameters; `home` where none is left."""
    if endpoint == UNMATCHED:
        return UNMATCHED
    parts = [part for part in endpoint.split("/") if part and "{" not in part and part != "*"]
    while parts and (parts[0] == "api" or (parts[0][0] == "v" and parts[0][1:].isdigit())):
        parts.pop(0)
    name = "_".join(parts).replace("-", "_").replace(".", "_").lower()
    return name or "home"
