"""Where an ASGI request went: endpoint, method and feature, read from its scope after the app has run."""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from tracker.event import UNMATCHED
from tracker.features import FeatureNames
from tracker.notes import KEY, Notes
from tracker.routes import MAX_TEMPLATE, NOWHERE, Templates, chosen_route, every_place, is_below, method_name, place_of

Scope = MutableMapping[str, Any]

_CACHE_CAP = 4_096
_LONGEST_ROOT = 256  # characters of a root_path that is remembered: it may hold values
_IN_VAIN, _AGAIN = 64, 256
_MOST_OBJECTS = 20_000


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
        self._known: dict[tuple[int, str, str], tuple[str, str, str, Any]] = {}
        self._vain = 0

    def find(
        self, scope: Scope, path: str, root_path: str, status: int, host_route: str | None = None
    ) -> tuple[str, str, str]:
        """Endpoint, method and feature of a request that came with `path` and was answered with `status`.

        `host_route` is the template that the shim of the app's framework has found.

        The method is OTHER where the route does not have it: a client makes it up, and names are kept for good.
        """
        route, method = chosen_route(scope), method_name(scope)
        if host_route is not None:
            return self._by_host(host_route, method, status)
        mounted = scope.get("root_path", "")
        key = (id(route), method, mounted)
        if route is not None:
            # A route object stays the same over requests; root_path tells by which mount it was reached.
            known = self._known.get(key)
            if known is not None and known[3] is route:
                return known[:3] if status != 405 else (known[0], *self._named(known[0], "OTHER"))
        place = place_of(scope, self.root, path, root_path)
        if place is NOWHERE and self._templates is not None:
            place = self._templates.find(path)
        endpoint = place.template if len(place.template) <= MAX_TEMPLATE else UNMATCHED
        if place.methods and method not in place.methods and method != "WEBSOCKET":
            method = "OTHER"
        found = (endpoint, *self._named(endpoint, method))
        if route is not None and not isinstance(route, str) and len(mounted) <= _LONGEST_ROOT:
            if len(self._known) >= _CACHE_CAP:
                self._known.clear()
            self._known[key] = (*found, route)  # the route too, which keeps its id from being given again
        if status == 405 and not place.methods and endpoint != UNMATCHED:
            return endpoint, *self._named(endpoint, "OTHER")
        return found

    def _by_host(self, route: str, method: str, status: int) -> tuple[str, str, str]:
        endpoint = route if len(route) <= MAX_TEMPLATE else UNMATCHED
        return endpoint, *self._named(endpoint, "OTHER" if status == 405 else method)

    def _named(self, endpoint: str, method: str) -> tuple[str, str]:
        return method, self._features.name(method, endpoint)

    def _shared_templates(self) -> Collection[str]:
        """The templates that several routes, or a route for several methods, stand for."""
        if self._shared is None:
            methods: dict[str, set[str]] = {}
            for place, _ in every_place(self.root):
                methods.setdefault(place.template, set()).update(place.methods or ())
            self._shared = {template for template, each in methods.items() if len(each - {"HEAD"}) > 1}
        return self._shared

    def whole(self, scope: Scope, notes: Notes) -> Scope:
        """The scope with what was set on copies of it: the ASGI specification tells middleware to hand on a copy, and
        then neither route nor user can be seen in the original.

        The copies carry our notes, so they are looked for among the newest objects, where no router has touched the
        original, or one in a mount may have a copy.
        """
        if "router" in scope or "path_template" in scope or scope.get("route") is not None:
            if not is_below(scope.get("endpoint")):
                return scope
        elif scope.get("endpoint") is not None:
            return scope
        if self._vain >= _IN_VAIN and self._vain % _AGAIN:
            self._vain += 1  # an app without a router, or whose middleware often answers by itself
            return scope
        copies = _copies(scope, notes)
        if not copies:
            self._vain += 1
            return scope
        self._vain = 0
        copies.sort(key=lambda copy: (copy.get("endpoint") is not None, len(copy)))
        merged = dict(scope)
        for copy in copies:
            merged.update(copy)
        return merged


def _copies(scope: Scope, notes: Notes) -> list[dict[str, Any]]:
    for generation in (0, 1):
        if gc.get_count()[generation] * (1 if generation == 0 else gc.get_threshold()[0]) > _MOST_OBJECTS:
            return []
        found = [
            each
            for each in gc.get_objects(generation)
            if type(each) is dict and each.get(KEY) is notes and each is not scope
        ]
        if found:
            return found
    return []
