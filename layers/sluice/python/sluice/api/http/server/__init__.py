"""The HTTP server: connections, limits, what surrounds every request."""
