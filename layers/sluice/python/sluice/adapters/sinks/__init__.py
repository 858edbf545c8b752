"""Tables that rows are loaded into, by the database that they are in."""
