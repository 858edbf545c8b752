"""Sluice: a table of any size becomes an Excel or CSV file behind a link."""

__version__ = "0.1.0"
