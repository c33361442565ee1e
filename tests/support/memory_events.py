"""Events, and the past for rules, in memory: see `tests.support.memory`."""

import hashlib
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.history import History
from guardian.alerting.recorded import Recorded
from guardian.alerting.wanted import NOTHING_MORE
from guardian.core.activity import ERRORS_PER_USER, Activity, reached
from guardian.core.clock import was_ahead
from guardian.core.cursor import Cursor
from guardian.core.failure_groups import groups_of
from guardian.core.listing import listed
from guardian.core.quiet import LAST_THING, Visits, gone_quiet, quiet_window, regular
from guardian.core.roster import Roster
from guardian.core.storage import Signs, StorageError, StorageStats, WindowGone
from guardian.core.summary import Summary, TimelineBar, fits
from guardian.core.time import micros, moment
from guardian.core.turnover import MOST_BACK, Presence, steady, turnover
from guardian.core.unlinked import is_unlinked, unlinked_name
from guardian.stores.events import MOST_AHEAD
from guardian.stores.history import SAMPLED
from tracker.event import ANONYMOUS, SESSION_GAP_US, Failure
from tracker.names import clean_name

MINUTES5, DAY = 5 * MINUTE_US, 1440 * MINUTE_US


def person(aliases, user):
    """Whom the user is; an erased person's name stands for nobody else."""
    return user if is_unlinked(user) else aliases.person(user)


def _buried(user):
    return unlinked_name(hashlib.blake2b(user.encode(), digest_size=8).hexdigest())


def keep(database, events):
    """Store these events but for those with half a character; how many were stored."""
    stored = 0
    for event in events:
        try:
            "".join([*event[1:5], *(event.failure or ())]).encode()
        except UnicodeEncodeError:
            continue
        database.events.append(event)
        database.users.setdefault(event.user, False)
        database.features.add(event.feature)
        stored += 1
    database.events.sort(key=lambda event: event.at_us)
    return stored


class MemoryEvents:
    """`UsageRepository` on a list of events in the order of time."""

    def __init__(self, database, book):
        self._database, self._book, self._closed = database, book, False

    @property
    def _db(self):
        if self._closed:
            raise StorageError("the database in memory is closed")
        return self._database

    def _named(self, events):
        aliases = self._book.current()
        return [event._replace(user=person(aliases, event.user)) for event in events]

    def _between(self, events, start, end, features):
        first, last = micros(start), micros(end)
        inside = (event for event in events if first <= event.at_us < last)
        return self._named(event for event in inside if not features or fits(event.feature, features))

    def _window(self, start, end, features=()):
        return self._between(self._db.events, start, end, features)

    def _ids(self, email, complete=False):
        """What the person of this name was recorded as. With `complete` StorageError where one may be missing."""
        aliases = self._book.current()
        if complete and self._book.trouble:
            raise StorageError(f"not all ids of a person are known, since {self._book.trouble}")
        wanted = person(aliases, clean_name(email) or email)
        return {user for user in self._db.users if person(aliases, user) == wanted}

    async def write(self, events):
        return keep(self._db, events)

    async def events(self, start, end, *, failed_only=False):
        if found := [event for event in self._window(start, end) if event.failure or not failed_only]:
            yield found

    async def failure_groups(self, start, end):
        return await groups_of(self.events(start, end, failed_only=True))

    def _counted(self, start, end, features):
        """The events of a window, those too that live on in summaries."""
        db, first, last = self._db, micros(start), micros(end)
        if db.forgotten_until and first < db.forgotten_until:
            raise WindowGone("this window reaches back further than summaries are kept (see retention.summaries_days)")
        kept = {event.at_us // MINUTES5 for event in db.summed}
        for edge in (first, last):
            if edge % MINUTES5 and edge < db.purged_until and edge // MINUTES5 in kept:
                raise WindowGone(
                    "the single events at the edge of this window have been deleted (see retention.events_days): "
                    "let it begin and end at full 5 minutes"
                )
        if features and any(first <= event.at_us < last for event in db.summed):
            raise WindowGone("the single events of this window have been deleted (see retention.events_days)")
        events = [*db.summed, *(event for event in db.events if event.at_us >= db.purged_until)]
        return self._between(events, start, end, features)

    async def summary(self, start, end, *, features=()):
        return Summary.of(self._counted(start, end, features))

    async def counts(self, start, end, *, features=(), edges=()):
        counts = (await self.summary(start, end, features=features)).counts()
        with suppress(WindowGone):
            return replace(counts, bars=tuple((await self.timeline(edges, features=features))[1]) if edges else ())
        return counts

    async def outcomes(self, windows, *, features=()):
        found = []
        for start, end in windows:
            try:
                found.append((await self.counts(start, end, features=features)).statuses())
            except WindowGone:
                break
        return found

    async def activity(self, edges, *, most=None, features=(), latency=False):
        summary, bars = await self.timeline(edges, features=features)
        failures = self._newest_failures(edges[0], edges[-1], ERRORS_PER_USER, features)
        took = tuple(self._bins(start, end, features) for start, end in pairwise(edges)) if latency else ()
        return replace(Activity.of(summary, failures, micros(edges[0]), most=most), latencies=took), bars

    async def people(self, start, end, *, after, most):
        everybody, _ = await self.activity([start, end])
        return listed(everybody, after, most)

    async def roster(self, start, end, *, back):
        summary = await self.summary(start, end)
        try:
            before = await self.summary((start - back).replace(minute=0, second=0, microsecond=0), start)
        except WindowGone:
            return Roster.of(summary, micros(start), {})
        seen = {name: user.last_us for name, user in before.users.items() if name != ANONYMOUS}
        return Roster.of(summary, micros(start), seen)

    async def reached(self, start, end):
        return reached(await self.summary(start, end))

    async def bars(self, edges, *, features=()):
        found = []
        for start, end in pairwise(edges):
            mine = [e for e in self._counted(start, end, ()) if not features or fits(e.feature, features)]
            part = Summary.of(mine)
            found.append(TimelineBar(start, part.requests, part.errors, part.active_users))
        return found

    async def latencies(self, edges):
        return [self._bins(start, end, ()) for start, end in pairwise(edges)]

    def _bins(self, start, end, features):
        found = Counter()
        for route in Summary.of(self._counted(start, end, features)).routes.values():
            found.update(route.durations)
        return dict(found)

    async def gone_quiet(self, start, end):
        begin, since, until = quiet_window(start, end)
        try:
            users = (await self.summary(begin, end)).users.items()
        except WindowGone:
            return []
        visits = [
            Visits(name, user.requests, user.first_start_us, user.last_us)
            for name, user in users
            if name != ANONYMOUS and micros(since) <= user.last_us < micros(until)
        ]
        return gone_quiet(regular(visits), self._newest_failures(since - LAST_THING, until, 1))

    async def turnover(self, edges):
        spans = [(min(self._back_from(edges[-2]), edges[0]), edges[0]), *pairwise(edges)]
        parts = [(await self.summary(*span)).users for span in spans]
        people = sorted({name for part in parts for name in part} - {ANONYMOUS})
        features = sorted({name for part in parts for user in part.values() for name in user.features})

        def column(part, say):
            return [say(part[name]) if name in part else 0 for name in people]

        def used(part):
            return [sum(name in user.features for who, user in part.items() if who != ANONYMOUS) for name in features]

        there = np.array([[name in part for name in people] for part in parts], bool).reshape(len(parts), -1)
        found = Presence(
            there,
            np.array([column(part, lambda user: user.requests) for part in parts[-2:]], np.int64).reshape(2, -1),
            np.array(column(parts[-2], lambda user: user.last_us), np.int64),
            np.array(column(parts[-1], lambda user: user.first_start_us), np.int64),
            np.array([used(part) for part in parts[-2:]], np.int64),
            features,
        )
        failures = self._newest_failures(edges[-3], edges[-2], 1)
        failed = {}
        for number in np.flatnonzero(steady(there)).tolist():
            for event in failures.get(people[number], ()):
                if found.last_us[number] - event.at_us <= LAST_THING // timedelta(microseconds=1):
                    failed[number] = event.feature
        return turnover(found, failed, edges, lambda numbers: {number: people[number] for number in numbers})

    def _back_from(self, before):
        first = max(micros(before - MOST_BACK), self._db.forgotten_until)
        return moment(-(-first // DAY) * DAY)

    async def timeline(self, edges, *, features=()):
        parts = [Summary.of(self._counted(start, end, features)) for start, end in pairwise(edges)]
        bars = [
            TimelineBar(start, part.requests, part.errors, len(part.users.keys() - {ANONYMOUS}))
            for start, part in zip(edges, parts, strict=False)
        ]
        return await self.summary(edges[0], edges[-1], features=features), bars

    async def seal(self, now):
        return 0  # counting anew is quick here

    def _newest_failures(self, start, end, per_user, features=()):
        found = {}
        for event in self._window(start, end, features):
            if event.failure:
                found.setdefault(event.user, []).append(event)
        return {user: failed[-per_user:] for user, failed in found.items()}

    async def steps(self, email, start, end, *, most, features=()):
        people = {person(self._book.current(), id) for id in self._ids(email)}
        return [event for event in self._window(start, end, features) if event.user in people][-most:]

    async def export_user(self, email):
        ids = self._ids(email, complete=True)
        mine = [event for event in self._db.events if event.user in ids]
        if not ids:
            return None
        rows = [{"user_email": e.user, "endpoint": e.endpoint, "timestamp": moment(e.at_us).isoformat()} for e in mine]
        sessions = []
        for user in sorted(ids):
            own = [event for event in mine if event.user == user]
            sessions += [
                a for a, b in zip(own, [*own[1:], None], strict=True) if not b or b.at_us - a.at_us >= SESSION_GAP_US
            ]
        return {
            "user_sessions": [{"user_email": last.user} for last in sessions],
            "feature_usage": rows,
            "user_errors": [
                {**row, "error_message": event.failure.message}
                for row, event in zip(rows, mine, strict=True)
                if event.failure
            ],
        }

    async def exported(self, email):
        for table, rows in (await self.export_user(email) or {}).items():
            yield table, rows

    async def names(self):
        aliases = self._book.current()
        return [(u, person(aliases, u)) for u, erased in self._db.users.items() if u != ANONYMOUS and not erased]

    async def erase_user(self, email):
        ids, db, gone = self._ids(email, complete=True) - {ANONYMOUS}, self._db, unlinked_name(secrets.token_hex(8))
        for kept in (db.events, db.summed):
            kept[:] = [event._replace(user=gone) if event.user in ids else event for event in kept]
        if ids:
            db.users = {user: erased for user, erased in db.users.items() if user not in ids} | {gone: True}
        return bool(ids)

    async def erase_buried(self, since):
        db, found = self._db, set()
        for kept in (db.events, db.summed):
            for place, event in enumerate(kept):
                if db.tombstones.get(event.user, since) > since and event.at_us <= micros(db.tombstones[event.user]):
                    kept[place] = event._replace(user=_buried(event.user))
                    found.add(event.user)
        for user in found:
            db.users[_buried(user)] = True
            if not any(event.user == user for event in db.events):
                del db.users[user]
        return len(found)

    async def purge(self, *, events_before, summaries_before):
        db = self._db
        before = max(0, micros(events_before)) // MINUTES5 * MINUTES5
        old = [event for event in db.events if event.at_us < before]
        if old:
            db.summed += [event for event in old if event.at_us >= db.purged_until]
            db.events = [event for event in db.events if event.at_us >= before]
            db.purged_until, db.purged = before, db.purged + len(old)
        day = min(micros(summaries_before), before) // DAY * DAY
        if any(event.at_us < day for event in db.summed):
            db.summed, db.forgotten_until = [event for event in db.summed if event.at_us >= day], day
        return len(old)

    async def let_expire(self, keep, now):
        """Nothing goes by itself."""

    async def purge_errors(self, before):
        db, cleared = self._db, 0
        for place, event in enumerate(db.events):
            bare = event.failure and Failure(event.failure.kind, event.failure.kind)
            if bare and event.at_us < micros(before) and event.failure != bare:
                db.events[place] = event._replace(failure=bare)
                cleared += 1
        return cleared

    async def purge_sessions(self, before):
        return 0  # they are made of events when somebody asks

    async def count_old(self, *, events_before, errors_before, sessions_before):
        before = micros(events_before) // MINUTES5 * MINUTES5
        events = sum(event.at_us < before for event in self._db.events)
        old = [e for e in self._db.events if e.failure and before <= e.at_us < micros(errors_before)]
        return events, sum(e.failure != Failure(e.failure.kind, e.failure.kind) for e in old), 0

    async def stats(self, now=None):
        aliases, db = self._book.current(), self._db
        times = [event.at_us for event in db.events]
        since = min((event.at_us // MINUTES5 * MINUTES5 for event in db.summed), default=None)
        return StorageStats(
            events=len(times),
            users=len({person(aliases, user) for user in db.users} - {ANONYMOUS}),
            oldest=moment(times[0]) if times else None,
            newest=await self.newest_event(now),
            size_bytes=0,
            purged=db.purged,
            totals_since=None if since is None else moment(since),
            place=db.place,
        )

    async def unmerged_bytes(self):
        return 0

    async def newest_event(self, now=None):
        times = [moment(event.at_us) for event in self._db.events]
        return max((at for at in times if now is None or not was_ahead(at, now)), default=None)

    async def events_ahead(self, now):
        return min(sum(was_ahead(moment(event.at_us), now) for event in self._db.events), MOST_AHEAD)

    async def signs(self, now, since):
        return Signs([], await self.newest_event(now), await self.events_ahead(now), [], 0)

    async def recorders(self, now=None):
        return []

    async def recorder_notes(self, since):
        return []

    async def feature_names(self):
        return set(self._db.features)

    async def reopen(self):
        """Nothing can take its place."""

    async def close(self):
        self._closed = True


def earlier(events, wanted):
    found = {minute: {} for minutes in wanted.minutes.values() for minute in minutes}
    for event in events:
        if (counts := found.get(event.at_us // MINUTE_US)) is not None:
            for name in ("", event.feature):
                counts[name] = counts.get(name, 0) + 1
    return found


def last_used(events, start, wanted):
    if wanted.known_us is None:
        return {}
    used = [event for event in events if wanted.known_us <= event.at_us < start * MINUTE_US]
    return {event.feature: event.at_us // MINUTE_US * MINUTE_US for event in used}


class MemoryHistory:
    """`HistoryStore` on the same list."""

    def __init__(self, database, book):
        self._db, self.book = database, book

    def first_event(self):
        return self._db.events[0].at_us if self._db.events else None

    def read(self, start, end, *, single_events, imported=True, wanted=NOTHING_MORE):
        aliases = self.book.current()
        recorded = self._db.events if imported else self._db.own()
        events = [event._replace(user=person(aliases, event.user)) for event in recorded]
        inside = [event for event in events if start <= event.at_us // MINUTE_US < end]
        singles_us = max(start, end - -(-single_events // 60)) * MINUTE_US
        seen = History.of(events, events[0].at_us, events[-1].at_us + 1).first_seen if events else {}
        return replace(
            History.of(inside, start * MINUTE_US, end * MINUTE_US),
            columns=Columns.of(event for event in inside if event.at_us >= singles_us),
            first_seen=seen,
            first_event_us=events[0].at_us if events else None,
            alive_us=[],
            singles_us=singles_us,
            cursor=Cursor({"memory" if imported else "own": len(recorded)}),
            earlier=earlier(events, wanted),
            last_used=last_used(events, start, wanted),
        )

    def grown(self, history, end, *, keep, single_events, wanted=NOTHING_MORE):
        imported = "own" not in history.cursor.serials
        return self.read(end - keep, end, single_events=single_events, imported=imported, wanted=wanted)

    def _recorded(self):
        aliases = self.book.current()
        return Recorded([event._replace(user=person(aliases, event.user)) for event in self._db.events])

    def sample(self, start_us, end_us, *, most=SAMPLED):
        return self._recorded().sample(start_us, end_us, most=most)

    def failed(self, start_us, end_us):
        return self._recorded().failed(start_us, end_us)

    def slow(self, start_us, end_us, over_us, feature):
        return self._recorded().slow(start_us, end_us, over_us, feature)

    def succeeded(self, since, end_us, within_us=None):
        return self._recorded().succeeded(since, end_us, within_us)

    def releases(self, start_us, end_us):
        """Nobody says where events come from."""
        return []

    def stored_until(self, now_us):
        return now_us

    async def reopen(self):
        """Nothing can take its place."""

    async def close(self):
        """Nothing is kept open."""
