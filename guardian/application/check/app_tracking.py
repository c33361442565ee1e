"""How an app is tracked: each UsageTrackingMiddleware in it with its arguments, and the features of its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardian.application.check.app_import import Noted
from guardian.application.check.app_routes import AppRoute, every_route, layers, mounted_apps
from tracker import UsageTrackingMiddleware
from tracker.features import FeatureNames
from tracker.skipping import PathFilter
from tracker.templates import plain

_MAX_DEPTH = 8


@dataclass(frozen=True)
class RouteLine:
    """One route by the template that is recorded; `methods` empty means any.

    Where only a mounted app is tracked, the mount's own prefix is not in the template, as the tracker cannot know it.
    `feature` is the name that it has in reports, `skipped` why it is not recorded, "" where it is.
    """

    methods: tuple[str, ...]
    route: str
    feature: str
    skipped: str = ""


@dataclass(frozen=True)
class Tracked:
    """One middleware: the app whose routes it sees, under which mount ("" for the app itself), with which arguments.

    `problem` is what is wrong with these, in a sentence, or None.
    """

    app: Any
    prefix: str
    arguments: Mapping[str, Any]
    problem: str | None = None


def tracked_parts(app: Any, noted: Noted, prefix: str = "", depth: int = 0) -> Iterator[Tracked]:
    """Every outermost tracking middleware of an app and of the apps mounted in it. `noted` has the arguments of those
    created at import. Middleware that is only declared is created once, around an app that is never called, because its
    settings are checked there.
    """
    for layer in layers(app):
        if isinstance(layer, UsageTrackingMiddleware):
            yield Tracked(layer.app, prefix, noted.arguments(layer) or {}, getattr(layer, "problem", None))
            return
        for cls, args, kwargs in _declared(layer):
            yield _made(layer, prefix, cls, args, kwargs, noted)
            return
    if depth < _MAX_DEPTH:
        for below, inner in mounted_apps(app):
            yield from tracked_parts(inner, noted, prefix + below, depth + 1)


def declared_middleware(app: Any) -> Iterator[tuple[Any, Sequence[Any], Mapping[str, Any]]]:
    """The class and the arguments of each middleware that an app declares, as Starlette and Litestar do it."""
    for name in ("user_middleware", "middleware"):
        declared = getattr(app, name, None)
        for entry in declared if isinstance(declared, list | tuple) else ():
            cls = getattr(entry, "cls", None) or getattr(entry, "middleware", None)
            if isinstance(cls, type):
                kwargs = getattr(entry, "kwargs", None) or getattr(entry, "options", None) or {}
                yield cls, getattr(entry, "args", ()), kwargs


def _declared(app: Any) -> Iterator[tuple[Any, Sequence[Any], Mapping[str, Any]]]:
    return (each for each in declared_middleware(app) if issubclass(each[0], UsageTrackingMiddleware))


def _made(app: Any, prefix: str, cls: Any, args: Sequence[Any], kwargs: Mapping[str, Any], noted: Noted) -> Tracked:
    try:
        made = cls(_never_called, *args, **kwargs)
    except Exception as error:  # the app's own class may raise anything
        return Tracked(app, prefix, dict(kwargs), (str(error).splitlines() or [type(error).__name__])[0])
    return Tracked(app, prefix, noted.arguments(made) or dict(kwargs), getattr(made, "problem", None))


async def _never_called(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("an app that is only looked at is never called")


def known_routes(tracked: Tracked) -> list[AppRoute]:
    """The routes that a middleware sees, including those of its argument `routes` for apps without a router."""
    told = tracked.arguments.get("routes") or ()
    templates = [] if isinstance(told, str) else [plain(str(each)) for each in told]
    return list(dict.fromkeys([*every_route(tracked.app), *(AppRoute(each, ()) for each in templates)]))


def route_lines(tracked: Tracked, why_not: str = "") -> list[RouteLine]:
    """The routes that a middleware sees, each with its feature; a route has a line for each name that it has.

    `why_not` says why none of them is recorded.
    """
    routes = known_routes(tracked)
    skips, names = _filter(tracked.arguments), _names(tracked.arguments, routes)
    lines: dict[RouteLine, None] = {}
    for route in routes:
        skipped = why_not or ("Guardian's own" if route.guardians_own else "skip" if skips(route.template) else "")
        by_name: dict[str, list[str]] = {}
        for method in route.methods or ("",):
            by_name.setdefault(names.name(method, route.template), []).append(method)
        for name, methods in by_name.items():
            lines[RouteLine(tuple(filter(None, methods)), route.template, name, skipped)] = None
    return list(lines)


def _filter(arguments: Mapping[str, Any]) -> Callable[[str], bool | str]:
    defaults = arguments.get("skip_defaults", True)
    try:
        skips = PathFilter(arguments.get("skip", ()), defaults=defaults)
    except (ValueError, TypeError):  # the middleware's `problem` says it
        skips = PathFilter(defaults=defaults)
    return lambda template: skips(template.replace("*", "file"))


def _names(arguments: Mapping[str, Any], routes: Sequence[AppRoute]) -> FeatureNames:
    methods: dict[str, set[str]] = {}
    for route in routes:
        methods.setdefault(route.template, set()).update(route.methods)
    shared = {template for template, each in methods.items() if len(each) > 1}
    try:
        return FeatureNames(arguments.get("features"), style=arguments.get("feature_names"), shared=lambda: shared)
    except (ValueError, TypeError, AttributeError):  # the middleware's `problem` says it
        return FeatureNames()
