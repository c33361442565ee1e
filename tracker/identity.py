"""Who sent a request: only what has been verified counts."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from tracker.event import ANONYMOUS

if TYPE_CHECKING:
    from tracker.tokens import TokenVerifier

Scope = MutableMapping[str, Any]
log = logging.getLogger("tracker")

MAX_NAME = 320
"""RFC 5321, 4.5.3.1: 64 octets, the @, 255 octets."""
_CACHE_CAP = 2_048
_MAX_HEADER = 8_192 + len("bearer ")
_REFUSED_SECONDS = 10.0
_ACCEPTED_SECONDS = 300.0
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself would double the time that `import tracker` takes


class Identity:
    """Names the user of a request, in this order: `identify(scope)`; `scope["user"]` where it is authenticated; claims
    that the app put into `scope["state"]` (`claims` or `user`); a bearer token that `tokens` accepts; `gateway_header`
    where one is set; else `anonymous`.

    What `identify` returns is final unless it is None. The header must only be named where a trusted gateway
    overwrites it; one that comes twice counts for nothing. Raises ValueError for an async `identify`.
    """

    def __init__(
        self,
        *,
        identify: Callable[[Scope], str | None] | None = None,
        tokens: TokenVerifier | None = None,
        gateway_header: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if getattr(getattr(identify, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
            raise ValueError(f"identify = {identify!r} must be a plain function, not async: it is not awaited")
        self._identify = identify
        self._tokens = tokens
        self._gateway = gateway_header.lower().encode("latin-1") if gateway_header else None
        self._clock = clock
        self._known: dict[bytes, tuple[str, float]] = {}
        self._refused: dict[bytes, float] = {}
        self._complained = False

    def user(self, scope: Scope) -> str:
        """The verified user in lower case, or `anonymous`; never raises."""
        try:
            if self._identify is not None:
                given = self._identify(scope)
                if given is not None:
                    return self._identified(given)
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
                        name = known[0] if known is not None and known[1] > self._clock() else self._verify(value)
                        if name != ANONYMOUS:
                            return name
                        break
            if self._gateway is not None:
                values = [value for header, value in scope["headers"] if header == self._gateway]
                if len(values) == 1:
                    return _text_name(values[0]) or ANONYMOUS
        except Exception as error:
            # Never with its message or traceback, which may hold what a client sent.
            self._complain(f"{type(error).__name__} was raised")
        return ANONYMOUS

    def _identified(self, given: Any) -> str:
        name = clean_name(given)
        if name is None and given != ANONYMOUS:
            self._complain(f"identify returned {type(given).__name__}, which is no name of 1 to {MAX_NAME} characters")
            if hasattr(given, "close"):
                given.close()  # a coroutine, which would complain of its own
        return name or ANONYMOUS

    def _verify(self, value: bytes) -> str:
        """The user of an Authorization header that is not known, or no longer."""
        from tracker.tokens import InvalidToken

        assert self._tokens is not None
        now = self._clock()
        if value[:7].lower() != b"bearer " or len(value) > _MAX_HEADER or self._refused.get(value, -math.inf) > now:
            return ANONYMOUS
        try:
            claims = self._tokens.claims(value[7:].decode("ascii"))
        except (InvalidToken, UnicodeDecodeError):
            # Apart from the accepted ones, or else a flood of made-up tokens would push those out.
            _make_room(self._refused)
            self._refused[value] = now + _REFUSED_SECONDS
            return ANONYMOUS
        name = _claimed(claims) or ANONYMOUS
        _make_room(self._known)
        # Not for as long as the token itself may last: its key may be withdrawn.
        self._known[value] = (name, min(claims.get("exp", math.inf), now + _ACCEPTED_SECONDS))
        return name

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            log.error("The tracker could not tell who a user is (%s): it counts as anonymous. This is said once.", what)


def _make_room(cache: dict[bytes, Any]) -> None:
    """Forget the older half of a full cache."""
    if len(cache) >= _CACHE_CAP:
        for old in list(cache)[: _CACHE_CAP // 2]:
            cache.pop(old, None)


def _text_name(value: bytes) -> str | None:
    try:
        return clean_name(value.decode())
    except UnicodeDecodeError:
        return None


def clean_name(name: Any) -> str | None:
    """The name as it is stored: stripped, in lower case, 1 to 320 characters that a text file can hold; else None."""
    if not isinstance(name, str):
        return None
    name = str.strip(name).lower()
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name == ANONYMOUS:
        return None
    return name


def _authenticated(user: Any) -> str | None:
    """The name of a Starlette user (starlette.authentication), or of any object alike."""
    if getattr(user, "is_authenticated", False) is not True:  # elsewhere it is a method, which would always be truthy
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
    """The address in claims, or in an object with an `email`; the subject where the address is not there or not proved.

    `email_verified` false (OpenID Connect Core, 5.1) means that anybody could have given that address as theirs.
    """
    if isinstance(claims, Mapping):
        proved = claims.get("email_verified") not in (False, "false")
        return (clean_name(claims.get("email")) if proved else None) or clean_name(claims.get("sub"))
    return clean_name(getattr(claims, "email", None))
