"""What these rules would have mailed in the recorded past, computed minute by minute with the daemon's own
functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from guardian.alerting.cause_words import cause_lines
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.explaining import Explanation
from guardian.alerting.history import History
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.notices import Notice, messages_of
from guardian.alerting.outlook import Outlook
from guardian.alerting.released import fixed
from guardian.alerting.sample import Released
from guardian.application.judging.causes import why_each
from guardian.application.judging.live import lookback, surroundings
from guardian.application.judging.overriding import overridden
from guardian.application.settling import SETTLE_US
from guardian.core.files import private
from guardian.core.language import Language
from guardian.core.storage import StorageError
from guardian.core.templates import environment
from guardian.core.time import moment, utc_now
from guardian.settings.loading import parse_rules
from guardian.settings.rules import Rule
from guardian.settings.schema import Settings
from guardian.stores.opening import backend, open_book

STRIP = 60
"""How many cells a strip chart has."""
EXPLAINED = 100
"""For how many of the newest incidents a cause is searched."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What happened: the incidents that opened, in order, in their last state, and the notices that would have gone.

    `first` and `last` are the minutes (since 1970) between which was judged, both included.
    """

    first: int
    last: int
    incidents: tuple[Incident, ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class RuleReplay:
    """One rule's part of a replay: how many incidents and messages, how many seconds in all, and where.

    `strip` has a cell for each part of the span, from 0 (never firing there) to 1 (always). `unseen` says why a rule
    could not be judged from events alone, None where it could.
    """

    rule: str
    incidents: int
    messages: int
    open_seconds: float
    longest: float
    strip: tuple[float, ...]
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """One set of rules over the past: `title` says which, `start` and `end` are aware, `seconds` how long it took.

    `why` says by the id of an incident what is known of its cause, for the newest `EXPLAINED`.
    """

    title: str
    start: datetime
    end: datetime
    events: int
    replay: Replay
    rules: tuple[RuleReplay, ...]
    why: Mapping[str, Explanation]
    seconds: float

    def spans(self) -> list[tuple[Incident, datetime, datetime | None]]:
        """Each incident with its onset and its recovery; None where it was open to the last."""
        return [
            (i, moment(i.first_us), None if i.over_us is None else moment(i.over_us)) for i in self.replay.incidents
        ]


def run_backtests(
    settings: Settings, *, days: int, changes: Sequence[str] = (), now: datetime | None = None
) -> list[Backtest]:
    """The rules of the settings over the last `days` days, and then once more with `changes` (`rule.key=value`).

    Raises StorageError where there is nothing recorded or the database cannot be read, ValueError with a sentence for
    each change that fits no rule.
    """
    variants: list[tuple[str, tuple[Rule, ...]]] = [("Your rules", surroundings(settings).rules)]
    if changes:
        tables = {n: r.model_dump(by_alias=True, exclude_unset=True) for n, r in settings.rules.items()}
        rules = parse_rules(overridden(tables, changes), settings.critical_features)
        variants.append((f"With {', '.join(changes)}", rules))
    began = perf_counter()
    end = int((now or utc_now()).timestamp()) // 60
    minutes, single = (max(numbers) for numbers in zip(*(lookback(rules) for _, rules in variants), strict=True))
    store = backend(settings.database)
    if not store.exists():
        raise StorageError(f"there is no database {settings.database} yet: nothing is recorded to replay")
    past = store.history(open_book(settings.alias, settings.database))
    oldest = past.first_event()
    if oldest is None:
        raise StorageError(f"the database {settings.database} holds no events yet: nothing can be replayed")
    first = max(end - days * 1440, oldest // MINUTE_US + 1)
    # Counts as far back as rules look, single events for the judged time.
    history = past.read(first - minutes, end, single_events=(end - first) * 60 + single)
    released = past.releases((first - minutes) * MINUTE_US, (end + 1) * MINUTE_US)
    results = []
    for title, rules in variants:
        around = replace(surroundings(settings), rules=tuple(rule for rule in rules if rule.enabled))
        result = replay(history, around, first, end, released=released)
        why = why_each(past, around.rules, result.incidents[-EXPLAINED:], end * MINUTE_US)
        parts = tuple(by_rule(result, around, len(around.admins) or 1))
        start = moment(first * MINUTE_US)
        stop = start + timedelta(minutes=end - first)
        results.append(Backtest(title, start, stop, len(history.columns), result, parts, why, perf_counter() - began))
        began = perf_counter()
    return results


def write_page(path: Path, results: Sequence[Backtest], lang: Language) -> None:
    """The backtests as an HTML page of its own, without scripts, for the owner of the file alone."""
    told = [(each, {i: cause_lines(why, lang) for i, why in each.why.items()}) for each in results]
    page = environment("web").get_template("backtest.html").render(results=told, lang=lang, zone=UTC, strip=STRIP)
    with private(path) as file:
        file.write(page)


def replay(
    history: History,
    around: Surroundings,
    first: int,
    last: int,
    state: AlertState | None = None,
    *,
    released: Sequence[Released] = (),
) -> Replay:
    """Judge the minutes first … last as the daemon would have, had it run without a break from `state` on; `released`
    is what was released meanwhile, in order.

    Rules are skipped in minutes in which they are known to do nothing, which changes only the time this takes.
    """
    state = state or AlertState()
    incidents: dict[str, Incident] = {i.id: i for i in state.incidents() if i.opened_us is not None}
    notices: list[Notice] = []
    history = replace(history, zone=around.zone)
    outlook = Outlook(history, around, first, last, [_first_minute(each) for each in released])
    minute = outlook.next(state, first)
    while minute <= last:
        state = fixed(state, around.rules, released, minute * MINUTE_US + SETTLE_US)
        state, idle = outlook.prepared(state, minute)
        state, transitions, sent = advance(state, history.at(minute), around, idle=idle)
        notices += sent
        for transition in transitions:
            incidents[transition.incident.id] = transition.incident
        minute += 1
        # Incidents that open after a release but started before it are fixed at once.
        if fixed(state, around.rules, released, minute * MINUTE_US + SETTLE_US) is state:
            minute = outlook.next(state, minute)
    for incident in state.incidents():
        if incident.opened_us is not None:
            incidents[incident.id] = incident
    ordered = sorted(incidents.values(), key=lambda incident: (incident.opened_us or 0, incident.id))
    return Replay(first, last, tuple(ordered), tuple(notices))


def _first_minute(released: Released) -> int:
    """The first minute that is judged when this is known."""
    return (released.at_us - SETTLE_US) // MINUTE_US + 1


def by_rule(result: Replay, around: Surroundings, admins: int = 1) -> list[RuleReplay]:
    """The replay, rule by rule in the order of the configuration."""
    parts = []
    for rule in around.rules:
        mine = [incident for incident in result.incidents if incident.rule == rule.name]
        spans = [_span(incident, result.last) for incident in mine]
        messages = sum(
            messages_of(notice.audience, admins)
            for notice in result.notices
            if any(t.incident.rule == rule.name for t in notice.transitions)
        )
        lengths = [(end - start) / SECOND for start, end in spans]
        parts.append(
            RuleReplay(
                rule=rule.name,
                incidents=len(mine),
                messages=messages,
                open_seconds=sum(lengths),
                longest=max(lengths, default=0.0),
                strip=_strip(spans, result.first, result.last),
                unseen=kind_of(rule).unseen(rule),
            )
        )
    return parts


def _span(incident: Incident, last: int) -> tuple[int, int]:
    """From opening to end (or to the end of the replay), µs."""
    start = incident.opened_us or incident.since_us
    return start, max(start, incident.resolved_us or (last + 1) * 60 * SECOND)


def _strip(spans: Sequence[tuple[int, int]], first: int, last: int) -> tuple[float, ...]:
    start, size = first * 60 * SECOND, max(1, (last + 1 - first) * 60 * SECOND / STRIP)
    cells = [0.0] * STRIP
    for opened, ended in spans:
        for cell in range(STRIP):
            low, high = start + cell * size, start + (cell + 1) * size
            overlap = min(ended, high) - max(opened, low)
            if overlap > 0 or low <= opened < high:
                # Incidents of a few minutes must still show in a cell of a day.
                cells[cell] = min(1.0, max(cells[cell] + max(overlap, 0) / size, 0.15))
    return tuple(cells)
