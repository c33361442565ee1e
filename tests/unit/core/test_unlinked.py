"""The names that erased people have instead of their own."""

from __future__ import annotations

from guardian.core.unlinked import first_name, further_name, is_unlinked, unlinked_name

NAME = unlinked_name("0123456789abcdef")


def test_all_ids_of_an_erased_person_have_names_that_say_they_belong_together():
    names = [further_name(NAME, place) for place in range(3)]
    assert names == ["erased-0123456789abcdef", "erased-0123456789abcdef~1", "erased-0123456789abcdef~2"]
    assert {first_name(name) for name in names} == {NAME}
    assert all(map(is_unlinked, names))


def test_somebody_who_is_called_like_an_erased_person_is_none():
    assert not is_unlinked("erased-mike")
    assert first_name("erased-mike~1") == "erased-mike~1"
    assert not is_unlinked(f"{NAME}~")
    assert not is_unlinked(f"{NAME}~1@example.com")
