"""Emulators of the cloud services: real HTTP, on this machine, for tests, demos and tools."""
