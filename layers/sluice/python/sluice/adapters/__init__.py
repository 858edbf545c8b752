"""How the outside is reached, one technology per file."""
