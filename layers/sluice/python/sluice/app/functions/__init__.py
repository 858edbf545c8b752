"""What the deployed functions are made of: one module for each, and what they share."""
