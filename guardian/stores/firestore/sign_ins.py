"""`SignInStore` on Firestore, in the database of the outbox."""

from __future__ import annotations

from datetime import datetime

from guardian.core.time import micros, moment
from guardian.stores.firestore.database import StateDatabase
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.queries import Query
from guardian.stores.sign_ins import TRIES, AskedLink, Session
from tracker.firestore.expiry import FIELD

ASKED, SIGNED_IN = "guardian_asked", "guardian_signed_in"


class FirestoreSignInStore:
    """`SignInStore` in the documents of `StateDatabase`."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def keep_link(self, asked: AskedLink, now: datetime) -> None:
        """See SignInStore."""

        async def work(draft: Draft) -> None:
            for name, _ in await draft.find(Query(ASKED, (("expires_us", "<=", micros(now)),))):
                draft.delete(ASKED, name)
            draft.force(ASKED, asked.link.hex(), {
                "link": asked.link, "address": asked.address.lower(), "expires_us": micros(asked.expires),
                "browser": asked.browser, "code": asked.code, "forwarded": asked.forwarded, "tries": 0,
                FIELD: asked.expires,
            })  # fmt: skip

        await self._state.transact(work)

    async def link(self, link: bytes, now: datetime) -> AskedLink | None:
        """See SignInStore."""
        fields = await self._state.read(lambda draft: draft.get(ASKED, link.hex()))
        return _asked(fields) if fields is not None and _is_good(fields, now) else None

    async def open_link(self, link: bytes, browser: bytes | None, session: Session, now: datetime) -> str | None:
        """See SignInStore."""

        async def work(draft: Draft) -> str | None:
            fields = await draft.get(ASKED, link.hex())
            if fields is None or not _is_good(fields, now) or fields["browser"] not in (None, browser):
                return None
            return _begin(draft, fields, session)

        return await self._state.transact(work)

    async def open_code(self, code: bytes, browser: bytes, session: Session, now: datetime) -> str | None:
        """See SignInStore."""

        async def work(draft: Draft) -> str | None:
            found = [fields for _, fields in await draft.find(Query(ASKED, (("browser", "==", browser),)))]
            for fields in found:
                if fields["code"] == code and _is_good(fields, now):
                    return _begin(draft, fields, session)
            for fields in found:
                draft.put(ASKED, fields["link"].hex(), {"tries": fields["tries"] + 1})
            return None

        return await self._state.transact(work)

    async def forward_link(self, link: bytes, now: datetime) -> str | None:
        """See SignInStore."""

        async def work(draft: Draft) -> str | None:
            fields = await draft.get(ASKED, link.hex())
            good = fields is not None and _is_good(fields, now)
            if fields is None or not good or fields["browser"] is None or fields["forwarded"]:
                return None
            draft.put(ASKED, link.hex(), {"forwarded": True})
            return str(fields["address"])

        return await self._state.transact(work)

    async def session(self, cookie: bytes) -> Session | None:
        """See SignInStore."""
        fields = await self._state.read(lambda draft: draft.get(SIGNED_IN, cookie.hex()))
        if fields is None:
            return None
        return Session(cookie, fields["address"], moment(fields["began_us"]), moment(fields["seen_us"]))

    async def see(self, cookie: bytes, now: datetime) -> None:
        """See SignInStore."""

        async def work(draft: Draft) -> None:
            if await draft.get(SIGNED_IN, cookie.hex()) is not None:
                draft.put(SIGNED_IN, cookie.hex(), {"seen_us": micros(now)})

        await self._state.transact(work)

    async def end_session(self, cookie: bytes) -> None:
        """See SignInStore."""

        async def work(draft: Draft) -> None:
            if await draft.get(SIGNED_IN, cookie.hex()) is not None:
                draft.delete(SIGNED_IN, cookie.hex())

        await self._state.transact(work)

    async def end_sessions(self, address: str) -> int:
        """See SignInStore."""

        async def work(draft: Draft) -> int:
            return await end_sessions(draft, address.lower())

        return await self._state.transact(work)

    async def purge_sessions(self, *, seen_before: datetime, began_before: datetime) -> None:
        """See SignInStore."""
        over = (("seen_us", seen_before), ("began_us", began_before))

        async def work(draft: Draft) -> None:
            for field, before in over:
                for name, _ in await draft.find(Query(SIGNED_IN, ((field, "<", micros(before)),))):
                    draft.delete(SIGNED_IN, name)

        await self._state.transact(work)


async def end_sessions(draft: Draft, address: str) -> int:
    """Delete the sessions of an address (in lower case) and its unused links. Returns how many sessions."""
    mine = (("address", "==", address),)
    for name, _ in await draft.find(Query(ASKED, mine)):
        draft.delete(ASKED, name)
    sessions = await draft.find(Query(SIGNED_IN, mine))
    for name, _ in sessions:
        draft.delete(SIGNED_IN, name)
    return len(sessions)


def _begin(draft: Draft, fields: Fields, session: Session) -> str:
    """Use up the link and begin a session for its address."""
    draft.delete(ASKED, fields["link"].hex())
    draft.force(SIGNED_IN, session.cookie.hex(), {
        "address": fields["address"], "began_us": micros(session.began), "seen_us": micros(session.seen),
    })  # fmt: skip
    return str(fields["address"])


def _is_good(fields: Fields, now: datetime) -> bool:
    return bool(fields["expires_us"] > micros(now) and fields["tries"] < TRIES)


def _asked(fields: Fields) -> AskedLink:
    return AskedLink(
        fields["link"], fields["address"], moment(fields["expires_us"]), fields["browser"], fields["code"],
        fields["forwarded"],
    )  # fmt: skip
