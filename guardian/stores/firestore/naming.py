"""Names for ids: of the people that are known, and of those that are not shown."""

from __future__ import annotations

from collections.abc import Mapping


class Namer:
    """The names of ids, for those that have one."""

    def __init__(self, persons: Mapping[int, int], names: Mapping[int, str]) -> None:
        self._persons, self._names = persons, names

    def __call__(self, number: int) -> str:
        """The name behind an id, "" where there is none."""
        try:
            return self._names[self._persons[number]]
        except KeyError:
            return ""


class OrPlaceholder(dict[int, str]):
    """Names of people; of those that are not shown, a text that is nobody's and comes after every name."""

    def __missing__(self, number: int) -> str:
        return f"\U0010ffff{number}"
