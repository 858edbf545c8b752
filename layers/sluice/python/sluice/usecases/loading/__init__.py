"""Rows of sealed tasks into tables of other systems."""
