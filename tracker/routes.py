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

MOUNTED = "/(mounted)"
"""Stands for the prefix of a mount whose template could not be found: the path itself may hold values."""

_CACHE_CAP = 10_000
_MAX_WRAPPERS = 32


def method_name(scope: Scope) -> str:
    """GET, POST …, OTHER for a method that HTTP does not know, WEBSOCKET for a WebSocket."""
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    method = scope["method"]
    return method if method in METHODS else "OTHER"


class PathFilter:
    """Tells the paths that are not to be recorded: those equal to a prefix, or below it."""

    def __init__(self, skip: Iterable[str]) -> None:
        """Raises ValueError for a prefix that does not start with a slash, and for a text in place of a list."""
        if isinstance(skip, str):
            raise ValueError(f"skip = {skip!r} must be a list of paths, as in ['/health']")
        prefixes = tuple(skip)
        for prefix in prefixes:
            if not isinstance(prefix, str) or not prefix.startswith("/"):
                raise ValueError(f"skip = {prefix!r} must start with a slash, as in '/health'")
        plain = [prefix.rstrip("/") for prefix in prefixes]
        self._exact = frozenset(prefix or "/" for prefix in plain)
        self._below = tuple(prefix + "/" for prefix in plain if prefix)
        # One look-up of its first characters settles nearly every path that is recorded.
        self._length = min((len(prefix) for prefix in self._below), default=1)
        self._heads = frozenset(prefix[: self._length] for prefix in (*self._exact, *self._below))

    def __call__(self, path: str) -> bool:
        """True for a path that is not to be recorded."""
        return path[: self._length] in self._heads and (path in self._exact or path.startswith(self._below))

    def skips(self, scope: Scope) -> bool:
        """True for a request that is not to be recorded. What lies in front of the app (`root_path`) does not count."""
        path, root_path = scope["path"], scope.get("root_path")
        if root_path:
            path = _below(path, root_path)
        # As above, once more: a call costs as much as the look.
        return path[: self._length] in self._heads and (path in self._exact or path.startswith(self._below))


def chosen_route(scope: Scope) -> Any:
    """The route that answered, as the last router left it in `scope`; None where that is a mount, or nothing at all.

    Starlette sets `scope["route"]`. FastAPI since 0.138 sets it to the route as its router knows it; the whole path is
    in the context beside it. Neither is taken back when an inner router takes over, so it counts only where
    `scope["endpoint"]`, which every router sets, is the route's own.
    """
    route = scope.get("route")
    if "fastapi" in scope:
        context = scope["fastapi"].get("effective_route_context")
        if context is not None and context.original_route is route:
            route = context
    return route if getattr(route, "endpoint", None) is scope.get("endpoint") else None


def route_template(scope: Scope, root: Any = None) -> str:
    """The template of the route that the app chose, read after it has run: `/api/threads/{id}`, mounts included.

    `root` is the outermost app, whose routes tell the templates of mounts. A mounted app without routes of its own,
    such as StaticFiles, is its mount's template and `/*`. `(unmatched)` where no route was chosen. An ASGI app
    without a router is `(unmatched)` too, unless it sets `scope["route"]` to a template, or to an object whose `path`
    is one: nothing else tells which parts of a path are values.
    """
    route = chosen_route(scope)
    leaf = route if isinstance(route, str) else getattr(route, "path", None)
    leaf = _plain(leaf) if isinstance(leaf, str) and leaf else None
    if leaf is not None and "app_root_path" not in scope:
        return leaf
    frontend = scope["fastapi"].get("frontend_path") if "fastapi" in scope else None
    mounted = scope.get("root_path", "")
    path = _below(scope["path"], scope.get("app_root_path", mounted))
    endpoint = scope.get("endpoint")
    if endpoint is None:
        # A folder that FastAPI serves: it is matched letter by letter, so the part before the file is the author's.
        return UNMATCHED if frontend is None else path[: len(path) - len(frontend)].rstrip("/") + "/*"
    routes = _routes(root)
    for _ in range(mounted.count("/") + 1):
        found = _find(routes, path, endpoint, leaf, frontend is not None)
        if found is not None:
            return found
        # The tracked app may itself be mounted in another, whose prefix its own routes don't know.
        path = "/" + path[1:].partition("/")[2]
    return UNMATCHED if leaf is None else MOUNTED + leaf


def _find(routes: Iterable[Any], path: str, endpoint: Any, leaf: str | None, served: bool) -> str | None:
    """The template by which `path` leads to `endpoint`, the way a router goes; None where it does not.

    `leaf` is the template's end where an app inside tells it, `served` whether its folder answered.
    """
    for route in routes:
        if hasattr(route, "effective_route_contexts"):  # FastAPI's include_router
            included = (context.starlette_route or context for context in route.effective_route_contexts())
            found = _find(included, path, endpoint, leaf, served)
        elif getattr(route, "endpoint", None) is not None:
            found = _plain(route.path) if route.endpoint is endpoint and route.path_regex.match(path) else None
        elif hasattr(route, "path_regex") and hasattr(route, "app"):  # Mount
            match = route.path_regex.match(path)
            if match is None:
                continue
            prefix, inner = _plain(route.path), _routes(route.app)
            if route.app is endpoint:
                # The mount itself is all that matched: fine where it has no routes, a 404 where it has.
                return UNMATCHED if inner and not served else prefix + "/*"
            below = _find(inner, "/" + match["path"], endpoint, leaf, served)
            if below is None and not inner:
                below = leaf
            found = UNMATCHED if below == UNMATCHED else None if below is None else prefix + below
        elif hasattr(route, "host_regex"):
            found = _find(_routes(route.app), path, endpoint, leaf, served)
        else:
            continue
        if found is not None:
            return found
    return None


def _routes(app: Any) -> Iterable[Any]:
    """The routes of an app, also where middleware lies around it; none where it has no router."""
    for _ in range(_MAX_WRAPPERS):
        if hasattr(app, "routes"):
            return app.routes or ()
        app = getattr(app, "app", None)
    return ()


def _below(path: str, root_path: str) -> str:
    """The path as routers see it; ASGI's path has the server's root_path in front."""
    front = root_path.rstrip("/")
    return path[len(front) :] if path.startswith(front + "/") else path


_CONVERTOR = re.compile(r":\w+}")


@lru_cache(maxsize=_CACHE_CAP)
def _plain(path: str) -> str:
    """A template without convertors: {id:int} is {id}."""
    return _CONVERTOR.sub("}", path)


class FeatureNames:
    """Names what a route is for. `/api/chat/message` is `chat_message`; a configured name wins.

    `configured` maps `"POST /api/threads"`, `"/api/threads"` or a prefix `"/api/admin/*"` to a name; the most exact
    entry counts. Raises ValueError for another form of key, and for a name that is none.
    """

    def __init__(self, configured: Mapping[str, str] | None = None) -> None:
        self._exact: dict[tuple[str | None, str], str] = {}
        self._prefixes: list[tuple[str | None, str, str]] = []
        for key, name in (configured or {}).items():
            method, _, path = str(key).strip().rpartition(" ")
            method = method.strip().upper()
            if not path.startswith("/") or (method and method not in METHODS | {"WEBSOCKET", "OTHER"}):
                raise ValueError(
                    f"features[{key!r}] = {name!r}: the key must be a path with or without a method, "
                    "as in 'POST /api/threads'"
                )
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"features[{key!r}] = {name!r} must be a name, as in 'thread_create'")
            if path.endswith("*"):
                self._prefixes.append((method or None, _plain(path[:-1]), name.strip()))
            else:
                self._exact[method or None, _plain(path)] = name.strip()
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
            if wanted in (None, method) and (endpoint + "/").startswith(prefix):
                return name
        return default_name(endpoint)


_VERSION = re.compile(r"v\d+", re.IGNORECASE)


def default_name(endpoint: str) -> str:
    """A name made of the template's fixed parts, without `api`, versions and parameters; `home` for `/`.

    Where nothing else is left, the name is made of those: `/{slug}` is `slug`.
    """
    if endpoint == UNMATCHED:
        return UNMATCHED
    parts = [part for part in endpoint.split("/") if part not in ("", "*")]
    fixed = [part for part in parts if "{" not in part and part != "api" and not _VERSION.fullmatch(part)]
    return re.sub(r"(?:[^\w()]|_)+", "_", "_".join(fixed or parts)).strip("_").lower() or "home"
