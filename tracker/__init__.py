"""What a host app imports: an ASGI middleware that records who used which feature, and what failed."""
