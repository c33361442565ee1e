"""What a request was for: a name made of its route, or the one that the app's author gave it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from tracker.event import UNMATCHED
from tracker.notes import MAX_FEATURE
from tracker.routes import METHODS
from tracker.templates import plain

_CACHE_CAP = 10_000


class FeatureNames:
    """Names what a route is for. `/api/chat/message` is `chat_message`; a configured name wins.

    `configured` maps `"POST /api/threads"`, `"/api/threads"` or a prefix `"/api/admin/*"` to a name; the most exact
    entry counts. `style` "method" appends the method to a name that was not configured where `shared` says that several
    methods share its template: `threads_post`. Raises ValueError for a key of another form, an invalid name, and an
    unknown style.
    """

    def __init__(
        self,
        configured: Mapping[str, str] | None = None,
        *,
        style: str | None = None,
        shared: Callable[[], Collection[str]] = tuple,
    ) -> None:
        if style not in (None, "method"):
            raise ValueError(f'feature_names = {style!r} must be "method", or left out')
        if configured is not None and not isinstance(configured, Mapping):
            raise ValueError(
                f"features = {configured!r} must be a mapping, as in {{'POST /api/threads': 'thread_create'}}"
            )
        self._by_method = style == "method"
        self._shared = shared
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
            if not isinstance(name, str) or not name.strip() or len(name) > MAX_FEATURE or not name.isprintable():
                raise ValueError(f"features[{key!r}] = {name!r} must be a name, as in 'thread_create'")
            if path.endswith("*"):
                self._prefixes.append((method or None, plain(path[:-1]), name.strip()))
            else:
                self._exact[method or None, plain(path)] = name.strip()
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
        if self._by_method and endpoint in self._shared():
            return f"{default_name(endpoint)}_{method.lower()}"
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
