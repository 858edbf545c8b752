"""What a reader asks for: status, listing, link."""
