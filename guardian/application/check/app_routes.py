"""The routes of an app, read from its routers. No handler runs and no request is made.

Templates are those that the tracker records (`tracker.routes.place_of`): mounts included, without convertors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from tracker.templates import plain

_MAX_DEPTH = 32
_WRAPPED = ("app", "asgi_app", "application", "other_asgi_app", "_app")
"""The attributes in which common middleware keeps the app it wraps."""


@dataclass(frozen=True)
class AppRoute:
    """One route. `methods` are those that it answers, WEBSOCKET for a WebSocket; empty means any method.

    A HEAD that comes with GET is not named. `opaque` is the class of a mounted app without routes that can be read,
    such as StaticFiles; what it answers is recorded under the mount's template and `/*`. None for an ordinary route.
    """

    template: str
    methods: tuple[str, ...]
    opaque: str | None = None
    guardians_own: bool = False


def every_route(app: Any) -> list[AppRoute]:
    """Every route of an app in the order of its routers, mounts and hosts included; of several alike, the first.

    Read are the routers of Starlette, FastAPI (included routers and frontends too) and Litestar, through middleware
    round them. An empty list means that nothing is known: a bare ASGI app, or one with another router.
    """
    return list(dict.fromkeys(_routes_of(app, "", 0)))


def mounted_apps(app: Any) -> Iterator[tuple[str, Any]]:
    """The apps that the router of an app mounts or has hosts for, each with the prefix of its templates."""
    for route in chain.from_iterable(_own_routes(layer) or () for layer in layers(app)):
        contexts = route.effective_route_contexts() if hasattr(route, "effective_route_contexts") else ()
        for each in (route, *(context.starlette_route for context in contexts)):
            if getattr(each, "endpoint", None) is None and hasattr(each, "app"):
                yield plain(getattr(each, "path", "")), each.app


def layers(app: Any) -> Iterator[Any]:
    """An app and what it wraps, from the outside in, as far as that can be seen without running anything: through
    attributes with the usual names, from bound methods to their objects, and from functions to the apps in their
    closures.
    """
    seen: set[int] = set()
    for _ in range(_MAX_DEPTH):
        if app is None or id(app) in seen:
            return
        seen.add(id(app))
        yield app
        app = next((each for each in _inner(app) if id(each) not in seen), None)


def _inner(app: Any) -> Iterator[Any]:
    owner = getattr(app, "__self__", None)
    if owner is not None:
        yield owner
    if _own_routes(app) is not None:
        return  # a router: what it answers with is in its routes
    held = getattr(app, "__dict__", {})
    yield from (held[name] for name in _WRAPPED if callable(held.get(name)))
    for cell in getattr(app, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        if (
            callable(value)
            and not isinstance(value, type)
            and (_own_routes(value) is not None or "app" in _held(value))
        ):
            yield value


def _held(value: Any) -> dict[str, Any]:
    return getattr(value, "__dict__", None) or {}


def _own_routes(app: Any) -> list[Any] | None:
    """The routes of the router that an app is or has; None where it has none."""
    try:
        routes = app.routes
    except Exception:  # a property of somebody else's class, or no such attribute
        return None
    return list(routes) if isinstance(routes, Iterable) and not isinstance(routes, str | bytes) else None


def _routes_of(app: Any, prefix: str, depth: int) -> Iterator[AppRoute]:
    for layer in layers(app):
        routes = _own_routes(layer)
        if routes is not None:
            late = getattr(getattr(layer, "router", layer), "_low_priority_routes", ())  # FastAPI's frontends
            for route in (*routes, *late):
                yield from _expanded(route, prefix, depth)
            return


def _expanded(route: Any, prefix: str, depth: int) -> Iterator[AppRoute]:
    if depth > _MAX_DEPTH:  # an app that is mounted in itself
        return
    if hasattr(route, "effective_route_contexts"):  # FastAPI's include_router, since 0.138
        for context in route.effective_route_contexts():
            yield from _expanded(context.starlette_route or context, prefix, depth + 1)
        for context in getattr(route, "effective_low_priority_routes", tuple)():
            for each in context.original_route.routes:
                yield _folder(prefix + context.frontend_prefix + each.path, "frontend")
    elif hasattr(route, "scope_type"):
        yield _of_litestar(route, prefix)
    elif getattr(route, "endpoint", None) is not None:
        yield AppRoute(prefix + plain(route.path), _methods(route))
    elif hasattr(route, "path_regex") and hasattr(route, "app"):
        yield from _mounted(route, prefix, depth)
    elif hasattr(route, "host_regex"):
        yield from _routes_of(route.app, prefix, depth + 1)
    elif hasattr(route, "routes"):  # a group of FastAPI's frontends
        for each in route.routes:
            yield _folder(prefix + each.path, "frontend")


def _mounted(mount: Any, prefix: str, depth: int) -> Iterator[AppRoute]:
    below = prefix + plain(mount.path)
    inner = list(_routes_of(mount.app, below, depth + 1))
    if inner:
        yield from inner
        return
    *_, last = layers(mount.app)
    if _own_routes(last) is None:  # a router without routes answers nothing
        kind = type(last)
        name = last.__name__ if hasattr(last, "__name__") else kind.__name__
        yield AppRoute(below + "/*", (), name, guardians_own=kind.__module__.startswith("guardian."))


def _folder(path: str, kind: str) -> AppRoute:
    return AppRoute(path.rstrip("/") + "/*", ("GET",), kind)


def _of_litestar(route: Any, prefix: str) -> AppRoute:
    path, kind = prefix + plain(route.path_format), str(route.scope_type.value)
    if kind == "websocket":
        return AppRoute(path, ("WEBSOCKET",))
    if kind == "asgi":
        return AppRoute(path, (), type(route).__name__)
    made = {"OPTIONS"} if len(route.methods) > 1 else set()  # Litestar adds it to every route
    return AppRoute(path, _sorted(set(route.methods) - made))


def _methods(route: Any) -> tuple[str, ...]:
    methods = getattr(route, "methods", None)
    if methods:
        return _sorted(methods)
    if "WebSocket" in type(route).__name__:
        return ("WEBSOCKET",)
    answered = (name for name in ("get", "post", "put", "patch", "delete", "options") if hasattr(route.endpoint, name))
    return _sorted(name.upper() for name in answered) if isinstance(route.endpoint, type) else ()


def _sorted(methods: Iterable[str]) -> tuple[str, ...]:
    named = {str(method).upper() for method in methods}
    return tuple(sorted(named - {"HEAD"} if "GET" in named else named))
