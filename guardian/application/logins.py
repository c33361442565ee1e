"""Warns the admins that an account can no longer send, or soon cannot, which only a person can fix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from guardian.application.root import Application
from guardian.core.language import Language, marked
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.mail.service import EmailService

AHEAD = timedelta(days=2)
"""How long before a login expires the admins are told."""
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
        text = lang(
            "%(name)s: %(why)s. Until then, mail goes out through the next transport.",
            name=name,
            why=said(why, lang),
        )
        mails.append(email.compose_warning(to, subject, text, key=f"transport-warning/{transport}/{day}/{to}"))
    return mails


_REFUSALS = (
    (re.compile(r"(?P<who>\S+) refuses the login"), marked("%(who)s refuses the login")),
    (re.compile(r"the credentials do not allow sending"), marked("the credentials do not allow sending")),
    (re.compile(r"the Gmail API is not enabled in the Cloud project"),
     marked("the Gmail API is not enabled in the Cloud project")),
    (re.compile(r"Gmail does not let this account send"), marked("Gmail does not let this account send")),
)  # fmt: skip
"""How the sentences of `LoginRefused` begin."""
_CODE_AND_CURE = re.compile(r"(?P<code>(?: \([^()]*\))?): (?P<cure>.+)", re.DOTALL)


def said(why: str, lang: Language) -> str:
    """The sentence of a `LoginRefused` in the reader's language: what was refused, the code of the service, the cure.

    As it is, where it is none of ours.
    """
    for pattern, text in _REFUSALS:
        if (begin := pattern.match(why)) and (rest := _CODE_AND_CURE.fullmatch(why, begin.end())):
            code, cure = rest.groups()
            return lang("%(refused)s: %(cure)s", refused=lang(text, **begin.groupdict()) + code, cure=lang(cure))
    return why


def login_ends(
    email: EmailService, admins: Sequence[str], transport: str, expiry: datetime, cure: str
) -> list[Outgoing]:
    """A mail to each admin that this transport's login ends at `expiry`. Their keys allow one for each end."""
    name, mails = _NAMES.get(transport, transport), []
    for to in dict.fromkeys(admins):
        lang = email.language_of(to)
        when = lang.zoned(expiry, email.zone)
        subject = lang("Guardian's login for %(name)s expires soon", name=name)
        text = lang("It expires on %(when)s. To keep sending through %(name)s: %(cure)s.", name=name, when=when,
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
