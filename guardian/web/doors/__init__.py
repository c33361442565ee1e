"""Access to the dashboard: who a request comes from, whether they may see it, and signing in."""
