"""The rules of the settings file: what can never work, or not as it is written, is refused with the cure."""

import pytest


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("error_rate", 'window = "90s"', "window: 90s is not whole minutes: write 1m or 2m"),
        ("latency", 'window = "1h1s"', "window: 3601s is not whole minutes: write 1h or 61m"),
        ("feature_down", 'silence = "59s"', "silence: 59s is not whole minutes: write 0 or 1m"),
        ("error_rate", "window = 0", "window: 0 is too short: write 1m or more"),
        ("traffic_drop", 'window = "8d"', "window: 8d is too long: write 7d or less"),
        ("feature_down", 'silence = "2w"', "silence: 14d is too long: write 7d or less"),
        ("user_burst", 'window = "7d1s"', "window: 604801s is too long: write 7d or less"),
        ("user_burst", "window = 0", "window: 0 is too short: write 1s or more"),
        ("user_burst", 'for = "32d"', "for: 32d is too long: write 31d or less"),
        ("new_error", 'resolve_after = "32d"', "resolve_after: 32d is too long: write 31d or less"),
        ("new_error", 'repeat = "32d"', "repeat: 32d is too long: write 31d or less"),
        ("new_error", 'warmup = "91d"', "warmup: 91d is too long: write 90d or less"),
        ("latency", 'group_interval = "25h"', "group_interval: 25h is too long: write 1d or less"),
        ("feature_down", 'probe = {url="http://h", timeout="2m"}', "probe.timeout: 2m is too long: write 1m or less"),
    ],
)  # fmt: skip
def test_a_rule_looks_back_by_whole_minutes_and_no_further_than_makes_sense(problems, kind, line, said):
    assert problems(f"[rules.{kind}]\n{line}") == [f"guardian.toml line 2: rules.{kind}.{said}"]


def test_the_longest_and_the_shortest_spans_of_a_rule_are_taken(load):
    text = '[rules.feature_down]\nwindow = "7d"\nsilence = 0\nfor = "31d"\nresolve_after = "31d"\nrepeat = "31d"\n'
    text += '[rules.new_error]\nwindow = "1m"\nwarmup = "90d"\n[rules.user_burst]\nwindow = "45s"'
    down, new, burst = load(text).rules.values()
    assert (down.window, down.silence, down.for_, new.window, burst.window) == (604800, 0, 31 * 86400, 60, 45)
