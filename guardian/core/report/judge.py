"""The judgement of a report: its status and why, and who needs help. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from guardian.core.language import language
from guardian.core.note_words import note_words
from guardian.core.notes import never_recorded
from guardian.core.report.features import features
from guardian.core.storage import StorageStats
from guardian.core.summary import Summary, fits
from tracker.event import ANONYMOUS

TOP_HELP = 5

MIN_REQUESTS = 20
"""With fewer requests than this, a rate says nothing of the whole."""
CRITICAL_SERVER_RATE, WARNING_RATE = 0.10, 0.05


def needs_help(summary: Summary) -> list[str]:
    """Who needs help of the users of a summary; see `most_in_need`."""
    return most_in_need(
        (email, user.requests, user.errors) for email, user in summary.users.items() if email != ANONYMOUS
    )


def most_in_need(users: Iterable[tuple[str, int, int]]) -> list[str]:
    """Who met most errors, at most five: of those with 3 or more, or for whom half of the requests failed.

    Each user is (address, requests, errors).
    """
    needy = [
        (-errors, email)
        for email, requests, errors in users
        if errors >= 3 or (errors and errors * 2 >= requests)
    ]  # fmt: skip
    return [email for _, email in sorted(needy)[:TOP_HELP]]


def judge(
    summary: Summary,
    critical_features: Sequence[str],
    previous: Summary | None = None,
    *,
    stats: StorageStats | None = None,
) -> tuple[str, str]:
    """OK, WARNING or CRITICAL, and why in one sentence.

    CRITICAL: every request of a critical feature failed (at least 5, of at least 2 users), or 10 % or more of at
    least 20 requests were server errors. WARNING: more than 5 % of at least 20 requests failed, or there was any
    server error, or nobody came after a `previous` period of at least 20 requests (None: nobody need come, as in two
    hours of a night), or `stats` say that no request was ever recorded. Else OK.
    """
    requests, errors = summary.requests, summary.errors
    server = sum(user.server_errors for user in summary.users.values())
    for feature in features(summary):
        name, number = feature.name, feature.requests
        users = sum(1 for email, user in summary.users.items() if name in user.features and email != ANONYMOUS)
        if fits(name, critical_features) and number >= 5 and feature.errors == number and users >= 2:
            return "CRITICAL", all_failed(name, number)
    if not requests and previous is not None and previous.requests >= MIN_REQUESTS:
        return "WARNING", f"Nobody used the app, after {previous.requests} requests in the period before."
    if not requests and stats is not None and never_recorded(stats):
        return "WARNING", note_words("never", 0, stats.place, language())[0]
    if not requests:
        return "OK", "Nobody used the app."
    if requests >= MIN_REQUESTS and server / requests >= CRITICAL_SERVER_RATE:
        return "CRITICAL", f"{server / requests:.1%} of the requests met a server error ({server} of {requests})."
    if requests >= MIN_REQUESTS and errors / requests > WARNING_RATE:
        return "WARNING", f"{errors / requests:.1%} of the requests failed ({errors} of {requests})."
    if server:
        return "WARNING", f"{server} of {requests} requests met a server error."
    if errors:
        return "OK", f"{errors} of {requests} requests failed, none by a fault of the server."
    return "OK", f"All {requests} requests went well."


def all_failed(feature: str, requests: int) -> str:
    """The reason for CRITICAL where every one of so many requests of this feature failed."""
    return f"All {requests} requests of {feature} failed."
