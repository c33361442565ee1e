"""What Guardian remembers between steps, in memory: see `tests.support.memory`. A method without `await` is atomic."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from guardian.alerting.forgetting import incident_without, state_without
from guardian.core.clock import DOUBT_KEPT, LONGEST_WAIT, is_over, made_early, was_ahead
from guardian.core.outgoing import OutboxItem
from guardian.core.report.people import people_of, replaced
from guardian.core.schedule import Period
from guardian.core.storage import StorageError
from guardian.core.time import micros, moment
from guardian.stores.erasure import Forgotten, digest, erased, named, read_at, spellings
from guardian.stores.forgetting import message_without
from guardian.stores.state import FAITHFUL_TRIES, PATIENCE, Edition, LeaseLost, SavedReport
from guardian.stores.watching import Watched
from tests.support.memory_sign_ins import MemorySignIns

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def unmade(schedule, start, end):
    """A report of which nothing is known but that it is not there."""
    return Watched(schedule, Period(start, end), None, 0, False, 0, moment(0), 0, 0, 0, frozenset())


def urgency(message):
    """What goes out first: alerts, the gravest before the others."""
    return message.kind == "report", message.severity != "critical", message.severity != "warning"


@dataclass
class Lease:
    holder: str
    token: int
    expires: datetime


@dataclass
class Waiting:
    """An item of the outbox, and who has claimed it."""

    item: OutboxItem
    holder: str | None = None
    until: datetime | None = None


class MemoryState:
    """`StateStore`."""

    def __init__(self, database):
        self._database, self._closed = database, False

    def opened(self, token=None):
        """The database. Raises StorageError where this store is closed, LeaseLost for an outdated token."""
        if self._closed:
            raise StorageError("the database in memory is closed")
        if token is not None and all(lease.token != token for lease in self._database.leases.values()):
            raise LeaseLost("another daemon leads now")
        return self._database

    def _next_token(self):
        self.opened().token += 1
        return self.opened().token

    async def acquire_lease(self, name, holder, now, ttl):
        leases = self.opened().leases
        lease = leases.get(name)
        if lease and lease.holder not in ("", holder) and not is_over(lease.expires, now, 2 * ttl):
            return None
        token = lease.token if lease and lease.holder == holder else self._next_token()
        leases[name] = Lease(holder, token, now + ttl)
        return token

    async def release_lease(self, name, holder):
        lease = self.opened().leases.get(name)
        if lease and lease.holder == holder:
            self.opened().leases[name] = Lease("", self._next_token(), LONG_AGO)

    async def lease_held(self, name, now, ttl):
        lease = self.opened().leases.get(name)
        return bool(lease and lease.holder and now < lease.expires <= now + 2 * ttl)

    async def last_period_end(self, schedule, *, now=None):
        db = self.opened()
        ends = [
            key[2]
            for key, claimed in db.periods.items()
            if key[0] == schedule and (now is None or not (key in db.doubted or made_early(key[2], claimed, now)))
        ]
        return max(ends, default=None)

    async def doubt_early(self, now, *, token=None):
        db, found = self.opened(token), {}
        for key, claimed in sorted(db.periods.items()):
            if key not in db.doubted and claimed <= now + DOUBT_KEPT and made_early(key[2], claimed, now):
                db.doubted.add(key)
                found[key[0]] = found.get(key[0], 0) + 1
        return found

    async def edition(self, schedule, start, end, *, now):
        db, key = self.opened(), (schedule, start, end)
        number = db.editions.get(key, 0)
        if key in db.periods and (key in db.doubted or was_ahead(db.periods[key], now)):
            return Edition(number + 1, db.periods[key])
        return Edition(max(number, 1))

    async def ledger_names(self):
        return sorted({name for name, _, _ in self.opened().periods})

    async def claim_period(self, schedule, start, end, *, report, mails, now, token=None, earlier=()):
        db = self.opened(token)
        keys = [(schedule, *period) for period in ((start, end), *earlier)]
        new = [k for k in keys if k not in db.periods or k in db.doubted or was_ahead(db.periods[k], now)]
        if keys[0] not in new:
            return False
        db.periods.update(dict.fromkeys(new, now))
        db.editions.update({key: db.editions.get(key, 0) + 1 for key in new})
        db.doubted -= set(new)
        for key in keys if report is None else keys[1:]:
            db.watched.pop(key, None)
            db.told_at.pop(key, None)
        if report is not None:
            known = db.watched.get(keys[0]) or unmade(*keys[0])
            db.watched[keys[0]] = replace(known, claimed_at=now, mails=len(mails), edition=db.editions[keys[0]])
            number = max(db.reports, default=0) + 1
            first = min(key[1] for key in keys)
            gone = await self.erased_since(people_of(report) | named(mails), read_at(report, now))
            report, mails = replaced(report, erased(gone)), [message_without(mail, gone) for mail in mails]
            db.reports[number] = SavedReport(number, schedule, first, end, now, json.loads(json.dumps(report)))
        self.put(mails, now)
        return True

    def put(self, mails, now):
        """Add mails to the outbox; how many had a new key."""
        outbox, known = self.opened().outbox, {each.item.message.key for each in self.opened().outbox.values()}
        count = 0
        for mail in mails:
            if mail.key not in known:
                number = max(outbox, default=0) + 1
                status = "dead" if mail.unwritten else "pending"
                kept = replace(mail, unwritten=None)
                outbox[number] = Waiting(OutboxItem(number, kept, status, 0, now, now, last_error=mail.unwritten))
                known.add(mail.key)
                count += 1
        return count

    async def enqueue(self, mails, *, now, token=None, since=None):
        self.opened(token)
        if since is not None:
            gone = await self.erased_since(named(mails), since)
            mails = [message_without(mail, gone) for mail in mails]
        return self.put(mails, now)

    async def claim_due(self, now, *, holder, lease, limit, channel=None, besides=(), resting=()):
        first = {}
        for number, each in sorted(self.opened().outbox.items()):
            message = each.item.message
            wanted = channel in (None, message.channel) and message.channel not in besides
            if each.item.status == "pending" and wanted:
                lane = (message.channel, message.recipient, message.kind == "report", each.item.attempts >= PATIENCE)
                first.setdefault(lane, number)

        def over(at):
            return at is None or is_over(at, now, LONGEST_WAIT)

        due = [self.opened().outbox[number] for number in sorted(first.values())]
        due = [w for w in due if (not w.item.attempts or over(w.item.next_attempt_at)) and over(w.until)]
        due = [w for w in due if w.item.transport not in resting or w.item.attempts >= FAITHFUL_TRIES]
        due = sorted(due, key=lambda waiting: urgency(waiting.item.message))[:limit]
        for waiting in due:
            waiting.holder, waiting.until = holder, now + lease
        return [waiting.item for waiting in due]

    def _change(self, number, condition, **values):
        waiting = self.opened().outbox.get(number)
        if waiting is None or not condition(waiting):
            return False
        self.opened().outbox[number] = Waiting(replace(waiting.item, **values))
        return True

    async def mark_sent(self, item, *, holder, now, transport):
        attempts = self.opened().outbox[item.id].item.attempts + 1 if item.id in self.opened().outbox else 0
        values = {"sent_at": now, "transport": transport, "attempts": attempts, "last_error": None}
        self._change(item.id, lambda each: each.item.status != "sent", status="sent", **values)

    async def mark_failed(self, item, *, holder, now, error, retry_at, transport):
        def mine(each):
            return each.item.status == "pending" and each.holder == holder

        values = {"transport": transport, "attempts": item.attempts + 1, "last_error": error}
        status = "dead" if retry_at is None else "pending"
        self._change(item.id, mine, status=status, next_attempt_at=retry_at or now, **values)

    async def outbox(self, *, status=None, limit=100):
        items = [each.item for _, each in sorted(self.opened().outbox.items(), reverse=True)]
        return [item for item in items if status in (None, item.status)][:limit]

    async def outbox_item(self, item_id):
        found = self.opened().outbox.get(item_id)
        return found and found.item

    async def retry(self, item_id, now):
        def free(each):
            return each.item.status != "sent" and each.item.message.body and (each.until is None or each.until <= now)

        return self._change(item_id, free, status="pending", next_attempt_at=now, attempts=0)

    async def drop(self, item_id, now):
        return self._change(item_id, lambda each: each.item.status in ("pending", "dead"), status="dropped")

    async def outbox_counts(self):
        statuses = [each.item.status for each in self.opened().outbox.values()]
        return {status: statuses.count(status) for status in ("pending", "sent", "dead", "dropped")}

    async def reports(self, *, limit=50):
        newest = sorted(self.opened().reports.values(), key=lambda saved: -saved.id)
        return [replace(saved, report={}) for saved in newest[:limit]]

    async def report(self, report_id):
        return self.opened().reports.get(report_id)

    async def unsubscribe(self, schedule, recipient, *, wanted, now):
        known = self.opened().unsubscribed
        (known.discard if wanted else known.add)((schedule, recipient))

    async def unsubscribed(self, schedule):
        return {recipient for name, recipient in self.opened().unsubscribed if name == schedule}

    async def purge_unfinished(self, before):
        return 0

    async def purge_state(self, before, *, incidents_before):
        db = self.opened()

        def without(kept, is_old):
            old = [key for key, each in kept.items() if is_old(each)]
            for key in old:
                del kept[key]
            return len(old)

        told = dict(db.told_at)
        for key in list(db.watched):
            if max(db.watched[key].claimed_at or LONG_AGO, told.get(key, LONG_AGO)) < before:
                del db.watched[key]
        without(db.used_links, lambda at: at < incidents_before)
        return (
            without(db.outbox, lambda each: each.item.status != "pending" and each.item.created_at < before)
            + without(db.reports, lambda saved: saved.created_at < before)
            + without(db.incidents, lambda i: i.resolved_us is not None and i.resolved_us < micros(incidents_before))
        )

    async def count_old(self, before, *, incidents_before):
        db, ended = self.opened(), micros(incidents_before)
        mails = sum(w.item.status != "pending" and w.item.created_at < before for w in db.outbox.values())
        reports = sum(saved.created_at < before for saved in db.reports.values())
        over = [i for i in db.incidents.values() if i.resolved_us is not None and i.resolved_us < ended]
        return mails + reports + len(over)

    async def forget(self, *names, rules=(), recipients=(), buried_at=None):
        db, people, bodies, reports, incidents = self.opened(), spellings(names), {}, 0, 0
        kept = {each.lower() for each in recipients}
        gone = {name for name in people if "@" in name and name not in kept}
        if buried_at is not None:
            db.tombstones.update(dict.fromkeys(people, buried_at))
        for number, waiting in list(db.outbox.items()):
            message = waiting.item.message
            after = message_without(message, people)
            if message.channel == "mail" and message.recipient.lower() in gone:
                del db.outbox[number]
                bodies[digest(message.body)] = None
            elif after is not message:
                bodies[digest(message.body)] = after.body
                waiting.item = replace(waiting.item, message=after)
        for number, saved in db.reports.items():
            if people_of(saved.report) & people:
                cleaned = replaced(saved.report, erased(people))
                db.reports[number] = replace(saved, report=cleaned)
                reports += 1
        for number, incident in list(db.incidents.items()):
            after = incident_without(incident, people, rules, gone)
            incidents += after != incident
            if after is None:
                del db.incidents[number]
            else:
                db.incidents[number] = after
        for pair, (outage, _) in list(db.outages.items()):
            told = [to for _, to in outage.audience] if outage else []
            if {to.lower() for to in (pair[1], *told)} & gone:
                del db.outages[pair]
        for address in gone:
            await MemorySignIns(self).end_sessions(address)
        state = state_without(db.alerts, people, rules, gone)
        db.alerts = replace(state, version=state.version + 1)
        unsubscribed = {row for row in db.unsubscribed if row[1].lower() in gone}
        db.unsubscribed -= unsubscribed
        return Forgotten(len(bodies), reports, incidents, len(unsubscribed), bodies)

    async def settle_erasures(self):
        return True

    async def unsettled_erasures(self):
        return 0

    async def erased_since(self, names, since):
        stones = self.opened().tombstones
        return {name for name in spellings(names) if name in stones and stones[name] >= since}

    async def erasures(self):
        stones = self.opened().tombstones
        return len(stones), *(int(at.timestamp() * 1e6) for at in [max(stones.values(), default=None)] if at)

    def check_file(self):
        """Nothing can take its place."""

    async def reopen(self):
        """The same."""

    async def close(self):
        self._closed = True
