"""Settings, telemetry, and who meets whom."""
