"""What is kept: the Protocols of events and of state, and the databases that implement them."""
