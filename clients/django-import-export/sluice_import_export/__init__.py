"""Exports of django-import-export's admin as exports of Sluice."""

__version__ = "0.1.0"
