"""Changes the core's code at random places, one at a time, and counts which changes no test notices."""
