"""Messages, templates and transports."""
