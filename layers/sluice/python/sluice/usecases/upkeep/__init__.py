"""What keeps the stores in order: sweep, collect garbage, reconcile, repair."""
