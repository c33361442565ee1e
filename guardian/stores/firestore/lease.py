"""The leader's lease in Firestore: one document for all leases, so that no token is given out twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from guardian.core.clock import is_over
from guardian.core.time import micros, moment
from guardian.stores.firestore.database import LEASES, META, StateDatabase
from guardian.stores.firestore.draft import Draft


class FirestoreLease(StateDatabase):
    """The part of `StateStore` that says which process leads."""

    async def acquire_lease(self, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
        """See StateStore. A lease that ends more than two `ttl` from now was taken by a clock that ran ahead, and
        counts as expired."""

        async def work(draft: Draft) -> int | None:
            held = await _held(draft)
            lease = held.get(name, _NOBODY)
            mine = lease["holder"] == holder
            if not mine and lease["holder"] and not is_over(moment(lease["expires_us"]), now, 2 * ttl):
                return None
            token = int(lease["token"]) if mine else _next_token(held)
            held[name] = {"holder": holder, "token": token, "expires_us": micros(now + ttl)}
            draft.put(META, LEASES, {"held": held})
            return token

        return await self.transact(work)

    async def release_lease(self, name: str, holder: str) -> None:
        """See StateStore. The token becomes invalid."""

        async def work(draft: Draft) -> None:
            held = await _held(draft)
            if name in held and held[name]["holder"] == holder:
                held[name] = {"holder": "", "token": _next_token(held), "expires_us": 0}
                draft.put(META, LEASES, {"held": held})

        await self.transact(work)

    async def lease_held(self, name: str, now: datetime, ttl: timedelta) -> bool:
        """See StateStore."""
        lease = (await self.read(_held)).get(name, _NOBODY)
        return bool(lease["holder"]) and micros(now) < lease["expires_us"] <= micros(now + 2 * ttl)


_NOBODY: dict[str, Any] = {"holder": "", "token": 0, "expires_us": 0}


async def _held(draft: Draft) -> dict[str, Any]:
    """Each lease by its name: holder, token, expires_us."""
    found = await draft.get(META, LEASES)
    return {} if found is None else dict(found["held"])


def _next_token(held: dict[str, Any]) -> int:
    return max((int(lease["token"]) for lease in held.values()), default=0) + 1
