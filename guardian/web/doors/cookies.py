"""The dashboard's cookies: their names and scopes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from guardian.web.doors.visitor import Visitor

SESSION, ASKED = "guardian", "guardian-asked"
"""The session; and the browser that asked for a link."""


def cookie_name(kind: str, visitor: Visitor) -> str:
    """`__Host-` pins a cookie to this host alone, but sends it to every path; under a prefix it would reach the host
    app, so there it is `__Secure-`, with that path (RFC 6265bis, 4.1.3). Without HTTPS browsers take neither; there, on
    one's own machine, the port tells one Guardian from another, since cookies do not (RFC 6265, 8.5)."""
    if not visitor.https:
        return f"{kind}-{visitor.port}" if visitor.port else kind
    return f"__Secure-{kind}" if visitor.base else f"__Host-{kind}"


def read_cookie(kind: str, request: Request, visitor: Visitor) -> str:
    """What the browser holds; "" where it holds none.

    Of two with one name it sends the one with the longer path first (RFC 6265, 5.4): the other belongs to a Guardian
    above this prefix. Starlette's `cookies` has the last.
    """
    name = cookie_name(kind, visitor)
    for pair in ";".join(request.headers.getlist("cookie")).split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""


def set_cookie(answer: Response, kind: str, value: str, visitor: Visitor, seconds: int | None) -> None:
    """Give the browser a cookie; `seconds` None keeps it until the browser is closed.

    SameSite is Lax: Strict would leave it behind when somebody arrives from a mail.
    """
    answer.set_cookie(
        cookie_name(kind, visitor), value, max_age=seconds, path=visitor.base or "/",
        secure=visitor.https, httponly=True, samesite="lax",
    )  # fmt: skip


def drop_cookie(answer: Response, kind: str, visitor: Visitor) -> None:
    """Delete a cookie."""
    set_cookie(answer, kind, "", visitor, 0)
