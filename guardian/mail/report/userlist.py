"""All users of a report as a file for a spreadsheet."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Sequence
from io import StringIO

from guardian.core.language import Language
from guardian.core.mentions import plain
from guardian.core.report.model import UserRow

MOST_ROWS = 20_000
"""A file with more people would make a mail that servers refuse."""


def users_csv(users: Sequence[UserRow], lang: Language) -> bytes:
    """A line a user, the busiest first and at most 20,000, as RFC 4180 has it; in UTF-8 with a mark that spreadsheets
    know it by."""
    file = StringIO()
    # Texts in quotes: a spreadsheet that parts cells by semicolons, as in France, makes no cell out of a part of one.
    writer = csv.writer(file, delimiter=";" if lang.code == "fr" else ",", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([lang("User"), lang("Requests"), lang("Errors"), lang("Minutes"), lang("Features")])
    for user in sorted(users, key=lambda user: (-user.requests_count, user.email))[:MOST_ROWS]:
        features = ", ".join(user.features_used)
        numbers = (user.requests_count, user.errors_count, user.total_time_minutes)
        writer.writerow([plain_cell(user.email), *numbers, plain_cell(features)])
    return file.getvalue().encode("utf-8-sig", "replace")


def plain_cell(text: str) -> str:
    """The text, begun with an apostrophe where a spreadsheet would take it for a formula (OWASP, "CSV Injection"): also
    behind what is not seen, and with the wide signs of East Asian writing."""
    seen = plain(text)
    first = next((sign for sign in seen if not sign.isspace() and unicodedata.category(sign) not in ("Cc", "Cf")), "")
    formula = unicodedata.normalize("NFKC", first) in ("=", "+", "-", "@") or seen.startswith(("\t", "\r", "\n"))
    return f"'{text}" if formula else text
