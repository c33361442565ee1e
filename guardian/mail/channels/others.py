"""Every other service, through Apprise (an extra), which only reports success or failure. Guardian cannot see where
Apprise connects, so such a channel is only possible where private addresses are allowed.
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

    def send(self, message: ChannelMessage) -> bool:
        """Send the message; whether Apprise reports success. Blocks."""
        # The service is unknown, so mentions and :names: are escaped as for Slack.
        title, body = written(message, "slack")
        try:
            with quiet():
                plugin = self._plugin()
                return plugin is not None and bool(
                    plugin.notify(title=title, body=body, notify_type=kind(message), body_format="text")
                )
        except Exception:  # Apprise's exceptions may contain the URL
            return False

    def _plugin(self) -> NotifyBase | None:
        """A new plugin each time, since it keeps state from answers."""
        asset = AppriseAsset(
            app_id="Guardian", app_desc="Guardian", image_url_mask="", image_url_logo="",
            async_mode=False, http_redirects=False, storage_mode="memory",
        )  # fmt: skip
        with quiet():
            return Apprise.instantiate(self._url, asset=asset)


def knows(scheme: str) -> bool:
    """Whether Apprise has a service whose addresses begin so."""
    return scheme in NotificationManager()  # type: ignore[no-untyped-call]
