"""`guardian check --app`: the feature of each route of an app, and the settings of its tracker. The app is imported and
its routers are read; no handler is called, no request sent, no lifespan started.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from guardian.application.check.app_import import AppError, load_app, noting
from guardian.application.check.app_routes import AppRoute, every_route, layers
from guardian.application.check.app_tracking import (
    RouteLine,
    Tracked,
    declared_middleware,
    known_routes,
    route_lines,
    tracked_parts,
)
from guardian.application.check.names import matching_nothing
from guardian.core.finding import Finding
from guardian.settings.schema import Settings
from guardian.stores.opening import shown
from tracker.address import database_path, is_file
from tracker.features import FeatureNames

_IDENTITY = {
    "identify": "the app's own function (identify)",
    "jwt_key": "bearer tokens checked with jwt_key",
    "jwks": "bearer tokens checked with jwks",
    "jwt_cookie": "tokens in a cookie (jwt_cookie)",
    "jwt_query": "tokens in the query of a WebSocket (jwt_query)",
    "jwt_subprotocol": "tokens in the subprotocol of a WebSocket (jwt_subprotocol)",
    "session_user_key": "the session (session_user_key)",
    "gateway_header": "the header of a trusted gateway (gateway_header)",
}
"""For each argument of the middleware, where it takes users' names from."""

_FOLDERS = ("StaticFiles", "frontend")
"""Mounted apps below which there are only files."""


def look_at_app(
    target: str, settings: Settings | None, *, factory: bool = False
) -> tuple[list[Finding], list[RouteLine]]:
    """The findings about the app `module:app`, and its routes; `factory` means that the name is a function to call.
    `settings` are the daemon's; None skips comparisons with them.
    """
    with noting() as noted:
        try:
            app = load_app(target, factory=factory)
        except AppError as error:
            return [Finding("app", "error", str(error))], []
        parts = list(tracked_parts(app, noted))
    if not parts:
        return [_no_middleware(target, app, settings)], _sorted(route_lines(Tracked(app, "", {}), "not tracked"))
    lines = _sorted(line for part in parts for line in route_lines(part))
    found = [*_overview(target, parts, lines)]
    for part in parts:
        found += [*_of_arguments(part), *_unknown(part), *_database(part, settings)]
        if not part.problem:  # a misconfigured tracker knows no users
            found += _identity(part, app, noted.imported)
    names = {line.feature for line in lines if not line.skipped}
    if names and settings is not None:
        unless = ", unless the app gives that name by name_feature" if noted.imported("name_feature") else ""
        found += matching_nothing(settings, names, f"matches no route of the app{unless}")
    return found, lines


def _sorted(lines: Iterable[RouteLine]) -> list[RouteLine]:
    return sorted(lines, key=lambda line: line.route)


def _no_middleware(target: str, app: Any, settings: Settings | None) -> Finding:
    name = target.partition(":")[2].partition("(")[0] or "app"
    file = shown(settings.database) if settings else "guardian.db"
    if any(hasattr(layer, "add_middleware") for layer in layers(app)):
        line = f'{name}.add_middleware(UsageTrackingMiddleware, database="{file}")'
    else:
        line = f'{name} = UsageTrackingMiddleware({name}, database="{file}")'
    what = f"{target} has no UsageTrackingMiddleware that can be seen, so nothing of it is recorded"
    return Finding("app", "error", f"{what}: add from tracker import UsageTrackingMiddleware and {line}")


def _overview(target: str, parts: Sequence[Tracked], lines: Sequence[RouteLine]) -> Iterator[Finding]:
    recorded = len({line.route for line in lines if not line.skipped})
    if not lines:
        cure = 'set routes=["/the/{template}", …] where it has no router, else call name_feature(request, "name")'
        text = f"{target} is tracked, but has no routes that can be read, so nothing is known of its features: {cure}"
        yield Finding("app", "warning", text)
    elif not recorded:
        yield Finding("app", "warning", f"{target} is tracked, but skip leaves out each of its routes: check skip")
    else:
        skipped = len({line.route for line in lines}) - recorded
        more = f", {skipped:,} skipped" if skipped else ""
        yield Finding("app", "ok", f"{target} is tracked: {recorded:,} route{'s' * (recorded != 1)} recorded{more}")
    if all(part.prefix for part in parts):
        only = ", ".join(sorted(part.prefix for part in parts))
        cure = f"add the middleware to {target} itself, or leave it so if that is meant"
        yield Finding(
            "app", "warning", f"only what is mounted under {only} is recorded, and without that prefix: {cure}"
        )


def _of_arguments(part: Tracked) -> Iterator[Finding]:
    """What is wrong with the arguments of a middleware."""
    if part.problem:
        yield Finding("app", "error", f"UsageTrackingMiddleware: {part.problem}")
    features = part.arguments.get("features")
    routes = known_routes(part)
    for key in features if isinstance(features, Mapping) and routes else ():
        if not _leads(str(key), routes):
            known = [f"{m} {route.template}".strip() for route in routes for m in ("", *route.methods)]
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]!r}?" if near else "write a route's template, as the list shows it"
            yield Finding("features", "warning", f"features has {key!r}, which is not a route of the app: {cure}")


def _unknown(part: Tracked) -> Iterator[Finding]:
    """Mounted apps without a readable router, each of which counts as one feature."""
    for route in every_route(part.app):
        if route.opaque and route.opaque not in _FOLDERS and not route.guardians_own:
            text = (
                f"the routes under {route.template} are not known, since {route.opaque} has no router that can be read"
            )
            yield Finding("app", "warning", f"{text}: all of it is one feature, unless the app calls name_feature")


def _leads(key: str, routes: Iterable[AppRoute]) -> bool:
    """Whether a key of `features` matches one of the routes; True for a malformed key, which is reported elsewhere."""
    try:
        names = FeatureNames({key: "(found)"})
    except ValueError:
        return True
    asked = ((method, route.template) for route in routes for method in route.methods or ("",))
    return any(names.name(*each) == "(found)" for each in asked)


def _database(part: Tracked, settings: Settings | None) -> Iterator[Finding]:
    """Whether the app records into the file that the daemon reads."""
    given = part.arguments.get("database", "guardian.db")
    if part.arguments.get("recorder") is not None:
        yield Finding("app", "ok", "records through a recorder of its own, whose file is not looked at")
        return
    try:
        file = database_path(given)
    except ValueError as error:
        if not part.problem:
            yield Finding("app", "error", f"UsageTrackingMiddleware: {error}")
        return
    if settings is None:
        yield Finding("app", "ok", f"records into {file}")
    elif _same(file, shown(settings.database)):
        yield Finding("app", "ok", f"records into {file}, which Guardian reads")
    else:
        cure = f'set database="{shown(settings.database)}" there, or database in guardian.toml'
        seen = ", seen from this folder" if is_file(file) and not os.path.isabs(os.fspath(given)) else ""
        kind = "file" if is_file(file) and isinstance(settings.database, Path) else "database"
        yield Finding("app", "warning", f"the app records into another {kind}: {file}{seen}: {cure}")


def _same(one: str, other: str) -> bool:
    if not is_file(one) or not is_file(other):
        return one == other
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist yet
        return os.path.realpath(one) == os.path.realpath(other)


def _identity(part: Tracked, app: Any, imported: Callable[[str], bool]) -> Iterator[Finding]:
    """Where the names of users will come from."""
    known = [text for name, text in _IDENTITY.items() if part.arguments.get(name)]
    classes = {cls.__name__ for layer in layers(part.app) for cls, _, _ in declared_middleware(layer)}
    classes |= {type(layer).__name__ for layer in layers(app)}
    if "AuthenticationMiddleware" in classes:
        known.append("request.user, which AuthenticationMiddleware sets")
    if imported("note_user"):
        known.append("note_user, which the app imports")
    if known:
        yield Finding("identity", "ok", "users are known by " + ", ".join(known))
        if part.arguments.get("jwks") and not part.arguments.get("jwt_audience"):
            text = "jwt_audience is not set, so tokens that name an audience are refused, as most providers' do"
            yield Finding("identity", "warning", f"{text}: set it to the audience of this app's tokens")
        return
    if "SessionMiddleware" in classes:
        text = "everybody will be anonymous, though the app has sessions"
        cure = "set session_user_key to the key that holds the user, or call note_user(request, user)"
        yield Finding("identity", "warning", f"{text}: {cure}")
        return
    cure = "call note_user(request, user) where the app knows its user, or set identify, jwt_key or jwks"
    text = "everybody will be anonymous, unless the app itself sets request.state.user or scope['user']"
    yield Finding("identity", "warning", f"{text}: {cure}")
