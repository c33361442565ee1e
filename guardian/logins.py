"""Telling the admins that an account can no longer send, or soon cannot: what only a person can put right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guardian.application import Application
from guardian.state import Outgoing

AHEAD = timedelta(days=2)
"""So long before a login ends the admins are told."""
_NAMES = {"gmail": "Gmail", "smtp": "SMTP"}


def refused(app: Application, transport: str, why: str, now: datetime) -> list[Outgoing]:
    """A mail to each admin that this transport's login is refused. Their keys allow one a day."""
    lang, name = app.email.language, _NAMES.get(transport, transport)
    subject = lang("Guardian can no longer send through %(name)s", name=name)
    text = lang("%(name)s: %(why)s. Until that is done, mail goes out by the next transport.", name=name, why=why)
    day = now.astimezone(UTC).date()
    return [
        app.email.compose_warning(to, subject, text, key=f"transport-warning/{transport}/{day}/{to}")
        for to in dict.fromkeys(app.settings.admins)
    ]


async def login_step(app: Application, now: datetime, token: int) -> None:
    """Put a mail to each admin into the outbox about each login that ends soon, once for each end."""
    for transport in app.transports:
        login = getattr(transport, "login", None)
        expiry = login.expires_at() if login is not None else None
        if expiry is None or not now < expiry <= now + AHEAD:
            continue
        lang, name = app.email.language, _NAMES.get(transport.name, transport.name)
        when = lang.moment(expiry, app.email.zone)
        subject = lang("Guardian's login for %(name)s ends soon", name=name)
        text = lang("It ends on %(when)s. To go on sending through %(name)s: %(cure)s.", name=name, when=when,
                    cure=login.cure)  # fmt: skip
        await app.state.enqueue(
            [
                app.email.compose_warning(to, subject, text, key=f"transport-expiry/{transport.name}/{expiry}/{to}")
                for to in dict.fromkeys(app.settings.admins)
            ],
            now=now, token=token,
        )  # fmt: skip
