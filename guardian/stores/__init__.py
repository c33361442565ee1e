"""Storage: the protocols for events and state, and the databases that implement them."""
