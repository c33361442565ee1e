"""Removes a prefix that a proxy passes on, if the server does not know about it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class KeptPrefix:
    """Takes the path of `public_url` off requests that come with it (pure ASGI), as a mount would.

    A proxy that strips it sends what one of `routes` knows: such a path is left as it is, and so is one of a server
    that was told its root_path. A prefix may be called as one of our own pages is: then a path whose rest is a page
    has it, though it could be the name of something, as /mail/people could be the mail "people"; but /people alone is
    the page, and with a slash behind it the prefix.
    """

    def __init__(self, app: ASGIApp, *, public_url: str, routes: Sequence[Route]) -> None:
        self.app, self.routes = app, routes
        self.prefix = unquote(urlsplit(public_url).path).rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self.prefix and scope["type"] == "http" and not scope.get("root_path") and self._came(scope):
            path = scope["path"] if scope["path"] != self.prefix else f"{self.prefix}/"
            scope = {**scope, "root_path": self.prefix, "path": path}
        await self.app(scope, receive, send)

    def _came(self, scope: Scope) -> bool:
        path = str(scope["path"])
        if not f"{path}/".startswith(f"{self.prefix}/"):
            return False
        whole = self._known(scope)
        return whole == 0 or self._known({**scope, "path": path.removeprefix(self.prefix) or "/"}) > whole

    def _known(self, scope: Scope) -> int:
        """2 for a path that stands in the table, 1 for one that fits what a row leaves open, 0 for one of no route."""
        found = (1 if "{" in each.path else 2 for each in self.routes if each.matches(scope)[0] is not Match.NONE)
        return max(found, default=0)
