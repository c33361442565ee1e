"""Channels beside mail: Slack, Teams, Discord, ntfy, PagerDuty and webhooks; others through Apprise."""
