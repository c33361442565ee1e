"""The doors of the dashboard: who asks, from where, whether they may, and how they come in."""
