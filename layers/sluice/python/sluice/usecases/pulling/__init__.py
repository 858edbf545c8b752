"""Exports whose rows no sender sends: they are read from a source."""
