"""Alerts: rules judged every minute, the incidents they open, and the messages about them."""
