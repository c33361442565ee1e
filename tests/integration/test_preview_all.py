"""Every mail that Guardian can send, from sample data: complete, correct, and seen."""

import re
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from PIL import Image

from guardian.alerting.kinds import KINDS
from guardian.application.preview.folder import take_pictures, write_mail
from guardian.application.preview.pictures import SCREENS, find_chromium, trim
from tests.support.plain import plain

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def samples(samples_in):
    return samples_in("en")


def parsed(sample):
    return message_from_bytes(sample.mail.body, policy=policy.default)


def test_there_is_one_of_each_kind_of_alert_and_of_all_that_becomes_of_it(samples):
    names = {sample.name for sample in samples}
    assert names >= {f"alert-{kind.replace('_', '-')}" for kind in KINDS}
    assert names >= {"report", "report-quiet", "report-5000-users", "report-empty"}
    assert names >= {"test", "login-refused", "login-ends", "report-late", "outage-begins", "outage-ends"}
    assert names >= {
        f"alert-{what}" for what in ("reminder", "resolved", "reopened", "bundle", "many-users", "flapping")
    }
    assert names >= {"alert-quiet-hours", "alert-overflow"}
    assert len(names) == len(samples)


@pytest.mark.parametrize(
    "name, subject, words",
    [
        (
            "report",
            "● 2 rules fired; 14.6 % of the requests failed – Guardian",
            "* chat_message fails 13× as often as before: 175 of 727 requests",
        ),
        (
            "report-weekly",
            "● 2 rules fired; 3.8 % of the requests failed – Guardian",
            "* Rule error_rate is the noisiest: it fired 6",
        ),
        ("report-quiet", "40 people used the app, and nothing failed – Guardian", "WHO USED IT"),
        (
            "report-5000-users",
            "5,000 people used the app; 0.7 % of the requests failed – Guardian",
            "and 4,990 more people",
        ),
        ("report-empty", "Nobody used the app – Guardian", "Nobody used the app."),
        ("alert-bundle", "● 2 alerts: chat_message is down, … – Guardian", "Error rate above 10 %"),
        ("alert-reminder", "Re: ⚠ Error rate above 10 % – Guardian", "Still firing."),
        ("alert-resolved", "Re: ● chat_message is down – Guardian", "At worst, every request failed."),
        ("alert-reopened", "Re: ● chat_message is down – Guardian", "Firing again."),
        ("alert-many-users", "⚠ 16 alerts: alice@example.com keeps hitting errors, … – Guardian", "AND ALSO"),
        ("alert-flapping", "Re: ● chat_message is down – Guardian", "Comes and goes"),
        (
            "alert-quiet-hours",
            "2 alerts in the quiet hours, resolved: chat_message is down, … – Guardian",
            "Resolved after",
        ),
        (
            "alert-overflow",
            "⚠ 2 alerts held back by the hourly limit: Error rate above 10 %, … – Guardian",
            "so these had to wait",
        ),
    ],
)
def test_each_says_what_it_is_for(samples, name, subject, words):
    message = parsed(next(sample for sample in samples if sample.name == name))
    assert message["Subject"] == subject
    assert words in " ".join(message.get_body(("plain",)).get_content().split())


def test_what_is_over_names_the_releases_and_whom_to_tell(samples):
    message = parsed(next(sample for sample in samples if sample.name == "alert-resolved"))
    text = " ".join(plain(message.get_body(("plain",)).get_content()).split())
    assert "Released 2.4.1 at Tue 17 Mar, 09:05, 2.4.2 at Tue 17 Mar, 09:40" in text
    assert "40 people were hit: 18 have used chat_message since, 22 have not come back." in text
    assert [part.get_filename() for part in message.iter_attachments()] == ["people.csv"]


def test_each_has_two_parts_of_which_gmail_shows_the_whole(samples):
    for message in map(parsed, samples):
        html, text = (message.get_body((kind,)).get_content() for kind in ("html", "plain"))
        assert len(html.encode()) < 100_000, message["Subject"]
        assert f'<html lang="{"fr" if "échoué" in text else "en"}"' in html
        assert "{{" not in html + text and "%(" not in html + text


def test_each_is_described_in_the_documentation(samples):
    text = (DOCS / "mail.md").read_text()
    assert [sample.name for sample in samples if f"`{sample.name}`" not in text] == []
    for picture in set(re.findall(r"\]\((images/[^)]+)\)", text)):
        assert (DOCS / picture).exists(), picture


@pytest.mark.needs_chromium
def test_pictures_are_taken_by_day_and_by_night_on_a_phone_and_on_a_desk(tmp_path, samples):
    sample = next(each for each in samples if each.name == "report-empty")
    write_mail(sample.mail.body, tmp_path, sample.name)
    pictures = list(take_pictures(find_chromium(), tmp_path, [sample.name]))
    assert [path.name for path in pictures] == [f"report-empty-{screen.name}.png" for screen in SCREENS]
    for path, screen in zip(pictures, SCREENS, strict=True):
        image = Image.open(path).convert("L")
        assert image.width == screen.width * screen.scale
        assert image.height < 2_000
        assert (image.getpixel((image.width // 2, image.height - 60)) < 60) is screen.dark


@pytest.mark.parametrize("drawn, height, whole", [(0, 24, True), (30, 55, True), (99, 100, False)])
def test_a_picture_ends_where_nothing_follows(tmp_path, drawn, height, whole):
    image = Image.new("RGB", (10, 100), "white")
    if drawn:
        image.putpixel((3, drawn), (0, 0, 0))
    image.save(tmp_path / "x.png")
    assert trim(tmp_path / "x.png") is whole
    assert Image.open(tmp_path / "x.png").height == height
