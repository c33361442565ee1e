"""How long the mail of a report on 5,000 users takes: HTML, text, chart, table and message.

    PYTHONPATH=. python bench/mail.py [--users 5000]

The goal is under 300 ms.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from guardian.core.activity import Activity
from guardian.core.language import Language, language
from guardian.core.report.build import build_report
from guardian.core.report.json import to_json
from guardian.core.report.reading import from_json
from guardian.core.summary import Summary, TimelineBar
from guardian.mail.chart import CID, chart_of, draw
from guardian.mail.message import Attachment, Inline, build_message
from guardian.mail.render import inlined, mail_templates, render
from guardian.mail.report.userlist import users_csv
from guardian.mail.report.view import report_view
from guardian.mail.service import EmailService
from tracker.event import Event, Failure

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
END = START + timedelta(hours=24)


def report(users: int) -> dict:
    """A report on a day of so many users, each with 20 requests, of which every tenth user has failing ones."""
    boom = Failure("KeyError", "Internal Server Error", "app.py:7 chat")
    begin, events = int(START.timestamp()) * 1_000_000, []
    for n in range(users):
        email = f"someone.with.a.long.name.{n:05}@department.example.com"
        for k in range(20):
            bad = n % 10 == 0 and k % 4 == 0
            feature = f"feature_{(n + k) % 40}"
            at_us = begin + (n * 17 + k * 4_000) % 86_400 * 1_000_000
            status, failure = (500, boom) if bad else (200, None)
            events.append(Event(at_us, email, f"/api/{feature}", "POST", feature, status, 90_000, failure))
    events.sort()
    failures: dict[str, list[Event]] = {}
    for event in events:
        if event.failure:
            failures.setdefault(event.user, []).append(event)
    bars = [TimelineBar(START + timedelta(minutes=30 * n), 2_000, 10 * (n % 9), users // 9 + 40 * n) for n in range(48)]
    summary = Summary.of(events)
    made = build_report(
        Activity.of(summary, failures, begin), summary.counts(), previous_start=START - (END - START),
        start=START, end=END, now=END, timeline=bars,
    )  # fmt: skip
    return to_json(made)


def median_ms(work, rounds: int = 15) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5_000)
    users = parser.parse_args().users
    made, english = report(users), language()
    service = EmailService([], sender="guardian@example.com", clock=lambda: END)

    def compose() -> bytes:
        return service.compose_guardian_report("a@example.org", {"usage_stats": made}, key="bench").body

    size, whole = len(compose()), median_ms(compose)
    print(f"the mail of {users:,} users: {whole:.0f} ms, {size / 1000:,.0f} kB "
          f"(goal 300 ms: {'met' if whole < 300 else 'missed'})")  # fmt: skip
    for step, work in steps(made, english, service):
        taken = median_ms(work)
        print(f"    {step:<34} {taken:6.1f} ms  {taken / whole:4.0%}")


def steps(made: dict, english: Language, service: EmailService) -> Iterator[tuple[str, Callable[[], object]]]:
    """What compose_guardian_report does, one after the other."""
    read = from_json(made)
    view = report_view(read, [], lang=english, zone=service.zone)
    values = {"lang": english, "_": english, "view": view}
    html, text = render("guardian_report_email", english, view=view)
    templates = [mail_templates().get_template(f"guardian_report_email.{kind}") for kind in ("html", "txt")]
    page, table = templates[0].render(values), users_csv(read.users, english)
    chart = chart_of(read.timeline, read.period_end, english, service.zone)
    pictures, files = [Inline(CID, draw(chart))], [Attachment("users.csv", "text/csv", table)]
    yield "reading the JSON", lambda: from_json(made)
    yield "sentences and figures", lambda: report_view(read, [], lang=english, zone=service.zone)
    yield "templates, HTML and text", lambda: [template.render(values) for template in templates]
    yield "styles onto elements (css-inline)", lambda: inlined(page)
    yield "chart", lambda: draw(chart)
    yield "table of everybody", lambda: users_csv(read.users, english)
    yield "message and its encoding", lambda: build_message(
        sender="guardian@example.com", recipient="a@example.org", subject=view["subject"], text=text, html=html,
        key="bench", now=END, inline=pictures, attachments=files,
    )  # fmt: skip


if __name__ == "__main__":
    main()
