"""The judgement of a report: its status and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.core.activity import Activity
from guardian.core.language import language
from guardian.core.note_words import note_words
from guardian.core.notes import never_recorded
from guardian.core.report.features import feature_requests
from guardian.core.report.model import Fired
from guardian.core.storage import StorageStats
from guardian.core.summary import fits

BUSY = 20
"""After a period with fewer requests than this, one without any is no warning."""
SERVER_RATE, TIMES_USUAL = 0.01, 3
"""Server errors are a warning above this share and above this many times the usual share."""


def judge(
    current: Activity,
    critical_features: Sequence[str],
    busy: int = 0,
    *,
    weekday: bool = False,
    stats: StorageStats | None = None,
    fired: Sequence[Fired] = (),
    usual: float | None = None,
) -> tuple[str, str]:
    """OK, WARNING or CRITICAL, and why in one sentence.

    CRITICAL: every request of a critical feature failed (at least 5, of at least 2 users), or a critical rule `fired`.
    WARNING: another rule fired, but for those that only inform; or server errors are `unusual`; or nobody came where
    the period that this one is compared with, the same `weekday` or the one before, had `busy` requests, at least 20
    (0: nobody need come, as in two hours of a night); or `stats` say that no request was ever recorded. Else OK.
    """
    requests, errors, server = current.requests, current.errors, current.server_errors
    failed = [
        (-number, name)
        for name, number in feature_requests(current.routes).items()
        if number >= 5 and current.reached.get(name, 0) >= 2 and fits(name, critical_features)
    ]
    if failed:
        number, name = min(failed)
        return "CRITICAL", all_failed(name, -number)
    grave = {each.severity for each in fired} & {"critical", "warning"}
    if grave:
        names = sorted({each.rule for each in fired if each.severity in grave})
        status = "CRITICAL" if "critical" in grave else "WARNING"
        return status, f"{'Rules' if len(names) > 1 else 'Rule'} {', '.join(names)} fired."
    if not requests and busy >= BUSY:
        when = "on the same weekday a week before" if weekday else "in the period before"
        return "WARNING", f"Nobody used the app, after {busy} requests {when}."
    if not requests and stats is not None and never_recorded(stats):
        return "WARNING", note_words("never", 0, stats.place, language())[0]
    if not requests:
        return "OK", "Nobody used the app."
    than = "" if usual is None else f", usually {usual:.1%}"
    if unusual(server / requests, usual):
        return (
            "WARNING",
            f"{server / requests:.1%} of the requests failed with a server error ({server} of {requests}){than}.",
        )
    if server:
        return "OK", f"{server} of {requests} requests failed with a server error{than}."
    if errors:
        return "OK", f"{errors} of {requests} requests failed, none by a fault of the server."
    return "OK", f"All {requests} requests went well."


def unusual(rate: float, usual: float | None) -> bool:
    """Whether so many server errors are worth a warning: more than 1 % of the requests, and more than three times the
    `usual` rate (None: not known, so that 1 % decides)."""
    return rate > SERVER_RATE and rate > TIMES_USUAL * (usual or 0.0)


def all_failed(feature: str, requests: int) -> str:
    """The reason for CRITICAL where every one of so many requests of this feature failed."""
    return f"All {requests} requests of {feature} failed."
