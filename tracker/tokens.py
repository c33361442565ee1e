"""Bearer tokens: JWTs whose signature, expiry, audience and issuer check out (RFC 7519, RFC 8725)."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

MAX_TOKEN = 8_192
"""A longer token is refused unread."""
MIN_HMAC_KEY = 32
"""Bytes: RFC 7518, 3.2 asks for a key at least as long as the hash of HS256."""
_MAX_JWKS = 1_000_000
_YEAR_10000 = 253_402_300_800
_REFRESH_SECONDS = 60.0
FAMILIES = {
    "HMAC": ("HS256", "HS384", "HS512"),
    "public key": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
}


class InvalidToken(Exception):
    """The token counts for nothing; the message is one sentence and holds nothing of the token."""


class TokenVerifier:
    """Checks tokens with one `key` (HMAC secret or PEM public key) or with a key set: `jwks`, a file or an URL.

    `algorithms` default to HS256 for a secret, else to RS256 and ES256; those of one family only, since a public key
    taken for an HMAC secret would let anybody sign. A key set of an URL is fetched in a thread of its own, never while
    a token is checked; a file is read again when it changes. Raises ValueError with one sentence for settings that
    cannot be.
    """

    def __init__(
        self,
        key: str | bytes | None = None,
        *,
        jwks: str | os.PathLike[str] | None = None,
        algorithms: Iterable[str] | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        require: Iterable[str] = ("exp",),
        clock: Any = time.time,
    ) -> None:
        import jwt  # PyJWT and its cryptography are heavy: loaded where tokens are checked at all

        if (key is None) == (jwks is None):
            raise ValueError("give either a key or jwks to check tokens with")
        self._jwt = jwt
        secret = key.encode() if isinstance(key, str) else key
        public = secret is None or b"-----BEGIN" in secret
        self._algorithms = tuple(algorithms or (("RS256", "ES256") if public else ("HS256",)))
        allowed = FAMILIES["public key" if public else "HMAC"]
        wrong = [name for name in self._algorithms if name not in allowed]
        if wrong:
            kind = "a public key" if public else "a secret"
            raise ValueError(f"algorithm {wrong[0]!r} does not go with {kind}: use one of {', '.join(allowed)}")
        if secret is not None and not public and len(secret) < MIN_HMAC_KEY:
            raise ValueError(f"the key has {len(secret)} bytes: {self._algorithms[0]} needs at least {MIN_HMAC_KEY}")
        self._audience, self._issuer = audience, issuer
        self._require = list(require)
        self._clock = clock
        self._keys = None if jwks is None else _KeySet(jwt, os.fspath(jwks))
        self._key: Any = secret
        if secret is not None and public:
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            try:
                self._key = load_pem_public_key(secret)
            except ValueError as error:
                raise ValueError("the key is not a PEM public key") from error

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that checks out. Raises InvalidToken."""
        if len(token) > MAX_TOKEN:
            raise InvalidToken("the token is too long")
        try:
            header = self._jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:
                raise InvalidToken(f"the token is not signed with {' or '.join(self._algorithms)}")
            key = self._key if self._keys is None else self._keys.find(header.get("kid"))
            claims = self._jwt.decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": self._require, "verify_aud": self._audience is not None},
            )
            if not float(claims.get("exp", 0)) < _YEAR_10000:
                raise InvalidToken("the token's expiry is not a time")
            return claims
        except InvalidToken:
            raise
        except self._jwt.ExpiredSignatureError:
            raise InvalidToken("the token has expired") from None
        except self._jwt.MissingRequiredClaimError as error:
            raise InvalidToken(f"the token has no claim {error.claim!r}") from None
        except self._jwt.InvalidAudienceError:
            raise InvalidToken("the token is for another audience") from None
        except Exception:
            # PyJWT lets errors of json, base64 and cryptography through for hostile input; none of them is ours.
            raise InvalidToken("the token is not valid") from None


class _KeySet:
    """The public keys of a JWKS (RFC 7517), by their `kid`."""

    def __init__(self, jwt: Any, source: str) -> None:
        self._jwt, self._source = jwt, source
        self._keys: dict[str | None, Any] = {}
        self._stamp: Any = None
        self._lock = threading.Lock()
        self._asked = -_REFRESH_SECONDS
        parts = urlsplit(source)
        self._remote = parts.scheme in ("http", "https")
        if self._remote:
            if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError(f"jwks = {source!r} is fetched without TLS: use https")
            self._refresh()
        else:
            self._load(self._read_file())

    def find(self, kid: str | None) -> Any:
        """The key of this id, or the only one where the token names none. Raises InvalidToken."""
        if not self._remote:
            self._reread()
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            if self._remote:
                self._refresh()
            raise InvalidToken("the token is signed with a key that is not known")
        return self._keys[kid]

    def _read_file(self) -> bytes:
        try:
            info = os.stat(self._source)
            with open(self._source, "rb") as file:
                text = file.read(_MAX_JWKS)
        except OSError as error:
            raise ValueError(f"jwks = {self._source!r} cannot be read: {error.strerror}") from None
        self._stamp = (info.st_mtime_ns, info.st_size)
        return text

    def _reread(self) -> None:
        try:
            info = os.stat(self._source)
            if (info.st_mtime_ns, info.st_size) != self._stamp:
                self._load(self._read_file())
        except (OSError, ValueError):
            pass  # A file in the middle of being replaced: the keys that are known stay.

    def _load(self, text: bytes) -> None:
        try:
            found = self._jwt.PyJWKSet.from_dict(json.loads(text))
        except Exception as error:
            raise ValueError(f"jwks = {self._source!r} is not a set of keys (RFC 7517)") from error
        self._keys = {key.key_id: key.key for key in found.keys if key.key_type != "oct"}

    def _refresh(self) -> None:
        """Fetch the set in a thread, at most once a minute."""
        with self._lock:
            if time.monotonic() - self._asked < _REFRESH_SECONDS:
                return
            self._asked = time.monotonic()
        threading.Thread(target=self._fetch, name="usage-tracker-jwks", daemon=True).start()

    def _fetch(self) -> None:
        try:
            opener = urllib.request.build_opener(_NoRedirect)
            with opener.open(self._source, timeout=10) as answer:
                self._load(answer.read(_MAX_JWKS))
        except (OSError, ValueError):
            pass  # Asked again when the next unknown key shows up.


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing: keys come from where the settings say."""
        return None
