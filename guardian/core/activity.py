"""What a report shows for a window: its totals, and the people it names. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from guardian.core.summary import Route, RouteTotals, Summary, active_minutes, statuses_of
from tracker.event import ANONYMOUS, Event

ERRORS_PER_USER = 20
"""How many of each user's newest errors a report lists; `errors_count` counts all."""
TOP_HELP = 5


class Active(NamedTuple):
    """One verified user's part of a window. `features` begins with the most used."""

    name: str
    requests: int
    errors: int
    minutes: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """The totals of a window, and the people whom the report names.

    `users` are the verified ones, most errors first, then most requests, then by name; `active_users` counts them all,
    `needy` are those of all who need help (`most_in_need`). `failures` has the newest failed requests of those named
    and of the needy, oldest first, at most 20 of each. `failed_users` is, by feature, how many verified users hit an
    error in it; None where that is not known, because somebody has more errors than are kept one by one. `reached`
    says, for each feature of which every request failed, how many verified users used it. `latencies` are those of each
    bar by bin (`bin_of`); empty where they were not asked for.
    """

    active_users: int = 0
    requests: int = 0
    errors: int = 0
    anonymous: tuple[int, int] = (0, 0)
    users: Sequence[Active] = ()
    routes: Mapping[Route, RouteTotals] = field(default_factory=dict)
    failures: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    failed_users: Mapping[str, int | None] = field(default_factory=dict)
    needy: Sequence[str] = ()
    reached: Mapping[str, int] = field(default_factory=dict)
    latencies: Sequence[Mapping[int, int]] = ()

    @classmethod
    def of(
        cls,
        summary: Summary,
        failures: Mapping[str, Sequence[Event]] | None = None,
        start_us: int = 0,
        *,
        most: int | None = None,
    ) -> Activity:
        """The same from a summary of the window, which begins at `start_us`, and the newest 20 `failures` of each user.

        With `most`, no more people than that are named.
        """
        failures = {} if failures is None else failures
        users = [
            Active(name, user.requests, user.errors, active_minutes(user, start_us), most_used(user.features))
            for name, user in summary.users.items()
            if name != ANONYMOUS
        ]
        users.sort(key=lambda user: (-user.errors, -user.requests, user.name))
        needy = most_in_need((user.name, user.requests, user.errors) for user in users)
        named = {*needy, *(user.name for user in users[:most])}
        anonymous = summary.users.get(ANONYMOUS)
        return cls(
            active_users=len(users),
            requests=summary.requests,
            errors=summary.errors,
            anonymous=(anonymous.requests, anonymous.errors) if anonymous else (0, 0),
            users=users[:most],
            routes=summary.routes,
            failures={name: failed for name, failed in failures.items() if name in named},
            failed_users=_failed_users(summary, failures),
            needy=needy,
            reached={
                name: sum(name in user.features for who, user in summary.users.items() if who != ANONYMOUS)
                for name in wholly_failed(summary.routes)
            },
        )

    def statuses(self) -> dict[int, int]:
        """Requests by outcome, over all routes."""
        return statuses_of(self.routes)

    @property
    def server_errors(self) -> int:
        """How many requests hit a server error."""
        return sum(number for outcome, number in self.statuses().items() if outcome >= 500)

    @property
    def left_out(self) -> int:
        """How many people there are that are not named."""
        return self.active_users - len(self.users)


def reached(summary: Summary) -> dict[str, int]:
    """How many verified users used each feature of a window."""
    return dict(Counter(name for who, user in summary.users.items() if who != ANONYMOUS for name in user.features))


def most_used(features: Mapping[str, int]) -> tuple[str, ...]:
    """The names of features, the one with most requests first."""
    return tuple(sorted(features, key=lambda name: (-features[name], name)))


def most_in_need(users: Iterable[tuple[str, int, int]]) -> list[str]:
    """Who hit most errors, at most five: of those with 3 or more, or for whom half of the requests failed.

    Each user is (address, requests, errors).
    """
    needy = [
        (-errors, email)
        for email, requests, errors in users
        if errors >= 3 or (errors and errors * 2 >= requests)
    ]  # fmt: skip
    return [email for _, email in sorted(needy)[:TOP_HELP]]


def wholly_failed(routes: Mapping[Route, RouteTotals]) -> set[str]:
    """The features of which every request failed."""
    went_well = {route.feature for route, totals in routes.items() if any(outcome < 400 for outcome in totals.statuses)}
    return {route.feature for route in routes} - went_well


def _failed_users(summary: Summary, failures: Mapping[str, Sequence[Event]]) -> dict[str, int | None]:
    met: dict[str, int] = {}
    unsure: set[str] = set()
    for email, user in summary.users.items():
        if email != ANONYMOUS and user.errors:
            known = failures.get(email, ())
            found = {event.feature for event in known}
            for name in found:
                met[name] = met.get(name, 0) + 1
            if len(known) < user.errors:
                unsure |= user.features.keys() - found
    return {name: None if name in unsure else met.get(name, 0) for name in met.keys() | unsure}
