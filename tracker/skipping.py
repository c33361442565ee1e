"""Which requests are not recorded: health checks, static files, documentation pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

DEFAULT_SKIP = (
    "/health", "/healthz", "/healthcheck", "/livez", "/readyz", "/ready", "/ping", "/metrics", "/docs", "/redoc",
    "/openapi.json", "/static", "/assets", "/favicon.ico", "/robots.txt",
)  # fmt: skip
"""Path prefixes, whole segments each, that are not recorded unless the app says otherwise."""

_ANY = r"(?:/[^/]+){1,3}"
_PLAIN = (
    r"(?:/(?:api|rest|v\d+|internal|system|status|services?|admin|backend|server|core|app|web|ui|www|site|public|client"
    r"|frontend|gateway|monitoring|actuator|dist|build|_\w+))+"
)
_UNDER_PREFIX = re.compile(
    rf"{_PLAIN}/(?:(?:health|healthcheck|health-check)(?:/(?:live|liveness|ready|readiness|startup|db))?|ready|ping)/?"
    rf"|{_ANY}/(?:healthz|livez|readyz)/?"
    rf"|{_ANY}/static/.+|{_PLAIN}/static/?"
    rf"|{_ANY}/assets/(?:.*/)?[^/]+\.\w{{1,8}}|(?!/api/){_PLAIN}/assets(?:/.*)?"
    rf"|{_ANY}/(?:favicon\.ico|openapi\.json)"
)
"""The same under a prefix: `/api/health`, `/ui/assets/app.js`. A word that may be a feature of the app, such as `ready`
or `assets`, counts only after words that name no feature, or before a file."""
DOUBTFUL = "doubtful"
"""The result for such a path: it is skipped unless one of the app's own routes, with parameters, answers it."""
_LONGEST = 2_048  # characters
_REMEMBERED, _CACHE_CAP = 200, 4_096


class PathFilter:
    """Tells the paths that are not to be recorded: those equal to a prefix, or below it, and with `defaults` the usual
    ones, also under another prefix.

    Raises ValueError for a prefix that does not start with a slash, and for a text in place of a list.
    """

    def __init__(self, skip: Iterable[str] = (), *, defaults: bool = False) -> None:
        if isinstance(skip, str):
            raise ValueError(f"skip = {skip!r} must be a list of paths, as in ['/health']")
        prefixes = (*skip, *(DEFAULT_SKIP if defaults else ()))
        self._defaults = defaults
        for prefix in prefixes:
            if not isinstance(prefix, str) or not prefix.startswith("/"):
                raise ValueError(f"skip = {prefix!r} must start with a slash, as in '/health'")
        plain = [prefix.rstrip("/") for prefix in prefixes]
        self._exact = frozenset(prefix or "/" for prefix in plain)
        self._below = tuple(prefix + "/" for prefix in plain if prefix)
        self.known: dict[str, bool | str] = {}

    def __call__(self, path: str) -> bool | str:
        """True for a path that is not to be recorded, or DOUBTFUL."""
        known = self.known.get(path)
        if known is None:
            known = path in self._exact or path.startswith(self._below)
            if not known and self._defaults and _is_usual(path):
                known = DOUBTFUL
            if len(path) <= _REMEMBERED:
                if len(self.known) >= _CACHE_CAP:
                    self.known.clear()
                self.known[path] = known
        return known

    def skips(self, scope: Scope) -> bool | str:
        """True for a request that is not to be recorded, or DOUBTFUL; what lies in front of the app (`root_path`) does
        not count."""
        path, root_path = scope["path"], scope.get("root_path")
        if root_path:
            path = below(path, root_path)
        known = self.known.get(path)  # inlined from above: a call would cost as much
        return self(path) if known is None else known


def _is_usual(path: str) -> bool:
    """Whether the path is one of the usual ones under a prefix."""
    return len(path) <= _LONGEST and _UNDER_PREFIX.fullmatch(path) is not None


def below(path: str, root_path: str) -> str:
    """The path as routers see it; ASGI's path has the server's root_path in front."""
    front = root_path.rstrip("/")
    return path[len(front) :] if path.startswith(front + "/") else path
