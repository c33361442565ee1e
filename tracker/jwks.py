"""The public keys of an issuer, from a file or a URL (JSON Web Key Set, RFC 7517)."""

from __future__ import annotations

import http.client
import json
import logging
import os
import threading
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt

from tracker.fetching import fetched, why_not
from tracker.saying import say

MAX_BYTES = 1_000_000
"""A larger set is refused."""
UNKNOWN_SECONDS = 60.0
"""The shortest interval between fetches caused by unknown key ids, which anybody can send."""
EMPTY_SECONDS = 10.0
"""The same as long as no keys have been fetched at all."""
KEPT_SECONDS = 3_600.0
"""How long fetched keys are used before they are fetched again, so that withdrawn keys expire."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NoKeySet(ValueError):
    """The document is not a valid key set; the message says why in words of our own."""


class Key(NamedTuple):
    """A public key as cryptography has it, and the one algorithm that it is for; None where the set names none."""

    key: Any
    bound: str | None


class KeySet:
    """The keys of `source`, by their `kid`. Raises ValueError for a file that holds none and for a URL without TLS.

    Keys of a URL are fetched in a thread: there are none until it has answered.
    """

    def __init__(self, source: str) -> None:
        parts = urlsplit(source)
        self._source, self._host = source, parts.hostname
        self._remote = parts.scheme in ("http", "https")
        self._keys: dict[str | None, Key] = {}
        self._stamp: Any = None
        self._asked = -KEPT_SECONDS
        if not self._remote:
            self._stamp = self._stat()
            self._keys = self._read()
            return
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            # The URL may contain a password or token.
            secret = "@" in parts.netloc or parts.query or parts.fragment
            shown = f"http://{parts.hostname}/…" if secret else source
            raise ValueError(f"jwks = {shown!r} would be fetched without TLS: use https")
        self._thread: threading.Thread | None = None
        self._refresh(UNKNOWN_SECONDS)

    def find(self, kid: str | None, algorithm: str) -> Any:
        """The key with this id, or the only key where the token names none, if it goes with the algorithm; else None.

        Never waits for a URL.
        """
        key = self._find(kid)
        return None if key is None or key.bound not in (None, algorithm) else key.key

    @property
    def is_empty(self) -> bool:
        """Whether no keys have come from the URL yet."""
        return not self._keys

    def _find(self, kid: str | None) -> Key | None:
        if self._remote:
            self._refresh(KEPT_SECONDS)
        else:
            self._reread()
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        found = self._keys.get(kid)
        if found is None and self._remote:
            self._refresh(UNKNOWN_SECONDS if self._keys else EMPTY_SECONDS)
        return found

    def _stat(self) -> tuple[int, int, int]:
        try:
            info = os.stat(self._source)
        except (OSError, ValueError) as error:
            raise ValueError(f"jwks = {self._source!r} cannot be read: {_reason(error)}") from None
        return info.st_mtime_ns, info.st_size, info.st_ino

    def _read(self) -> dict[str | None, Key]:
        try:
            with open(self._source, "rb") as file:
                return parse(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise ValueError(f"jwks = {self._source!r} cannot be read: {_reason(error)}") from None
        except ValueError as error:
            raise ValueError(f"jwks = {self._source!r} {error}") from None

    def _reread(self) -> None:
        try:
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp  # Set first, so that a bad file is reported only once.
                self._keys = self._read()
        except ValueError as error:
            say(logging.WARNING, "%s; the keys read before are kept.", error)

    def _refresh(self, after: float) -> None:
        """Fetch the set in a thread, unless that was done less than `after` seconds ago or is in progress."""
        now = time.monotonic()
        if now - self._asked >= after and (self._thread is None or not self._thread.is_alive()):
            self._asked = now
            self._thread = threading.Thread(target=self._fetch, name="usage-tracker-jwks", daemon=True)
            self._thread.start()

    def _fetch(self) -> None:
        try:
            self._keys = parse(fetched(self._source, MAX_BYTES + 1, direct=self._host in _LOOPBACK))
        except (OSError, ValueError, http.client.HTTPException) as error:
            say(
                logging.WARNING,
                "The keys at %s could not be fetched (%s): tokens signed with a key that is not known are refused.",
                self._host,
                str(error) if isinstance(error, NoKeySet) else why_not(error),
            )


def parse(text: bytes) -> dict[str | None, Key]:
    """The keys that may check a signature, by their id.

    Raises NoKeySet where there is none. Secrets (`oct`) do not count: a set is public. Keys that PyJWT does not know
    are left out, as are those for encryption.
    """
    if len(text) > MAX_BYTES:
        raise NoKeySet(f"has more than {MAX_BYTES} bytes")
    try:
        entries = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoKeySet("is not a set of keys (RFC 7517)") from None
    keys: dict[str | None, Key] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        kid = entry.get("kid")
        try:
            key = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue
        if kid is None or isinstance(kid, str):
            keys[kid] = Key(key.key, entry.get("alg"))
    if not keys:
        raise NoKeySet("holds no public key that can check a signature")
    return keys


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
