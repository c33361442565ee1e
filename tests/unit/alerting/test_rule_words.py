"""A rule is said with everything that it asks for."""

import pytest

from guardian.alerting.rule_words import rule_in_words
from guardian.core.language import language
from guardian.settings.rules import parse_rule
from tests.support.plain import plain


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        ("error_rate", {"feature": "chat", "min_requests": 0, "threshold": "5%"},
         "More than 5 % errors in chat within 1 h, and more than 2.5 % even allowing for chance."),
        ("error_rate", {"min_users": 1, "for": "5m"},
         "More than 10 % errors within 1 h, and more than 5 % even allowing for chance. With at least 20 "
         "requests. With at least 1 user affected. It must hold for 5 min."),
        ("feature_down",
         {"count": "server", "silence": 0, "min_users": 0, "probe": {"url": "http://x/", "failures": 1}},
         "Every request to chat failed with a server error within 10 min. Or http://x failed. With at "
         "least 5 requests."),
        ("user_burst", {}, "One user hits 5 or more errors within 10 min."),
        ("user_burst", {"min_requests": 9, "min_users": 2},
         "One user hits 5 or more errors within 10 min. Once they have made at least 9 requests. With at least 2 users "
         "affected."),
        ("latency", {"feature": "chat"},
         "It takes more than 2 s to answer 95 % of the successful requests to chat within 15 min. With at "
         "least 20 requests."),
        ("traffic_drop", {"min_users": 3},
         "Fewer than 30 % of the requests usual at this hour of the week (median of 4 weeks). Where at least 20 "
         "requests are usual. With at least 3 users a week before."),
        ("traffic_spike", {},
         "More than 3 times the requests usual at this hour of the week (median of 4 weeks). With at least 20 "
         "requests."),
        ("new_error", {}, "A type of error, at a place in the code, that has never been seen before."),
        ("new_error", {"min_requests": 2},
         "A type of error, at a place in the code, that has never been seen before. Once it came at least 2 times."),
        ("tracker_silent", {"min_requests": 5},
         "Neither a request nor a sign of life of the app for 10 min. After a day with at least 5 requests."),
    ],
)  # fmt: skip
def test_a_rule_is_said_with_everything_that_it_asks_for(kind, keys, words):
    assert plain(rule_in_words(parse_rule(kind, keys, critical_features=("chat",)), language())) == words
