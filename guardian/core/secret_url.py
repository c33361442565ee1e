"""A URL that may contain a secret: a password before the host, or a token in the path or query."""

from __future__ import annotations

from urllib.parse import urlsplit


class SecretUrl:
    """A URL that shows only its scheme and host in every form (`str`, `repr`, log, JSON); `reveal` gives all of it."""

    __slots__ = ("_address",)

    def __init__(self, address: str) -> None:
        self._address = address

    def reveal(self) -> str:
        """The whole URL, for making the request."""
        return self._address

    @property
    def holds_secret(self) -> bool:
        """Whether it contains a user, a password or a query. A path alone proves nothing."""
        try:
            parts = urlsplit(self._address)
        except ValueError:
            return True  # nobody can say
        return "@" in parts.netloc or bool(parts.query)

    def __str__(self) -> str:
        return shown_url(self._address)

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)


def shown_url(address: str) -> str:
    """Scheme and host of an address, in small letters; "…" where it has none."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return "…"
    if not host:
        return "…"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"
