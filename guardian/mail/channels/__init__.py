"""Channels beside mail: Slack, Teams, Discord, ntfy, PagerDuty and webhooks; others through Apprise."""

from guardian.mail.channels.message import compose_channel

__all__ = ["compose_channel"]
