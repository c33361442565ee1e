"""Aliases: recorded ids are translated to people's addresses whenever something is read."""
