"""From batches to the bytes of a file; one folder for each format."""
