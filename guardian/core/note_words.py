"""The words of notes: what was noticed, with its number, and the cure; in the reader's language. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from guardian.core.language import Language, marked

Words = tuple[str, str]
"""A sentence, and the cure: a sentence or two, or "" where there is nothing to do."""

_AUDIENCE = re.compile(r"\baudience (?P<names>['\"].*)")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_OF_TOKENS = (
    ("audience", marked("Set jwt_audience to the audience of your app's tokens.")),
    ("issuer", marked("Set jwt_issuer to the issuer of your app's tokens.")),
    ("expired", marked("If users are signed in all the same, set the machines' clocks, preferably by NTP.")),
    ("not valid yet", marked("If users are signed in all the same, set the machines' clocks, preferably by NTP.")),
    (
        "fetched",
        marked("Make sure that the app's machine can reach the address of jwks: the app's log says why it cannot."),
    ),
    ("key", marked("Set jwt_key or jwks to the key that your app checks its tokens with.")),
    ("not signed with", marked("Set jwt_algorithms to the algorithms that sign your app's tokens.")),
)
_SEE_TRACKER = marked("See docs/tracker.md for what the tracker takes.")
_OF_DROPPED = (
    ("buffer", marked("Give the middleware a larger buffer_size, or the database a faster disk.")),
    ("database", marked("Check the free disk space, and who may write to the file.")),
)
_REASONS = (
    marked("the buffer was full"),
    marked("the database cannot be used"),
    marked("the token has expired"),
    marked("the token is for another audience"),
    marked("the token is from another issuer"),
    marked("the token is not valid"),
    marked("the token is not valid yet"),
    marked("the token is signed with a key that is not known"),
    marked("the token is not signed with the key that is known"),
    marked("the keys of jwks could not be fetched yet"),
    marked("note_user was given somebody with none of the usual names"),
    marked("name_feature was given something that is no name of 1 to 100 characters"),
)
"""Reasons that the tracker gives, for the catalogues; others are said in its words."""


def note_words(kind: str, count: int, detail: str, lang: Language) -> Words:
    """What is to be said of a note (see `guardian.core.notes.Note`); of an unknown kind, what the tracker said."""
    return KINDS.get(kind, _unknown)(lang, count, detail)


def _cure(of: tuple[tuple[str, str], ...], detail: str, otherwise: str, lang: Language) -> str:
    return lang(next((cure for word, cure in of if word in detail.lower()), otherwise))


def _why(detail: str, lang: Language) -> str:
    """A reason as part of a sentence; one that is not known stays in the tracker's words."""
    return lang(detail.rstrip(".")) if detail else lang("for no reason that is known")


def _never(lang: Language, count: int, detail: str) -> Words:
    text = lang("No request has ever been recorded in %(file)s.", file=detail or lang("the database"))
    return text, lang("Add UsageTrackingMiddleware to the app, with this database, and use the app once.")


def _elsewhere(lang: Language, count: int, detail: str) -> Words:
    text = lang("The app records into another file: %(file)s.", file=detail)
    return text, lang("Name the same file in the app and in Guardian's settings (database).")


def _setting(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    text = lang("A setting of the tracker cannot be used: %(why)s.", why=why)
    return text, lang("Fix it in the app, then restart the app.")


def _file(lang: Language, count: int, detail: str) -> Words:
    text = lang("The database file was removed or replaced while the app was running.")
    return text, lang("Stop the app and Guardian before you move or restore the file.")


def _anonymous(lang: Language, count: int, detail: str) -> Words:
    text = lang.plural("The only request is anonymous.", "All %(n)s requests are anonymous.", count)
    return text, lang(
        "Say who the user is: note_user(request, user) in the app, or jwt_key and the like; see docs/tracker.md."
    )


def _unmatched(lang: Language, count: int, detail: str) -> Words:
    text = lang.plural(
        "The route of %(n)s request is (unmatched): it is the only one.",
        "The routes of all %(n)s requests are (unmatched).",
        count,
    )  # fmt: skip
    return text, _routes(lang)


def _often_unmatched(lang: Language, count: int, detail: str) -> Words:
    text = lang(
        "The route of %(n)s of %(all)s requests is (unmatched).",
        n=lang.number(count), all=lang.number(int(detail)) if detail.isdecimal() else "?",
    )  # fmt: skip
    return text, _routes(lang)


def _routes(lang: Language) -> str:
    return lang("Give the middleware routes, or name features with name_feature; see docs/tracker.md.")


def _critical(lang: Language, count: int, detail: str) -> Words:
    text = lang("critical_features match nothing: %(pattern)s is no feature that was ever used.", pattern=repr(detail))
    return text, lang("Set critical_features to names of your app's features, or to [].")


def _token(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    audience = _AUDIENCE.search(detail)
    names = ["".join(pair) for pair in _QUOTED.findall(audience["names"])] if audience else []
    if names:
        text = lang.plural(
            "%(n)s bearer token was refused: it is for the audience `%(name)s`.",
            "%(n)s bearer tokens were refused: they are for the audience `%(name)s`.",
            count, name="`, `".join(names),
        )  # fmt: skip
        return text, lang("Set jwt_audience, if it is your app's.")
    text = lang.plural(
        "%(n)s bearer token was refused: %(why)s.", "%(n)s bearer tokens were refused: %(why)s.",
        count, why=why,
    )  # fmt: skip
    return text, _cure(_OF_TOKENS, detail, _SEE_TRACKER, lang)


def _name(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    text = lang.plural(
        "The name of a user was refused %(n)s time: %(why)s.", "Names of users were refused %(n)s times: %(why)s.",
        count, why=why,
    )  # fmt: skip
    return text, lang(_SEE_TRACKER)


def _identify(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    text = lang.plural(
        "The function identify failed %(n)s time: %(why)s.", "The function identify failed %(n)s times: %(why)s.",
        count, why=why,
    )  # fmt: skip
    return text, lang("Fix it in the app: until then, these requests may be anonymous.")


def _unrecorded(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    text = lang.plural(
        "%(n)s request was not recorded, because the tracker failed: %(why)s.",
        "%(n)s requests were not recorded, because the tracker failed: %(why)s.",
        count, why=why,
    )  # fmt: skip
    return text, lang("The app's log has the place; please report it.")


def _dropped(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    text = lang.plural("%(n)s request was lost: %(why)s.", "%(n)s requests were lost: %(why)s.", count, why=why)
    return text, _cure(_OF_DROPPED, detail, marked("The app's log says more."), lang)


def _silent(lang: Language, count: int, detail: str) -> Words:
    text = lang.plural(
        "A process of the app went silent with %(n)s request that it had not stored.",
        "Processes of the app went silent with %(n)s requests that they had not stored.",
        count,
    )
    return text, lang("Stop the app by SIGTERM, not by kill -9, and look at its log.")


def _replaces(lang: Language, count: int, detail: str) -> Words:
    text = lang(
        "This report replaces one of the same period that went out too early, at %(time)s, because the clock "
        "was ahead.",
        time=detail,
    )
    return text, lang("Keep the clock of Guardian's machine right, preferably by NTP.")


def _ahead(lang: Language, count: int, detail: str) -> Words:
    text = lang.plural(
        "%(n)s event or heartbeat is dated in the future, and does not count as a sign of life.",
        "%(n)s events and heartbeats are dated in the future, and do not count as signs of life.",
        count,
    )
    return text, lang("Set the clock of the app's machine, preferably by NTP.")


def _unknown(lang: Language, count: int, detail: str) -> Words:
    why = _why(detail, lang)
    return lang.plural("%(n)s time: %(why)s.", "%(n)s times: %(why)s.", count, why=why), ""


def _unsaved(lang: Language, count: int, detail: str) -> Words:
    text = lang("usage_report.json could not be written: %(why)s.", why=_why(detail, lang))
    return text, lang("Check the free disk space, and who may write to the folder of reports_dir.")


KINDS: Mapping[str, Callable[[Language, int, str], Words]] = {
    "replaces": _replaces,
    "never": _never,
    "elsewhere": _elsewhere,
    "ahead": _ahead,
    "setting": _setting,
    "file": _file,
    "silent": _silent,
    "dropped": _dropped,
    "unrecorded": _unrecorded,
    "anonymous": _anonymous,
    "unmatched": _unmatched,
    "often_unmatched": _often_unmatched,
    "token_refused": _token,
    "name_refused": _name,
    "identify_failed": _identify,
    "critical_features": _critical,
    "unsaved": _unsaved,
}
"""What is said of each kind, the worst first. Those that the tracker writes: guardian_recorder_note."""
