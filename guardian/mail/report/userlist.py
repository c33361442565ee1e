"""The users of a report as an attached spreadsheet file."""

from __future__ import annotations

import csv
import gzip
import unicodedata
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from io import StringIO

from guardian.core.language import Language
from guardian.core.mentions import plain
from guardian.core.report.model import Report, UserRow
from guardian.mail.message import PACKING, Attachment

SHOWN = 10
"""How many users the mail itself shows."""
PLAIN_BYTES, MOST_BYTES = 100_000, 1_000_000
"""A longer file is gzipped; one that is still longer than the second limit is not attached, since servers refuse such
mails."""


def users_file(report: Report, most: int, lang: Language) -> tuple[Attachment | None, str]:
    """The file with up to `most` users, most errors first, then most requests; and the sentence under the table of the
    mail, which says how many more there are and where. No file and "" where the mail shows everybody."""
    total = len(report.users) + report.users_left_out
    number = total - SHOWN
    if number <= 0:
        return None, ""
    named = nsmallest(most, report.users, key=lambda user: (-user.errors_count, -user.requests_count, user.email))
    table = users_csv(named, lang)
    packed = len(table) > PLAIN_BYTES
    if len(table) > MOST_BYTES and len(gzip.compress(table, PACKING)) > MOST_BYTES:
        return None, lang.plural(
            "and %(n)s more person; the API lists everybody.", "and %(n)s more people; the API lists everybody.", number
        )
    name = "users.csv.gz" if packed else "users.csv"
    file = Attachment(name, "application/gzip" if packed else "text/csv", table, packed)
    if len(named) < total:
        return file, lang(
            "and %(n)s more people; the %(most)s with most errors, then most requests, are in the attached %(file)s, "
            "and the API lists everybody.",
            n=lang.number(number), most=lang.number(len(named)), file=name,
        )  # fmt: skip
    return file, lang.plural(
        "and %(n)s more person; everybody is in the attached %(file)s.",
        "and %(n)s more people; everybody is in the attached %(file)s.",
        number, file=name,
    )  # fmt: skip


def users_csv(users: Sequence[UserRow], lang: Language) -> bytes:
    """A line a user, the busiest first, as RFC 4180 has it; in UTF-8 with a BOM, for spreadsheets."""
    file = StringIO()
    # Texts in quotes, so that spreadsheets that separate cells by semicolons, as in France, do not split them.
    writer = csv.writer(file, delimiter=";" if lang.code == "fr" else ",", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([lang("User"), lang("Requests"), lang("Errors"), lang("Minutes"), lang("Features")])
    writer.writerows(csv_rows(sorted(users, key=lambda user: (-user.requests_count, user.email))))
    return file.getvalue().encode("utf-8-sig", "replace")


def csv_rows(users: Iterable[UserRow]) -> Iterable[Sequence[str | int]]:
    """The cells of each user: name, requests, errors, minutes, features."""
    for user in users:
        numbers = (user.requests_count, user.errors_count, user.total_time_minutes)
        yield plain_cell(user.email), *numbers, plain_cell(", ".join(user.features_used))


def plain_cell(text: str) -> str:
    """The text, prefixed with an apostrophe if a spreadsheet would read it as a formula (OWASP, "CSV Injection"), also
    after invisible characters and for full-width signs."""
    if text[:1].isalnum() and text[0].isascii():  # as nearly all begin
        return text
    seen = plain(text)
    first = next((sign for sign in seen if not sign.isspace() and unicodedata.category(sign) not in ("Cc", "Cf")), "")
    formula = unicodedata.normalize("NFKC", first) in ("=", "+", "-", "@") or seen.startswith(("\t", "\r", "\n"))
    return f"'{text}" if formula else text
