"""Who sent a request. Only verified identities count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from logging import ERROR
from typing import TYPE_CHECKING, Any

from tracker.event import ANONYMOUS
from tracker.names import MAX_NAME, NOBODY, PLACEHOLDERS, Names, clean_name, names_of, peek
from tracker.saying import say
from tracker.tracebacks import class_name

if TYPE_CHECKING:
    from tracker.bearer import Bearer
    from tracker.notes import Notes

Scope = MutableMapping[str, Any]
Identify = Callable[[Scope], "str | Awaitable[str | None] | None"]

_STATE = ("claims", "user", "current_user", "email")
"""Where apps put their user in `request.state`, in this order."""
_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself would double the time that `import tracker` takes
_MISSING = object()


class Identity:
    """Names the user of a request. In order: what `identify` returns, unless it is None; what the app said by
    `note_user`; an address of the user whom a framework's shim found, in `scope["user"]`, in `scope["state"]`, in the
    session under `session_key`, in a token that `tokens` accepts; then a name that is no address, in the same order;
    `gateway_header` where one is set; else `anonymous`.

    The header must only be named where a trusted gateway overwrites it; one that comes twice counts for nothing. An
    answer of 401 has only the users that `identify`, `note_user` and tokens name; 403 also those whom the app itself
    calls authenticated. `tell` is told what could not be used, as a kind and a sentence.
    """

    def __init__(
        self,
        *,
        identify: Identify | None = None,
        tokens: Bearer | None = None,
        session_key: str | None = None,
        gateway_header: str | None = None,
        tell: Callable[[str, str], None] = lambda kind, sentence: None,
    ) -> None:
        self._identify = identify
        self._tokens = tokens
        self._session = session_key
        self._gateway = gateway_header.lower().encode("latin-1") if gateway_header else None
        self._tell = tell
        self._complained = False
        self.waits = _is_async(identify)
        """Whether `identify` has to be awaited: then its answer comes by `ask`, and is handed to `user`."""
        self.knows = identify is not None or tokens is not None or session_key is not None or gateway_header is not None
        """Whether anything was configured."""

    async def ask(self, scope: Scope, seconds: float) -> Any:
        """The result of an async `identify` within `seconds`; None if it raises or takes longer."""
        from tracker.loops import limited

        assert self._identify is not None
        try:
            given: Any = self._identify(scope)
            return await limited(given, seconds) if hasattr(given, "__await__") else given
        except Exception as error:
            took_long = isinstance(error, TimeoutError)
            self._complain(f"identify took longer than {seconds:g} seconds" if took_long else _raised(error))
            return None

    def user(self, scope: Scope, notes: Notes | None = None, status: int = 200, given: Any = _MISSING) -> str:
        """The verified user, or `anonymous`; never raises. `given` is what an async `identify` has answered."""
        try:
            if self._identify is not None:
                if given is _MISSING:
                    given = self._asked(scope)
                if given is not None:
                    return self._identified(given)
            if notes is not None:
                if notes.user is not None:
                    return notes.user
                if notes.nameless:
                    self._tell("name_refused", "note_user was given somebody with none of the usual names")
            found = NOBODY  # and as long as it is, no more is made of it: this runs for each request
            if status != 401:
                if notes is not None and notes.host_user is not None:
                    found = _without_placeholder(names_of(notes.host_user))
                if "user" in scope:
                    found = _first(found, _in_scope(scope["user"], status))
                if scope.get("state"):
                    found = self._from_state(found, scope["state"])
                if self._session is not None and found.address is None:
                    found = _first(found, _at(scope.get("session"), self._session))
                if found is not NOBODY and found.address is not None:
                    return found.address
            if self._tokens is not None:
                more = self._tokens.names(scope)
                found = more if found is NOBODY else _first(found, more)
            if found is not NOBODY:
                name = found.address or found.name
                if found.refused:
                    self._refused()
                if name is not None:
                    return name
            if self._gateway is not None:
                values = [value for header, value in scope["headers"] if header == self._gateway]
                if len(values) == 1:
                    return _decoded(values[0]) or (self._refused() if values[0] else ANONYMOUS)
        except Exception as error:
            # Never log its message or traceback, which may contain what a client sent.
            self._complain(_raised(error))
        return ANONYMOUS

    def _asked(self, scope: Scope) -> Any:
        """The result of a plain `identify`; None if it raises, just as if it does not know."""
        assert self._identify is not None
        try:
            return self._identify(scope)
        except Exception as error:
            self._complain(_raised(error))
            return None

    def _from_state(self, found: Names, state: Any) -> Names:
        for key in _STATE:
            if found.address is None:
                value = state.get(key) if isinstance(state, Mapping) else peek(state, key)
                if value is not None:
                    found = _first(found, _without_placeholder(names_of(value)))
        return found

    def _identified(self, given: Any) -> str:
        if hasattr(given, "__await__"):
            # A plain function returned an awaitable: treat it as async from the next request on.
            self.waits = True
            if hasattr(given, "close"):
                given.close()
            return ANONYMOUS
        name = names_of(given, trusted=True).best
        if name is None and given != ANONYMOUS:
            self._complain(
                f"identify returned {class_name(type(given))}, which is not a name of 1 to {MAX_NAME} characters"
            )
        return name or ANONYMOUS

    def _refused(self) -> str:
        self._tell("name_refused", f"a user's name is not 1 to {MAX_NAME} printable characters of one plain form")
        return ANONYMOUS

    def _complain(self, what: str) -> None:
        self._tell("identify_failed", what)
        if not self._complained:
            self._complained = True
            say(
                ERROR, "The tracker could not tell who a user is (%s): it counts as anonymous. This is said once.", what
            )


def _raised(error: Exception) -> str:
    return f"{class_name(type(error))} was raised"


def _is_async(identify: Any) -> bool:
    """Whether a function, a method or an object that can be called is async, also behind `functools.partial`."""
    while hasattr(identify, "func"):
        identify = identify.func
    for each in (identify, getattr(type(identify), "__call__", None)):  # noqa: B004
        if getattr(getattr(each, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
            return True
    return False


def _first(found: Names, more: Names) -> Names:
    """Combines two sources: the first address, and the first name."""
    return Names(found.address or more.address, found.name or more.name, found.refused or more.refused)


def _without_placeholder(names: Names) -> Names:
    return names._replace(name=None) if names.name is not None and names.name.lower() in PLACEHOLDERS else names


def _in_scope(user: Any, status: int) -> Names:
    """The user set by an authentication middleware. If the object has `is_authenticated`, that must be true."""
    authenticated = peek(user, "is_authenticated")
    if authenticated is True or (
        authenticated is None and status != 403 and not hasattr(type(user), "is_authenticated")
    ):
        return _without_placeholder(names_of(user))
    return NOBODY


def _at(session: Any, key: str) -> Names:
    """The user under a key of the session; if there is no such key, `user.email` means `email` inside `user`."""
    if not isinstance(session, Mapping):
        return NOBODY
    value = session.get(key)
    if value is None and "." in key:
        first, _, rest = key.partition(".")
        return _at(session.get(first), rest)
    return NOBODY if value is None else _without_placeholder(names_of(value))


def _decoded(value: bytes) -> str | None:
    try:
        return clean_name(value.decode())
    except UnicodeDecodeError:
        return None
