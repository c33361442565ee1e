"""Access logs of web servers: one line in, one request out, with no more of it than Guardian may keep. Pure."""
