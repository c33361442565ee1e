"""Who used it: the users with most requests, how many more there are, and who did not sign in. Pure."""

from __future__ import annotations

from heapq import nsmallest
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.model import Anonymous, Report, UserRow
from guardian.mail.report.section import Section
from guardian.mail.report.userlist import SHOWN
from guardian.mail.report.wording import short


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`users`, rows of a table, the busiest first; the sentence `anonymous`, "" for none. `more_users` is "" until the
    file is there that it tells of (`userlist`)."""
    # Not sorted whole: of 50,000 that is one call of 20 ms, which the event loop waits for.
    users = nsmallest(SHOWN, report.users, key=lambda user: (-user.requests_count, user.email))
    return {
        "users": [_user(user, lang) for user in users],
        "more_users": "",
        "anonymous": _anonymous(report.anonymous, lang),
    }


def _user(user: UserRow, lang: Language) -> dict[str, Any]:
    used = user.features_used
    return {
        "email": short(user.email),
        "raw": user.email,
        "features": short(", ".join(used[:4])) + (f" +{len(used) - 4}" if len(used) > 4 else ""),
        "requests": lang.number(user.requests_count),
        "errors": lang.number(user.errors_count),
        "any_error": user.errors_count > 0,
        "time": lang.duration(user.total_time_minutes * 60) if user.total_time_minutes else lang("< 1 min"),
    }


def _anonymous(totals: Anonymous, lang: Language) -> str:
    if not totals.requests_count:
        return ""
    return lang.plural(
        "Not signed in: %(n)s request, %(bad)s failed.",
        "Not signed in: %(n)s requests, %(bad)s failed.",
        totals.requests_count, bad=lang.number(totals.errors_count),
    )  # fmt: skip


SECTION = Section("users", {"users": (), "more_users": "", "anonymous": ""}, words)
