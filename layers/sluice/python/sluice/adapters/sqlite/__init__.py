"""Task rows in an SQLite file."""
