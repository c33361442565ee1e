"""Who needs help: the users with most errors, their newest errors, and their last steps. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.activity import most_in_need
from guardian.core.language import Language, marked
from guardian.core.report.model import FailedRequest, Report, Step
from guardian.mail.report.section import Section
from guardian.mail.report.wording import code_of, error_text, short

ERRORS = 3
"""How many of the newest kinds of error are shown for each user."""


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`help`, each with `email`, whole as `raw`, a `summary`, `errors`, and `steps` in a sentence, "" where the report
    has none."""
    users = {user.email: user for user in report.users}
    needy = most_in_need((user.email, user.requests_count, user.errors_count) for user in report.users)
    steps = {each.email: each.steps for each in report.help}
    say = _moments(report, lang, zone)
    return {
        "help": [
            {
                "email": short(user.email),
                "raw": user.email,
                "summary": lang.plural(
                    "%(bad)s of %(n)s request failed", "%(bad)s of %(n)s requests failed",
                    user.requests_count, bad=lang.number(user.errors_count),
                ),
                "errors": _grouped(user.errors, say, lang, whole=len(user.errors) == user.errors_count),
                "steps": _steps(steps.get(user.email, ()), lang),
            }
            for user in (users[email] for email in needy)
        ]
    }  # fmt: skip


def _moments(report: Report, lang: Language, zone: ZoneInfo) -> Callable[[datetime], str]:
    """Formats times of the report: without the day if all lie within one."""
    length = report.period_end - report.period_start
    say = lang.clock if length <= timedelta(hours=25) else lang.moment
    return lambda at: say(at, zone)


def _grouped(
    errors: Sequence[FailedRequest], say: Callable[[datetime], str], lang: Language, *, whole: bool
) -> list[dict[str, str]]:
    """The newest kinds of error of a user, each told once with its count and the last time, the newest last.

    A report lists only a user's newest errors; unless these are the `whole`, the counts are lower bounds.
    """
    kinds: dict[tuple[str, str, str], int] = {}
    last: dict[tuple[str, str, str], datetime] = {}
    for error in errors:
        key = (error.endpoint, code_of(error, lang), error.error)
        kinds[key] = kinds.get(key, 0) + 1
        last[key] = error.timestamp
    newest = sorted(kinds, key=lambda key: last[key])[-ERRORS:]
    return [
        {
            "time": say(last[key]),
            "endpoint": short(key[0]),
            "code": key[1],
            "text": _often(key[2], kinds[key], whole=whole),
        }
        for key in newest
    ]


def _often(text: str, times: int, *, whole: bool) -> str:
    return error_text(text) + (f" ({'' if whole else '≥ '}{times}×)" if times > 1 else "")


def _steps(steps: Sequence[Step], lang: Language) -> str:
    """The user's steps as features in order, failed ones with their status."""
    words = []
    for (feature, code), run in groupby(steps, key=lambda step: (step.feature, _bad_code(step, lang))):
        times = len(list(run))
        words.append(short(feature) + (f" {code}" if code else "") + (f" ({times}×)" if times > 1 else ""))
    return lang("Last steps: %(steps)s", steps=" → ".join(words)) if words else ""


def _bad_code(step: Step, lang: Language) -> str:
    return code_of(step, lang) if step.code >= 400 or step.failed else ""


SECTION = Section("help", {"help": ()}, words, nothing=marked("nobody needs help"))
