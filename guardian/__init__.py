"""Reports and alerts by mail, from what the tracker recorded."""
