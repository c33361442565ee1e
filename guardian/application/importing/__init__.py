"""Brings the past of an app in from the access logs of the server in front of it."""
