"""Imports an app's past from the access logs of its web server."""
