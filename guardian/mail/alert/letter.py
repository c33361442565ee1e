"""What an admin needs to write to those whom an incident hit: a list to copy, a draft, a file. Guardian writes to none
of them itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from guardian.alerting.whom import Fate, Hit, Whom
from guardian.alerting.whom_words import letter
from guardian.core.bidi import bare, isolated
from guardian.core.language import NO_BREAK, Language
from guardian.core.mail_address import check_address
from guardian.core.mentions import plain
from guardian.mail.pages import encoded

LONGEST = 1900
"""Characters of a mailto address, of which some programs take no more than 2,000."""
NAMES = 10
"""So many names that are no addresses are said."""
MOST_LINES = 5000
"""So many people are in the file; the API has everybody."""


def to_write_to(found: Whom) -> tuple[Hit, ...]:
    """Those who are to be told: who has not come back, and who failed again."""
    return found.fared("away", "again")


def addresses(hits: Sequence[Hit]) -> tuple[list[str], list[str]]:
    """The names that are mail addresses, and those that are none, each between the signs that it had."""
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
    """Which names are no addresses, "" where all are."""
    if not names:
        return ""
    few = ", ".join([*map(isolated, names[:NAMES]), *(["…"] if len(names) > NAMES else [])])
    said = lang.plural("%(n)s of them has no mail address", "%(n)s of them have no mail address", len(names))
    return lang("%(label)s: %(value)s", label=said, value=few)


def mailto(found: Whom, lang: Language, zone: ZoneInfo, over: datetime | None) -> str:
    """The address that opens a draft to them in the reader's own mail program, nobody of whom sees the others (RFC
    6068); "" where there is nobody, or where there are too many for an address."""
    good, _ = addresses(to_write_to(found))
    if not good:
        return ""
    subject, body = (bare(each).replace(NO_BREAK, " ") for each in letter(found, lang, zone, over=over))
    text = quote(body.replace("\n", "\r\n"), safe="", errors="replace")
    url = f"mailto:?bcc={','.join(map(encoded, good))}&subject={quote(subject, safe='', errors='replace')}&body={text}"
    return url if len(plain(url)) <= LONGEST else ""


def fate_word(fate: Fate, lang: Language) -> str:
    """How it went since, in a word or two."""
    if fate == "back":
        return lang("succeeded")
    return lang("failed again") if fate == "again" else lang("not come back")
