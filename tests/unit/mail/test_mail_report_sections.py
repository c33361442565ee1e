"""What holds of every section of the report mail: a new one is its file, its templates and a line of the table."""

from dataclasses import replace
from pathlib import Path

import pytest

from guardian.core.language import LANGUAGES, language
from guardian.core.report.reading import from_json
from guardian.core.sections import SECTIONS as NAMES
from guardian.mail.render import mail_templates
from guardian.mail.report.sections import SECTIONS, nothing_to_say, only_sections
from tests.support import report_samples as samples

ROOT = Path(__file__).parents[3]
BY_NAME = {section.name: section for section in SECTIONS}


def test_the_settings_name_them_in_the_order_of_the_mail():
    assert tuple(BY_NAME) == NAMES


def test_each_section_can_be_left_out_alone_and_is_all_that_goes():
    names = {name for section in SECTIONS for name in section.blank}
    view = dict.fromkeys([*names, "headline"], "shown")
    assert only_sections(view, ()) == view
    for section in SECTIONS:
        assert only_sections(view, set(NAMES) - {section.name}) == view | dict(section.blank)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_section_shows_what_its_blank_has_and_nothing_where_nobody_came(name):
    section = BY_NAME[name]
    for code in LANGUAGES:
        shown = section.words(from_json(samples.ordinary()), language(code), samples.ZONE)
        assert set(shown) == (set(section.blank) if shown else set())
    nothing = section.words(from_json(samples.empty()), language(), samples.ZONE)
    assert not any(value for key, value in nothing.items() if key != "privacy")


def test_every_section_has_its_templates_and_no_template_is_of_none():
    files = {path.name for path in (ROOT / "templates/mail/report").iterdir()}
    assert files == {f"{each.name}.{kind}" for each in SECTIONS if each.templates for kind in ("html", "txt")}


@pytest.mark.parametrize("name", sorted(name for name, section in BY_NAME.items() if section.templates))
@pytest.mark.parametrize("kind", ["html", "txt"])
def test_a_section_that_is_left_out_prints_nothing(name, kind):
    printed = (
        mail_templates()
        .get_template(f"report/{name}.{kind}")
        .render(view=dict(BY_NAME[name].blank), lang=language(), _=language())
    )
    assert printed.strip() == ""


@pytest.mark.parametrize("name", BY_NAME)
def test_a_section_is_documented(name):
    assert f"`{name}`" in (ROOT / "docs/schedules.md").read_text()


@pytest.mark.parametrize(
    ("fired", "chosen", "said"),
    [
        ((), (), "Nothing else to report: no rule fired, no request failed, nobody needs help, nobody has gone quiet."),
        (None, (), "Nothing else to report: no request failed, nobody needs help, nobody has gone quiet."),
        ((), ("help", "users"), "Nothing else to report: nobody needs help."),
        ((), ("users",), ""),
    ],
)
def test_sections_with_nothing_to_say_are_one_line(fired, chosen, said):
    report = replace(from_json(samples.report([samples.event(1)])), fired=fired)
    view = {key: value for section in SECTIONS for key, value in section.blank.items()}
    assert nothing_to_say(view, report, chosen, language()) == said
    assert nothing_to_say(view, from_json(samples.empty()), chosen, language()) == ""
