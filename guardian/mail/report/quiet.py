"""Who went quiet: regular users who hit an error and have not come back. Pure."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language, marked
from guardian.core.report.model import Report
from guardian.mail.report.section import Section
from guardian.mail.report.wording import code_of, error_text, short

MOST = 5


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`gone_quiet`, each with `email` as it is shown and whole as `raw`, and a `sentence`."""
    return {
        "gone_quiet": [
            {
                "email": short(each.email),
                "raw": each.email,
                "sentence": lang(
                    "not seen since %(at)s; their last request: %(code)s %(error)s, %(endpoint)s",
                    at=lang.moment(each.last_seen, zone), code=code_of(each.error, lang),
                    error=error_text(each.error.error), endpoint=short(each.error.endpoint),
                ),
            }
            for each in report.gone_quiet[:MOST]
        ]
    }  # fmt: skip


SECTION = Section("quiet", {"gone_quiet": ()}, words, nothing=marked("nobody has gone quiet"))
