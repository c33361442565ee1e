"""An httplib2 client that sends a request once, and knows whether it has. Imported only where Gmail is used.

httplib2 by itself repeats a request when the connection breaks before the answer (`Http._conn_request`), and no mail
may be sent twice without the outbox knowing.
"""

from __future__ import annotations

from typing import Any

import httplib2


class SentAlready(Exception):
    """A repeated request whose first attempt may have arrived."""


class _Once:
    """Mixed into a connection: refuses everything after the first request."""

    begun = False

    def connect(self) -> None:
        """Open the connection. Raises SentAlready after a request."""
        if self.begun:
            raise SentAlready
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **more: Any) -> None:
        """Send the request. Raises SentAlready after the first."""
        if self.begun:
            raise SentAlready
        self.begun = True
        super().request(*args, **more)  # type: ignore[misc]


class _Plain(_Once, httplib2.HTTPConnectionWithTimeout):
    pass


class _Encrypted(_Once, httplib2.HTTPSConnectionWithTimeout):
    pass


class OneRequest(httplib2.Http):
    """For one request; `sent` says afterwards whether any of it may have reached the server."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self.follow_redirects = False

    def request(self, uri: str, *args: Any, **more: Any) -> Any:
        """See httplib2.Http.request."""
        return super().request(uri, *args, connection_type=_Encrypted if uri.startswith("https:") else _Plain, **more)

    @property
    def sent(self) -> bool:
        """Whether the request was begun on an open connection."""
        return any(connection.begun for connection in self.connections.values())
