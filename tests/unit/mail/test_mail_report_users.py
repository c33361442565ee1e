"""The table of everybody that goes along with the report mail."""

import csv
from io import StringIO

import pytest

from guardian.core.language import language
from guardian.core.report.model import UserRow
from guardian.core.report.reading import from_json
from guardian.mail.report.userlist import plain_cell, users_csv
from guardian.mail.report.users import more_people
from tests.support import report_samples as samples


def test_a_table_of_very_many_users_has_the_busiest_and_says_so():
    users = [UserRow(f"u{n}", 0, (), n, 0) for n in range(20_001)]
    rows = users_csv(users, language()).decode("utf-8-sig").splitlines()
    assert (len(rows), rows[1], rows[-1]) == (20_001, '"u20000",20000,0,0,""', '"u1",1,0,0,""')
    assert more_people(len(users), language()) == (
        "and 19,991 more people; the 20,000 busiest are in the attached users.csv."
    )


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", " =1+1", "\r=1", "\n=1", "＝1+1", "＠x", "\u200b=1", "\ufeff-1"]
)
def test_no_cell_of_the_table_is_a_formula(text):
    assert plain_cell(text) == f"'{text}"
    table = users_csv(from_json(samples.hostile(text)).users, language()).decode("utf-8-sig")
    assert all(not cell.startswith(text) for row in csv.reader(StringIO(table, newline="")) for cell in row)


@pytest.mark.parametrize("text", ["ada@example.com", "", "a=b", "1-2"])
def test_other_cells_stay_as_they_are(text):
    assert plain_cell(text) == text


def test_a_table_is_written_whatever_somebody_is_called():
    table = users_csv(from_json(samples.hostile('x"\n\ud800,')).users, language()).decode("utf-8-sig")
    assert list(csv.reader(StringIO(table, newline="")))[1][0] == 'x"\n?,'
