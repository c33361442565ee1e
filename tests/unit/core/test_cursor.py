"""How far a reader of events has come."""

from guardian.core.cursor import Cursor


def test_a_cursor_counts_what_each_instance_has_written_since():
    before = Cursor({"a": 3, "b": 7})
    assert Cursor({"a": 5, "b": 7, "c": 2}).since(before) == 4
    assert before.since(before) == 0
    assert before.since(Cursor()) == 10


def test_an_instance_that_is_gone_takes_nothing_back():
    assert Cursor({"b": 8}).since(Cursor({"a": 3, "b": 7})) == 1
