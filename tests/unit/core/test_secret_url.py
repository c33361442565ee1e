"""What may be a secret in an address never gets into a text."""

import pytest

from guardian.core.secret_url import SecretUrl, shown_url


@pytest.mark.parametrize(
    ("address", "shown", "secret"),
    [
        ("https://hc-ping.com/0123-4567", "https://hc-ping.com", False),
        ("https://ann:pa55@App.example.com:8443/x?token=t#f", "https://app.example.com", True),
        ("http://[::1]:8000/health", "http://[::1]", False),
        ("https://app.example.com/health?key=t", "https://app.example.com", True),
        ("https://ann@app.example.com/", "https://app.example.com", True),
        ("http://[::1/", "…", True),
        ("nothing", "…", False),
    ],
)
def test_an_address_is_shown_as_its_scheme_and_host(address, shown, secret):
    url = SecretUrl(address)
    assert (str(url), f"{url}", "%s" % url, shown_url(address)) == (shown,) * 4  # noqa: UP031
    assert repr(url) == f"SecretUrl({shown!r})"
    assert (url.reveal(), url.holds_secret) == (address, secret)
    assert url == SecretUrl(address) and hash(url) == hash(SecretUrl(address)) and url != SecretUrl(address + "x")
