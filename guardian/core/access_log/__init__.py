"""Parsers of web servers' access logs: one line in, one request out, with only what Guardian may store. Pure."""
