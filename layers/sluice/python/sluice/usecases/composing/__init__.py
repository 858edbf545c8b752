"""What a composer does: one sealed task becomes one verified file."""
