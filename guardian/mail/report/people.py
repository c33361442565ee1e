"""What the report mail says of people: who needs help, who went quiet, who used the app most. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.mail.report.changes import short
from guardian.mail.report.userlist import MOST_ROWS

TOP_USERS, TOP_HELP, TOP_QUIET = 10, 5, 5
HELP_ERRORS = 3
"""Who needs help is shown with so many of the newest errors."""


def who_needs_help(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The users with most errors: those with 3 or more, or for whom half of the requests failed; with their newest
    errors, and their last steps where the report has them."""
    needy = [
        user
        for user in report["users"]
        if user["errors_count"] >= 3 or (user["errors_count"] and user["errors_count"] * 2 >= user["requests_count"])
    ]
    needy.sort(key=lambda user: (-user["errors_count"], user["email"]))
    steps = {each["email"]: each["steps"] for each in report.get("help", ())}
    say = _moments(report, lang, zone)
    return [
        {
            "email": short(user["email"]),
            "summary": lang.plural(
                "%(bad)s of %(n)s request failed", "%(bad)s of %(n)s requests failed",
                user["requests_count"], bad=lang.number(user["errors_count"]),
            ),
            "errors": _grouped(user["errors"], say, lang, whole=len(user["errors"]) == user["errors_count"]),
            "steps": _steps(steps.get(user["email"], ()), lang),
        }
        for user in needy[:TOP_HELP]
    ]  # fmt: skip


def _moments(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> Callable[[str], str]:
    """How to say a time of the report: without the day, where all lies within one."""
    length = _time(report["period_end"]) - _time(report["period_start"])
    say = lang.clock if length <= timedelta(hours=25) else lang.moment
    return lambda iso: say(_time(iso), zone)


def code_of(error: Mapping[str, Any], lang: Language) -> str:
    """The status of an error or a step; where it does not show that it failed, with that."""
    return lang("%(code)s (failed)", code=error["code"]) if "failed" in error else str(error["code"])


def _grouped(
    errors: Sequence[Mapping[str, Any]], say: Callable[[str], str], lang: Language, *, whole: bool
) -> list[dict[str, Any]]:
    """The newest kinds of error of a user, each told once with its count and the last time, the newest last.

    A report lists only the newest errors of a user; where that is not the `whole`, there were at least so many.
    """
    kinds: dict[tuple[Any, ...], int] = {}
    last: dict[tuple[Any, ...], str] = {}
    for error in errors:
        key = (error["endpoint"], code_of(error, lang), error["error"])
        kinds[key] = kinds.get(key, 0) + 1
        last[key] = error["timestamp"]
    newest = sorted(kinds, key=lambda key: last[key])[-HELP_ERRORS:]
    return [
        {
            "time": say(last[key]),
            "endpoint": short(key[0]),
            "code": key[1],
            "text": _said(key[2], kinds[key], whole=whole),
        }
        for key in newest
    ]


def _said(text: str, times: int = 1, *, whole: bool = True) -> str:
    """An error in words; that an exception is an Internal Server Error goes without saying."""
    often = f" ({'' if whole else '≥ '}{times}×)" if times > 1 else ""
    return short(text.removesuffix(": Internal Server Error")) + often


def _steps(steps: Sequence[Mapping[str, Any]], lang: Language) -> str:
    """What somebody did, as features in their order, those that failed with their status."""
    words = []
    for (feature, code), run in groupby(steps, key=lambda step: (step["feature"], _bad_code(step, lang))):
        times = len(list(run))
        words.append(short(feature) + (f" {code}" if code else "") + (f" ({times}×)" if times > 1 else ""))
    return lang("Last steps: %(steps)s", steps=" → ".join(words)) if words else ""


def _bad_code(step: Mapping[str, Any], lang: Language) -> str:
    return code_of(step, lang) if step["code"] >= 400 or "failed" in step else ""


def who_went_quiet(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> list[dict[str, str]]:
    """Regular users who met an error and have not come back: `email` and a sentence."""
    return [
        {
            "email": short(each["email"]),
            "sentence": lang(
                "not seen since %(at)s; the last thing: %(code)s %(error)s, %(endpoint)s",
                at=lang.moment(_time(each["last_seen"]), zone), code=code_of(each["error"], lang),
                error=_said(each["error"]["error"]), endpoint=short(each["error"]["endpoint"]),
            ),
        }
        for each in report.get("gone_quiet", ())[:TOP_QUIET]
    ]  # fmt: skip


def busiest(report: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    """The users with most requests, as rows of a table."""
    users = sorted(report["users"], key=lambda user: (-user["requests_count"], user["email"]))
    return [_user(user, lang) for user in users[:TOP_USERS]]


def _user(user: Mapping[str, Any], lang: Language) -> dict[str, Any]:
    used = user["features_used"]
    return {
        "email": short(user["email"]),
        "features": short(", ".join(used[:4])) + (f" +{len(used) - 4}" if len(used) > 4 else ""),
        "requests": lang.number(user["requests_count"]),
        "errors": lang.number(user["errors_count"]),
        "any_error": user["errors_count"] > 0,
        "time": lang.duration(user["total_time_minutes"] * 60) if user["total_time_minutes"] else lang("< 1 min"),
    }


def more_people(report: Mapping[str, Any], lang: Language) -> str:
    """How many more users there are than `busiest` shows, and where; empty for none."""
    number = len(report["users"]) - TOP_USERS
    if number <= 0:
        return ""
    if len(report["users"]) > MOST_ROWS:
        return lang(
            "and %(n)s more people; the %(most)s busiest are in the attached users.csv.",
            n=lang.number(number), most=lang.number(MOST_ROWS),
        )  # fmt: skip
    return lang.plural(
        "and %(n)s more person; everybody is in the attached users.csv.",
        "and %(n)s more people; everybody is in the attached users.csv.",
        number,
    )


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
