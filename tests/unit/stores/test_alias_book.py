"""When the aliases are read again, and what holds while they cannot be."""

import logging
import threading

import pytest

from guardian.core.report.model import NoteRow
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import AliasBook, alias_note
from guardian.stores.people.source import SourceError

ADA = {"a": "ada@example.com"}
BOB = {"a": "bob@example.com"}


class Given:
    name = "people.csv"
    asked = 0
    changed = 0

    def __init__(self, rows):
        self.rows = rows

    def version(self):
        return self.changed

    def read(self):
        self.asked += 1
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows.items()


@pytest.fixture
def source():
    return Given(ADA)


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def book(source, now):
    return AliasBook(source, clock=lambda: now[0])


def test_without_a_source_nobody_has_an_alias():
    assert AliasBook().current() == Aliases()


def test_a_source_is_asked_once_in_five_minutes(book, source, now):
    assert book.current() == Aliases(ADA)
    source.rows = BOB
    now[0] += 299
    assert book.current() == Aliases(ADA)
    now[0] += 1
    assert book.current() == Aliases(BOB)
    assert source.asked == 2


def test_a_source_that_has_changed_is_asked_at_once(book, source):
    book.current()
    source.rows, source.changed = BOB, 1
    assert book.current() == Aliases(BOB)


def test_the_last_good_names_stay_and_it_is_said_once(book, source, now, caplog):
    caplog.set_level(logging.INFO)
    book.current()
    source.rows = SourceError("people.csv is not there: write it, or correct alias.csv")
    for _ in range(5):
        now[0] += 300
        assert book.current() == Aliases(ADA)
    assert book.trouble == "people.csv is not there: write it, or correct alias.csv"
    text, cure = "ids may stand in place of names, since people.csv is not there", "write it, or correct alias.csv"
    assert alias_note(book) == NoteRow("alias", 1, None, text, cure)
    source.rows = BOB
    now[0] += 60
    assert book.current() == Aliases(BOB)
    assert (book.trouble, alias_note(book)) == (None, None)
    assert caplog.messages == [
        "The names of people cannot be read, so the last names stay: people.csv is not there: write it, or correct "
        "alias.csv",
        "The names of people are read from people.csv again",
    ]


def test_ids_are_shown_where_nothing_was_ever_read(book, source, now, caplog):
    source.rows = ZeroDivisionError("a secret")
    assert book.current() == Aliases()
    assert book.trouble == "people.csv cannot be read (ZeroDivisionError): look at it"
    now[0] += 59
    book.current()
    assert source.asked == 1
    assert "ids are shown in their place" in caplog.text
    assert "a secret" not in caplog.text


def test_a_source_that_is_slow_holds_nobody_up_and_is_asked_by_one_at_a_time(source, now):
    enough, asked = threading.Event(), threading.Event()

    def rows():
        asked.set()
        assert enough.wait(60)
        yield from ADA.items()

    source.rows = {}
    source.read = rows
    book = AliasBook(source, clock=lambda: now[0], wait=0.01)
    assert book.current() == Aliases()
    assert asked.wait(60)
    assert book.trouble == "people.csv has not answered within 0.01 s: look why it is slow"
    now[0] += 1000
    reading = book._reading
    assert book.current() == Aliases()
    assert book._reading is reading
    enough.set()
    reading.join(60)
    now[0] -= 1000  # else it would be asked again, and might not answer within 0.01 s
    assert book.current() == Aliases(ADA)
    assert book.trouble is None
