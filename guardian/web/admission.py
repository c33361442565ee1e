"""Who may call an endpoint: the one place where tokens, and how often wrong ones came, decide."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from guardian.settings.schema import Settings
from guardian.web.auth import (
    SCHEDULER_HEADER,
    admin_verifier,
    require_admin_claims,
    require_scheduler_account,
    require_scheduler_token,
    scheduler_verifier,
)
from guardian.web.endpoint import Refusal
from guardian.web.limits import Limiter, client_of


class Admission:
    """Lets callers in by their tokens. `verifier` checks admins' tokens and is None if no key is configured; `limiter`
    counts wrong ones. Raises ValueError with one sentence for a key that cannot verify tokens."""

    def __init__(self, settings: Settings) -> None:
        self._api, self._networks = settings.api, settings.dashboard.networks
        self.verifier, self._of_schedulers = admin_verifier(self._api), scheduler_verifier(self._api)
        self.limiter = Limiter()

    async def let_in(self, access: str, request: Request) -> dict[str, Any]:
        """The admin's claims; empty for endpoints open to others. Raises Refusal."""
        if access == "public":
            return {}
        client = client_of(request.scope, self._networks)
        shared, given = request.headers.get(SCHEDULER_HEADER), request.headers.get("authorization")
        if access == "scheduler" and (shared or self._of_schedulers is None):
            given = shared
        # Check a scheduler's token before the limits: behind a proxy, everybody's wrong tokens come from one address.
        over = self.limiter.over(client) if given else None
        if over is not None and access != "scheduler":
            raise over
        try:
            if access == "admin":
                return require_admin_claims(given, self.verifier, self._api)
            if self._of_schedulers is not None and given and not shared:
                await require_scheduler_account(given, self._of_schedulers, self._api, quiet=over is not None)
            else:
                require_scheduler_token(given, self._api, quiet=over is not None)
        except Refusal as refusal:
            if given and refusal.status == 401:
                if over is not None:
                    raise over from None
                self.limiter.failed(client)
            raise
        return {}
