"""Steps between a source and the stored chunks, row by row."""
