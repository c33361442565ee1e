"""Signing in to the dashboard: who may, the links that do it, and the sessions that follow."""

from __future__ import annotations

import secrets
from base64 import b32encode
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Literal

from itsdangerous import BadData, URLSafeSerializer

from guardian.application.delivering import deliver_now
from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.settings.schema import Settings
from guardian.stores.sign_ins import AskedLink, Session

Role = Literal["admin", "viewer"]

LIFETIME = timedelta(minutes=15)
"""How long a link to sign in by works."""
SEEN_EVERY = timedelta(minutes=1)
"""A session's last use is noted no more often than this: pages that are open ask every ten seconds."""
_TRIES = 5
"""The most messages due before it that are sent first."""
_CHANGES = 3
"""So often the store is changed for a mail: it is put into the outbox, claimed there, and marked as sent."""


def role_of(settings: Settings, address: str) -> Role | None:
    """What the settings let this address do now; None for one that they do not name."""
    wanted = address.strip().lower()
    if wanted in {each.lower() for each in settings.admins}:
        return "admin"
    return "viewer" if wanted in {each.lower() for each in settings.dashboard.viewers} else None


def hashed(secret: str) -> bytes:
    """What is stored of a secret that opens something."""
    return blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=32, person=b"guardian.door").digest()


def fresh_secret() -> str:
    """A value that nobody can guess, for a cookie or a link."""
    return secrets.token_urlsafe(32)


def code_of(key: str, secret: str) -> str:
    """The short code of a link, to be typed where it was asked for: eight letters and digits, none easily mistaken."""
    drawn = blake2b(secret.encode(), key=key.encode()[:64], digest_size=5, person=b"guardian.code").digest()
    return b32encode(drawn).decode().replace("O", "8").replace("I", "9")


def typed(code: str) -> str:
    """A code as it was typed, without what people put between and with what they mistake put right."""
    kept = "".join(each for each in code.upper() if each.isalnum())
    return kept.replace("O", "8").replace("0", "8").replace("I", "9").replace("1", "9")


def _signed(key: str) -> URLSafeSerializer:
    return URLSafeSerializer(key, salt="guardian.sign-in")


def read_token(key: str, token: str, now: datetime) -> str | None:
    """The secret of a link to sign in by; None for one that is not ours, was changed, or is over."""
    try:
        secret, expires = _signed(key).loads(token)
        return str(secret) if float(expires) > now.timestamp() else None
    except (BadData, ValueError, TypeError):
        return None


async def _new_link(app: Application, address: str, browser: bytes | None, *, forwarded: bool = False) -> str:
    """The address of a new link, which is kept first."""
    now, key, secret = app.clock(), await app.stores.alerts.link_key(), fresh_secret()
    expires = now + LIFETIME
    code = None if browser is None else hashed(code_of(key, secret))
    await app.stores.sign_ins.keep_link(AskedLink(hashed(secret), address, expires, browser, code, forwarded), now)
    token = _signed(key).dumps([secret, expires.timestamp()])
    return f"{app.settings.links_url.rstrip('/')}/sign-in/{token}"


async def print_link(app: Application, address: str | None = None) -> str:
    """A link that signs this address in once, in whatever browser opens it; None means the first admin.

    Raises ValueError with one sentence for an address that may not sign in, and where there are no pages.
    """
    settings = app.settings
    if not settings.api.enabled or not settings.dashboard.enabled:
        raise ValueError("the pages are switched off: set api.enabled and dashboard.enabled to true")
    wanted = address or next(iter(settings.admins), "")
    if not wanted:
        raise ValueError("admins is empty: set it in the configuration, or name an address")
    if role_of(settings, wanted) is None:
        raise ValueError(f'"{wanted}" may not sign in: give an address that admins or dashboard.viewers has')
    return await _new_link(app, wanted, None)


async def mail_link(app: Application, address: str, browser: bytes, *, forwarded: bool = False) -> None:
    """Mail a link that is bound to a browser, and send it at once.

    For an address that may not sign in as much is done: as many changes of the store, one after the other, and a mail
    that is composed and put nowhere. Else whoever asks would see by how quickly other requests are answered meanwhile
    whether there was something to do. The links that are kept then are nobody's, and no one learns them. What is left
    is the talk with the mail server, which holds nothing up.
    """
    known = {each.lower(): each for each in (*app.settings.dashboard.viewers, *app.settings.admins)}
    to = known.get(address.strip().lower())
    link = await _new_link(app, to or "", browser, forwarded=forwarded)
    key = f"sign-in/{secrets.token_hex(12)}"
    minutes = LIFETIME // timedelta(minutes=1)
    mail = await off_loop(app.email.compose_sign_in, to or address, link, minutes=minutes, key=key)
    if to:
        await app.state.enqueue([mail], now=app.clock())
    else:
        for _ in range(_CHANGES):
            await _new_link(app, "", browser)
    for _ in range(_TRIES):
        if not (await deliver_now(app, "mail")).tried:
            return


def new_session(now: datetime) -> tuple[str, Session]:
    """What a browser keeps as its cookie, and the session of it, which gets its address from the link."""
    secret = fresh_secret()
    return secret, Session(hashed(secret), "", now, now)


async def live_session(app: Application, cookie: str) -> Session | None:
    """The session of a cookie, while it lasts; that it is in use is noted."""
    now, limits = app.clock(), app.settings.dashboard
    found = await app.stores.sign_ins.session(hashed(cookie))
    if found is None:
        return None
    idle, age = (now - found.seen).total_seconds(), (now - found.began).total_seconds()
    if idle >= limits.sign_out_idle or age >= limits.sign_out_after:
        return None
    if now - found.seen >= SEEN_EVERY:
        await app.stores.sign_ins.see(found.cookie, now)
    return found


async def forget_old_sessions(app: Application) -> None:
    """Forget the sessions that are over."""
    now, limits = app.clock(), app.settings.dashboard
    await app.stores.sign_ins.purge_sessions(
        seen_before=now - timedelta(seconds=limits.sign_out_idle),
        began_before=now - timedelta(seconds=limits.sign_out_after),
    )
