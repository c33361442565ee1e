"""Bearer tokens: JWTs whose signature, expiry, audience and issuer check out (RFC 7519, RFC 8725)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

MAX_TOKEN = 8_192
"""A longer token is refused unread."""
MIN_HMAC_KEY = 32
"""Bytes: RFC 7518, 3.2 asks for a key at least as long as the hash of HS256."""
FAMILIES = {
    "a secret": ("HS256", "HS384", "HS512"),
    "a public key": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
}
"""The algorithms that go with each kind of key."""
_DEFAULTS = {"a secret": ("HS256",), "a public key": ("RS256", "ES256", "EdDSA")}
_YEAR_10000 = 253_402_300_800


class InvalidToken(Exception):
    """The token counts for nothing; the message is one sentence and holds nothing of the token."""


class TokenVerifier:
    """Checks tokens with one `key` (HMAC secret or PEM public key) or with a key set: `jwks`, a file or a URL.

    `algorithms` default to HS256 for a secret, else to RS256, ES256 and EdDSA; those of one family only, since a public
    key taken for an HMAC secret would let anybody sign. Without `audience`, a token that names one is refused (RFC
    7519, 4.1.3); `audience` may be several. `require` names claims that must be there. `leeway` is how many seconds a
    token's `iat` and `nbf` may lie ahead of this machine's clock. A token with critical header fields (`crit`, RFC
    7515, 4.1.11) is refused: PyJWT before 2.12 would pass over them (CVE-2026-32597). A key set's
    URL is fetched in a thread of its own, never while a token is checked; a file is read again when it changes. Raises
    ValueError with one sentence for settings that cannot be.
    """

    def __init__(
        self,
        key: str | bytes | None = None,
        *,
        jwks: str | os.PathLike[str] | None = None,
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | None = None,
        issuer: str | None = None,
        require: Iterable[str] = ("exp",),
        leeway: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        import jwt  # PyJWT and its cryptography are heavy: loaded where tokens are checked at all

        from tracker.jwks import KeySet

        if (key is None) == (jwks is None):
            raise ValueError("give either a key or jwks to check tokens with")
        secret = key.encode() if isinstance(key, str) else key
        kind = "a public key" if secret is None or b"-----BEGIN" in secret else "a secret"
        given = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms or ())
        self._algorithms = given or _DEFAULTS[kind]
        wrong = [name for name in self._algorithms if name not in FAMILIES[kind]]
        if wrong:
            raise ValueError(f"algorithm {wrong[0]!r} does not go with {kind}: use {', '.join(FAMILIES[kind])}")
        self._decode, self._header = jwt.decode, jwt.get_unverified_header
        self._keys = None if jwks is None else KeySet(os.fspath(jwks))
        self._key = None if secret is None else _public(secret) if kind == "a public key" else _secret(secret)
        self._audience = audience if audience is None or isinstance(audience, str) else list(audience)
        self._issuer, self._leeway, self._clock = issuer, leeway, clock
        # A number as subject or id is no string (RFC 7519, 4.1.2), but common; PyJWT checks that since 2.10.
        self._options: Any = {"require": list(require), "verify_exp": False, "verify_sub": False, "verify_jti": False}
        self._missing, self._foreign = jwt.MissingRequiredClaimError, jwt.InvalidAudienceError
        self._sentences = (
            (jwt.ExpiredSignatureError, "the token has expired"),
            (jwt.ImmatureSignatureError, "the token is not valid yet"),
            (jwt.InvalidIssuerError, "the token is from another issuer"),
            (jwt.InvalidSignatureError, "the token is not signed with the key that is known"),
        )
        # Besides PyJWT's own errors, those that json, base64, int and cryptography raise on hostile input.
        self._errors = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, AttributeError, RuntimeError)

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a valid token. Raises InvalidToken.

        Where it is there, `exp` is a number: the second of Unix time at which the token ends, before the year 10000.
        """
        if len(token) > MAX_TOKEN:
            raise InvalidToken(f"the token has more than {MAX_TOKEN} characters")
        try:
            header = self._header(token)
            if header.get("alg") not in self._algorithms:
                raise InvalidToken(f"the token is not signed with {' or '.join(self._algorithms)}")
            if "crit" in header:
                raise InvalidToken("the token is not valid")  # as PyJWT says since 2.12
            key = self._key if self._keys is None else self._keys.find(header.get("kid"), header["alg"])
            if key is None:
                if self.awaits_keys:
                    raise InvalidToken("the keys of jwks could not be fetched yet")
                raise InvalidToken("the token is signed with a key that is not known")
            claims: dict[str, Any] = self._decode(
                token,
                key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options=self._options,  # exp is checked below, by the clock that was given
            )
            if "exp" in claims and not claims["exp"] < _YEAR_10000:
                raise InvalidToken("the token's expiry is not a time")
            if "exp" in claims and not self._clock() < claims["exp"]:
                raise InvalidToken("the token has expired")
            return claims
        except self._errors as error:
            # The signature was checked before the audience, so the claims are the issuer's.
            foreign = isinstance(error, self._foreign)
            raise InvalidToken(self._audiences(token) if foreign else self._sentence(error)) from None

    @property
    def awaits_keys(self) -> bool:
        """Whether no token can be checked yet, because the URL's keys have not arrived."""
        return self._keys is not None and self._keys.is_empty

    def _audiences(self, token: str) -> str:
        claims = self._decode(token, options={"verify_signature": False, "verify_aud": False, "verify_exp": False})
        named = claims.get("aud")
        known = [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]
        shown = [repr(each[:100]) for each in known[:3] if each.isprintable()]
        return f"the token is for the audience {' or '.join(shown)}" if shown else "the token is for another audience"

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, self._missing):
            return f"the token has no claim {error.claim!r}"
        return next((text for kind, text in self._sentences if isinstance(error, kind)), "the token is not valid")


def _secret(secret: bytes) -> bytes:
    import jwt

    if _is_der(secret):
        raise ValueError("the key is a public key, but not in PEM: give it as PEM, or as jwks")
    if len(secret) < MIN_HMAC_KEY:
        raise ValueError(f"the key has {len(secret)} bytes: a secret needs at least {MIN_HMAC_KEY}")
    try:
        key: bytes = jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ValueError("the key is a public key, but not in PEM: give it as PEM, or as jwks") from None
    return key


def _is_der(secret: bytes) -> bool:
    """Whether it is a public key in DER, which PyJWT before 2.13 takes for a secret: anybody could sign then."""
    try:
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        load_der_public_key(secret)
    except Exception:  # no key, or no cryptography
        return False
    return True


def _public(pem: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the key is not a PEM public key (-----BEGIN PUBLIC KEY-----)") from None
