"""`sluice export`: from rows in a file to a finished file, here or through a server."""
