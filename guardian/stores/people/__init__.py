"""One person, one name: ids that the tracker recorded become addresses whenever something is read."""
