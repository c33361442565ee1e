"""What a schedule is called where people read it."""

import pytest

from guardian.application.root import name_schedules
from guardian.application.schedule_words import schedule_name
from guardian.core.language import language
from guardian.settings.schema import Settings


@pytest.mark.parametrize(
    ("when", "french"),
    [
        ("every 2h", "toutes les 2 h (UTC)"),
        ("every 5h", "toutes les 5 h (UTC)"),
        ("every 90m", "toutes les 1 h 30 min (UTC)"),
        ("daily at 08:00 Europe/Paris", "chaque jour à 08:00 (Europe/Paris)"),
        ("weekly Monday 09:00", "chaque semaine, le lundi à 09:00 (UTC)"),
        ("monthly 1 09:00", "chaque mois, le 1 à 09:00 (UTC)"),
        ("monthly last 09:00", "chaque mois, le dernier jour à 09:00 (UTC)"),
        ("cron 0 9 * * 1-5", "cron 0 9 * * 1-5 (UTC)"),
    ],
)
def test_a_schedule_without_a_name_is_told_in_words(when, french):
    [named] = name_schedules(Settings(schedules=[when]))
    assert schedule_name(named, language("fr")).replace("\u00a0", " ") == french
    assert schedule_name(named, language()) == named.name


def test_a_name_of_the_settings_stays_and_of_two_alike_each_keeps_its_number():
    schedules = ["daily at 08:00", "daily at 08:00", {"when": "2h", "name": "daily"}]
    names = [schedule_name(each, language("fr")) for each in name_schedules(Settings(schedules=schedules))]
    assert names == ["chaque jour à 08:00 (UTC)", "chaque jour à 08:00 (UTC) (2)", "daily"]
