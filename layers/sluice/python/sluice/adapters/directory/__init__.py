"""Objects, links and API keys in a directory of one machine."""
