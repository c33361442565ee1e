"""What `guardian check` looks at."""
