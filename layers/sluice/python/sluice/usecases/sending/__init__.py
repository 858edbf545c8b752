"""What a sender asks for: open, put, close, cancel, render again."""
