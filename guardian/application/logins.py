"""Telling the admins that an account can no longer send, or soon cannot: what only a person can put right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.mail.service import EmailService

AHEAD = timedelta(days=2)
"""So long before a login ends the admins are told."""
_NAMES = {"gmail": "Gmail", "smtp": "SMTP"}


def login_refused(
    email: EmailService, admins: Sequence[str], transport: str, why: str, now: datetime
) -> list[Outgoing]:
    """A mail to each admin that this transport's login is refused. Their keys allow one a day."""
    day, name = now.astimezone(UTC).date(), _NAMES.get(transport, transport)
    mails = []
    for to in dict.fromkeys(admins):
        lang = email.language_of(to)
        subject = lang("Guardian can no longer send through %(name)s", name=name)
        text = lang("%(name)s: %(why)s. Until that is done, mail goes out by the next transport.", name=name, why=why)
        mails.append(email.compose_warning(to, subject, text, key=f"transport-warning/{transport}/{day}/{to}"))
    return mails


def login_ends(
    email: EmailService, admins: Sequence[str], transport: str, expiry: datetime, cure: str
) -> list[Outgoing]:
    """A mail to each admin that this transport's login ends at `expiry`. Their keys allow one for each end."""
    name, mails = _NAMES.get(transport, transport), []
    for to in dict.fromkeys(admins):
        lang = email.language_of(to)
        when = lang.moment(expiry, email.zone)
        subject = lang("Guardian's login for %(name)s ends soon", name=name)
        text = lang("It ends on %(when)s. To go on sending through %(name)s: %(cure)s.", name=name, when=when,
                    cure=lang(cure))  # fmt: skip
        mails.append(email.compose_warning(to, subject, text, key=f"transport-expiry/{transport}/{expiry}/{to}"))
    return mails


async def login_step(app: Application, now: datetime, token: int) -> None:
    """Put a mail to each admin into the outbox about each login that ends soon, once for each end."""
    for transport in app.transports:
        login = transport.login
        expiry = None if login is None else login.expires_at()
        if login is not None and expiry is not None and now < expiry <= now + AHEAD:
            mails = await off_loop(login_ends, app.email, app.settings.admins, transport.name, expiry, login.cure)
            await app.state.enqueue(mails, now=now, token=token)
