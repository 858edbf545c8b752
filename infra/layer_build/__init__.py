"""Builds the layers: third-party packages and our own code, each as a zip that is the same bytes at every build."""
