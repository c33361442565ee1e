"""Where a request went, without the values in its path: the template of the route that answered, and its methods."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from tracker.event import UNMATCHED
from tracker.skipping import below
from tracker.templates import MAX_TEMPLATE, NOWHERE, Place, compiled, plain

Scope = MutableMapping[str, Any]

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"))
"""The methods that are recorded by name; any other is OTHER, since a client makes it up."""

MOUNTED = "/(mounted)"
"""Stands for the prefix of a mount whose template could not be found: the path itself may hold values."""

OWN = "(guardian)"
"""The place of Guardian's own pages, mounted in an app: nobody uses the app there."""

_MAX_WRAPPERS = 32
_MAX_PREFIXES = 8


def method_name(scope: Scope) -> str:
    """GET, POST …, OTHER for a method that HTTP does not know, WEBSOCKET for a WebSocket."""
    if scope["type"] == "websocket":
        return "WEBSOCKET"
    method = scope["method"]
    return method if method in METHODS else "OTHER"


def chosen_route(scope: Scope) -> Any:
    """The route that answered, as the last router left it in `scope`; None where that is a mount, or nothing at all.

    Starlette sets `scope["route"]`. FastAPI since 0.138 sets it to the route as its router knows it; the whole path is
    in the context beside it. Neither is taken back when an inner router takes over, so it counts only where
    `scope["endpoint"]`, which every router sets, is the route's own. Litestar sets `scope["path_template"]`, as do
    `tracker.django` and `tracker.quart`.
    """
    route = scope.get("route")
    if "fastapi" in scope:
        context = scope["fastapi"].get("effective_route_context")
        if context is not None and context.original_route is route:
            route = context
    if getattr(route, "endpoint", None) is scope.get("endpoint"):
        return route if route is not None else scope.get("path_template") or None
    return None


def place_of(scope: Scope, root: Any, path: str, root_path: str) -> Place:
    """The route that the app chose, read after it has run: `/api/threads/{id}`, mounts included.

    `root` is the outermost app, whose routes tell the templates of mounts. `path` and `root_path` are those with which
    the request came: an app may change them in place. A mounted app without routes of its own, such as StaticFiles, is
    its mount's template and `/*`. Where nothing was routed, because something in front of the router answered or
    failed, it is the route that the router would have chosen. NOWHERE where there is none. An ASGI app without a router
    is NOWHERE too, unless it sets `scope["route"]` or `scope["path_template"]` to a template, or the former to an
    object whose `path` is one: nothing else tells which parts of a path are values.
    """
    route = chosen_route(scope)
    leaf = route if isinstance(route, str) else getattr(route, "path", None)
    leaf = plain(leaf) if isinstance(leaf, str) and 0 < len(leaf) <= MAX_TEMPLATE else None
    methods = getattr(route, "methods", None)
    if leaf is not None and "app_root_path" not in scope:
        return Place(leaf, methods)
    frontend = scope["fastapi"].get("frontend_path") if "fastapi" in scope else None
    inside = below(path, root_path)
    endpoint, wanted = scope.get("endpoint"), method_name(scope)
    if endpoint is None and frontend is not None:
        # A folder that FastAPI serves: it is matched letter by letter, so the part before the file is the author's.
        return Place(inside[: len(inside) - len(frontend)].rstrip("/") + "/*")
    if endpoint is None and "router" in scope:
        return NOWHERE  # Starlette's router has looked, and found nothing
    routes = _routes(root)
    if leaf is None and endpoint is not None and (app := scope.get("app")) is not None and app is not root:
        # Starlette before 1.0 sets no route; its innermost app is in the scope, also where nothing else leads to it.
        inner = _find(_routes(app), below(path, scope.get("root_path", "")), wanted, endpoint, None, False)
        if inner is not None and inner != NOWHERE:
            leaf, methods = inner
    for _ in range(min(scope.get("root_path", "").count("/"), _MAX_PREFIXES) + 1):
        found = (
            _match(routes, inside, wanted)
            if endpoint is None
            else _find(routes, inside, wanted, endpoint, leaf, frontend is not None)
        )
        if found is not None:
            return found if found.methods is not None else Place(found.template, methods)
        # The tracked app may itself be mounted in another, whose prefix its own routes don't know.
        inside = "/" + inside[1:].partition("/")[2]
    return NOWHERE if leaf is None else Place(MOUNTED + leaf, methods)


def _find(routes: Iterable[Any], path: str, method: str, endpoint: Any, leaf: str | None, served: bool) -> Place | None:
    """The route by which `path` leads to `endpoint`, the way a router goes; None where it does not.

    `leaf` is the template's end where an app inside tells it, `served` whether its folder answered.
    """
    for route in _flat(routes):
        if getattr(route, "endpoint", None) is not None:
            found = _place(route) if route.endpoint is endpoint and route.path_regex.match(path) else None
        elif hasattr(route, "path_regex") and hasattr(route, "app"):  # Mount
            match = route.path_regex.match(path)
            if match is None:
                continue
            prefix, inner = plain(route.path), _routes(route.app)
            if route.app is endpoint:
                # The mount itself is all that matched: fine where it has no routes. Where it has, nothing inside was
                # reached, or nothing fits.
                if not inner or served:
                    return Place(prefix + "/*")
                return _under(prefix, _match(inner, "/" + match["path"], method)) or NOWHERE
            found = _find(inner, "/" + match["path"], method, endpoint, leaf, served)
            if found is None and not inner and leaf is not None:
                found = Place(leaf)
            found = _under(prefix, found)
        elif hasattr(route, "host_regex"):
            found = _find(_routes(route.app), path, method, endpoint, leaf, served)
        else:
            continue
        if found is not None:
            return found
    return None


def _match(routes: Iterable[Any], path: str, method: str) -> Place | None:
    """The route that a router would choose for a path; where none has the method, the first that has the path."""
    partial: Place | None = None
    for route in _flat(routes):
        if getattr(route, "endpoint", None) is not None:
            is_socket = not hasattr(route, "methods")
            if is_socket != (method == "WEBSOCKET") or not route.path_regex.match(path):
                continue
            found = _place(route)
            if is_socket or not found.methods or method in found.methods:
                return found
            partial = partial or found
        elif hasattr(route, "path_regex") and hasattr(route, "app"):  # Mount
            match = route.path_regex.match(path)
            if match is not None:
                if getattr(route.app, "is_guardian", False):
                    return Place(OWN)
                prefix, inner = plain(route.path), _routes(route.app)
                return _under(prefix, _match(inner, "/" + match["path"], method)) if inner else Place(prefix + "/*")
        elif (place := _bare_place(route, path)) is not None:
            if not place.methods or method in place.methods:
                return place
            partial = partial or place
        elif hasattr(route, "host_regex"):
            found_there = _match(_routes(route.app), path, method)
            if found_there is not None:
                return found_there
    return partial


def _bare_place(route: Any, path: str) -> Place | None:
    """The place of a route that has a template and no pattern, as Litestar's, if it leads there."""
    template = getattr(route, "path", None)
    if not isinstance(template, str) or not template.startswith("/") or hasattr(route, "path_regex"):
        return None
    if len(template) > MAX_TEMPLATE or not compiled(template).fullmatch(path):
        return None
    return Place(plain(template), getattr(route, "methods", None))


def every_place(app: Any) -> Iterable[tuple[Place, Any]]:
    """Each route of an app with the object that is its route, in the order in which a router tries them, mounts
    included. A mounted app without routes is one: `/static/*`."""
    for route in _flat(_routes(app)):
        if getattr(route, "endpoint", None) is not None:
            yield _place(route), route
        elif hasattr(route, "app"):
            prefix = plain(getattr(route, "path", "")) if hasattr(route, "path_regex") else ""
            inner = list(every_place(route.app))
            for place, each in inner:
                yield Place(prefix + place.template, place.methods), each
            if not inner:
                yield Place(prefix + "/*"), route


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes, those of FastAPI's include_router among them (since 0.138)."""
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from _flat(context.starlette_route or context for context in route.effective_route_contexts())
        else:
            yield route


def _place(route: Any) -> Place:
    return Place(plain(route.path), getattr(route, "methods", None))


def _under(prefix: str, found: Place | None) -> Place | None:
    if found is None or found.template in (UNMATCHED, OWN):
        return found
    return Place(prefix + found.template, found.methods)


def _routes(app: Any) -> Any:
    """The routes of an app, also where middleware lies around it; none where it has no router."""
    for _ in range(_MAX_WRAPPERS):
        if hasattr(app, "routes"):
            return app.routes or ()
        app = getattr(app, "app", None)
    return ()


def slash_redirected(root: Any, path: str, method: str) -> Place:
    """The route to which a router sends a request whose path has a slash at its end too few or too many."""
    other = path.rstrip("/") if path.endswith("/") else path + "/"
    return _match(_routes(root), other, method) or NOWHERE
