"""The routes of the HTTP API and their documents."""
