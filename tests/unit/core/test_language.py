"""Mails in other languages: every text has its translation, and the figures look as readers expect."""

import email
import re
import runpy
from datetime import UTC, datetime, timedelta
from email import policy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po

from guardian.application.logins import login_ends, login_refused
from guardian.core.bidi import bare, isolated
from guardian.core.language import LANGUAGES, language
from guardian.core.resources import locales_dir
from guardian.mail.service import EmailService
from tests.support import report_samples as samples
from tests.support.plain import plain

ROOT = Path(__file__).parents[3]
ZURICH = ZoneInfo("Europe/Zurich")


def texts():
    return [message for message in runpy.run_path(str(ROOT / "scripts/catalogues.py"))["texts"]() if message.id]


def catalogue(code):
    with (locales_dir() / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def placeholders(text):
    return sorted(re.findall(r"%\(\w+\)s|%%", text))


def forms(value):
    return list(value) if isinstance(value, tuple | list) else [value]


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_text_of_a_mail_has_its_translation_and_no_other_is_kept(code):
    known, said = catalogue(code), texts()
    assert len(said) > 140
    missing = [each.id for each in said if known.get(each.id) is None or not all(forms(known.get(each.id).string))]
    assert missing == [], "run 'make catalogues' and translate these"
    assert [each.id for each in known if each.id and not any(each.id == one.id for one in said)] == []


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_a_translation_fills_in_what_the_text_fills_in(code):
    for message in catalogue(code):
        for original, translated in zip(forms(message.id)[-1:], forms(message.string)[-1:], strict=True):
            assert placeholders(original) == placeholders(translated), original


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0 %"), (0.00002, "< 0.01 %"), (0.0001, "0.01 %"), (0.0994, "9.9 %"), (0.9994, "99.9 %"),
     (0.99999, "> 99.9 %"), (1, "100 %")],
)  # fmt: skip
def test_what_is_not_nothing_is_never_said_to_be_none_and_what_is_not_all_never_all(share, said):
    assert language("en").percent(share) == said.replace(" ", "\u00a0")


def test_the_first_of_a_month_in_french():
    first = datetime(2026, 3, 1, 12, tzinfo=UTC)
    lang = language("fr")
    assert lang.day(first, ZURICH) == "dimanche 1er mars 2026"
    assert (lang.moment(first, ZURICH), lang.short_day(first, ZURICH)) == ("dim. 1er mars, 13:00", "1er mars")
    assert lang.short_day(first + timedelta(days=10), ZURICH) == "11 mars"


def test_a_report_in_french():
    service = EmailService([], sender="g@example.com", timezone="Europe/Zurich", clock=lambda: samples.END, code="fr")
    reports = {"usage_stats": samples.ordinary()}
    mail = email.message_from_bytes(
        service.compose_guardian_report("admin@example.org", reports, key="k").body, policy=policy.default
    )
    assert mail["Subject"] == "⚠ 1,4 % des requêtes ont rencontré une erreur du serveur – Guardian"
    text = plain(mail.get_body(("plain",)).get_content())
    assert text.startswith("""\
1,4 % des requêtes ont rencontré une erreur du serveur.
=======================================================
ATTENTION · lun. 2 mars, 09:00 – 11:00 (Europe/Zurich)

Utilisateurs actifs           6   ↓ contre 9
Requêtes                    423   ↑ contre 300
""")
    html = mail.get_body(("html",)).get_content()
    assert '<html lang="fr"' in html
    for english in ("What moved", "Users who need help", "Who used it", "Gone quiet", "Last steps", "Stored"):
        assert english not in html
        assert english.upper() not in text


@pytest.mark.parametrize(
    "code, number, percent, moment, many",
    [
        ("en", "12,345.6", "5.4 %", "Mon 2 Mar, 11:05", "2 users"),
        ("fr", "12\u202f345,6", "5,4 %", "lun. 2 mars, 11:05", "2 utilisateurs"),
    ],
)
def test_figures_look_as_readers_of_the_language_expect(code, number, percent, moment, many):
    lang = language(code)
    assert lang.number(12_345.6, 1) == number
    assert lang.percent(0.054).replace("\u00a0", " ").replace("\u202f", " ") == percent
    assert lang.moment(datetime(2026, 3, 2, 10, 5, tzinfo=UTC), ZURICH) == moment
    assert lang.plural("%(n)s user", "%(n)s users", 2) == many


def test_zero_is_singular_in_french_and_plural_in_english():
    said = {code: language(code).plural("%(n)s user", "%(n)s users", 0) for code in LANGUAGES}
    assert said == {"en": "0 users", "fr": "0 utilisateur"}


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="language = 'xx' is not known: it is one of en, fr"):
        language("xx")


def test_each_admin_is_warned_in_their_own_language():
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, languages={"zoe@example.org": "fr"})
    mails = login_refused(service, ["ann@example.org", "zoe@example.org"], "gmail", "do this", samples.END)
    assert [mail.subject for mail in mails] == [
        "Guardian can no longer send through Gmail", "Guardian ne peut plus envoyer par Gmail",
    ]  # fmt: skip


def test_what_is_to_be_done_about_a_login_is_said_in_the_readers_language():
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, languages={"zoe@example.org": "fr"})
    [mail] = login_ends(service, ["zoe@example.org"], "gmail", samples.END, "run 'guardian gmail login'")
    text = email.message_from_bytes(mail.body, policy=policy.default).get_body(("plain",)).get_content()
    assert "exécutez « guardian gmail login »" in " ".join(text.split())


FIRST_OF_TWO = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_said_with_its_offset_and_no_other():
    lang = language()
    times = [FIRST_OF_TWO + timedelta(minutes=minutes) for minutes in (-60, 0, 31, 91)]
    assert [lang.clock(at, ZURICH) for at in times] == ["01:50", "02:50\u00a0UTC+2", "02:21\u00a0UTC+1", "03:21"]
    assert lang.moment(times[2], ZURICH) == "Sun 25 Oct, 02:21\u00a0UTC+1"
    assert lang.zoned(times[3], ZURICH) == "Sun 25 Oct, 03:21 (Europe/Zurich)"
    assert lang.span(times[1], times[2], ZURICH) == "Sun 25 Oct, 02:50\u00a0UTC+2 – 02:21\u00a0UTC+1"
    half = datetime(2026, 4, 4, 14, 45, tzinfo=UTC)
    assert lang.clock(half, ZoneInfo("Australia/Lord_Howe")) == "01:45\u00a0UTC+11"
    half += timedelta(minutes=30)
    assert lang.clock(half, ZoneInfo("Australia/Lord_Howe")) == "01:45\u00a0UTC+10:30"


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_line_ends_between_a_number_and_its_unit(code):
    lang = language(code)
    said = [lang.duration(seconds) for seconds in (45, 720, 12_000, 48 * 3600, 53 * 3600)]
    said += [lang.percent(share) for share in (0.00002, 0.0994, 0.99999, 1)]
    said += [lang.milliseconds(value) for value in (85, 1400, 1_234_567)] + [lang.number(1_234_567)]
    assert not [text for text in said if " " in text]
    assert "10\u00a0min" in lang.lately(600)
    assert "30\u00a0min" in lang("Comes and goes; you will hear when it has been calm for 30 min")


def test_french_punctuation_stays_on_the_line_of_its_word():
    lang = language("fr")
    assert lang._spaced("Rien : « oui » ; ah ! https://x:8 a:b") == (
        "Rien\u00a0: «\u00a0oui\u00a0»\u00a0; ah\u00a0! https://x:8 a:b"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chat", "chat (6 of 9)"),
        ("Zürich", "Zürich (6 of 9)"),
        ("חיפוש", "\u2068חיפוש\u2069 (6 of 9)"),
        ("تقرير 7", "\u2068تقرير 7\u2069 (6 of 9)"),
        ("a\u202eb", "ab (6 of 9)"),
        ("é\u2069\u2067", "é\u2067\u2069 (6 of 9)"),
        ("\u2069ש\u2068", "\u2068ש\u2068\u2069\u2069 (6 of 9)"),
    ],
)
def test_a_name_that_runs_from_right_to_left_does_not_turn_the_numbers_beside_it(name, said):
    lang = language()
    assert lang("%(feature)s (%(bad)s of %(all)s)", feature=name, bad="6", all="9") == said
    assert bare(lang("%(feature)s", feature=isolated(name))) == bare(isolated(name)), "what is isolated stays so"


def test_an_offset_of_half_an_hour_and_west_of_greenwich():
    twice = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
    assert language().clock(twice, ZoneInfo("America/St_Johns")) == "01:30\u00a0UTC-2:30"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (
            "Google refuses the login (invalid_grant): run 'guardian gmail login'",
            "Google refuse la connexion (invalid_grant) : exécutez « guardian gmail login »",
        ),
        ("Gmail refuses the login (401): run 'guardian gmail login'", "Gmail refuse la connexion (401) : exécutez"),
        ("smtp.example.com refuses the login (535): check mail.smtp", "smtp.example.com refuse la connexion (535) : "),
        ("something else", "something else"),
    ],
)
def test_a_refused_login_is_told_in_the_readers_language_and_in_lines(why, said):
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, code="fr")
    [mail] = login_refused(service, ["zoe@example.org"], "gmail", why, samples.END)
    text = email.message_from_bytes(mail.body, policy=policy.default).get_body(("plain",)).get_content()
    assert said in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 78


def test_texts_that_templates_say_for_one_and_many_are_in_the_catalogues():
    found = {each.id for each in texts() if isinstance(each.id, tuple)}
    for path in (ROOT / "templates").rglob("*.*"):
        if path.suffix in (".html", ".txt"):
            for pair in re.findall(r'plural\("([^"]*)", "([^"]*)"', path.read_text(encoding="utf-8")):
                assert pair in found, path


@pytest.mark.parametrize("code", ["en", "fr"])
def test_nothing_is_never_minus_nothing_whatever_was_said_before(code):
    say = language(code).number
    assert [say(-0.0), say(0), say(-0.04, 1), say(0.0, 1), say(True)] == ["0", "0", "0", "0", "1"]
