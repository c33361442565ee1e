"""Where a request went: endpoint, method and feature, read from the ASGI scope after the app has run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from tracker.copies import copies_of
from tracker.event import UNMATCHED
from tracker.features import FeatureNames
from tracker.notes import KEY, Notes
from tracker.routes import chosen_route, every_place, method_name, place_of, slash_redirected
from tracker.skipping import below
from tracker.templates import MAX_TEMPLATE, NOWHERE, Place, Templates

Scope = MutableMapping[str, Any]

_CACHE_CAP = 4_096
_REDIRECTS = (301, 302, 307, 308)
_LONGEST_KEY = 256  # characters of a template and a root_path that are remembered: the latter may hold values
_IN_VAIN, _AGAIN = 64, 256


class Places:
    """Tells endpoint, method and feature of requests. `root` is the outermost app, whose routes tell what mounts stand
    for: while a request is under way, the scope holds a mounted app in its place. `templates` are the routes of an app
    without a router; `features` and `feature_names` as in UsageTrackingMiddleware. Raises ValueError as those do."""

    def __init__(
        self,
        features: Mapping[str, str] | None = None,
        feature_names: str | None = None,
        templates: Templates | None = None,
    ) -> None:
        self.root: Any = None
        self._templates = templates
        self._features = FeatureNames(features, style=feature_names, shared=self._shared_templates)
        self._shared: Collection[str] | None = None
        self.seen: dict[tuple[int | str, str, str], tuple[str, str, str, Any]] = {}
        self._vain = 0

    def known(self, scope: Scope) -> tuple[str, str, str, Any] | None:
        """Endpoint, method and feature of a request whose route was seen before; None if `find` is needed.

        A route object stays the same over requests; root_path tells by which mount it was reached.
        """
        route = scope.get("route")
        if "fastapi" in scope:
            route = chosen_route(scope)
        elif route is None or getattr(route, "endpoint", None) is not scope.get("endpoint"):
            return None
        key = (
            route if type(route) is str else id(route),
            scope["method"] if scope["type"] == "http" else "WEBSOCKET",
            scope.get("root_path", ""),
        )
        return self.seen.get(key)

    def find(
        self, scope: Scope, path: str, root_path: str, status: int, host_route: str | None = None
    ) -> tuple[str, str, str, Any]:
        """Endpoint, method, feature and route of a request that came with `path` and was answered with `status`.

        `host_route` is the template that the shim of the app's framework has found. The method is OTHER where the route
        does not have it: clients can make methods up, and names are kept for good.
        """
        method = method_name(scope)
        if host_route is not None:
            # Where the framework's app is mounted, its template begins below the mount's.
            mount = place_of(scope, self.root, path, root_path).template if "app_root_path" in scope else ""
            return self._named(Place(mount.removesuffix("/*") + host_route), method, status, None)
        place = place_of(scope, self.root, path, root_path)
        if place == NOWHERE and self._templates is not None:
            place = self._templates.find(path)
        if place == NOWHERE and status in _REDIRECTS:
            place = slash_redirected(self.root, below(path, root_path), method)
        route = chosen_route(scope)
        found = self._named(place, method, status, route)
        mounted = scope.get("root_path", "")
        if route is not None and status != 405 and len(place.template) + len(mounted) <= _LONGEST_KEY:
            if len(self.seen) >= _CACHE_CAP:
                self.seen.clear()
            # Stored with the route object itself, so that its id is not reused.
            self.seen[route if isinstance(route, str) else id(route), method, mounted] = found
        return found

    def _named(self, place: Place, method: str, status: int, route: Any) -> tuple[str, str, str, Any]:
        endpoint = place.template if len(place.template) <= MAX_TEMPLATE else UNMATCHED
        foreign = method not in place.methods if place.methods else status == 405 and endpoint != UNMATCHED
        if foreign and method != "WEBSOCKET":
            method = "OTHER"
        return endpoint, method, self._features.name(method, endpoint), route

    def _shared_templates(self) -> Collection[str]:
        """The templates that several routes, or a route for several methods, stand for."""
        if self._shared is None:
            methods: dict[str, set[str]] = {}
            for place, _ in every_place(self.root):
                methods.setdefault(place.template, set()).update(place.methods or ())
            self._shared = {template for template, each in methods.items() if len(each - {"HEAD"}) > 1}
        return self._shared

    def whole(self, scope: Scope, notes: Notes, status: int, error: BaseException | None = None) -> Scope:
        """The scope with what was set on copies of it: the ASGI specification tells middleware to hand on a copy, and
        then neither route nor user can be seen in the original.

        The copies carry our notes. They are looked for in the frames that are sending, or have raised `error`, then
        among the newest objects. Where good answers never have any, as in an app without a router, they are seldom
        looked for.
        """
        if self._vain >= _IN_VAIN and self._vain % _AGAIN:
            self._vain += status < 400
            return scope
        copies = copies_of(scope, KEY, notes, error)
        if not copies:
            self._vain += status < 400  # an outer middleware's answer tells nothing
            return scope
        self._vain = 0
        copies.sort(key=lambda copy: (copy.get("endpoint") is not None, len(copy)))
        merged = dict(scope)
        for copy in copies:
            merged.update(copy)
        return merged

    def is_settled(self, scope: Scope) -> bool:
        """Whether the scope itself shows which route answered, or that no route matched."""
        if chosen_route(scope) is not None:
            return True
        return scope.get("endpoint") is None and "router" in scope
