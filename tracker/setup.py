"""Makes the middleware's parts from its arguments, as far as possible, and collects what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from tracker import checks
from tracker.address import database_path
from tracker.identity import Identity
from tracker.places import Places
from tracker.sharing import Hold, shared_recorder
from tracker.skipping import PathFilter
from tracker.templates import Templates

if TYPE_CHECKING:
    from tracker.bearer import Bearer
    from tracker.clients import Clients

T = TypeVar("T")


class Setup:
    """Makes the parts of a middleware. `problem` has a sentence for each part that could not be made; None if all is
    well. `more` and `unknown` are surplus positional and keyword arguments.
    """

    def __init__(self, more: Sequence[Any], unknown: Mapping[str, Any]) -> None:
        self._problems = [_unknown(name) for name in unknown]
        if more:
            self._problems.append("only the app and database may be given without a name: name the other arguments")

    @property
    def problem(self) -> str | None:
        """The sentences about what is wrong, or None."""
        return "; ".join(self._problems) or None

    def _made(self, make: Callable[[], T], otherwise: Callable[[], T]) -> T:
        try:
            return make()
        except Exception as error:
            self._problems.append(str(error) or type(error).__name__)
            return otherwise()

    def given_recorder(self, recorder: Any, pseudonymous: Any, release: Any) -> Any:
        """The recorder passed in, if it is one; else None."""
        if recorder is not None and pseudonymous is True:
            self._problems.append(
                "pseudonymous is set, but a recorder was given, which stores as it was made: "
                "write Recorder(…, pseudonymous=True)"
            )
        if recorder is not None and release is not None:
            self._problems.append(
                "release is set, but a recorder was given, which notes its own: write Recorder(…, release=…)"
            )
        if recorder is None or callable(getattr(recorder, "add", None)):
            return recorder
        self._problems.append(f"recorder = {recorder!r} must be a tracker.Recorder: for a file, write database=")
        return None

    def recorder(
        self,
        database: str | os.PathLike[str],
        size: int,
        interval: float | None,
        pseudonymous: bool,
        release: Any,
    ) -> Hold | None:
        """The process's recorder for this file; None if nothing can be recorded."""

        def make() -> Hold:
            checks.yes_or_no("pseudonymous", pseudonymous)
            checks.whole_number("buffer_size", size, 1)
            if interval is not None:
                checks.seconds("flush_interval", interval, least=0.001, most=3600)
            named = self._made(lambda: checks.text("release", release), lambda: None)
            path = database_path(database)
            return shared_recorder(path, size, interval, pseudonymous=pseudonymous, release=named)

        return self._made(make, lambda: None)

    def flushes(self, flush: str | None) -> bool:
        """Whether what waits is stored at the end of each response."""
        if flush not in (None, "response"):
            self._problems.append(f"flush = {flush!r} must be 'response', or be left out")
        return flush == "response"

    def paths(self, skip: Iterable[str], defaults: bool) -> PathFilter:
        """The filter for requests that are not recorded."""

        def make() -> PathFilter:
            checks.yes_or_no("skip_defaults", defaults)
            checks.several("skip", skip, "paths, as in ['/health']")
            return PathFilter(skip, defaults=defaults)

        return self._made(make, lambda: PathFilter(defaults=defaults is not False))

    def places(self, features: Any, style: Any, routes: Iterable[str] | None) -> Places:
        """What finds where requests went."""

        def templates() -> Templates | None:
            if routes is None:
                return None
            checks.several("routes", routes, "templates, as in ['/threads/{id}']")
            return Templates(routes)

        found = self._made(templates, lambda: None)
        return self._made(lambda: Places(features, style, found), lambda: Places(templates=found))

    def clients(self, address: Any, user_agent: Any, proxies: Any) -> Clients | None:
        """What finds where requests come from; None if that is switched off."""
        if address is None and user_agent is None and proxies == ():
            return None
        from tracker.clients import Clients  # ipaddress would make every import of the tracker slower

        return self._made(lambda: Clients(address, user_agent, proxies), lambda: None)

    def identity(self, **settings: Any) -> Identity:
        """What finds who sent requests."""
        for name, shown in (("session_key", "session_user_key"), ("gateway_header", "gateway_header")):
            settings[name] = self._made(partial(checks.name, shown, settings[name]), lambda: None)
        settings["identify"] = self._made(lambda: checks.identify(settings["identify"]), lambda: None)
        return Identity(**settings)

    def tokens(self, tell: Callable[[str, str], None], **settings: Any) -> Bearer | None:
        """What finds the users of tokens; None if tokens are not checked."""
        return self._made(lambda: _bearer(tell, **settings), lambda: None)


def _bearer(
    tell: Callable[[str, str], None], *, key: Any, jwks: Any, claims: Any, cookie: Any, query: Any, subprotocol: Any,
    **wanted: Any,
) -> Bearer | None:  # fmt: skip
    if key is None and jwks is None:
        given = {"jwt_cookie": cookie, "jwt_query": query, "jwt_subprotocol": subprotocol, "jwt_user_claim": claims,
                 "jwt_audience": wanted["audience"], "jwt_issuer": wanted["issuer"],
                 "jwt_algorithms": wanted["algorithms"]}  # fmt: skip
        alone = next((name for name, value in given.items() if value), None)
        if alone is not None:
            raise ValueError(f"{alone} is set, but no jwt_key or jwks to check tokens with")
        return None
    if key is not None and jwks is not None:
        raise ValueError("both jwt_key and jwks are set: tokens are checked with one of them")
    checks.key(key)
    checks.jwks(jwks)
    checks.name("jwt_cookie", cookie)
    checks.name("jwt_query", query)
    checks.yes_or_no("jwt_subprotocol", subprotocol)
    checks.seconds("jwt_leeway", wanted["leeway"], least=0, most=86_400)
    checks.text("jwt_issuer", wanted["issuer"])
    order = checks.texts("jwt_user_claim", claims)
    wanted["audience"] = checks.texts("jwt_audience", wanted["audience"])
    wanted["algorithms"] = checks.texts("jwt_algorithms", wanted["algorithms"])
    try:
        import jwt  # noqa: F401  # heavy, and only needed where tokens are checked
    except ImportError:
        raise ValueError("jwt_key and jwks need PyJWT: pip install 'usage-guardian-tracker[jwt]'") from None
    if jwks is not None or (b"-----BEGIN" in (key.encode() if isinstance(key, str) else key)):
        try:
            import cryptography  # noqa: F401
        except ImportError:
            raise ValueError(
                "public keys need the package cryptography: pip install 'usage-guardian-tracker[jwt]'"
            ) from None
    from tracker.bearer import Bearer
    from tracker.tokens import TokenVerifier

    try:
        verifier = TokenVerifier(key=key, jwks=jwks, **wanted)
    except ValueError as error:
        raise ValueError(f"jwt_key: {error}" if jwks is None else str(error)) from None
    return Bearer(
        verifier,
        lambda sentence: tell("token_refused", sentence),
        claims=order,
        cookie=cookie,
        query=query,
        subprotocol=subprotocol,
    )


def forgiving(init: Callable[..., None]) -> Callable[..., None]:
    """The same `__init__`, but arguments that there are not are noted in `_misplaced` (by position, by name) in place
    of a TypeError: Starlette makes its middleware when the first request comes."""

    @wraps(init)
    def noting(self: Any, app: Any, *places: Any, **names: Any) -> None:
        unknown = {name: names.pop(name) for name in [*names] if name not in ARGUMENTS}
        self._misplaced = (places[1:], unknown)
        init(self, app, *places[:1], **names)

    return noting


ARGUMENTS = (
    "database", "features", "feature_names", "skip", "skip_defaults", "routes", "identify", "jwt_key", "jwks",
    "jwt_algorithms", "jwt_audience", "jwt_issuer", "jwt_leeway", "jwt_user_claim", "jwt_cookie", "jwt_query",
    "jwt_subprotocol", "session_user_key", "gateway_header",
    "client_address", "trusted_proxies", "user_agent", "pseudonymous", "release",
    "buffer_size", "flush_interval", "flush", "recorder",
)  # fmt: skip


_ALSO_CALLED = {
    "jwt_secret": "jwt_key", "secret": "jwt_key", "secret_key": "jwt_key", "key": "jwt_key", "jwks_url": "jwks",
    "audience": "jwt_audience", "issuer": "jwt_issuer", "path": "database", "db": "database", "exclude": "skip",
    "get_user": "identify", "version": "release", "user": "identify",
}  # fmt: skip


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = _ALSO_CALLED.get(name) or next(iter(get_close_matches(name, ARGUMENTS, 1)), None)
    cure = f"did you mean {near}?" if near else "docs/tracker.md lists them"
    return f"{name} is not an argument of UsageTrackingMiddleware: {cure}"
