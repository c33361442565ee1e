"""What every store does with links to sign in by, and with sessions."""

from datetime import UTC, datetime, timedelta

from guardian.stores.sign_ins import TRIES, AskedLink, Session

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=15)
ADA = "ada@example.com"


def asked(link=b"link", **more):
    return AskedLink(link, **{"address": ADA, "expires": LATER, "browser": b"browser", "code": b"code", **more})


def session(cookie=b"cookie", at=NOW):
    return Session(cookie, "", at, at)


async def test_a_link_opens_once_for_the_browser_that_asked(stores):
    store = stores.sign_ins
    await store.keep_link(asked(address="Ada@Example.com"), NOW)
    assert await store.open_link(b"link", b"another", session(), NOW) is None
    assert await store.open_link(b"link", None, session(), NOW) is None
    assert await store.open_link(b"other", b"browser", session(), NOW) is None
    assert await store.session(b"cookie") is None
    assert await store.open_link(b"link", b"browser", session(), NOW) == ADA
    assert await store.open_link(b"link", b"browser", session(b"second"), NOW) is None
    assert await store.session(b"cookie") == Session(b"cookie", ADA, NOW, NOW)
    assert await store.session(b"second") is None


async def test_a_link_of_any_browser_opens_for_each(stores):
    await stores.sign_ins.keep_link(asked(browser=None, code=None), NOW)
    assert await stores.sign_ins.open_link(b"link", b"some", session(), NOW) == ADA


async def test_a_link_ends_at_its_time_and_not_before(stores):
    store = stores.sign_ins
    await store.keep_link(asked(), NOW)
    before = LATER - timedelta(microseconds=1)
    assert await store.link(b"link", before) == asked()
    assert await store.link(b"link", LATER) is None
    assert await store.open_link(b"link", b"browser", session(), LATER) is None
    assert await store.open_code(b"code", b"browser", session(), LATER) is None


async def test_a_code_opens_once_and_only_where_it_was_asked_for(stores):
    store = stores.sign_ins
    await store.keep_link(asked(), NOW)
    assert await store.open_code(b"code", b"another", session(), NOW) is None
    assert await store.open_code(b"code", b"browser", session(), NOW) == ADA
    assert await store.open_code(b"code", b"browser", session(b"second"), NOW) is None
    assert await store.open_link(b"link", b"browser", session(b"third"), NOW) is None


async def test_after_some_wrong_codes_the_links_of_that_browser_are_over_and_no_others(stores):
    store = stores.sign_ins
    await store.keep_link(asked(), NOW)
    await store.keep_link(asked(b"theirs", browser=b"another"), NOW)
    for _ in range(TRIES):
        assert await store.open_code(b"wrong", b"browser", session(), NOW) is None
    assert await store.open_code(b"code", b"browser", session(), NOW) is None
    assert await store.open_link(b"link", b"browser", session(), NOW) is None
    assert await store.open_code(b"code", b"another", session(), NOW) == ADA


async def test_another_link_is_asked_for_once_from_the_page_of_one_and_never_from_the_page_of_that(stores):
    store = stores.sign_ins
    await store.keep_link(asked(), NOW)
    await store.keep_link(asked(b"second", forwarded=True), NOW)
    await store.keep_link(asked(b"printed", browser=None), NOW)
    found = [await store.forward_link(link, NOW) for link in (b"link", b"link", b"second", b"printed", b"none")]
    assert found == [ADA, None, None, None, None]
    assert await store.open_link(b"link", b"browser", session(), NOW) == ADA


async def test_a_session_is_seen_and_ended(stores):
    store = stores.sign_ins
    await store.keep_link(asked(), NOW)
    await store.open_link(b"link", b"browser", session(), NOW)
    await store.see(b"cookie", LATER)
    assert await store.session(b"cookie") == Session(b"cookie", ADA, NOW, LATER)
    await store.end_session(b"cookie")
    assert await store.session(b"cookie") is None


async def test_signing_out_everywhere_ends_the_sessions_and_links_of_that_address_alone(stores):
    store = stores.sign_ins
    for number in range(3):
        address = "bob@example.com" if number == 2 else ADA
        await store.keep_link(asked(b"%d" % number, address=address), NOW)
        await store.open_link(b"%d" % number, b"browser", session(b"%d" % number), NOW)
    await store.keep_link(asked(), NOW)
    assert await store.end_sessions("ADA@example.com") == 2
    assert [bool(await store.session(b"%d" % number)) for number in range(3)] == [False, False, True]
    assert await store.link(b"link", NOW) is None


async def test_sessions_that_are_over_are_forgotten(stores):
    store = stores.sign_ins
    for name, began, seen in ((b"old", 9, 0), (b"idle", 1, 1), (b"used", 1, 0)):
        await store.keep_link(asked(name), NOW)
        at = Session(name, "", NOW - timedelta(days=began), NOW - timedelta(days=seen))
        await store.open_link(name, b"browser", at, NOW)
    await store.purge_sessions(seen_before=NOW - timedelta(hours=12), began_before=NOW - timedelta(days=7))
    assert [bool(await store.session(name)) for name in (b"old", b"idle", b"used")] == [False, False, True]


async def test_who_is_erased_is_signed_out_unless_mails_still_go_to_them(stores):
    store = stores.sign_ins
    for address in (ADA, "bob@example.com"):
        await store.keep_link(asked(address.encode(), address=address), NOW)
        await store.open_link(address.encode(), b"browser", session(address.encode()), NOW)
        await store.keep_link(asked(b"next " + address.encode(), address=address), NOW)
    await stores.state.forget("Ada@example.com", "bob@example.com", recipients=["bob@example.com"])
    assert await store.session(ADA.encode()) is None
    assert await store.link(b"next " + ADA.encode(), NOW) is None
    assert await store.session(b"bob@example.com") is not None
    assert await store.link(b"next bob@example.com", NOW) is not None
