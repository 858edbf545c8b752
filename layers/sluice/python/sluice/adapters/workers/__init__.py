"""Composers as processes of this machine."""
