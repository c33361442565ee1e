"""Who is signed in to the dashboard, and which links to sign in by wait to be opened, whichever database is under it.

Of everything that opens something (links, codes, cookies) only hashes are kept: whoever reads the database gets in
nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

TRIES = 5
"""So many wrong codes may be typed for the links of one browser; then none of these is good any more."""


@dataclass(frozen=True, slots=True)
class AskedLink:
    """A link that signs `address` in once, up to `expires`. `link` and `code` are hashes; so is `browser`, of the
    cookie of the one that asked, None where any may open it. With `forwarded` it was asked for from the page of
    another link, which can be done once."""

    link: bytes
    address: str
    expires: datetime
    browser: bytes | None = None
    code: bytes | None = None
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in since `began` and was `seen` last; `cookie` is the hash of what their browser holds."""

    cookie: bytes
    address: str
    began: datetime
    seen: datetime


class SignInStore(Protocol):
    """Links to sign in by, and sessions. Methods raise StorageError where the store cannot answer.

    Addresses are compared without regard to case.
    """

    async def keep_link(self, asked: AskedLink, now: datetime) -> None:
        """Remember a link that is about to be sent; those that are over go."""
        ...

    async def link(self, link: bytes, now: datetime) -> AskedLink | None:
        """The link with this hash, if it is still good; nothing is changed."""
        ...

    async def open_link(self, link: bytes, browser: bytes | None, session: Session, now: datetime) -> str | None:
        """Use the link up and begin the session in one transaction, for the link's address; that, or None, and
        nothing done, where there is no such link for this browser. A link of any browser opens for each."""
        ...

    async def open_code(self, code: bytes, browser: bytes, session: Session, now: datetime) -> str | None:
        """The same for the code of a link of this browser; a wrong one is counted against all of its links."""
        ...

    async def forward_link(self, link: bytes, now: datetime) -> str | None:
        """The address of a link from whose page another is asked for; None where this was done before, or where it
        was itself asked for like that: a mail scanner that presses buttons must not set off mail after mail."""
        ...

    async def session(self, cookie: bytes) -> Session | None:
        """The session of this hash, however old."""
        ...

    async def see(self, cookie: bytes, now: datetime) -> None:
        """Note that the session is in use."""
        ...

    async def end_session(self, cookie: bytes) -> None:
        """Forget one session."""
        ...

    async def end_sessions(self, address: str) -> int:
        """Forget every session of an address, and the links that wait for it; how many sessions there were."""
        ...

    async def purge_sessions(self, *, seen_before: datetime, began_before: datetime) -> None:
        """Forget sessions that were last seen, or began, before these times."""
        ...
