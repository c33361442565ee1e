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


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("error_rate", 'recipients = ["nonsense"]',
         'recipients[0]: "nonsense" is not a mail address: write it as you@example.com'),
        ("error_rate", 'recipients = ["a@x.org", "A@x.org"]', 'recipients: "A@x.org" is there twice: write it once'),
        ("error_rate", 'channels = ["mail", "mail"]', 'channels: "mail" is there twice: write it once'),
        ("error_rate", "channels = []",
         "channels: the list is empty and nobody would hear: name mail or another channel, or set enabled = false"),
        ("error_rate", 'quiet_hours = "22:00-22:00"',
         "quiet_hours: 22:00-22:00 is no time at all: write an end that is not the start"),
        ("error_rate", "quiet_hours = [1320, 9999]",
         "quiet_hours: [1320, 9999] is not a range of the clock: write it as 22:00-07:00"),
        ("error_rate", 'threshold = "100%"',
         "threshold: more than 100% is never reached: write a smaller share, such as 10%"),
        ("traffic_drop", "below = 0", "below: fewer than 0% is never reached: write a larger share, such as 30%"),
        ("traffic_spike", "above = inf", "above = Infinity: Input should be a finite number"),
        ("latency", "threshold_ms = inf", "threshold_ms = Infinity: Input should be a finite number"),
        ("burn_rate", "objective = 0", "objective: 0% is always met: write a larger share, such as 99.9%"),
        ("burn_rate", 'objective = "100%"',
         "objective: 100% leaves no error budget to burn: write a smaller share, such as 99.9%"),
        ("feature_down", 'probe = {url = "http://h", failures = 101}', "probe.failures = 101 must be at most 100"),
    ],
)  # fmt: skip
def test_a_rule_that_could_never_work_is_refused(problems, kind, line, said):
    assert problems(f"[rules.{kind}]\n{line}") == [f"guardian.toml line 2: rules.{kind}.{said}"]


@pytest.mark.parametrize(
    ("kind", "lines", "said"),
    [
        ("traffic_drop", "weeks = 3\nmin_weeks = 4", "min_weeks = 4 is more than weeks = 3: make it 3 or less"),
        ("error_rate", 'recipients = ["a@x.org"]\nchannels = ["ops"]',
         "recipients get mail, which channels leaves out: add mail to channels, or remove recipients"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_each_other_are_refused(problems, kind, lines, said):
    text = f'[channels.ops]\nurl = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"\n[rules.{kind}]\n{lines}'
    assert problems(text) == [f"guardian.toml line 3: rules.{kind}: {said}"]


@pytest.mark.parametrize(
    "url",
    ["http://[::1/", "http://localhost:0x/", "http:///health", "http://", "ftp://h/", "http://h:99999/", "/health",
     "http://h\\n/", "http://exa mple.com/"],
)  # fmt: skip
def test_a_probe_of_no_web_address_is_refused(problems, url):
    [problem] = problems(f'[rules.feature_down]\nprobe = {{url = "{url}"}}')
    assert problem == (  # it may hold a secret, and is not repeated
        "guardian.toml line 2: rules.feature_down.probe.url: this is not a web address: "
        "write it as https://app.example.com/health"
    )


@pytest.mark.parametrize("url", ["http://localhost:8000/health?full=1", "https://[::1]/", "http://app", "HTTP://app/"])
def test_a_probe_may_be_of_any_web_address(load, url):
    assert load(f'[rules.feature_down]\nprobe = {{url = "{url}"}}').rules["feature_down"].probe.url.reveal() == url


@pytest.mark.parametrize(
    ("table", "days", "key", "needed"),
    [
        ('error_rate]\nwindow = "3d"', 2, "error_rate.window", 3),
        ('latency]\nwindow = "25h"', 1, "latency.window", 2),
        ('new_error]\nwarmup = "14d"', 7, "new_error.warmup", 14),
        ("traffic_drop]", 14, "traffic_drop.min_weeks", 15),
        ("traffic_spike]\nmin_weeks = 1", 7, "traffic_spike.min_weeks", 8),
        ('feature_down]\nsilence = "1h"', 14, "feature_down.silence", 15),
        ("burn_rate]", 2, "burn_rate.objective", 3),
        ("tracker_silent]\nmin_requests = 1", 1, "tracker_silent.min_requests", 2),
    ],
)
def test_a_rule_that_needs_requests_longer_than_they_are_kept_is_refused(load, problems, table, days, key, needed):
    assert problems(f"[rules.{table}\n[retention]\nevents_days = {days}") == [
        f"guardian.toml line 1: rules.{key} looks back further than retention.events_days = {days} keeps requests: "
        f"set retention.events_days to {needed} or more, or change the rule"
    ]
    load(f"[rules.{table}\n[retention]\nevents_days = {needed}")
    load(f"[rules.{table}\nenabled = false\n[retention]\nevents_days = {days}")


def test_the_rules_that_are_there_without_a_word_fit_the_shortest_retention(load):
    assert load("[retention]\nevents_days = 1").rules.keys() == {"error_rate", "feature_down", "user_burst"}
    load("[rules.tracker_silent]\n[rules.new_error]\n[retention]\nevents_days = 1")
