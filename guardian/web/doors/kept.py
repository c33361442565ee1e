"""The prefix of a proxy that hands it on: taken off where the server was not told of it."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send


class KeptPrefix:
    """Takes the path of `public_url` off requests that come with it (pure ASGI), as a mount would.

    A proxy that strips it sends what one of `routes` knows: such a path is left as it is (also where a prefix is called
    as one of our own pages is), and so is one of a server that was told its root_path.
    """

    def __init__(self, app: ASGIApp, *, public_url: str, routes: Sequence[BaseRoute]) -> None:
        self.app, self.routes = app, routes
        self.prefix = unquote(urlsplit(public_url).path).rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self.prefix and scope["type"] == "http" and not scope.get("root_path") and self._came(scope):
            path = scope["path"] if scope["path"] != self.prefix else f"{self.prefix}/"
            scope = {**scope, "root_path": self.prefix, "path": path}
        await self.app(scope, receive, send)

    def _came(self, scope: Scope) -> bool:
        if not f"{scope['path']}/".startswith(f"{self.prefix}/"):
            return False
        return all(route.matches(scope)[0] is Match.NONE for route in self.routes)
