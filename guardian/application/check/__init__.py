"""The checks of `guardian check`."""
