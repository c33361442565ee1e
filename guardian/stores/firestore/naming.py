"""Names for ids: real ones, and placeholders for people who are not shown."""

from __future__ import annotations

from collections.abc import Mapping


class Namer:
    """Looks up the names of ids."""

    def __init__(self, persons: Mapping[int, int], names: Mapping[int, str]) -> None:
        self._persons, self._names = persons, names

    def __call__(self, number: int) -> str:
        """The name behind an id, "" where there is none."""
        try:
            return self._names[self._persons[number]]
        except KeyError:
            return ""


class OrPlaceholder(dict[int, str]):
    """Names of people; for those who are not shown, a placeholder that is nobody's name and sorts after every name."""

    def __missing__(self, number: int) -> str:
        return f"\U0010ffff{number}"
