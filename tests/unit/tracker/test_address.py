"""Where the database is: what is understood becomes an absolute path, all else is refused in one sentence."""

import os
import pwd
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tracker.address import database_path, is_file, why_not_opened


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder as the current one, with a home in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("x.db", "HERE/x.db"),
        ("./a/../x.db", "HERE/x.db"),
        ("/srv/x.db", "/srv/x.db"),
        (Path("x.db"), "HERE/x.db"),
        (b"x.db", "HERE/x.db"),
        ("a file?.db", "HERE/a file?.db"),
        ("~/x.db", "HERE/home/x.db"),
        ("~backup.db", "HERE/~backup.db"),
        ("sqlite:///x.db", "HERE/x.db"),
        ("sqlite:///./x.db", "HERE/x.db"),
        ("sqlite:////srv/x.db", "/srv/x.db"),
        ("sqlite:///~/x.db", "HERE/home/x.db"),
        ("SQLite:///x.db", "HERE/x.db"),
        ("sqlite+aiosqlite:///x.db", "HERE/x.db"),
        ("sqlite+pysqlite:////srv/x.db", "/srv/x.db"),
        ("sqlite3:///x.db", "HERE/x.db"),
        ("file:x.db", "HERE/x.db"),
        ("file:///srv/a%20b.db", "/srv/a b.db"),
        ("file://localhost/srv/x.db", "/srv/x.db"),
        ("C:/x.db", "HERE/C:/x.db"),
    ],
)
def test_a_path_and_an_url_of_sqlite_are_understood(here, value, path):
    assert database_path(value) == path.replace("HERE", str(here))


def test_a_relative_path_is_seen_from_the_folder_that_is_given(here):
    assert database_path("x.db", "etc") == f"{here}/etc/x.db"
    assert database_path("sqlite:///x.db", "/etc") == "/etc/x.db"
    assert database_path("/srv/x.db", "/etc") == "/srv/x.db"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "database = '' names no file: write a path, such as 'guardian.db'"),
        (" \t", "names no file"),
        (None, "database is of the type NoneType: write a path, such as 'guardian.db'"),
        (7, "database is of the type int"),
        ("a\0b", "database has a control character in it"),
        ("x.db\n", "database has a control character in it"),
        (":memory:", "is kept in memory, where app and daemon could not share it: name a file"),
        ("sqlite://", "is kept in memory"),
        ("sqlite:///", "is kept in memory"),
        ("sqlite:///:memory:", "is kept in memory"),
        ("sqlite+aiosqlite:///:memory:?cache=shared", "is kept in memory"),
        ("file::memory:?cache=shared", "is kept in memory"),
        ("file:x?mode=memory", "is kept in memory"),
        ("file:x.db?mode=ro", "database has parameters after a question mark, which are not understood"),
        ("sqlite:///x.db?timeout=5", "database has parameters"),
        ("sqlite:///file:x.db?mode=ro&uri=true", "database has parameters"),
        ("sqlite://x.db", "write three slashes before a relative path and four before an absolute one"),
        ("sqlite+pysqlcipher://:secret@/x.db", "an encrypted file"),
        ("file://server/x.db", "database is a file on the host server"),
        ("postgresql://ann:secret@db/x", "database is an address of postgresql://, and only an SQLite file will do"),
        ("postgresql+asyncpg://ann:secret@db/x", "postgresql://"),
        ("mysql://ann:secret@db/x", "mysql://"),
        ("firestore://", "database is no address of Firestore: write firestore://PROJECT, or firestore://PROJECT/"),
        ("firestore://ann:secret@project", "database is no address of Firestore"),
        ("firestore://project/one/two", "database is no address of Firestore"),
        (" x.db", "database = ' x.db' has spaces or quotes around it: write it without them"),
        ("'x.db'", "has spaces or quotes around it: write it without them"),
        ("sqlite:/x.db", "database = 'sqlite:/x.db' has too few slashes: write it as sqlite:///guardian.db"),
        ("$HOME/x.db", "has a variable in it, which is not looked up: write the path itself"),
        ("home", "database = 'home' is a folder: name a file in it, such as home/guardian.db"),
        ("~", "is a folder"),
        ("sqlite:///home", "is a folder"),
        ("new/", "is a folder"),
        (".", "is a folder"),
        ("~nobody-of-this-name/x.db", "there is no user 'nobody-of-this-name' with a home: write the whole path"),
        ("/dev/null", "is a device, a pipe or a socket: name an ordinary file"),
    ],
)
def test_what_cannot_be_one_shared_file_is_refused_in_one_sentence(value, said):
    with pytest.raises(ValueError) as caught:
        database_path(value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_link_stays_a_link_and_a_socket_is_no_database(here):
    (here / "there.db").touch()
    (here / "link.db").symlink_to("there.db")
    assert database_path("link.db") == f"{here}/link.db"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.raises(ValueError, match="a socket"):
            database_path("socket")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the current folder cannot be deleted")
def test_a_current_folder_that_was_deleted_is_named(here, monkeypatch):
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ValueError, match="relative to the current folder, which was deleted"):
        database_path("x.db")
    assert database_path("/srv/x.db") == "/srv/x.db"


@pytest.fixture
def as_nobody():
    """A folder that everybody may enter, and another user than its owner from now on."""
    if os.geteuid() != 0:
        yield None
        return
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield Path(folder)
    os.seteuid(0)
    shutil.rmtree(folder)


def test_a_file_that_can_be_written_or_made_has_nothing_against_it(here):
    assert why_not_opened(f"{here}/x.db") is None
    (here / "x.db").touch()
    assert why_not_opened(f"{here}/x.db") is None
    (here / "new.db").symlink_to("x2.db")
    assert why_not_opened(f"{here}/new.db") is None


def test_what_keeps_a_database_from_being_opened_is_named_with_the_cure(here):
    (here / "file").touch()
    (here / "dangling.db").symlink_to(here / "away" / "x.db")
    made = "make it, or name another file"
    assert why_not_opened(f"{here}/a/b/x.db") == f"the folder {here}/a does not exist: {made}"
    assert why_not_opened(f"{here}/file/x.db") == f"{here}/file is not a folder: name a file in a folder"
    assert why_not_opened(f"{here}/home") == f"{here}/home is a folder: name a file in it"
    assert why_not_opened(f"{here}/dangling.db") == f"the folder {here}/away does not exist: {made}"


def test_a_read_only_file_system_is_named(here, monkeypatch):
    # The flags are made up: mounting one takes more rights than a test has.
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert why_not_opened(f"{here}/x.db") == f"the file system of {here} is read-only: name a file on another one"


def test_a_file_of_another_user_is_named_with_both_users(as_nobody):
    if as_nobody is None:
        return  # only root can become another user
    mine, inner = as_nobody / "mine.db", as_nobody / "inner"
    mine.touch(0o644)
    inner.mkdir(0o700)
    nobody = pwd.getpwnam("nobody")
    os.seteuid(nobody.pw_uid)
    cure = "run as that user, or let a group of both write there"
    assert why_not_opened(str(mine)) == (
        f"the user nobody may not write the file {mine}, which belongs to root: {cure}"
    )
    assert why_not_opened(f"{as_nobody}/new.db") == (
        f"the user nobody may not write in the folder {as_nobody}, which belongs to root: {cure}"
    )
    assert why_not_opened(f"{inner}/x.db") == (
        f"the user nobody may not enter the folder {inner}, which belongs to root: {cure}"
    )


@given(st.text() | st.sampled_from(("sqlite:", "file:", "~", "://", "?", ":memory:", "/")).flatmap(
    lambda part: st.text("ab/:~?.%").map(lambda text: part + text)))  # fmt: skip
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_written_it_is_an_absolute_path_or_one_sentence(value):
    try:
        path = database_path(value)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert os.path.isabs(path)
        assert not os.path.isdir(path)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("firestore://project", "firestore://project"),
        ("firestore://project/", "firestore://project"),
        ("firestore://project/(default)", "firestore://project"),
        ("firestore://project/usage", "firestore://project/usage"),
    ],
)
def test_an_address_of_firestore_is_taken_as_it_is_and_no_file(value, meant):
    assert database_path(value) == meant
    assert not is_file(meant)
    assert is_file(database_path("firestore.db"))
