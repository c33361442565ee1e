"""Alert state, incidents and late reports in memory: see `tests.support.memory`."""

import secrets
from dataclasses import replace

from guardian.alerting.links import LinkUsed
from guardian.core.time import micros
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.watching import TELLING, Undelivered, report_key
from tests.support.memory_state import unmade


class MemoryAlerts:
    """`AlertStore`."""

    def __init__(self, state):
        self._state = state

    def _save(self, state):
        db = self._state.opened()
        if db.alerts.version != state.version:
            raise ChangedMeanwhile
        db.alerts = replace(state, version=state.version + 1)
        db.incidents.update({i.id: i for i in state.incidents() if i.opened_us is not None})
        return db.alerts

    async def load(self):
        return self._state.opened().alerts

    async def commit(self, state, mails, *, now, token=None):
        db = self._state.opened(token)
        written, known = self._save(state), state.by_id()
        for number, incident in db.incidents.items():
            if incident.status != "resolved" and number not in known:
                db.incidents[number] = incident.ended("removed", micros(now))
        self._state.put(mails, now)
        return written

    def _edited(self, edit, incident_id=None):
        state = self._state.opened().alerts
        ids = [i.id for i in state.incidents() if i.status != "resolved" and incident_id in (None, i.id)]
        for each in ids:
            state = edit(state, state.by_id()[each])
        if ids:
            self._save(state)
        return [incident for incident in state.incidents() if incident.id in ids]

    async def change(self, incident_id, edit):
        return next(iter(self._edited(edit, incident_id)), None)

    async def change_by_link(self, nonce, incident_id, edit, now):
        used = self._state.opened().used_links
        if nonce in used:
            raise LinkUsed
        used[nonce] = now
        return next(iter(self._edited(edit, incident_id)), None)

    async def change_all(self, edit):
        return self._edited(edit)

    async def incidents(self, *, open_only=False, since=None, limit=100):
        found = [
            incident
            for incident in self._state.opened().incidents.values()
            if (not open_only or incident.status != "resolved")
            and (since is None or incident.resolved_us is None or incident.resolved_us >= micros(since))
        ]
        return sorted(found, key=lambda incident: (-incident.opened_us, incident.id))[:limit]

    async def incident(self, incident_id):
        return self._state.opened().incidents.get(incident_id)

    async def link_key(self, *, make=True):
        db = self._state.opened()
        if not make:
            return db.link_key
        db.link_key = db.link_key or secrets.token_urlsafe(32)
        return db.link_key

    async def renew_link_key(self):
        self._state.opened().link_key = secrets.token_urlsafe(32)


class MemoryWatch:
    """`WatchStore`. When somebody was told of a report stands in `Database.told_at`."""

    def __init__(self, state):
        self._state = state

    async def watched(self):
        db, found = self._state.opened(), []
        for key, report in sorted(db.watched.items(), key=lambda pair: pair[0][2]):
            prefix = report_key(report.schedule, report.period, report.edition) + "/"
            mails = [each.item for each in db.outbox.values() if each.item.message.key.startswith(prefix)]
            fates = [item.status for item in mails]
            counts = {fate: fates.count(fate) for fate in ("sent", "pending", "dead")}
            stuck = frozenset(item.message.recipient for item in mails if item.status in ("pending", "dead"))
            found.append(replace(report, told=key in db.told_at, stuck=stuck, **counts))
        return found

    async def tell(self, schedule, periods, messages, *, now, token):
        db = self._state.opened(token)
        new = [(schedule, p.start, p.end) for p in periods if (schedule, p.start, p.end) not in db.told_at]
        for key in new:
            db.watched.setdefault(key, unmade(*key))
            db.told_at[key] = now
        if new:
            self._state.put(messages, now)
        return bool(new)

    async def settle(self, report, *, token):
        key = (report.schedule, report.period.start, report.period.end)
        self._state.opened(token).watched.pop(key, None)
        self._state.opened().told_at.pop(key, None)

    async def ping_failed(self, report, *, next_at, token):
        watched = self._state.opened(token).watched
        key = (report.schedule, report.period.start, report.period.end)
        if key in watched:
            watched[key] = replace(watched[key], tries=watched[key].tries + 1, next_at=next_at)

    async def undelivered(self, *, before, tries):
        db = self._state.opened()
        items = [each.item for each in db.outbox.values()]
        mine = [item for item in items if not item.message.key.startswith(TELLING)]
        pairs = {(item.message.channel, item.message.recipient) for item in mine}
        found = []
        for pair in sorted(pairs | set(db.outages)):
            outage, upto = db.outages.get(pair, (None, 0))

            def last_sent(channel, recipient=None):
                sent = [
                    item.sent_at
                    for item in items
                    if item.status == "sent"
                    and item.message.channel == channel
                    and recipient in (None, item.message.recipient)
                ]
                return max(sent, default=None)

            own = [item for item in mine if (item.message.channel, item.message.recipient) == pair]
            late = [i for i in own if i.status == "pending" and (i.attempts >= tries or i.created_at <= before)]
            lost = [i for i in own if i.status == "dead"]
            sent = last_sent(*pair)
            new = [i for i in lost if i.id > upto]
            stands = [i for i in lost if sent is None or i.next_attempt_at > sent]
            told = {i.id: i for i in (*late, *new, *stands)}.values()
            if not told and outage is None:
                continue
            tried = [i for i in own if i.status == ("pending" if late else "dead") and i.last_error is not None]
            tried.sort(key=lambda item: (-item.attempts, -item.id))
            found.append(
                Undelivered(
                    *pair, waiting=len(late), dead=len(stands), new_dead=len(new),
                    newest_dead=max((i.id for i in {*new, *stands}), default=0),
                    since=min((i.created_at for i in told), default=None),
                    critical=any(i.message.severity == "critical" for i in told),
                    error=tried[0].last_error if tried else "",
                    last_sent=sent, channel_sent=last_sent(pair[0]), outage=outage,
                )
            )  # fmt: skip
        return found

    async def note_outages(self, noted, messages, *, now, token):
        outages = self._state.opened(token).outages
        for each, outage in noted:
            pair = (each.channel, each.recipient)
            upto = max(each.newest_dead, outages.get(pair, (None, 0))[1])
            outages[pair] = (outage, upto)
            if outage is None and not upto:
                del outages[pair]
        self._state.put(messages, now)

    async def oldest_unsent(self):
        items = [each.item for each in self._state.opened().outbox.values()]
        return min((item.created_at for item in items if item.status == "pending"), default=None)
