"""Tables that rows are read from, by the database that they are in."""
