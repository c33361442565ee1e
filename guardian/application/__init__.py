"""What happens and when: reports, alerts, watchdog, upkeep, checks."""
