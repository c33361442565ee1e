"""People whom a bucket holds under two numbers: who they are, and their one row where the single events are gone."""

import numpy as np

from guardian.core.overlaps import overlapping, spanned

# number, requests, errors, server errors, began, last ended, active
ROWS = np.array(
    [
        (3, 2, 1, 1, 100, 900, 800),
        (3, 5, 2, 0, 200, 600, 300),
        (4, 1, 0, 0, 100, 150, 50),
        (4, 1, 1, 0, 151, 400, 249),
        (7, 4, 0, 0, 500, 700, 200),
    ]
)


def test_those_whose_requests_overlap_are_found_once_each():
    assert overlapping(ROWS).tolist() == [3]
    assert overlapping(ROWS[2:]).tolist() == []


def test_a_long_row_overlaps_one_that_is_not_its_neighbour():
    rows = np.array([(3, 1, 0, 0, 100, 900, 800), (3, 1, 0, 0, 901, 950, 49), (3, 1, 0, 0, 940, 960, 20)])
    assert overlapping(rows).tolist() == [3]


def test_without_single_events_a_person_was_active_from_their_first_request_to_their_last():
    assert spanned(ROWS).tolist() == [
        [3, 7, 3, 1, 100, 900, 800],
        [4, 2, 1, 0, 100, 400, 300],
        [7, 4, 0, 0, 500, 700, 200],
    ]


def test_the_rows_that_are_joined_stay_as_they_are():
    before = ROWS.copy()
    spanned(ROWS)
    assert (before == ROWS).all()
