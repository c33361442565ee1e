"""Authentication: admins by a signed token, an external scheduler by a shared one. Without a key, nobody may call."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Any

from guardian.core.language import marked
from guardian.core.secret_url import SecretUrl
from guardian.settings.schema import ApiSettings
from guardian.web.endpoint import Refusal
from tracker.tokens import InvalidToken, TokenVerifier

log = logging.getLogger("guardian.web")

SCHEDULER_HEADER = "X-Guardian-Scheduler-Token"

KEYS_SECONDS = 5.0
"""How long a scheduler's call waits for the keys that verify its token, if none have arrived yet."""

LOOK_SECONDS = 0.02
"""How often it checks whether they have."""

WANTED = marked("a valid token is needed here: docs/api.md says which, and Guardian's log why another is refused")
"""The answer to every invalid token, which tells nothing to somebody who tries tokens."""

NO_ADMIN = marked("the token's claim %(claim)s is not %(value)s: ask for a token that says so")

NO_KEYS = "the keys of api.scheduler_jwks could not be fetched yet: Guardian's log says why, try again"


def admin_verifier(api: ApiSettings) -> TokenVerifier | None:
    """The verifier of admins' tokens; None if no key is configured. Raises ValueError for a key that is none."""
    if api.jwt_key is None and api.jwks is None:
        return None
    return TokenVerifier(
        key=api.jwt_key.get_secret_value() if api.jwt_key else None,
        jwks=api.jwks.reveal() if isinstance(api.jwks, SecretUrl) else api.jwks,
        algorithms=api.jwt_algorithms,
        audience=api.jwt_audience,
        issuer=api.jwt_issuer,
    )


def require_admin_claims(authorization: str | None, verifier: TokenVerifier | None, api: ApiSettings) -> dict[str, Any]:
    """The verified claims of the bearer token (RFC 6750) in this Authorization header.

    Raises Refusal: 503 where no key is configured, 401 without a valid token, 403 where the claim `api.admin_claim`
    neither is `api.admin_value` nor a list with it.
    """
    if verifier is None:
        raise Refusal(503, "no key is configured: set api.jwt_key_file or api.jwks")
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, WANTED, {"WWW-Authenticate": 'Bearer realm="guardian"'})
    try:
        claims = verifier.claims(token.strip())
    except InvalidToken as error:
        log.warning("A call is refused (401): %s", error)
        header = 'Bearer realm="guardian", error="invalid_token"'
        raise Refusal(401, WANTED, {"WWW-Authenticate": header}) from None
    held = claims.get(api.admin_claim)
    if held != api.admin_value and not (isinstance(held, list) and api.admin_value in held):
        raise Refusal(
            403, NO_ADMIN, {"WWW-Authenticate": 'Bearer realm="guardian", error="insufficient_scope"'},
            claim=api.admin_claim, value=api.admin_value,
        )  # fmt: skip
    return claims


def scheduler_verifier(api: ApiSettings) -> TokenVerifier | None:
    """The verifier of a scheduler's OpenID Connect tokens; None if no account is configured.

    Google signs them with RS256 and names the account in `email`
    (https://cloud.google.com/scheduler/docs/http-target-auth). Raises ValueError for a key source that is none.
    """
    if api.scheduler_account is None:
        return None
    jwks = api.scheduler_jwks
    return TokenVerifier(
        jwks=jwks.reveal() if isinstance(jwks, SecretUrl) else jwks,
        algorithms=["RS256"],
        audience=api.scheduler_audience,
        issuer=api.scheduler_issuer,
        require=("exp", "aud", "iss"),
    )


async def require_scheduler_account(
    authorization: str, verifier: TokenVerifier, api: ApiSettings, *, patience: float | None = None, quiet: bool = False
) -> None:
    """Nothing, where the bearer token is the configured account's, for this audience, by this issuer.

    A process that was started by the very call waits `patience` seconds (None: KEYS_SECONDS) for the issuer's keys.
    Raises Refusal: 503 where they have not come by then, for nobody can be told from anybody else without them; 401 for
    any other token, of which the log says why unless it is to be `quiet`.
    """
    for _ in range(round((KEYS_SECONDS if patience is None else patience) / LOOK_SECONDS)):
        if not verifier.awaits_keys:
            break
        await asyncio.sleep(LOOK_SECONDS)
    scheme, _, token = authorization.strip().partition(" ")
    if verifier.awaits_keys:
        raise Refusal(503, NO_KEYS, {"Retry-After": "10"})
    try:
        if scheme.lower() != "bearer":
            raise InvalidToken("it is no bearer token")
        claims = verifier.claims(token.strip())
        if claims.get("email") != api.scheduler_account or claims.get("email_verified") is not True:
            raise InvalidToken("the token is another account's than api.scheduler_account")
    except InvalidToken as error:
        if not quiet:
            log.warning("A call is refused (401): %s", error)
        header = 'Bearer realm="guardian", error="invalid_token"'
        raise Refusal(401, WANTED, {"WWW-Authenticate": header}) from None


def require_scheduler_token(given: str | None, api: ApiSettings, *, quiet: bool = False) -> None:
    """Returns if the header holds the configured token (compared in constant time). Logs a wrong one, unless `quiet`.

    Raises Refusal: 503 where none is configured, 401 for another or none.
    """
    if api.scheduler_token is None:
        if api.scheduler_account is not None:
            raise Refusal(401, WANTED, {"WWW-Authenticate": 'Bearer realm="guardian"'})
        raise Refusal(503, "no scheduler token is configured: set api.scheduler_token_file")
    expected = api.scheduler_token.get_secret_value().encode()
    # Header values arrive as Latin-1; other characters were sent as UTF-8.
    if not hmac.compare_digest((given or "").encode("latin-1", "replace"), expected):
        if given and not quiet:
            log.warning("A call is refused (401): the scheduler token is wrong")
        raise Refusal(401, WANTED, {"WWW-Authenticate": 'GuardianScheduler realm="guardian"'})
