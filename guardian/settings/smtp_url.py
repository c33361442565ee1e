"""A mail server as one address: smtp://user:password@host:587."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SMTP_KEYS = frozenset(
    {"host", "port", "security", "username", "password", "password_file", "auth", "token_file", "service_account_file",
     "allow_plaintext", "timeout_seconds"}
)  # fmt: skip
"""The keys of `[mail.smtp]`, which are also the options of its URL."""


def smtp_table(url: str) -> dict[str, Any]:
    """The `[mail.smtp]` table that smtp://user:password@host:587 means; smtps:// is TLS from the first byte.

    `?security=none` turns encryption off. Raises ValueError with one sentence, without the URL: it has a password.
    """
    wrong = (
        "this is not a mail server: write it as smtp://user:password@smtp.example.com:587, "
        "with %40 for an @, %2F for a /, %3F for a ? and %23 for a # in the password"
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or "#" in url:
        raise ValueError(wrong)
    # Behind a ? that belongs to the password, its rest would be taken for options, and its beginning for a host.
    if parts.query and not all(part.partition("=")[0] in SMTP_KEYS for part in parts.query.split("&")):
        raise ValueError(wrong)
    implicit = parts.scheme == "smtps"
    table: dict[str, Any] = {"host": parts.hostname, "port": port or (465 if implicit else 587)}
    table["security"] = "tls" if implicit else "starttls"
    if parts.username:
        table["username"] = unquote(parts.username)
    if parts.password:
        table["password"] = unquote(parts.password)
    return table | dict(parse_qsl(parts.query))
