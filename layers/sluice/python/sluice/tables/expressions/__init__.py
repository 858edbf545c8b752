"""SQL scalar expressions over the columns of a row: parsed into a stored tree, and compiled from it."""
