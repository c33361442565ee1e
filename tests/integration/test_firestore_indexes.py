"""The emulator answers every query, the real service only those that have an index: so tests compare them."""

import pytest

from guardian.stores.firestore.queries import Query
from tests.support.firestore import address_in, indexes, not_indexed

pytestmark = pytest.mark.needs_firestore
OUTBOX = "guardian_outbox"


@pytest.fixture
def ask(tmp_path):
    from google.cloud import firestore

    client = firestore.Client(project=address_in(tmp_path).removeprefix("firestore://"))
    return lambda query: list(query.on(client).stream(retry=None, timeout=30))


@pytest.mark.parametrize(
    "query",
    [
        Query("some", (("a", "==", 1), ("b", "==", 2))),
        Query("some", (("a", ">", 1), ("a", "<", 3))),
        Query("some", (("a", ">", 1),), (("a", True),)),
        Query("some", (), (("a", True),)),
        Query(OUTBOX, (("status", "==", "sent"),), (("id", True),)),
        Query(OUTBOX, (("status", "==", "sent"),), (("id", False),)),
    ],
)
def test_a_query_that_an_index_serves_is_answered(ask, query):
    assert ask(query) == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (Query("some", (("a", "==", 1),), (("b", False),)), "no index"),
        (Query("some", (("a", "==", 1), ("b", ">", 2))), "no index"),
        (Query("some", (), (("a", True), ("b", False))), "no index"),
        (Query(OUTBOX, (("status", "==", "sent"),), (("next_us", True),)), "no index"),
        (Query(OUTBOX, (("body", "==", b""),)), "exempts from indexes"),
    ],
)
def test_a_query_that_the_real_service_would_refuse_fails(ask, query, why):
    with pytest.raises(AssertionError, match=why):
        ask(query)


def test_no_index_is_listed_twice_and_none_is_of_a_field_that_has_none(ask):
    listed = indexes()
    assert len(listed) == len({(name, frozenset(fields)) for name, fields in listed})
    assert not {(name, field) for name, fields in listed for field, _ in fields} & not_indexed()
