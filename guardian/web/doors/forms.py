"""Posted forms: read with a size limit, and protected against forgery (CSRF)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import parse_qsl

from starlette.requests import Request

from guardian.core.language import marked
from guardian.web.doors.visitor import Visitor
from guardian.web.endpoint import BODY_LIMIT, Refusal

FOREIGN = marked("This form was not sent from a page of Guardian: go back, reload the page and try again.")
STALE = marked("This form is out of date, or your browser sends no cookies: reload the page and try again.")
TOO_LARGE = marked("This is more than a form of Guardian can hold: send less.")
NO_FORM = marked("This is not a form: send it as application/x-www-form-urlencoded.")


async def read_form(request: Request) -> dict[str, str]:
    """The fields, the last of those given twice. Raises Refusal: 413 for more than BODY_LIMIT bytes, 415 for what is no
    form, 422 for one of too many fields."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise Refusal(415, NO_FORM)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise Refusal(413, TOO_LARGE, {"Connection": "close"})
    try:
        return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=100, errors="replace"))
    except ValueError:
        raise Refusal(422, TOO_LARGE) from None


def form_token(key: str, identity: str) -> str:
    """The CSRF token of the forms of `identity`, which other pages cannot know."""
    return blake2b(identity.encode(), key=key.encode()[:64], digest_size=20, person=b"guardian.form").hexdigest()


def check_origin(request: Request, visitor: Visitor) -> None:
    """Raises Refusal (403) where the browser says that another page sent this.

    A request that says neither comes from no browser, or a very old one; it needs the token all the same.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site == "same-origin":
        return
    if site not in (None, "none") or (origin is not None and origin.lower() not in visitor.origins):
        raise Refusal(403, FOREIGN)


def check_token(form: Mapping[str, str], key: str, identity: str) -> None:
    """Raises Refusal (403) where the form does not carry the token of `identity`."""
    given = form.get("csrf", "").encode("utf-8", "replace")
    if not identity or not hmac.compare_digest(given, form_token(key, identity).encode()):
        raise Refusal(403, STALE)
