"""What counts as a number, a date, a boolean; the same for every format."""
