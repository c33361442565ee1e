"""The tokens that a request carries, and whom they name: each is checked once and remembered for a while."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tracker.names import NOBODY, ORDER, Names, names_of

if TYPE_CHECKING:
    from tracker.tokens import TokenVerifier

Scope = MutableMapping[str, Any]
T = TypeVar("T")

_PREFIX = re.compile(rb"^bearer(?: |\+|%20)+", re.IGNORECASE)
_MAX_TOKEN = 8_192
_MAX_BYTES = 2_000_000
"""The most bytes of tokens remembered, separately for accepted and refused ones."""
_REFUSED_SECONDS = 10.0
_ACCEPTED_SECONDS = 300.0


class Bearer:
    """Finds tokens in the Authorization header, and, where configured, in a `cookie`, in a `query` parameter of a
    WebSocket, or among its subprotocols. Takes the user from the first of `claims` that is there, or from the usual
    claims. `refused` is called with the reason each time a token is rejected.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        refused: Callable[[str], None],
        *,
        claims: Iterable[str] | None = None,
        cookie: str | None = None,
        query: str | None = None,
        subprotocol: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._tell = refused
        self._order = ORDER if claims is None else tuple(claims)
        self._cookie = None if cookie is None else cookie.encode() + b"="
        self._query = None if query is None else query.encode() + b"="
        self._subprotocol = subprotocol
        self._clock = clock
        self._known = _Memory[Names]()
        self._refused = _Memory[str]()

    def names(self, scope: Scope) -> Names:
        """The user whom the first valid token names; nobody if there is none."""
        for header, value in scope["headers"]:
            if header == b"authorization":
                known = self._known.entries.get(value)
                if known is not None and known[1] > self._clock():
                    return known[0]
                if value[:7].lower() == b"bearer " and (found := self._verify(value, value[7:].strip())) is not None:
                    return found
                break
        if self._cookie is None and (scope["type"] != "websocket" or not (self._query or self._subprotocol)):
            return NOBODY
        for token in self._elsewhere(scope):
            found = self._verify(token, token)
            if found is not None:
                return found
        return NOBODY

    def _elsewhere(self, scope: Scope) -> Iterator[bytes]:
        if self._cookie is not None:
            for header, value in scope["headers"]:
                if header == b"cookie":
                    for pair in value.split(b";"):
                        if (pair := pair.strip()).startswith(self._cookie):
                            token = pair[len(self._cookie) :].strip(b'"')
                            yield _PREFIX.sub(b"", token)
        if scope["type"] != "websocket":
            return
        if self._query is not None:
            for pair in scope.get("query_string", b"").split(b"&"):
                if pair.startswith(self._query):
                    yield _PREFIX.sub(b"", pair[len(self._query) :])
        if self._subprotocol:
            for offered in scope.get("subprotocols") or ():
                if offered.count(".") >= 2:  # three parts (RFC 7515, 3.1); some apps put a prefix in front of them
                    yield ".".join(offered.split(".")[-3:]).encode()

    def _verify(self, key: bytes, token: bytes) -> Names | None:
        """Whom a token names; None where it is refused."""
        from tracker.tokens import InvalidToken

        now = self._clock()
        known = self._known.entries.get(key)
        if known is not None and known[1] > now:
            return known[0]
        why = self._refused.entries.get(key)
        if why is not None and why[1] > now:
            self._tell(why[0])
            return None
        try:
            if len(token) > _MAX_TOKEN:
                raise InvalidToken(f"the token has more than {_MAX_TOKEN} characters")
            claims = self._verifier.claims(token.decode("ascii"))
        except (InvalidToken, UnicodeDecodeError) as error:
            sentence = str(error) if isinstance(error, InvalidToken) else "the token is not valid"
            # Kept apart from accepted ones, so that a flood of made-up tokens cannot push those out.
            self._refused.put(key, sentence, now + _REFUSED_SECONDS)
            self._tell(sentence)
            return None
        found = names_of(claims, self._order)
        if found.best is None:
            self._tell(f"the token names nobody in {', '.join(self._order)}")
        # Not for the token's whole lifetime: its key may be withdrawn.
        self._known.put(key, found, min(claims.get("exp", math.inf), now + _ACCEPTED_SECONDS))
        return found


class _Memory(Generic[T]):
    """Results of checking tokens, with their expiry. Bounded in bytes; when full, the older half is dropped."""

    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[T, float]] = {}
        self._bytes = 0

    def put(self, key: bytes, value: T, until: float) -> None:
        if len(key) > _MAX_TOKEN + 7:
            return
        if self._bytes >= _MAX_BYTES:
            for old in list(self.entries)[: len(self.entries) // 2 + 1]:
                self.entries.pop(old, None)
            self._bytes = sum(map(len, self.entries))
        self._bytes += len(key) + 200  # the overhead of an entry
        self.entries[key] = (value, until)
