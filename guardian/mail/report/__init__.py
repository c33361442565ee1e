"""The report as a mail, a file a section."""
