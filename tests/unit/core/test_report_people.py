"""Whom a report names, in its values and in its text."""

import json

from hypothesis import given
from hypothesis import strategies as st

from guardian.core.report.people import people_in, people_of

NAMED = st.dictionaries(
    st.sampled_from(["email", "endpoint", "mail", "users"]),
    st.text(st.characters(), max_size=6) | st.sampled_from(['"email": "x"', "\\", '"email']),
    max_size=4,
)


@given(st.lists(NAMED, max_size=5), st.booleans(), st.sampled_from([None, 2]))
def test_the_people_in_a_reports_text_are_those_of_its_values(users, ascii_only, indent):
    report = {"period_end": "2026-03-02T00:00:00+00:00", "users": users}
    text = json.dumps(report, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert people_in(text) == people_of(report)
