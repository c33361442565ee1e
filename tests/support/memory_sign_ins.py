"""Links to sign in by, and sessions, in memory."""

from dataclasses import replace

from guardian.stores.sign_ins import TRIES


class MemorySignIns:
    """`SignInStore`."""

    def __init__(self, state):
        self._state = state

    @property
    def _asked(self):
        return self._state.opened().asked  # hash of the link: [link, wrong codes]

    @property
    def _sessions(self):
        return self._state.opened().sessions

    def _good(self, now):
        return [asked for asked, tries in self._asked.values() if asked.expires > now and tries < TRIES]

    def _begin(self, found, session):
        if not found:
            return None
        del self._asked[found[0].link]
        self._sessions[session.cookie] = replace(session, address=found[0].address)
        return found[0].address

    async def keep_link(self, asked, now):
        for old in [each.link for each, _ in self._asked.values() if each.expires <= now]:
            del self._asked[old]
        self._asked[asked.link] = [replace(asked, address=asked.address.lower()), 0]

    async def link(self, link, now):
        return next((each for each in self._good(now) if each.link == link), None)

    async def open_link(self, link, browser, session, now):
        found = [each for each in self._good(now) if each.link == link and each.browser in (None, browser)]
        return self._begin(found, session)

    async def open_code(self, code, browser, session, now):
        found = [each for each in self._good(now) if each.code == code and each.browser == browser]
        if not found:
            for entry in self._asked.values():
                entry[1] += entry[0].browser == browser
        return self._begin(found, session)

    async def forward_link(self, link, now):
        found = await self.link(link, now)
        if found is None or found.browser is None or found.forwarded:
            return None
        self._asked[link][0] = replace(found, forwarded=True)
        return found.address

    async def session(self, cookie):
        return self._sessions.get(cookie)

    async def see(self, cookie, now):
        if cookie in self._sessions:
            self._sessions[cookie] = replace(self._sessions[cookie], seen=now)

    async def end_session(self, cookie):
        self._sessions.pop(cookie, None)

    async def end_sessions(self, address):
        for link in [each.link for each, _ in self._asked.values() if each.address == address.lower()]:
            del self._asked[link]
        theirs = [each.cookie for each in self._sessions.values() if each.address == address.lower()]
        for cookie in theirs:
            del self._sessions[cookie]
        return len(theirs)

    async def purge_sessions(self, *, seen_before, began_before):
        for each in list(self._sessions.values()):
            if each.seen < seen_before or each.began < began_before:
                del self._sessions[each.cookie]
