"""Every other service, through Apprise (an extra): it is told what to say, and tells no more than yes or no.

Guardian cannot see where Apprise connects, so such a channel is for those only who allow private addresses.
"""

from __future__ import annotations

from apprise import Apprise, AppriseAsset, NotifyBase
from apprise.manager_plugins import NotificationManager

from guardian.mail.channels.client import quiet
from guardian.mail.channels.message import ChannelMessage
from guardian.mail.channels.sender import kind, written


class Other:
    """Apprise's sender for one address.

    Raises ValueError with one sentence, without the address (a secret), for one that Apprise does not take.
    """

    name, verify = "Apprise", True

    def __init__(self, url: str) -> None:
        self._url = url
        plugin = self._plugin()
        if plugin is None:
            scheme = url.partition("://")[0]
            raise ValueError(f"this is not a complete {scheme}:// address: see Apprise's documentation")
        if len(plugin) != 1:
            raise ValueError("the address names several receivers: make each a channel of its own")

    def notify(self, message: ChannelMessage) -> bool:
        """Send the message; whether Apprise holds it for accepted. Blocks."""
        # None of its services is ours to know, so pings and :names: are taken out as for Slack.
        title, body = written(message, "slack")
        try:
            with quiet():
                plugin = self._plugin()
                return plugin is not None and bool(
                    plugin.notify(title=title, body=body, notify_type=kind(message), body_format="text")
                )
        except Exception:  # one delivery: whatever Apprise raises may have the address in its words
            return False

    def _plugin(self) -> NotifyBase | None:
        """A new one, since it keeps what it learns from answers."""
        asset = AppriseAsset(
            app_id="Guardian", app_desc="Guardian", image_url_mask="", image_url_logo="",
            async_mode=False, http_redirects=False, storage_mode="memory",
        )  # fmt: skip
        with quiet():
            return Apprise.instantiate(self._url, asset=asset)


def knows(scheme: str) -> bool:
    """Whether Apprise has a service whose addresses begin so."""
    return scheme in NotificationManager()  # type: ignore[no-untyped-call]
