"""Twenty that want the same thing at once on Firestore, whatever it is: one gets it, the others hear so, and nobody
errs. The lease, periods and mails are in `test_firestore_state.py`."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from guardian.alerting.links import LinkUsed
from guardian.core.schedule import Period
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.firestore.alerts import FirestoreAlertStore
from guardian.stores.firestore.sign_ins import FirestoreSignInStore
from guardian.stores.firestore.state import FirestoreStateStore
from guardian.stores.firestore.watching import FirestoreWatchStore
from guardian.stores.sign_ins import TRIES
from tests.contract.test_alerts import NOW, acknowledge, incident, remembering
from tests.contract.test_sign_ins import ADA, asked, session
from tests.support.firestore import address_in
from tracker.firestore.address import parse

pytestmark = pytest.mark.needs_firestore
MANY = 20
HOUR = timedelta(hours=1)


@pytest.fixture
async def them(tmp_path):
    """State stores that share nothing but the database."""
    address = parse(address_in(tmp_path))
    return [await FirestoreStateStore.open(address) for _ in range(MANY)]


async def at_once(work, stores):
    """What came of it for each of them, an exception as its kind."""
    found = await asyncio.gather(*(work(n, store) for n, store in enumerate(stores)), return_exceptions=True)
    return [type(each) if isinstance(each, Exception) else each for each in found]


async def test_a_button_of_a_mail_that_twenty_press_at_once_acts_once(them):
    alerts = [FirestoreAlertStore(each) for each in them]
    await alerts[0].commit(remembering(incident("a")), [], now=NOW)
    found = await at_once(lambda n, s: s.change_by_link("nonce", "a", acknowledge(f"{n}@example.com"), NOW), alerts)
    assert Counter(each is LinkUsed for each in found) == {True: MANY - 1, False: 1}
    [pressed] = [each.acknowledged_by for each in found if each is not LinkUsed]
    assert (await alerts[0].incident("a")).acknowledged_by == pressed


async def test_of_twenty_that_judge_the_same_minute_one_commits_and_the_others_judge_again(them):
    alerts = [FirestoreAlertStore(each) for each in them]
    before = await alerts[0].load()
    found = await at_once(lambda n, s: s.commit(before, [], now=NOW), alerts)
    assert Counter(each is ChangedMeanwhile for each in found) == {True: MANY - 1, False: 1}
    assert (await alerts[0].load()).version == before.version + 1


async def test_twenty_that_act_on_an_incident_at_once_all_do(them):
    alerts = [FirestoreAlertStore(each) for each in them]
    await alerts[0].commit(remembering(incident("a")), [], now=NOW)
    version = (await alerts[0].load()).version
    found = await at_once(lambda n, s: s.change("a", acknowledge(f"{n}@example.com")), alerts)
    assert {each.id for each in found} == {"a"}
    assert (await alerts[0].load()).version == version + MANY


@pytest.mark.parametrize("way", ["open_link", "open_code", "forward_link"])
async def test_of_twenty_that_sign_in_by_the_same_link_one_does(them, way):
    stores = [FirestoreSignInStore(each) for each in them]
    await stores[0].keep_link(asked(), NOW)
    ways = {
        "open_link": lambda n, s: s.open_link(b"link", b"browser", session(b"%d" % n), NOW),
        "open_code": lambda n, s: s.open_code(b"code", b"browser", session(b"%d" % n), NOW),
        "forward_link": lambda n, s: s.forward_link(b"link", NOW),
    }
    assert Counter(await at_once(ways[way], stores)) == {ADA: 1, None: MANY - 1}
    begun = [each for n in range(MANY) if (each := await stores[0].session(b"%d" % n))]
    assert len(begun) == (0 if way == "forward_link" else 1)


async def test_wrong_codes_that_are_typed_at_once_are_all_counted(them):
    stores = [FirestoreSignInStore(each) for each in them]
    await stores[0].keep_link(asked(), NOW)
    found = await at_once(lambda n, s: s.open_code(b"wrong", b"browser", session(), NOW), stores[:TRIES])
    assert found == [None] * TRIES
    assert await stores[0].open_code(b"code", b"browser", session(), NOW) is None


async def test_of_twenty_that_tell_of_the_same_late_report_one_does(them):
    stores = [FirestoreWatchStore(each) for each in them]
    periods = [Period(NOW - HOUR, NOW)]
    found = await at_once(lambda n, s: s.tell("daily", periods, [], now=NOW, token=None), stores)
    assert Counter(found) == {True: 1, False: MANY - 1}


async def test_twenty_that_unsubscribe_somebody_at_once_all_do(them):
    found = await at_once(lambda n, s: s.unsubscribe("daily", ADA, wanted=False, now=NOW), them)
    assert found == [None] * MANY
    assert await them[0].unsubscribed("daily") == {ADA}


async def test_a_secret_that_twenty_make_at_once_is_one(them):
    assert len(set(await at_once(lambda n, s: s.secret("some"), them))) == 1
