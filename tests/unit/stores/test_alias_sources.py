"""Reading ids and addresses from a file, a function, a database; and what is said where that fails."""

import sqlite3
import sys
from contextlib import closing
from textwrap import dedent

import pytest

from guardian.settings.people import AliasSettings
from guardian.settings.values import relative_to
from guardian.stores.opening import backend
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.source import SourceError
from guardian.stores.people.sources import open_source
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def read(tmp_path):
    """What the source of such a table gives."""

    def done(**table):
        with relative_to(tmp_path):
            settings = AliasSettings(**table)
        return dict(Aliases.of(open_source(settings, backend(tmp_path / "guardian.db").names).read()).addresses)

    return done


@pytest.fixture
def failed(read):
    def done(**table):
        with pytest.raises(SourceError) as caught:
            read(**table)
        return str(caught.value)

    return done


@pytest.mark.parametrize(
    "text",
    [
        f"a,{ADA}\nb,{BOB}\n",
        f"id,email\na,{ADA}\nb,{BOB}\n",
        f"\ufeffEmail;Full name;ID\r\n{ADA};Ada;a\r\n\r\n{BOB};Bob;b",
        f"sub\temail\textra\na\t{ADA}\tx\nb\t{BOB}\t\n",
        f"Kennung,Anschrift\na,{ADA}\nb,{BOB}\n",
        f'"a","{ADA}"\n"b", {BOB} \n',
        f"email,key\n{ADA},a\n{BOB},b\n",
    ],
    ids=["plain", "a head", "Excel's", "tabs", "a head in other words", "quotes", "the address first"],
)
def test_a_csv_file_is_read_as_people_write_it(read, tmp_path, text):
    (tmp_path / "people.csv").write_text(text, encoding="utf-8")
    assert read(csv="people.csv") == {"a": ADA, "b": BOB}


def test_an_empty_csv_file_names_nobody(read, tmp_path):
    (tmp_path / "people.csv").write_text("")
    assert read(csv="people.csv") == {}


def test_a_csv_file_that_cannot_be_read_is_said_in_one_sentence(failed, tmp_path):
    path = tmp_path / "people.csv"
    assert failed(csv="people.csv") == f"{path} is not there: write it, or correct alias.csv"
    path.write_bytes(b"a,\xff\n")
    assert failed(csv="people.csv") == f"{path} is not a table in UTF-8: save it as CSV in UTF-8"
    path.unlink()
    path.mkdir()
    assert failed(csv="people.csv") == f"{path} is not a file: let alias.csv name one"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes the module `people_of_test` beside the settings file."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(text):
        (tmp_path / "people_of_test.py").write_text(dedent(text))
        sys.modules.pop("people_of_test", None)

    yield written
    sys.modules.pop("people_of_test", None)


@pytest.fixture
async def seen(tmp_path):
    """A database in which two ids and somebody anonymous were recorded."""
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write(
        [event(1, user=user, path="/", feature="f", duration_us=1) for user in ("a", "c", "anonymous")]
    )
    await repository.close()


@pytest.mark.parametrize(
    "text",
    [
        f"def alias(id): return {{'a': '{ADA}', 'b': '{BOB}'}}[id]",
        f"def alias(id): return '{ADA}' if id == 'a' else None",
        f"async def alias(id): return '{ADA}' if id == 'a' else None",
        f"alias = {{'a': '{ADA}', 'b': '{BOB}'}}.get",
        f"def alias(*, tenant=None): return {{'a': '{ADA}'}}",
        f"async def alias(): return [('a', '{ADA}')]",
        f"def alias():\n    yield 'a', '{ADA}'",
    ],
    ids=["KeyError", "None", "async", "a method in C", "all of them", "all of them, async", "a generator"],
)
def test_a_function_gives_one_address_or_all(read, module, seen, text):
    module(text)
    assert read(call="people_of_test:alias") == {"a": ADA}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def alias(id): raise ValueError(id)", "people_of_test:alias raised ValueError: correct the function"),
        ("def alias():\n    yield 1 / 0", "people_of_test:alias raised ZeroDivisionError: correct the function"),
        ("def alias(): return 'a'", "people_of_test:alias gave back str: let it return {id: address}"),
        ("alias = 1", "people_of_test has no function alias: correct alias.call"),
        ("import nothing_of_this_name", "people_of_test cannot be imported (ModuleNotFoundError): correct alias.call"),
    ],
)
def test_a_function_that_fails_is_said_without_the_id(failed, module, seen, text, said):
    module(text)
    assert failed(call="people_of_test:alias") == said


def test_a_function_is_asked_for_nobody_where_there_is_no_database(read, module):
    module("def alias(id): raise ValueError")
    assert read(call="people_of_test:alias") == {}


def test_a_query_without_sqlalchemy_says_what_to_install(failed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert failed(query="SELECT id, email FROM users", database_url="sqlite:///app.db") == (
        "alias.query needs SQLAlchemy: run pip install 'usage-guardian[alias]'"
    )


@pytest.fixture
def users(tmp_path):
    pytest.importorskip("sqlalchemy")
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE users (id, email)")
        db.executemany("INSERT INTO users VALUES (?, ?)", [("a", ADA), (7, BOB), ("gone", None), ("50%:x", ADA)])


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_a_query_reads_the_apps_own_database(read, users, scheme):
    found = read(query="SELECT id, email FROM users", database_url=f"{scheme}:///app.db")
    assert found == {"a": ADA, "7": BOB, "50%:x": ADA}
    found = read(query="SELECT id, email FROM users WHERE id LIKE '50%:x'", database_url=f"{scheme}:///app.db")
    assert found == {"50%:x": ADA}


def test_a_query_that_fails_is_said_in_one_sentence(failed, users, tmp_path):
    url = "sqlite:///app.db"
    wrong = "alias.query failed (no such column: mail): check alias.database_url and alias.query"
    assert failed(query="SELECT id, mail FROM users", database_url=url) == wrong
    assert failed(query="SELECT id FROM users", database_url=url) == (
        "alias.query gives not two columns: write it as SELECT id, email FROM users"
    )
    assert failed(query="SELECT id, email FROM users", database_url="sqlite:///none.db") == (
        "the file of alias.database_url is not there: correct alias.database_url"
    )
    assert not (tmp_path / "none.db").exists()


def test_a_password_stands_in_no_sentence(failed, users):
    said = failed(query="SELECT id, email FROM users", database_url="postgresql+nodriver://u:p%40ss@localhost:1/x")
    assert "p%40ss" not in said
    assert "p@ss" not in said


def test_a_query_commits_nothing(users, read, tmp_path):
    with pytest.raises(ValueError, match="this is not a query"):
        read(query="DELETE FROM users", database_url="sqlite:///app.db")
