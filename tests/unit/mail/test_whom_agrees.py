"""Whom to tell: mail, file, draft, page, API and command agree on every number, whoever was hit."""

import csv
import re
from io import StringIO
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.incidents import Incident
from guardian.alerting.recorded import Recorded
from guardian.alerting.whom import whom
from guardian.alerting.whom_words import to_write_to, whom_lines
from guardian.application.judging.causes import whom_values
from guardian.core.language import language
from guardian.core.mentions import marked_name
from guardian.core.mentions import plain as unmarked
from guardian.core.time import moment
from guardian.mail.alert.letter import COPIED, LONGEST, addresses, mailto, people_file, whom_shown
from guardian.settings.rules import parse_rule
from tests.support.events import event
from tests.support.plain import plain
from tracker.event import ANONYMOUS, Failure

SECOND, UTC = 1_000_000, ZoneInfo("UTC")
OVER = Incident(
    "i", "error_rate", "", "warning", "resolved", since_us=100 * SECOND, onset_us=100 * SECOND,
    recovery_us=200 * SECOND, resolved_us=300 * SECOND, end="resolved",
)  # fmt: skip
NAMES = [
    "ann@example.com", '"a,b"@example.com', "o'hara+tag@example.com", "jo&co=50%@example.com", "zoë@exämple.org",
    "bob", "Müller, Eva", 'say "hi"', "=1+1", "u?x#y@example.com", ANONYMOUS, "erased-0123456789abcdef",
]  # fmt: skip


def request(second, user, status, feature):
    failure = Failure("KeyError", "no", "chat.py:118 answer") if status >= 400 else None
    return event(second * SECOND, user=user, feature=feature, method="POST", status=status, ms=5, failure=failure)


HISTORIES = st.lists(
    st.builds(
        request, st.integers(90, 400), st.sampled_from(NAMES), st.sampled_from([200, 500]),
        st.sampled_from(["chat", "files"]),
    ),
    max_size=60,
)  # fmt: skip


def hit_by(events):
    return whom(parse_rule("error_rate", {}), OVER, 1000 * SECOND, Recorded(events))


def numbers(line):
    """The whole numbers that a sentence says."""
    return [int(re.sub(r"\D", "", each)) for each in re.findall(r"\d[\d  ,]*\d|\d", plain(line))]


def agree(found, lang):
    """Assert that all that is said of it has the numbers of the API."""
    api, over = whom_values(found), moment(OVER.over_us)
    lines = whom_lines(found, lang, UTC)
    if api is None:
        assert lines == []
        return
    fates = [api[name] for name in ("succeeded", "failed_again", "not_back")]
    assert sum(fates) == len(api["people"]) == api["hit"] - api["erased"]
    said = [*([api["hit"], *filter(None, fates)] if api["hit"] else []), api["erased"], api["anonymous_failures"]]
    assert [number for line in lines for number in numbers(line)] == list(filter(None, said))
    mail = whom_shown(found.named(marked_name), lang, UTC, over, "people.csv")
    assert mail["lines"] == lines
    good, others = addresses(to_write_to(found))
    assert len(good) + len(others) == api["failed_again"] + api["not_back"]
    assert unmarked(mail["addresses"]) == ", ".join(good[:COPIED])
    if draft := mailto(found, lang, UTC, over):
        query = parse_qs(urlsplit(draft).query, strict_parsing=True)
        assert len(draft) <= LONGEST and set(query) == {"bcc", "subject", "body"}
        assert [unquote(each) for each in re.search(r"bcc=([^&]*)", draft)[1].split(",")] == good
    else:
        assert not good or "They are too many" in str(mail["notes"]) or lang.code == "fr"
    file = people_file(found, lang, "people.csv").content.decode("utf-8-sig")
    rows = list(csv.reader(StringIO(file), delimiter=";" if lang.code == "fr" else ","))
    assert len(rows) - 1 == min(len(api["people"]), 5000)
    assert [int(row[1]) for row in rows[1:]] == [each["times"] for each in api["people"]][:5000]


@pytest.mark.parametrize("code", ["en", "fr"])
@given(HISTORIES)
def test_all_that_is_said_has_the_same_numbers(code, events):
    agree(hit_by(events), language(code))


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("number", [1, 2, 99, 101, 5001])
def test_so_it_has_of_one_person_and_of_thousands(code, number):
    events = [request(110, f"user-{n}@example.com", 500, "chat") for n in range(number)]
    agree(hit_by(events), language(code))
    agree(hit_by([*events, request(300, "user-0@example.com", 200, "chat")]), language(code))


@pytest.mark.parametrize("code", ["en", "fr"])
def test_so_it_has_where_only_the_anonymous_or_the_erased_were_hit(code):
    agree(hit_by([request(110, ANONYMOUS, 500, "chat")] * 3), language(code))
    agree(hit_by([request(110, "erased-0123456789abcdef", 500, "chat")]), language(code))
