"""The names of many people are read at once; erased ones have the name of their person all the same."""

import sqlite3
from contextlib import closing

import pytest

from guardian.stores.people.aliases import NO_ALIASES, Aliases
from guardian.stores.sqlite.people import names_of, read_people
from tracker.sqlite.migrations import prepare

STORED = ("ada@example.com", "u1", "erased-0123456789abcdef", "erased-0123456789abcdef~1", "erased-mike~1")


@pytest.mark.parametrize("many", [1, 20_000])
@pytest.mark.parametrize("aliases", [NO_ALIASES, Aliases({"u1": "ada@example.com"})])
def test_people_have_the_same_names_however_many_are_asked_for(many, aliases):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db)
        db.executemany("INSERT INTO guardian_user (email) VALUES (?)", [(name,) for name in STORED])
        known = dict(db.execute("SELECT email, id FROM guardian_user"))
        people = read_people(db, aliases)
        names = names_of(db, people, [*known.values(), *range(1_000, 1_000 + many)])
    second = "ada@example.com" if aliases.addresses else "u1"
    expected = ("ada@example.com", second, "erased-0123456789abcdef", "erased-0123456789abcdef", "erased-mike~1")
    assert [names[known[name]] for name in STORED] == list(expected)
