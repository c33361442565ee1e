"""A folder with every sample mail as files: .html, .txt, .eml, and pictures where there is a Chromium."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

from guardian.application.logins import login_ends, login_refused
from guardian.application.outages import Telling
from guardian.application.outages import words as outage_words
from guardian.application.preview.alerts import alert_samples
from guardian.application.preview.pictures import SCREENS, Screen, take_picture
from guardian.application.preview.reports import report_samples, sample_reports
from guardian.application.preview.sample import ADMIN, NOW, SENDER, URL, ZONE, Sample
from guardian.application.watchdog import Reason, words
from guardian.core.files import replacing
from guardian.core.report.model import Report
from guardian.core.schedule import parse_schedule
from guardian.mail.message import html_page
from guardian.mail.service import EmailService
from guardian.stores.watching import Outage, Undelivered


async def all_samples(code: str = "en") -> list[Sample]:
    """One of each mail that Guardian can send, in the language of this code."""
    return samples_of(await sample_reports(), code)


def samples_of(reports: Sequence[Report], code: str = "en") -> list[Sample]:
    """The same, where `sample_reports` are made already: they take longest."""
    email = EmailService([], sender=SENDER, timezone=ZONE.key, clock=lambda: NOW, code=code, pages_url=URL)
    test = email.compose_test(ADMIN, key="sample/test")
    return [
        *report_samples(email, reports),
        *alert_samples(email.language),
        *_warnings(email),
        Sample("test", "By `guardian send-test` and `guardian check --send-test`.", test),
    ]


LATE = Reason(
    "of %(mails)s mails, %(waiting)s are waiting and %(dead)s cannot be delivered",
    {"mails": 3, "waiting": 2, "dead": 1},
)


_CHANNEL = Undelivered("ops", "ops", waiting=3, since=NOW - timedelta(minutes=10), critical=True, error="ops: 503")
_SINCE = Outage("sample", NOW - timedelta(minutes=10), (("mail", ADMIN),))
OUTAGE = (
    ("begins", "Messages to a channel, or mail to somebody, are not being delivered: sent to those who can be reached.",
     Telling(_SINCE, (_CHANNEL,), True), "warning"),
    ("ends", "They are delivered again; told to whoever heard of the beginning.",
     Telling(_SINCE, (replace(_CHANNEL, waiting=0, last_sent=NOW),), False), "ok"),
)  # fmt: skip
"""By name: when the mail is sent, what it tells of, and how grave it is."""


def _warnings(email: EmailService) -> list[Sample]:
    refused = login_refused(email, [ADMIN], "gmail", "Google refuses the login: run 'guardian gmail login'", NOW)
    ending = login_ends(email, [ADMIN], "gmail", NOW + timedelta(days=2), "run 'guardian gmail login'")
    schedule = parse_schedule("daily at 08:00", ZONE.key)
    late = words("daily", schedule, [schedule.last_due(NOW)], LATE, email.language)
    return [
        Sample("report-late", "A report that was due has not gone out; on another channel, where there is one.",
               email.compose_warning(ADMIN, *late, key="sample/late")),
        *(Sample(f"outage-{name}", when, email.compose_warning(
              ADMIN, *outage_words(telling, email.language, email.zone), key=f"sample/{name}", grave=grave))
          for name, when, telling, grave in OUTAGE),
        Sample("login-refused", "An account can no longer send; this goes out by the next transport.", refused[0]),
        Sample("login-ends", "Two days before a login ends, where that is known.", ending[0]),
    ]  # fmt: skip


def write_mail(body: bytes, folder: Path, name: str) -> str:
    """Write NAME.eml, .txt and .html, the pictures of the mail inside the page; the subject.

    Only their owner can read them: they tell of people. Raises ValueError for a mail that could not be written.
    """
    if not body:
        raise ValueError(f"the mail {name!r} cannot be written: the log says why")
    message = message_from_bytes(body, policy=policy.default)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{name}.eml") as file:
        file.buffer.write(body)
    text, html = message.get_body(("plain",)), html_page(message)
    for ending, page in (("txt", text.get_content() if text is not None else None), ("html", html)):
        if page is not None:
            with replacing(folder / f"{name}.{ending}") as file:
                file.write(page)
    return str(message["Subject"])


def take_pictures(chromium: str, folder: Path, names: list[str]) -> Iterator[Path]:
    """Take NAME-phone-light.png and its three siblings of each; each as soon as it is there. Raises OSError."""

    def one(name: str, screen: Screen) -> Path:
        picture = folder / f"{name}-{screen.name}.png"
        take_picture(chromium, folder / f"{name}.html", picture, screen)
        return picture

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(one, name, screen) for name in names for screen in SCREENS]
        for job in jobs:
            yield job.result()
