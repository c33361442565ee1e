"""Reports and alerts by mail, from what the tracker recorded.

Import `UsageGuardian`, `UsageRepository` and `EmailService` from here; `app.mount("/guardian", guardian.app())` puts
the API into a host app.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from guardian.settings.channel_check import check_addresses_with
from guardian.settings.kinds import take_kinds_from

if TYPE_CHECKING:
    from guardian.application.usage import UsageGuardian
    from guardian.mail.service import EmailService
    from guardian.stores.events import UsageRepository
    from guardian.web.mounted import app

__all__ = ["EmailService", "UsageGuardian", "UsageRepository", "app"]
_HOMES = {
    "EmailService": "guardian.mail.service",
    "UsageGuardian": "guardian.application.usage",
    "UsageRepository": "guardian.stores.events",
    "app": "guardian.web.mounted",
}


if not TYPE_CHECKING:  # or a checker would believe that there is every name

    def __getattr__(name: str) -> Any:
        # Late, so that `guardian --help` does not load what it does not need.
        if name not in _HOMES:
            raise AttributeError(f"module 'guardian' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


# The settings import nothing that lies above them: they are handed the kinds of rules, and what knows channels.
take_kinds_from(lambda: import_module("guardian.alerting.kinds").SETTINGS)
check_addresses_with(lambda *given: import_module("guardian.mail.channels.services").check_address(*given))
