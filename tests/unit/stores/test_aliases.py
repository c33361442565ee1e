"""Which rows of a source become aliases, and what is said of those that do not."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.stores.people.aliases import Aliases

ADA = "ada@example.com"
UUID1 = "5f7c0b1e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("rows", "addresses"),
    [
        ([("auth0|5f7c", ADA)], {"auth0|5f7c": ADA}),
        ([(" auth0|5f7c ", " Ada@Example.COM ")], {"auth0|5f7c": ADA}),
        ([(17, ADA), (UUID(UUID1), ADA)], {"17": ADA, UUID1: ADA}),
        ([["a", ADA], ("a", ADA)], {"a": ADA}),
        ([(ADA, ADA)], {}),
        ([("a", None), ("b", "")], {}),
        ([("a", "old@example.com"), ("old@example.com", ADA)], {"a": ADA, "old@example.com": ADA}),
        ([], {}),
    ],
    ids=["an id", "white space", "a number and a UUID", "twice", "itself", "nobody's", "a renamed address", "none"],
)
def test_rows_become_aliases(rows, addresses):
    assert Aliases.of(rows) == Aliases(addresses)


@pytest.mark.parametrize(
    ("rows", "addresses", "problem"),
    [
        (
            [("a", ADA), ("a", "bob@example.com"), ("b", ADA)],
            {"b": ADA},
            "1 id stands for two addresses and is shown as it is: keep one row",
        ),
        (
            [
                (None, ADA),
                (1.5, ADA),
                (True, ADA),
                (b"a", ADA),
                ("x" * 321, ADA),
                ("anonymous", ADA),
                ("b", ADA),
                ("a",),
            ],
            {"b": ADA},
            "7 rows are no id and address, each a text of 1 to 320 characters: correct or remove them",
        ),
        (
            [("a", 7)],
            {},
            "1 row is no id and address, each a text of 1 to 320 characters: correct or remove them",
        ),
        (
            [("a", "b@x.org"), ("b@x.org", "a"), ("c", ADA), ("d", "a")],
            {"c": ADA},
            "3 ids lead round in a circle: let each lead to an address",
        ),
        (
            [("a", ADA), ("b", ADA), ("c", ADA), ("d", ADA)],
            {"a": ADA, "b": ADA, "c": ADA},
            "only the first 3 rows are read: leave out people who do not use the app",
        ),
        ([(ADA, "a")], {ADA: "a"}, "none of the addresses has an @: the id comes first, then the address"),
    ],
    ids=["two addresses", "no text", "an address that is none", "a circle", "too many", "the wrong way round"],
)
def test_rows_that_cannot_be_used_are_counted_with_the_cure(rows, addresses, problem):
    most = 3 if "first 3" in problem else 100
    assert Aliases.of(rows, most) == Aliases(addresses, (problem,))


@given(st.lists(st.tuples(st.text(max_size=3) | st.none() | st.integers(), st.text(max_size=3) | st.none())))
def test_whatever_the_rows_are_nobody_has_two_names(rows):
    aliases = Aliases.of(rows)
    for name, address in aliases.addresses.items():
        assert address not in aliases.addresses
        assert {name, address} <= set(aliases.names_of(name))
        assert aliases.names_of(name) == aliases.names_of(address)
