"""People recorded under pseudonyms are shown where the daemon is told of them, and found when they are named."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardian.settings.people import AliasSettings
from guardian.stores.firestore.backend import _keys
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.opening import backend, open_book
from guardian.stores.people.aliases import Aliases
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker import Recorder
from tracker.firestore.address import parse
from tracker.pseudonyms import key_path, pseudonym

DAY = datetime(2026, 3, 2, tzinfo=UTC)
ADA, BEN = "ada@example.com", "ben@example.com"


def event(minutes, user):
    return made(DAY + timedelta(minutes=minutes), user=user)


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def path(request, tmp_path):
    path = tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)
    recorder = Recorder(path, pseudonymous=True)
    for number, user in enumerate((ADA, BEN, "auth0|5f7c")):
        recorder.add(event(number, user))
    assert recorder.flush() and recorder.close()
    return path


def read_key(path):
    return backend(path).pseudonym_key()


def put_key(path, text):
    """Let the key of a database be this text."""
    if isinstance(path, Path):
        Path(key_path(path)).write_text(text)
    else:
        Documents(parse(path)).commit([Change("guardian_secret", "pseudonyms", {"value": text})])
        _keys.clear()


@pytest.fixture
async def opened(path, tmp_path):
    made = []

    async def open_with(csv=None):
        settings = AliasSettings()
        if csv is not None:
            (tmp_path / "people.csv").write_text(csv)
            settings = AliasSettings(csv=Path(tmp_path / "people.csv"))
        made.append(await backend(path).open_events(open_book(settings, path)))
        return made[-1]

    yield open_with
    for each in made:
        await each.close()


async def seen(repository):
    summary = await repository.summary(DAY, DAY + timedelta(hours=1))
    return set(summary.users)


async def test_without_names_the_pseudonyms_are_shown(opened, path):
    key = read_key(path)
    assert await seen(await opened()) == {pseudonym(key, name) for name in (ADA, BEN, "auth0|5f7c")}


@pytest.mark.parametrize(
    "csv", ["auth0|5f7c,ada@example.com\n", "id,email\nauth0|5f7c,ada@example.com\n", "auth0|5f7c;ada@example.com\n"]
)
async def test_ids_and_addresses_that_are_known_are_one_person_with_a_name(opened, path, csv):
    assert await seen(await opened(csv)) == {ADA, pseudonym(read_key(path), BEN)}


@pytest.mark.parametrize("csv", [f"{ADA}\n{BEN}\n", f"email\n{ADA}\n{BEN}\n", f"email\n{ADA.upper()}\n{BEN}\n\n"])
async def test_a_file_of_addresses_alone_is_enough(opened, path, csv):
    assert await seen(await opened(csv)) == {ADA, BEN, pseudonym(read_key(path), "auth0|5f7c")}


@pytest.mark.parametrize("csv", [None, f"{ADA}\n"])
async def test_a_person_is_exported_and_erased_by_address(opened, path, csv):
    repository = await opened(csv)
    exported = await repository.export_user(ADA)
    assert len(exported["feature_usage"]) == 1
    assert await repository.erase_user(ADA.upper())
    assert not await repository.erase_user(ADA)
    left = await seen(repository)
    assert pseudonym(read_key(path), ADA) not in json.dumps(sorted(left)) and len(left) == 3


async def test_under_a_key_that_was_changed_nobody_is_known_any_more(opened, path):
    put_key(path, "0" * 64)
    assert ADA not in await seen(await opened(f"{ADA}\n"))


async def test_a_key_that_is_none_is_said(path, tmp_path):
    (tmp_path / "people.csv").write_text(f"{ADA}\n")
    put_key(path, "none")
    book = open_book(AliasSettings(csv=tmp_path / "people.csv"), path)
    book.current()
    where = key_path(path) if isinstance(path, Path) else "guardian_secret/pseudonyms"
    assert book.trouble.startswith(f"{where} holds no key: ")


async def test_the_key_is_renewed_and_then_everybody_is_somebody_new(opened, path):
    before = read_key(path)
    assert backend(path).renew_pseudonym_key()
    assert read_key(path) not in (None, before)
    recorder = Recorder(path, pseudonymous=True)
    recorder.add(event(30, ADA))
    assert recorder.flush() and recorder.close()
    assert await seen(await opened(f"{ADA}\n")) > {ADA, pseudonym(before, ADA)}


def test_a_database_without_pseudonyms_has_no_key_to_renew(tmp_path):
    assert not backend(tmp_path / "other.db").renew_pseudonym_key()


@pytest.mark.needs_firestore
async def test_a_key_of_the_environment_stands_nowhere_in_firestore(tmp_path, monkeypatch):
    path = address_in(tmp_path)
    monkeypatch.setenv("TRACKER_PSEUDONYMS_KEY", "5f" * 32)
    recorder = Recorder(path, pseudonymous=True)
    recorder.add(event(0, ADA))
    assert recorder.flush() and recorder.close()
    documents = Documents(parse(path))
    assert documents.get("guardian_secret", "pseudonyms") is None
    assert [each.fields["name"] for each in documents.query("guardian_people")] == [pseudonym(b"\x5f" * 32, ADA)]
    assert backend(path).pseudonym_key() == b"\x5f" * 32
    with pytest.raises(ValueError, match="stands in TRACKER_PSEUDONYMS_KEY: write another one there"):
        backend(path).renew_pseudonym_key()


@pytest.mark.needs_firestore
def test_what_is_imported_beside_pseudonyms_is_stored_under_them(tmp_path):
    path = address_in(tmp_path)
    put_key(path, "ab" * 32)
    imports = backend(path).imports()
    imports.add([event(0, ADA), event(1, "anonymous")], {})
    imports.close()
    assert backend(path).names() == [pseudonym(b"\xab" * 32, ADA)]


def test_all_names_of_a_person_have_their_pseudonyms_among_them():
    key = b"k" * 32
    aliases = Aliases.of([("auth0|5f7c", ADA), (BEN,)], key=key)
    assert set(aliases.names_of(ADA)) == {ADA, "auth0|5f7c", pseudonym(key, ADA), pseudonym(key, "auth0|5f7c")}
    assert (aliases.names_of("eve@example.com"), aliases.problems) == (
        ["eve@example.com", pseudonym(key, "eve@example.com")], (),
    )  # fmt: skip
