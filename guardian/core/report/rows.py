"""The users of a report: rows of values for those who show them, and their JSON straight from what was read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import accumulate
from typing import Any, overload

import numpy as np

from guardian.core.activity import Active
from guardian.core.failed_events import AT_ONCE, FailedEvents
from guardian.core.report.model import FailedRequest, UserRow
from guardian.core.time import iso, moment
from tracker.error_text import reason_phrase
from tracker.event import Event, Failure

_USER: Callable[[tuple[Any, ...]], UserRow] = partial(tuple.__new__, UserRow)  # four times as fast as calling it
_FAILED: Callable[[tuple[Any, ...]], FailedRequest] = partial(tuple.__new__, FailedRequest)


class UserRows(Sequence[UserRow]):
    """The rows of these `people`, with the failed requests that are known one by one, oldest first.

    They are made when somebody first looks at one: a report on 45,000 people that only becomes JSON needs none, and
    takes a fifth less time. Equal to a tuple of the same rows.
    """

    def __init__(self, people: Sequence[Active], failures: Mapping[str, Sequence[Event]]) -> None:
        self.people, self._failures = people, failures

    @cached_property
    def _rows(self) -> tuple[UserRow, ...]:
        texts, failures = _Texts(), self._failures
        return tuple([
            _USER((name, minutes, used, requests, errors,
                   texts.failed_requests(failures[name]) if name in failures else ()))
            for name, requests, errors, minutes, used in self.people
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.people)

    @overload
    def __getitem__(self, at: int) -> UserRow: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[UserRow, ...]: ...

    def __getitem__(self, at: int | slice) -> UserRow | tuple[UserRow, ...]:
        return self._rows[at]

    def __iter__(self) -> Iterator[UserRow]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return self._rows == (other._rows if isinstance(other, UserRows) else other)

    def __hash__(self) -> int:
        return hash(self._rows)

    def as_json(self) -> list[dict[str, Any]]:
        """The rows as `users_json` gives them."""
        texts, names = _Texts(), [user[0] for user in self.people]
        numbers, (at_us, endpoints, statuses, why) = _listed(self._failures, names)
        errors = [
            _failed(endpoint, texts[failure, status], at, status, failure is not None and status < 400)
            for at, endpoint, status, failure in zip(_iso(at_us), endpoints, statuses, why, strict=True)
        ]
        return [
            _user(name, minutes, used, requests, errors_count, errors[end - number : end])
            for (name, requests, errors_count, minutes, used), number, end in zip(
                self.people, numbers, accumulate(numbers), strict=True
            )
        ]


def _listed(
    failures: Mapping[str, Sequence[Event]], names: Sequence[str]
) -> tuple[list[int], tuple[list[int], list[str], list[int], list[Failure | None]]]:
    """How many failed requests each of these people has; and, one person after the other, their at_us, endpoints,
    statuses and failures."""
    if isinstance(failures, FailedEvents):
        return list(map(failures.number, names)), failures.columns(names)
    found = [failures.get(name, ()) for name in names]
    events = [event for mine in found for event in mine]
    at_us, endpoints = [event.at_us for event in events], [event.endpoint for event in events]
    return list(map(len, found)), (
        at_us, endpoints, [event.status for event in events], [event.failure for event in events],
    )  # fmt: skip


def users_json(users: Sequence[UserRow]) -> list[dict[str, Any]]:
    """The users as the JSON of a report has them."""
    if isinstance(users, UserRows):
        return users.as_json()
    return [_user(*row[:5], list(map(failed_json, row.errors))) for row in users]


def failed_json(each: FailedRequest) -> dict[str, Any]:
    """A failed request as the JSON of a report has it."""
    return _failed(each.endpoint, each.error, iso(each.timestamp), each.code, each.failed)


def failed_request(event: Event) -> FailedRequest:
    """A failed event as a report has it."""
    return _Texts().failed_requests([event])[0]


def _user(
    email: str, minutes: int, features: Sequence[str], requests: int, errors_count: int, errors: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "email": email,
        "total_time_minutes": minutes,
        "features_used": [*features],
        "requests_count": requests,
        "errors_count": errors_count,
        "errors": errors,
    }


def _failed(endpoint: str, error: str, at: str | None, code: int, failed: bool) -> dict[str, Any]:
    if failed:
        return {"endpoint": endpoint, "error": error, "timestamp": at, "code": code, "failed": True}
    return {"endpoint": endpoint, "error": error, "timestamp": at, "code": code}


class _Texts(dict[tuple[Failure | None, int], str]):
    """What is said of each failure and status: of thousands of requests a few are different."""

    def __missing__(self, key: tuple[Failure | None, int]) -> str:
        failure, status = key
        if failure is None:
            text = reason_phrase(status)
        else:
            text = f"{failure.kind}: {failure.message}" if failure.location else failure.message
        self[key] = text
        return text

    def failed_requests(self, events: Sequence[Event]) -> tuple[FailedRequest, ...]:
        """The same requests as a report has them."""
        return tuple([
            _FAILED((endpoint, self[failure, status], moment(at_us), status, failure is not None and status < 400))
            for at_us, _, endpoint, _, _, status, _, failure, _, _ in events
        ])  # fmt: skip


def _iso(at_us: Sequence[int]) -> Iterator[str]:
    """Of each of these times what `iso` gives: numpy writes them in a quarter of the time."""
    for first in range(0, len(at_us), AT_ONCE):
        some = at_us[first : first + AT_ONCE]
        texts = np.datetime_as_string(np.array(some, "datetime64[us]")).tolist()
        for us, text in zip(some, texts, strict=True):
            yield f"{text}+00:00" if us % 1_000_000 else f"{text[:19]}+00:00"
