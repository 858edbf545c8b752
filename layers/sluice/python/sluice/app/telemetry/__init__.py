"""Log lines and metrics from events."""
