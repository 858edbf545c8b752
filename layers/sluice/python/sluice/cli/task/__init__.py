"""`sluice task`: where exports are, and what an operator may do about it."""
