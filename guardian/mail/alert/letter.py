"""What an admin needs to write to the people hit by an incident: a list to copy, a draft, a file. Guardian itself
writes to none of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from guardian.alerting.whom import Fate, Hit, Whom
from guardian.alerting.whom_words import letter, to_write_to, whom_lines
from guardian.core.bidi import bare, isolated
from guardian.core.language import NO_BREAK, Language
from guardian.core.mail_address import check_address
from guardian.core.mentions import plain
from guardian.core.time import moment
from guardian.mail.message import Attachment
from guardian.mail.pages import encoded
from guardian.mail.report.userlist import plain_cell

COPIED = 100
"""How many addresses a mail lists for copying; the file has all."""
LONGEST = 1900
"""Characters of a mailto address, of which some programs take no more than 2,000."""
NAMES = 10
"""How many names that are not addresses are listed."""
MOST_LINES = 5000
"""The most people in the file; the API has everybody."""


def addresses(hits: Sequence[Hit]) -> tuple[list[str], list[str]]:
    """The names that are mail addresses, and those that are not, with the marks around them kept."""
    good, others = list[str](), list[str]()
    for hit in hits:
        try:
            check_address(plain(hit.name))
        except ValueError:
            others.append(hit.name)
        else:
            good.append(hit.name)
    return good, others


def no_address(names: Sequence[str], lang: Language) -> str:
    """A sentence with the names that are not addresses; "" if all are."""
    if not names:
        return ""
    few = ", ".join([*map(isolated, names[:NAMES]), *(["…"] if len(names) > NAMES else [])])
    said = lang.plural("%(n)s of them has no mail address", "%(n)s of them have no mail address", len(names))
    return lang("%(label)s: %(value)s", label=said, value=few)


def mailto(found: Whom, lang: Language, zone: ZoneInfo, over: datetime | None) -> str:
    """A mailto URL (RFC 6068) that opens a draft to them as Bcc in the reader's mail program; "" if there is nobody, or
    too many for a URL."""
    good, _ = addresses(to_write_to(found))
    if not good:
        return ""
    subject, body = (bare(each).replace(NO_BREAK, " ") for each in letter(found, lang, zone, over=over))
    text = quote(body.replace("\n", "\r\n"), safe="", errors="replace")
    url = f"mailto:?bcc={','.join(map(encoded, good))}&subject={quote(subject, safe='', errors='replace')}&body={text}"
    return url if len(plain(url)) <= LONGEST else ""


def whom_shown(found: Whom, lang: Language, zone: ZoneInfo, over: datetime | None, file: str) -> dict[str, Any]:
    """The values that templates print about it: `lines`, the `addresses` to copy with a label, a `draft` (the address
    of a link, "" for none), and `notes` about what is missing and where to find it. `over` is when all was well again;
    None if unknown, and then a note says why there is no draft. `file` is the name of the attached file, "" if there is
    none."""
    lines = whom_lines(found, lang, zone)
    good, others = addresses(to_write_to(found))
    label = lang("Not come back or failed again, to copy:")
    if found.slow:
        label = lang("Not come back or slow again, to copy:")
    draft = mailto(found, lang, zone, over) if over else ""
    notes = [no_address(others, lang)]
    if len(good) > COPIED:
        notes.append(lang("and %(n)s more", n=lang.number(len(good) - COPIED)) + ".")
    if good and over and not draft:
        notes.append(lang("They are too many for one draft: copy the addresses to Bcc."))
    if file:
        if len(found.people) > MOST_LINES:
            most = lang.number(MOST_LINES)
            notes.append(lang("The first %(n)s of those who were hit are in the attached %(file)s.", n=most, file=file))
        else:
            notes.append(lang("Everybody who was hit is in the attached %(file)s.", file=file))
    return {
        "lines": lines,
        "label": label if good else "",
        "addresses": ", ".join(good[:COPIED]),
        "draft": draft,
        "notes": [note for note in notes if note],
    }


def people_file(found: Whom, lang: Language, name: str) -> Attachment:
    """The people hit as CSV, one line each, at most MOST_LINES, those to write to first. Times are UTC."""
    file = StringIO()
    writer = csv.writer(file, delimiter=";" if lang.code == "fr" else ",", quoting=csv.QUOTE_NONNUMERIC)
    times = lang("Slow requests") if found.slow else lang("Errors")
    where = lang("Route"), lang("Feature")
    writer.writerow([lang("User"), times, lang("First"), lang("Last"), *where, lang("Since then")])
    for hit in found.people[:MOST_LINES]:
        first, last = (moment(at).astimezone(UTC).isoformat(timespec="seconds") for at in (hit.first_us, hit.last_us))
        where = plain_cell(hit.endpoint), plain_cell(hit.feature)
        writer.writerow([plain_cell(hit.name), hit.times, first, last, *where, fate_word(hit.fate, lang, found.slow)])
    return Attachment(name, "text/csv", file.getvalue().encode("utf-8-sig", "replace"))


def fate_word(fate: Fate, lang: Language, slow: bool) -> str:
    """How a person fared since their last failure (or `slow` answer), in a word or two."""
    if fate == "back":
        return lang("succeeded")
    if fate == "away":
        return lang("not come back")
    return lang("slow again") if slow else lang("failed again")
