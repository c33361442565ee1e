"""Names of users are kept from report to report, until somebody is erased; users are counted once."""

import sqlite3
from contextlib import closing

import pytest

from guardian.stores.people.aliases import NO_ALIASES
from guardian.stores.sqlite import names
from guardian.stores.sqlite.burying import unlink
from guardian.stores.sqlite.names import KeptNames, Names
from guardian.stores.sqlite.people import names_of, read_people
from tracker.sqlite.migrations import prepare


@pytest.fixture
def db():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        prepare(made)
        add(made, "ada@example.com", "bob@example.com")
        yield made


def add(db, *users):
    db.executemany("INSERT INTO guardian_user (email) VALUES (?)", [(user,) for user in users])


def asked(db):
    """The statements that run from here on."""
    found = []
    db.set_trace_callback(found.append)
    return found


def named(db, kept, *numbers):
    return names_of(db, read_people(db, NO_ALIASES, kept), numbers)


def test_a_name_that_was_read_is_not_read_again(db):
    kept = KeptNames()
    assert named(db, kept, 1, 2) == {1: "ada@example.com", 2: "bob@example.com"}
    add(db, "eve@example.com")
    statements = asked(db)
    assert named(db, kept, 2, 3) == {2: "bob@example.com", 3: "eve@example.com"}
    assert [each for each in statements if "json_each" in each] == [
        "SELECT u.id, u.email FROM json_each('[3]') j CROSS JOIN guardian_user u ON u.id = j.value"
    ]


def test_who_is_erased_is_not_named_by_what_was_kept(db):
    kept = KeptNames()
    named(db, kept, 1, 2)
    unlink(db, [[1]])
    found = named(db, kept, 1, 2)
    assert found[1].startswith("erased-")
    assert found[2] == "bob@example.com"


def test_a_number_that_nobody_has_has_no_name(db):
    assert named(db, KeptNames(), 1, 77) == {1: "ada@example.com"}


def test_no_more_names_are_kept_than_may_be(db, monkeypatch):
    monkeypatch.setattr(names, "MOST", 2)
    known = Names()
    assert dict(known.of(db, [1, 2])) == {1: "ada@example.com", 2: "bob@example.com"}
    add(db, "eve@example.com")
    assert dict(known.of(db, [2, 3])) == {2: "bob@example.com", 3: "eve@example.com"}


def kept_over_a_backup(db, folder):
    """Names with that of a user, number 3, who came after the backup that the database is now."""
    kept = KeptNames()
    with closing(sqlite3.connect(folder / "backup.db")) as backup:
        db.backup(backup)
        add(db, "eve@example.com")
        named(db, kept, 3)
        backup.backup(db)
    return kept


def test_a_backup_that_is_copied_over_the_file_does_not_get_names_of_later_users(db, tmp_path):
    kept = kept_over_a_backup(db, tmp_path)
    assert named(db, kept, 1, 3) == {1: "ada@example.com"}
    add(db, "zoe@example.com")
    assert named(db, kept, 3) == {3: "zoe@example.com"}


def test_a_backup_that_is_copied_over_the_file_and_gets_users_of_its_own_is_read_anew(db, tmp_path):
    kept = kept_over_a_backup(db, tmp_path)
    add(db, "zoe@example.com", "max@example.com")
    assert named(db, kept, 3) == {3: "zoe@example.com"}


def test_users_are_counted_once_and_then_only_later_ones(db):
    known = Names()
    assert known.count(db) == 2
    add(db, "eve@example.com")
    statements = asked(db)
    assert (known.count(db), known.count(db)) == (3, 3)
    counted = [each for each in statements if "count(*)" in each]
    assert counted == ["SELECT count(*) FROM guardian_user WHERE id > 2"]


def test_a_count_is_right_after_users_were_deleted(db):
    known = Names()
    known.count(db)
    db.execute("DELETE FROM guardian_user WHERE id = 2")
    assert known.count(db) == 1
