"""What happens to a file's bytes on their way to the store."""
