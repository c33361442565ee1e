"""Alerts as mails."""
