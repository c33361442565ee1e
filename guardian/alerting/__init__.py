"""Alerts: rules judged every minute, incidents with a life of their own, and what is said of them."""
