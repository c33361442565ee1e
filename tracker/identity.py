"""Who sent a request: only what has been verified counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from tracker.event import ANONYMOUS

if TYPE_CHECKING:
    from tracker.tokens import TokenVerifier

Scope = MutableMapping[str, Any]
log = logging.getLogger("tracker")

_CACHE = 2_048
_REFUSED_SECONDS = 30.0
_MAX_NAME = 320  # RFC 5321, 4.5.3.1: 64 octets, the @, 255 octets


class Identity:
    """Names the user of a request, in this order: `identify(scope)`; `scope["user"]` where it is authenticated; claims
    that the app put into `scope["state"]` (`claims` or `user`); a bearer token that `tokens` accepts; `gateway_header`
    where one is set; else `anonymous`."""

    def __init__(
        self,
        *,
        identify: Callable[[Scope], str | None] | None = None,
        tokens: TokenVerifier | None = None,
        gateway_header: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identify = identify
        self._tokens = tokens
        self._gateway = gateway_header.lower().encode("latin-1") if gateway_header else None
        self._clock = clock
        self._known: dict[bytes, tuple[str, float]] = {}
        self._complained = False

    def user(self, scope: Scope) -> str:
        """The verified user in lower case, or `anonymous`; never raises."""
        try:
            return self._user(scope)
        except Exception:
            if not self._complained:
                self._complained = True
                log.exception("The tracker could not tell who a user is: it counts as anonymous. This is said once.")
            return ANONYMOUS

    def _user(self, scope: Scope) -> str:
        if self._identify is not None:
            name = clean_name(self._identify(scope))
            if name is not None:
                return name
        if "user" in scope:
            name = _authenticated(scope["user"])
            if name is not None:
                return name
        state = scope.get("state")
        if state:
            for key in ("claims", "user"):
                name = _claimed(state.get(key))
                if name is not None:
                    return name
        if self._tokens is not None:
            for header, value in scope["headers"]:
                if header == b"authorization":
                    known = self._known.get(value)
                    return known[0] if known is not None and known[1] > self._clock() else self._verify(value)
        if self._gateway is not None:
            for header, value in scope["headers"]:
                if header == self._gateway:
                    return clean_name(value.decode("utf-8", "replace")) or ANONYMOUS
        return ANONYMOUS

    def _verify(self, value: bytes) -> str:
        from tracker.tokens import InvalidToken

        assert self._tokens is not None
        name, until = ANONYMOUS, self._clock() + _REFUSED_SECONDS
        if value[:7].lower() == b"bearer ":
            try:
                claims = self._tokens.claims(value[7:].decode("ascii"))
                name, until = _claimed(claims) or ANONYMOUS, float(claims["exp"])
            except (InvalidToken, UnicodeDecodeError, KeyError, TypeError, ValueError, OverflowError):
                pass
        if len(self._known) >= _CACHE:
            for old in list(self._known)[: _CACHE // 2]:
                del self._known[old]
        self._known[value] = (name, until)
        return name


def clean_name(name: Any) -> str | None:
    """The name as it is stored: stripped, in lower case, 1 to 320 characters that a text file can hold; else None."""
    if type(name) is not str:
        return None
    name = name.strip().lower()
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable() or name == ANONYMOUS:
        return None
    return name


def _authenticated(user: Any) -> str | None:
    """The name of a Starlette user (starlette.authentication), or of any object alike."""
    if not getattr(user, "is_authenticated", False):
        return None
    for attribute in ("email", "identity", "username", "display_name"):
        try:
            name = clean_name(getattr(user, attribute, None))
        except NotImplementedError:  # Starlette's BaseUser.identity
            continue
        if name is not None:
            return name
    return None


def _claimed(claims: Any) -> str | None:
    """The address in claims, or in an object with an `email`."""
    if isinstance(claims, Mapping):
        return clean_name(claims.get("email")) or clean_name(claims.get("sub"))
    return clean_name(getattr(claims, "email", None))
