"""Request bodies: how large and how slow they may be, and what is in them."""
