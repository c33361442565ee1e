"""From the middleware's arguments to its parts: each is made as well as it can be, and what is wrong is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tracker.address import database_path
from tracker.identity import Identify, Identity
from tracker.places import Places
from tracker.routes import Templates
from tracker.sharing import Hold, shared_recorder
from tracker.skipping import PathFilter

if TYPE_CHECKING:
    from tracker.bearer import Bearer

T = TypeVar("T")


class Setup:
    """Makes the parts of a middleware. `problem` says in a sentence each what could not be made; None for nothing.

    `unknown` are arguments that there are not.
    """

    def __init__(self, unknown: Mapping[str, Any]) -> None:
        self._problems = [_unknown(name) for name in unknown]

    @property
    def problem(self) -> str | None:
        """What is wrong."""
        return "; ".join(self._problems) or None

    def _made(self, make: Callable[[], T], otherwise: Callable[[], T]) -> T:
        try:
            return make()
        except (ValueError, TypeError, ImportError, OSError, AttributeError) as error:
            self._problems.append(str(error) or type(error).__name__)
            return otherwise()

    def recorder(self, database: str | os.PathLike[str], size: int, interval: float) -> Hold | None:
        """The process' recorder of a file; None where nothing can be recorded."""
        return self._made(lambda: shared_recorder(database_path(database), size, interval), lambda: None)

    def paths(self, skip: Iterable[str], defaults: bool) -> PathFilter:
        """Tells which requests are not recorded."""
        return self._made(
            lambda: PathFilter(skip, defaults=defaults), lambda: PathFilter(defaults=defaults is not False)
        )

    def places(self, features: Any, style: Any, routes: Iterable[str] | None) -> Places:
        """Tells where requests went."""
        templates = self._made(lambda: None if routes is None else Templates(routes), lambda: None)
        return self._made(lambda: Places(features, style, templates), lambda: Places(templates=templates))

    def identity(self, **settings: Any) -> Identity:
        """Tells who sent requests."""
        for name in ("session_key", "gateway_header"):
            if settings[name] is not None and (not isinstance(settings[name], str) or not settings[name].isascii()):
                shown = "session_user_key" if name == "session_key" else name
                self._problems.append(f"{shown} = {settings[name]!r} must be a name, as in 'user_id'")
                settings[name] = None
        identify: Identify | None = settings["identify"]
        if identify is not None and not callable(identify):
            self._problems.append(f"identify = {identify!r} must be a function that takes the scope")
            settings["identify"] = None
        return Identity(**settings)

    def tokens(self, tell: Callable[[str, str], None], **settings: Any) -> Bearer | None:
        """Tells whom tokens name; None where none are checked."""
        return self._made(lambda: self._bearer(tell, **settings), lambda: None)

    def _bearer(
        self, tell: Callable[[str, str], None], *, key: Any, jwks: Any, claims: Any, cookie: Any, query: Any,
        subprotocol: bool, **checks: Any,
    ) -> Bearer | None:  # fmt: skip
        if key is None and jwks is None:
            given = {"jwt_cookie": cookie, "jwt_query": query, "jwt_subprotocol": subprotocol, "jwt_user_claim": claims,
                     "jwt_audience": checks["audience"], "jwt_issuer": checks["issuer"],
                     "jwt_algorithms": checks["algorithms"]}  # fmt: skip
            alone = next((name for name, value in given.items() if value), None)
            if alone is not None:
                raise ValueError(f"{alone} is set, but no jwt_key or jwks to check tokens with")
            return None
        if key is not None and jwks is not None:
            raise ValueError("both jwt_key and jwks are set: tokens are checked with one of them")
        try:
            import jwt  # noqa: F401  # heavy, and only needed where tokens are checked
        except ImportError:
            raise ValueError("jwt_key and jwks need PyJWT: pip install 'usage-guardian-tracker[jwt]'") from None
        from tracker.bearer import Bearer
        from tracker.tokens import TokenVerifier

        order = None if claims is None else (claims,) if isinstance(claims, str) else tuple(claims)
        try:
            verifier = TokenVerifier(key=key, jwks=jwks, **checks)
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


ARGUMENTS = (
    "database", "features", "feature_names", "skip", "skip_defaults", "routes", "identify", "jwt_key", "jwks",
    "jwt_algorithms", "jwt_audience", "jwt_issuer", "jwt_leeway", "jwt_user_claim", "jwt_cookie", "jwt_query",
    "jwt_subprotocol", "session_user_key", "gateway_header", "buffer_size", "flush_interval", "recorder",
)  # fmt: skip


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, ARGUMENTS, 1)
    cure = f"did you mean {near[0]}?" if near else "docs/tracker.md lists them"
    return f"{name} is no argument of UsageTrackingMiddleware: {cure}"
