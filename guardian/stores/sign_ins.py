"""Dashboard sessions, and sign-in links that wait to be opened, for any database. Links, codes and cookies are stored
only as hashes: reading the database gives nobody access.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

TRIES = 5
"""After this many wrong codes, all links of a browser become invalid."""


@dataclass(frozen=True, slots=True)
class AskedLink:
    """A link that signs `address` in, once, until `expires`. `link` and `code` are hashes. `browser` is the hash of the
    cookie of the browser that asked; None if any browser may open the link. `forwarded`: it was requested from the page
    of another link, which is possible once."""

    link: bytes
    address: str
    expires: datetime
    browser: bytes | None = None
    code: bytes | None = None
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A session that began at `began` and was last used at `seen`; `cookie` is the hash of the browser's cookie."""

    cookie: bytes
    address: str
    began: datetime
    seen: datetime


class SignInStore(Protocol):
    """Sign-in links, and sessions. Methods raise StorageError where the store cannot answer.

    Addresses are compared without regard to case.
    """

    async def keep_link(self, asked: AskedLink, now: datetime) -> None:
        """Store a link that is about to be sent; deletes expired ones."""
        ...

    async def link(self, link: bytes, now: datetime) -> AskedLink | None:
        """The link with this hash if it is still valid. Changes nothing."""
        ...

    async def open_link(self, link: bytes, browser: bytes | None, session: Session, now: datetime) -> str | None:
        """Use up the link and begin a session for its address, in one transaction. Returns the address; None, with
        nothing changed, if there is no such link for this browser. A link not bound to a browser works in any."""
        ...

    async def open_code(self, code: bytes, browser: bytes, session: Session, now: datetime) -> str | None:
        """The same by the code of one of this browser's links; a wrong code counts against all of them."""
        ...

    async def forward_link(self, link: bytes, now: datetime) -> str | None:
        """The address of a link whose page requests another link. None if that was done before, or if the link was
        itself requested that way: a mail scanner that presses buttons must not trigger one mail after another."""
        ...

    async def session(self, cookie: bytes) -> Session | None:
        """The session with this hash, however old."""
        ...

    async def see(self, cookie: bytes, now: datetime) -> None:
        """Record that the session was used."""
        ...

    async def end_session(self, cookie: bytes) -> None:
        """Delete one session."""
        ...

    async def end_sessions(self, address: str) -> int:
        """Delete all sessions of an address and its unused links. Returns how many sessions there were."""
        ...

    async def purge_sessions(self, *, seen_before: datetime, began_before: datetime) -> None:
        """Delete sessions last used, or begun, before these times."""
        ...
